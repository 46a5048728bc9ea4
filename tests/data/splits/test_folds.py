"""Folds, inner folds, published splits, split files, groups of near-duplicates, strata of lesion size."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from lungzoo.config import DataConfig
from lungzoo.data.case import Case, Slice
from lungzoo.data.near import NearPair
from lungzoo.data.splits import groups
from lungzoo.data.splits.split import PARTS, Split, _split, split_dataset, split_patients
from lungzoo.data.store import PreparedDataset, fingerprint_of
from lungzoo.data.writer import import_dataset
from lungzoo.errors import ConfigError, DatasetError


def table(patients: int = 60, slices: int = 4, **columns: object) -> pd.DataFrame:
    """A third of the patients is "rare", the rest "common"."""
    rows = [
        {"patient": f"P{p:03d}", "label": "rare" if p % 3 == 0 else "common", "volume": f"P{p:03d}", "z": z}
        for p in range(patients)
        for z in range(slices)
    ]
    return pd.DataFrame(rows).assign(**columns)


def parts_of(split: Split) -> list[set[str]]:
    return [set(getattr(split, part)) for part in PARTS]


def test_each_patient_is_tested_in_exactly_one_fold():
    cases = table()
    splits = [split_patients(cases, DataConfig(folds=5, fold=fold), "f") for fold in range(5)]
    tested = [patient for split in splits for patient in split.test]
    assert sorted(tested) == sorted(set(cases["patient"]))
    for split in splits:
        assert [len(part) for part in parts_of(split)] == [39, 9, 12]
        assert set.union(*parts_of(split)) == set(cases["patient"])
        assert sum(int(patient[1:]) % 3 == 0 for patient in split.test) == 4


def test_fold_is_part_of_the_identity_and_the_plain_split_keeps_its_own():
    first, second = (split_patients(table(), DataConfig(folds=5, fold=fold), "f") for fold in (0, 1))
    assert first.fingerprint != second.fingerprint
    assert (first.scheme, second.scheme) == ("fold 0 of 5", "fold 1 of 5")
    plain = split_patients(table(), DataConfig(), "f")
    assert set(plain.to_dict()) == {"train", "val", "test", "split_seed", "dataset_fingerprint"}


def test_plain_split_is_what_it_always_was():
    """The shipped weights and published tables rest on it."""
    split = split_patients(table(12), DataConfig(split_seed=1), "f")
    assert (split.val, split.test) == (("P006", "P011"), ("P002", "P003"))
    assert split.fingerprint == "28f89a776237c24bc0e80f7cba8e26aa0e57f0bb4a4ca09be8914abf4daa00ac"


def test_every_patient_outside_the_test_fold_validates_in_exactly_one_inner_fold():
    cases = table()
    config = DataConfig(folds=5, fold=2, inner_folds=4)
    splits = [split_patients(cases, config.model_copy(update={"inner_fold": k}), "f") for k in range(4)]
    assert len({split.test for split in splits}) == 1
    validated = sorted(patient for split in splits for patient in split.val)
    assert validated == sorted(set(cases["patient"]) - set(splits[0].test))
    assert all(not set(split.train) & {*split.val, *split.test} for split in splits)
    assert splits[3].scheme == "fold 2 of 5, inner fold 3 of 4"


def test_inner_folds_alone_leave_the_random_test_split():
    cases = table()
    inner = split_patients(cases, DataConfig(inner_folds=3), "f")
    assert inner.test == split_patients(cases, DataConfig(), "f").test
    assert len(inner.val) == 17


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"folds": 5, "fold": 5}, r"data.fold names no fold. Received: 5. Allowed: 0 to 4"),
        ({"fold": 1}, r"data.fold names no fold. Received: 1. Allowed: 0, unless data.folds is set"),
        ({"inner_fold": 2, "inner_folds": 2}, r"data.inner_fold names no fold. Received: 2. Allowed: 0 to 1"),
        ({"split": "published", "folds": 2}, r"data.folds would deal other test patients than data.split"),
        ({"split_sha256": "0" * 64}, r"data.split_sha256 belongs to data.split_file or data.groups"),
        ({"groups": "near"}, r"need the whole dataset, not only its case table"),
        ({"folds": 70}, r"60 patient\(s\), too few for 70 folds with a validation split"),
        ({"inner_folds": 55}, r"60 patient\(s\), too few for a test split with 55 inner folds"),
    ],
)
def test_settings_that_cannot_be_met_are_refused(settings, message):
    if "folds" in settings and settings["folds"] == 70:
        settings = {**settings, "fold": 65}
    if settings.get("inner_folds") == 55:
        settings = {**settings, "inner_fold": 53}
    with pytest.raises(ConfigError, match=message):
        split_patients(table(), DataConfig(**settings), "f")


def published(val: bool = False) -> list[str]:
    """Of 60 patients with 4 slices the last 12 are for testing, and if asked the 6 before them for validation."""
    return [("test" if p >= 48 else "val" if val and p >= 42 else "train") for p in range(60) for _ in range(4)]


def test_published_test_patients_are_kept_and_validation_is_taken_from_training():
    cases = table(published_split=published())
    split = split_patients(cases, DataConfig(split="published"), "f")
    assert split.test == tuple(f"P{p:03d}" for p in range(48, 60))
    assert len(split.val) == 7  # 15% of 48
    assert len(split.train) == 41
    assert split.scheme == "published"
    other = split_patients(cases, DataConfig(split="published", split_seed=1), "f")
    assert other.test == split.test
    assert other.val != split.val


def test_published_validation_is_kept_unless_inner_folds_deal_another():
    cases = table(published_split=published(val=True))
    split = split_patients(cases, DataConfig(split="published"), "f")
    assert split.val == tuple(f"P{p:03d}" for p in range(42, 48))
    inner = split_patients(cases, DataConfig(split="published", inner_folds=4), "f")
    assert (len(inner.train), len(inner.val), inner.test) == (36, 12, split.test)


def test_dataset_without_a_published_split():
    with pytest.raises(ConfigError, match=r"no published split \(no case column 'published_split'\)"):
        split_patients(table(), DataConfig(split="published"), "f")


def test_published_split_that_cannot_be_used():
    config = DataConfig(split="published")
    with pytest.raises(DatasetError, match=r"must name a part for every slice. Received: '' for 240 slice"):
        split_patients(table(published_split=""), config, "f")
    both = published()
    both[0] = "test"
    with pytest.raises(DatasetError, match=r"slices of 1 patient\(s\), such as P000, in train and in test"):
        split_patients(table(published_split=both), config, "f")
    with pytest.raises(DatasetError, match=r"no slices for 'test'"):
        split_patients(table(published_split="train"), config, "f")


@pytest.fixture
def dataset(store):
    """Twenty patients with one slice of 6×6; patient k's lesion has k + 1 pixels."""
    slices = []
    for k in range(20):
        mask = np.zeros(36, np.uint8)
        mask[: k + 1] = 1
        case = Case(f"P{k:02d}/0", f"P{k:02d}", f"P{k:02d}", 0, label="x", source="s")
        slices.append(Slice(np.full((6, 6), k, np.int16), mask.reshape(6, 6), case))
    return store(slices)


def test_lesion_sizes_are_spread_over_the_parts(dataset):
    """Four folds of five patients: each has one or two of the seven smallest, the middle and the largest lesions."""
    for seed in range(5):
        for fold in range(4):
            config = DataConfig(folds=4, fold=fold, stratify="lesion", split_seed=seed)
            sizes = [int(patient[1:]) for patient in split_dataset(dataset, config).test]
            assert np.bincount(np.digitize(sizes, [7, 13]), minlength=3).tolist() in ([2, 1, 2], [1, 2, 2], [2, 2, 1])


def test_patients_that_near_duplicates_link_stay_together(dataset, monkeypatch):
    links = [(0, 7), (7, 13), (4, 5)]
    found = [NearPair(a, b, 0.9, (0, 0), (False, False)) for a, b in links]
    monkeypatch.setattr(groups, "near_pairs", lambda dataset, progress=None: found)
    for seed in range(6):
        split = split_dataset(dataset, DataConfig(groups="near", folds=4, fold=seed % 4, split_seed=seed))
        for part in parts_of(split):
            for group in ({"P00", "P07", "P13"}, {"P04", "P05"}):
                assert len(group & part) in (0, len(group))
        assert split.grouping == "near"
        assert split.to_dict()["grouping"] == "near"
        assert set.union(*parts_of(split)) == set(dataset.cases["patient"])


def test_near_pairs_are_searched_for_once(dataset, monkeypatch, tmp_path):
    monkeypatch.setenv("LUNGZOO_CACHE", str(tmp_path / "cache"))
    searches = []
    found = [NearPair(1, 2, 0.9, (0, -4), (False, True))]
    monkeypatch.setattr(groups, "find_near", lambda *_, **__: searches.append(1) or found)
    assert groups.near_pairs(dataset) == found
    assert groups.near_pairs(dataset) == found
    assert len(searches) == 1
    (kept,) = (tmp_path / "cache" / "near").iterdir()
    kept.write_text("[[1, 99")
    assert groups.near_pairs(dataset) == found
    assert len(searches) == 2
    assert groups.near_groups(dataset)["P02"] == "P01"


def test_a_cache_that_cannot_be_written_costs_only_time(dataset, monkeypatch, tmp_path):
    (tmp_path / "cache").write_text("a file")
    monkeypatch.setenv("LUNGZOO_CACHE", str(tmp_path / "cache"))
    assert groups.near_pairs(dataset) == []


def test_saved_split_is_read_back(dataset, tmp_path):
    split = split_dataset(dataset, DataConfig(folds=4, fold=1))
    split.save(tmp_path / "split.json")
    assert Split.load(tmp_path / "split.json") == split
    config = DataConfig(split_file=str(tmp_path / "split.json"), split_sha256=split.fingerprint)
    assert split_dataset(dataset, config) == split


def test_split_made_by_hand(dataset, tmp_path):
    ids = sorted(set(dataset.cases["patient"]))
    values = {"train": ids[4:], "val": ids[2:4], "test": ids[:2], "dataset_fingerprint": dataset.fingerprint}
    (tmp_path / "mine.json").write_text(json.dumps(values))
    split = split_dataset(dataset, DataConfig(split_file=str(tmp_path / "mine.json")))
    assert (split.test, split.scheme, split.split_seed) == (("P00", "P01"), "file", 0)
    assert split.grouping == "patient"


def test_split_made_by_hand_of_images_whose_patients_are_unknown(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(type(dataset), "patients_known", False)
    ids = sorted(set(dataset.cases["patient"]))
    values = {"train": ids[4:], "val": ids[2:4], "test": ids[:2], "dataset_fingerprint": dataset.fingerprint}
    (tmp_path / "mine.json").write_text(json.dumps(values))
    config = DataConfig(split_file=str(tmp_path / "mine.json"))
    split = split_dataset(dataset, config)
    assert split.grouping == "case"
    assert split_dataset(dataset, config.model_copy(update={"split_sha256": split.fingerprint})) == split


def bad(values: dict[str, object], **changes: object) -> str:
    return json.dumps({key: value for key, value in {**values, **changes}.items() if value is not None})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dataset_fingerprint": "e" * 64}, r"fingerprint eeeeeeeeeeee…, but 'dataset' has"),
        ({"test": None}, r"lacks test. Needed: train, val, test, dataset_fingerprint"),
        ({"test": []}, r"'test' must be a list of one or more patient ids"),
        ({"test": [3]}, r"'test' must be a list of one or more patient ids"),
        ({"test": ["P05"]}, r"1 patient\(s\) more than once, such as P05"),
        ({"test": ["P99"]}, r"names 1 patient\(s\) that 'dataset' lacks, such as P99"),
        ({"fingerprint": "0" * 64}, r"was edited: its fingerprint is another"),
        ({"split_seed": "x"}, r"'split_seed' must be a whole number. Received: 'x'"),
    ],
)
def test_split_files_that_do_not_fit(dataset, tmp_path, changes, message):
    values = {"train": ["P05"], "val": ["P06"], "test": ["P07"], "dataset_fingerprint": dataset.fingerprint}
    path = tmp_path / "bad.json"
    path.write_text(bad(values, **changes))
    with pytest.raises(ConfigError, match=message):
        split_dataset(dataset, DataConfig(split_file=str(path)))


def test_split_files_that_are_none(dataset, tmp_path):
    with pytest.raises(ConfigError, match=r"Cannot read the split .*: No such file"):
        split_dataset(dataset, DataConfig(split_file=str(tmp_path / "none.json")))
    (tmp_path / "list.json").write_text("[1]")
    with pytest.raises(ConfigError, match=r"lacks all keys"):
        split_dataset(dataset, DataConfig(split_file=str(tmp_path / "list.json")))
    (tmp_path / "text.json").write_text("{")
    with pytest.raises(ConfigError, match=r"is not valid JSON"):
        split_dataset(dataset, DataConfig(split_file=str(tmp_path / "text.json")))
    with pytest.raises(ConfigError, match=r"data.split_file says who is in which part. Remove data.folds"):
        split_dataset(dataset, DataConfig(split_file="x.json", folds=3))


def test_split_file_that_changed_since_it_was_pinned(dataset, tmp_path):
    split_dataset(dataset, DataConfig()).save(tmp_path / "split.json")
    config = DataConfig(split_file=str(tmp_path / "split.json"), split_sha256="0" * 64)
    with pytest.raises(
        ConfigError, match=r"has changed: its fingerprint is .*, but data.split_sha256 is 000000000000…"
    ):
        split_dataset(dataset, config)


def test_near_duplicates_of_a_published_test_part_are_left_out():
    cases = table(20)
    cases["published_split"] = np.where(cases["patient"] < "P016", "train", "test")
    links = {patient: patient for patient in cases["patient"]} | {"P019": "P000"}
    split = _split(cases, DataConfig(split="published", groups="near"), "f", links, None)
    assert split.test == ("P016", "P017", "P018", "P019")
    assert len(split.train) + len(split.val) == 15
    assert "P000" not in {*split.train, *split.val}
    assert split.scheme == "published, 1 left out that near-duplicates link to another part"


@pytest.fixture
def unnamed(hand_made_reader, make_slice, tmp_path):
    """Twelve slices of a source that names no patients, each a patient of its own."""
    reader = hand_made_reader([make_slice(0, f"P{number:02d}") for number in range(12)])
    reader.patients_known = False
    import_dataset(reader, "hand-made", tmp_path / "unnamed")
    return PreparedDataset(tmp_path / "unnamed")


def test_unknown_patients_are_grouped_by_near_duplicates(unnamed, monkeypatch):
    found = [NearPair(a, b, 0.9, (0, 0), (False, False)) for a, b in [(0, 7), (7, 11)]]
    monkeypatch.setattr(groups, "near_pairs", lambda dataset, progress=None: found)
    for seed in range(6):
        split = split_dataset(unnamed, DataConfig(split_seed=seed))
        assert all(len({"P00", "P07", "P11"} & part) in (0, 3) for part in parts_of(split))
        assert split.grouping == "near, patients unknown"
        pinned = DataConfig(split_seed=seed, split_sha256=split.fingerprint)
        assert split_dataset(unnamed, pinned) == split


def test_unknown_patients_one_by_one_if_asked_for(unnamed, monkeypatch):
    monkeypatch.setattr(groups, "near_pairs", lambda *_: pytest.fail("searched"))
    split = split_dataset(unnamed, DataConfig(groups="case"))
    assert split.grouping == "case"
    plain = split_patients(unnamed.cases, DataConfig(), unnamed.fingerprint)
    assert (split.train, split.val, split.test) == (plain.train, plain.val, plain.test)


def test_known_patients_are_not_dealt_by_case(dataset):
    with pytest.raises(ConfigError, match=r"is for datasets whose source names no patients, and 'dataset' names them"):
        split_dataset(dataset, DataConfig(groups="case"))


def test_that_patients_are_unknown_is_part_of_the_identity(unnamed):
    assert unnamed.info["patients_known"] is False
    known = {key: value for key, value in unnamed.info.items() if key != "patients_known"}
    assert fingerprint_of(known) == fingerprint_of({**known, "patients_known": True}) != unnamed.fingerprint
