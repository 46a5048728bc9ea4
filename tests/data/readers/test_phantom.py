from __future__ import annotations

import time
from collections import Counter

import numpy as np
import pytest

from lungzoo.config import PhantomConfig
from lungzoo.data.phantom.nodules import THRESHOLDS_MM, TYPES, lung_rads
from lungzoo.data.readers import READERS
from lungzoo.data.readers.phantom import HEALTHY_EVERY, PhantomReader
from lungzoo.data.store import PreparedDataset
from lungzoo.data.writer import import_dataset

SMALL = PhantomConfig(patients=12, slices_per_patient=6, size_px=96, seed=3)


@pytest.fixture(scope="module")
def slices():
    return list(PhantomReader(SMALL))


def same(one, other) -> bool:
    return np.array_equal(one.image, other.image) and np.array_equal(one.mask, other.mask) and one.case == other.case


class TestDeterminism:
    def test_same_config_gives_the_same_bits(self, slices):
        assert all(same(*pair) for pair in zip(slices, PhantomReader(SMALL), strict=True))

    def test_a_patient_does_not_need_the_ones_before(self, slices):
        alone = PhantomReader(SMALL).patient(5)
        assert all(same(*pair) for pair in zip(slices[30:36], alone, strict=True))

    def test_more_patients_leave_the_first_ones_as_they_are(self, slices):
        more = PhantomReader(SMALL.model_copy(update={"patients": 20}))
        assert all(same(*pair) for pair in zip(slices[:6], more.patient(0), strict=True))

    def test_another_seed_gives_another_chest(self, slices):
        other = PhantomReader(SMALL.model_copy(update={"seed": 4})).patient(0)
        assert not np.array_equal(slices[0].image, other[0].image)

    def test_fingerprint_is_repeatable(self, tmp_path):
        config = PhantomConfig(patients=3, slices_per_patient=2, size_px=64)
        for name in ("one", "two"):
            import_dataset(PhantomReader(config), "phantom", tmp_path / name)
        one, two = PreparedDataset(tmp_path / "one"), PreparedDataset(tmp_path / "two")
        assert one.fingerprint == two.fingerprint


class TestContent:
    def test_shapes_types_and_names(self, slices):
        assert len(slices) == len(PhantomReader(SMALL)) == 72
        assert {(s.image.dtype.name, s.image.shape) for s in slices} == {("int16", (96, 96))}
        assert {(s.mask.dtype.name, s.mask.shape) for s in slices} == {("uint8", (96, 96))}
        assert {value for s in slices for value in np.unique(s.mask)} == {0, 1}
        first, last = slices[0].case, slices[-1].case
        assert (first.patient, first.volume, first.z) == ("PHANTOM-0001", "PHANTOM-0001", 0)
        assert (last.case, last.z) == ("PHANTOM-0012/slice-5", 5)
        assert len({s.case.case for s in slices}) == 72

    @pytest.mark.parametrize(("count", "slice_mm"), [(2, 15.0), (6, 5.0), (12, 2.5), (20, 2.5)])
    def test_spacing_fits_the_field_of_view(self, count, slice_mm):
        config = PhantomConfig(patients=3, slices_per_patient=count, size_px=64)
        assert PhantomReader(config).patient(0)[0].case.spacing_mm == (slice_mm, 340 / 64, 340 / 64)

    def test_air_is_clean_and_hu_plausible(self, slices):
        for s in slices:
            assert (s.image[[0, -1]] == -1000).all()
            assert s.image.min() >= -1024
            assert 250 < s.image.max() <= 1500

    def test_hu_of_lung_and_nodule(self):
        """Inside a solid nodule it is near +20 HU, around it is lung near −850 HU."""
        reader = PhantomReader(PhantomConfig(patients=8, size_px=128, seed=1))
        solid = [s for s in reader if s.case.extra["nodule_type"] == "solid" and s.mask.sum() > 30]
        assert solid
        for s in solid:
            assert -150 < np.median(s.image[s.mask == 1]) < 80
            lung = s.image[(s.image < -700) & (s.image > -990)]
            assert -900 < np.median(lung) < -780

    def test_ground_glass_is_faint(self):
        reader = PhantomReader(PhantomConfig(patients=8, size_px=128, seed=1))
        glass = [s for s in reader if s.case.extra["nodule_type"] == "ground-glass" and s.mask.sum() > 40]
        assert glass
        assert -720 < np.median([np.median(s.image[s.mask == 1]) for s in glass]) < -450

    def test_nodules_are_three_dimensional(self, slices):
        """The slices with a lesion are consecutive for a patient with one nodule, and there are several."""
        runs = []
        for start in range(0, 72, 6):
            has = [s.mask.any() for s in slices[start : start + 6]]
            runs.append("".join("x" if h else "." for h in has).strip("."))
        single = [run for run in runs if run and "." not in run]
        assert len(single) >= 6
        assert max(map(len, runs)) >= 3

    @pytest.mark.parametrize("count", [2, 3, 8])
    def test_a_quarter_of_each_patient_is_free(self, count):
        reader = PhantomReader(PhantomConfig(patients=30, slices_per_patient=count, size_px=64))
        free = Counter(s.case.patient for s in reader if not s.mask.any())
        assert len(free) == 30
        assert min(free.values()) >= max(1, count // 4)

    def test_every_eleventh_patient_is_healthy(self, slices):
        healthy = {s.case.patient for s in slices} - {s.case.patient for s in slices if s.mask.any()}
        assert f"PHANTOM-{HEALTHY_EVERY:04d}" in healthy
        assert len(healthy) <= 2

    def test_all_types_and_a_range_of_sizes(self):
        reader = PhantomReader(PhantomConfig(patients=30, slices_per_patient=6, size_px=64))
        cut = [s.case.extra for s in reader if s.mask.any()]
        diameters = [extra["diameter_mm"] for extra in cut]
        assert {extra["nodule_type"] for extra in cut} == set(TYPES)
        assert 4 <= min(diameters) < 10
        assert 25 < max(diameters) <= 35


class TestLabels:
    def test_slice_without_nodule(self, slices):
        for s in slices:
            if not s.mask.any():
                assert (s.case.label, s.case.extra) == ("LR1", {"nodule_type": "none", "diameter_mm": 0.0})

    def test_slice_with_nodule(self, slices):
        for s in slices:
            if s.mask.any():
                kind, diameter = s.case.extra["nodule_type"], s.case.extra["diameter_mm"]
                assert s.case.label == lung_rads(kind, diameter)

    @pytest.mark.parametrize(
        ("kind", "diameter_mm", "label"),
        [
            ("solid", 5.9, "LR2"),
            ("solid", 6.0, "LR3"),
            ("solid", 8.0, "LR4A"),
            ("solid", 15.0, "LR4B"),
            ("part-solid", 11.9, "LR3"),
            ("part-solid", 16.0, "LR4B"),
            ("ground-glass", 29.9, "LR2"),
            ("ground-glass", 30.0, "LR3"),
            ("spiculated", 4.0, "LR3"),
            ("spiculated", 8.0, "LR4B"),
            ("pleural", 9.9, "LR2"),
            ("pleural", 10.0, "LR4A"),
        ],
    )
    def test_rule(self, kind, diameter_mm, label):
        assert lung_rads(kind, diameter_mm) == label

    def test_the_docstring_states_the_table(self):
        table = PhantomReader.__doc__.partition("type  ")[2].splitlines()
        for kind, thresholds in THRESHOLDS_MM.items():
            line = next(line for line in table if line.strip().startswith(kind))
            assert all(f"{t:.0f}" in line for t in thresholds if 0 < t < np.inf)


class TestDifficulty:
    def test_a_threshold_does_not_find_the_nodules(self, slices):
        """Bright spots inside the chest are mostly vessels, heart and bone."""
        hits = claims = 0
        for s in slices:
            bright = s.image > -300
            hits += (bright & (s.mask == 1)).sum()
            claims += bright.sum()
        assert hits / claims < 0.05


def test_is_not_a_registered_reader():
    assert "phantom" not in READERS.names()


def test_default_dataset_is_made_in_seconds():
    start = time.process_time()
    for _ in PhantomReader(PhantomConfig(patients=10)):
        pass
    assert time.process_time() - start < 5
