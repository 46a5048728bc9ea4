import json

import numpy as np
import pandas as pd
import pytest

from lungzoo.config import DataConfig
from lungzoo.data.splits.split import PARTS, middle_slices, select_rows, split_patients
from lungzoo.errors import ConfigError


def table(patients: int = 60, slices: int = 4) -> pd.DataFrame:
    """A third of the patients is "rare", the rest "common"."""
    rows = [
        {"patient": f"P{p:03d}", "label": "rare" if p % 3 == 0 else "common", "volume": f"P{p:03d}", "z": z}
        for p in range(patients)
        for z in range(slices)
    ]
    return pd.DataFrame(rows)


def test_every_patient_is_in_exactly_one_part():
    cases = table()
    split = split_patients(cases, DataConfig(), "f")
    parts = [set(getattr(split, part)) for part in PARTS]
    assert set.union(*parts) == set(cases["patient"])
    assert sum(map(len, parts)) == 60
    assert [len(part) for part in parts] == [42, 9, 9]
    rows = np.concatenate([split.rows(cases, part) for part in PARTS])
    assert sorted(rows) == list(range(len(cases)))


def test_each_part_has_its_share_of_a_rare_label():
    cases = table()
    split = split_patients(cases, DataConfig(), "f")
    for part in PARTS:
        labels = cases.iloc[split.rows(cases, part)]["label"]
        assert (labels == "rare").mean() == pytest.approx(1 / 3, abs=0.12), part


def test_same_seed_same_split_other_seed_another():
    cases = table()
    first, again = (split_patients(cases, DataConfig(split_seed=3), "f") for _ in range(2))
    other = split_patients(cases, DataConfig(split_seed=4), "f")
    assert first == again
    assert first.fingerprint == again.fingerprint
    assert first.test != other.test


def test_order_of_the_rows_does_not_matter():
    cases = table()
    assert split_patients(cases, DataConfig(), "f") == split_patients(cases[::-1], DataConfig(), "f")


def test_too_few_patients_are_refused():
    with pytest.raises(ConfigError, match=r"has 3 patient\(s\), too few to split"):
        split_patients(table(3), DataConfig(), "f")


def test_saved_as_json(tmp_path):
    split = split_patients(table(), DataConfig(), "f" * 64)
    split.save(tmp_path / "split.json")
    saved = json.loads((tmp_path / "split.json").read_text())
    assert tuple(saved["test"]) == split.test
    assert saved["fingerprint"] == split.fingerprint
    assert saved["dataset_fingerprint"] == "f" * 64


def test_thinning_keeps_the_middle_of_each_volume():
    cases = table(patients=2, slices=5)
    assert middle_slices(cases, np.arange(10), 3).tolist() == [1, 2, 3, 6, 7, 8]
    assert middle_slices(cases, np.arange(10), 2).tolist() == [1, 2, 6, 7]
    assert middle_slices(cases, np.arange(10), 9).tolist() == list(range(10))


def readers_agree(make_slice, store, agreeing: int):
    """Eight patients with two slices: one that both readers drew, one that only one did (for `agreeing` patients)."""
    both, one = np.zeros((6, 6)), np.zeros((6, 6))
    both[2, 2], one[2, 2] = 0b11, 0b01
    slices = [make_slice(z, f"P{p}", both if z == 0 else one) for p in range(agreeing) for z in range(2)]
    return store(slices, mask_bits=("reader-0", "reader-1"))


def test_disputed_slices_are_left_out_unless_kept(make_slice, store):
    dataset = readers_agree(make_slice, store, 8)
    split = split_patients(dataset.cases, DataConfig(), dataset.fingerprint)
    dropped = select_rows(dataset, split, DataConfig())
    assert all(dataset.cases["z"].iloc[rows].eq(0).all() for rows in dropped.values())
    kept = select_rows(dataset, split, DataConfig(disputed="keep"))
    assert sum(map(len, kept.values())) == 16


def test_a_part_without_agreement_is_refused(make_slice, store):
    lone = np.zeros((6, 6))
    lone[1, 1] = 0b01
    dataset = store([make_slice(0, f"P{p}", lone) for p in range(8)], mask_bits=("reader-0", "reader-1"))
    split = split_patients(dataset.cases, DataConfig(), dataset.fingerprint)
    with pytest.raises(ConfigError, match=r"no slices that 2 readers agree on. Lower data.consensus_readers"):
        select_rows(dataset, split, DataConfig())
