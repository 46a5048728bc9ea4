"""Planted leaks are found, named, kept with the dataset and refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import typer
from scipy.ndimage import gaussian_filter
from typer.testing import CliRunner

from lungzoo.checks import check_leakage, find_leakage
from lungzoo.cli.data_audit import audit as audit_command
from lungzoo.cli.data_split import split as split_command
from lungzoo.config import DataConfig
from lungzoo.content import content_names, find_content
from lungzoo.data.case import Case, Slice
from lungzoo.data.splits.audit import (
    AUDIT_FILE,
    Finding,
    audit_against,
    audit_patients,
    audit_split,
    recorded_audit,
    save_audit,
)
from lungzoo.data.splits.groups import near_pairs
from lungzoo.data.splits.split import PARTS, Split, split_dataset
from lungzoo.data.store import PreparedDataset
from lungzoo.data.writer import import_dataset
from lungzoo.errors import ConfigError
from lungzoo.weights.manifest import Inherited, Patients, TrainedOn, read_manifest

MASK = np.eye(64, dtype=np.uint8)


def texture(seed: int) -> np.ndarray:
    """Random blobs, int16 HU of lung, 64×64."""
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=(64, 64)), 1.5)
    return np.asarray(-1000 + 900 * (noise - noise.min()) / np.ptp(noise), np.int16)


def one_slice(patient: str, image: np.ndarray, volume: str = "") -> Slice:
    case = Case(f"{patient}/0", patient, volume or patient, 0, label="x", source=f"{patient}.png")
    return Slice(image, MASK, case)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUNGZOO_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def make(tmp_path, hand_made_reader):
    def make_dataset(name: str, slices: list[Slice]) -> PreparedDataset:
        import_dataset(hand_made_reader(slices), "hand-made", tmp_path / name)
        return PreparedDataset(tmp_path / name)

    return make_dataset


@pytest.fixture
def clean(make) -> PreparedDataset:
    """Eight patients with a slice each; P0 to P3 are for training, P4 and P5 for validation, P6 and P7 for testing."""
    return make("clean", [one_slice(f"P{k}", texture(k)) for k in range(8)])


@pytest.fixture
def leaky(make) -> PreparedDataset:
    """As `clean`, but P6 is P0's slice, P7 is P4's mirrored and in other HU, and P5 has P1's volume."""
    slices = [one_slice(f"P{k}", texture(k)) for k in range(8)]
    slices[6] = one_slice("P6", texture(0))
    slices[7] = one_slice("P7", np.asarray(texture(4)[:, ::-1] * 0.9 - 60, np.int16))
    slices[5] = one_slice("P5", texture(5), volume="P1")
    return make("leaky", slices)


def by_hand(dataset: PreparedDataset, *parts: str) -> Split:
    train, val, test = (tuple(part.split()) for part in parts or ("P0 P1 P2 P3", "P4 P5", "P6 P7"))
    return Split(train, val, test, 0, dataset.fingerprint, scheme="file")


def test_nothing_is_found_where_nothing_leaks(clean):
    audit = audit_split(clean, by_hand(clean), near_pairs(clean))
    assert not audit.leaks
    assert audit.looked_for == ("same patient", "same volume", "same slice", "near-same slice")
    assert audit.subject == "the parts of 'clean', file split, seed 0"


def test_planted_leaks_are_named(leaky):
    audit = audit_split(leaky, by_hand(leaky), near_pairs(leaky))
    assert audit.findings == (
        Finding("same volume", "train and val", 1, ("P1",)),
        Finding("same slice", "train and test", 1, ("P0/0 = P6/0",)),
        Finding("near-same slice", "val and test", 1, ("P4/0 ~ P7/0",)),
    )
    assert str(audit.findings[1]) == "same slice, train and test: 1, such as P0/0 = P6/0"


def test_what_stays_in_one_part_does_not_leak(leaky):
    together = by_hand(leaky, "P0 P6 P2 P3", "P4 P7", "P1 P5")
    assert not audit_split(leaky, together, near_pairs(leaky)).leaks
    grouped = split_dataset(leaky, DataConfig(groups="near", val_fraction=0.3, test_fraction=0.3))
    kinds = {finding.kind for finding in audit_split(leaky, grouped, near_pairs(leaky)).findings}
    assert not kinds & {"same slice", "near-same slice"}


def test_without_near_duplicates_the_audit_says_so(leaky):
    audit = audit_split(leaky, by_hand(leaky), None)
    assert [finding.kind for finding in audit.findings] == ["same volume", "same slice"]
    assert audit.notes == ("Near-duplicates were not looked for.",)


def test_patients_that_differ_in_case_and_spaces_only(clean):
    split = by_hand(clean, "P0 P1 P2 P3", "P4 P5", "p0 P7")
    assert audit_split(clean, split, None).findings == (Finding("same patient", "train and test", 1, ("P0 = p0",)),)


def test_slices_of_one_value_are_no_duplicates(make):
    flat = make("flat", [one_slice(f"P{k}", np.full((64, 64), 5, np.int16)) for k in range(8)])
    assert not audit_split(flat, by_hand(flat), near_pairs(flat)).leaks


def test_one_series_under_two_volume_names(clean, monkeypatch):
    class Info:
        series_uid = "1.2.3"

    monkeypatch.setattr(PreparedDataset, "volumes", {"P0": Info, "P7": Info})
    assert audit_split(clean, by_hand(clean), None).findings == (
        Finding("same volume", "train and test", 1, ("1.2.3",)),
    )


def test_another_dataset_against_the_test_part(clean, make):
    other = make(
        "other",
        [
            one_slice("Q0", texture(6)[::-1]),
            one_slice("Q1", texture(7)),
            one_slice("Q2", texture(0)),
            one_slice("p6", texture(100)),
        ],
    )
    audit = audit_against(clean, by_hand(clean), other)
    assert audit.findings == (
        Finding("same patient", "other and test", 1, ("p6 = P6",)),
        Finding("same slice", "other and test", 1, ("Q1/0 = P7/0",)),
        Finding("near-same slice", "other and test", 1, ("Q0/0 ~ P6/0",)),
    )
    assert audit.notes == ()


def test_other_sizes_are_remarked(clean, make):
    image = np.asarray(gaussian_filter(texture(0), 1)[:32, :32])
    other = make("small", [Slice(image, MASK[:32, :32], Case("Q/0", "Q", "Q", 0))])
    audit = audit_against(clean, by_hand(clean), other)
    assert not audit.leaks
    assert "'small' has slices of 32×32 and 'clean' of 64×64" in audit.notes[0]


def test_patients_of_weights(clean):
    split = by_hand(clean)
    assert audit_patients(clean, split, ["P7", "P0"], "w").findings == (
        Finding("patient seen by weights", "w and test", 1, ("P7",)),
    )
    assert "compare the slices: --against" in audit_patients(clean, split, ["X"], "w").notes[0]
    assert audit_patients(clean, split, [], "w").notes == ("'w' does not tell which patients it has seen.",)


def test_audit_is_kept_beside_those_of_other_splits(leaky):
    first, second = by_hand(leaky), by_hand(leaky, "P0 P6 P2 P3", "P4 P7", "P1 P5")
    assert recorded_audit(leaky, first) is None
    for split in (first, second):
        save_audit(leaky, audit_split(leaky, split, near_pairs(leaky)))
    assert recorded_audit(leaky, first) == audit_split(leaky, first, near_pairs(leaky))
    assert not recorded_audit(leaky, second).leaks
    assert recorded_audit(leaky, by_hand(leaky, "P0", "P1", "P2")) is None
    assert PreparedDataset(leaky.path).fingerprint == leaky.fingerprint


@pytest.mark.parametrize(
    "damage", ["", "[]", '{"splits": 3}', '{"dataset_fingerprint": "e", "method": 1, "splits": {}}']
)
def test_damaged_audits_count_for_nothing(leaky, damage):
    (leaky.path / AUDIT_FILE).write_text(damage)
    assert recorded_audit(leaky, by_hand(leaky)) is None


def test_damaged_entry_counts_for_nothing(leaky):
    split = by_hand(leaky)
    save_audit(leaky, audit_split(leaky, split, []))
    kept = json.loads((leaky.path / AUDIT_FILE).read_text())
    kept["splits"][split.fingerprint]["findings"] = 3
    (leaky.path / AUDIT_FILE).write_text(json.dumps(kept))
    assert recorded_audit(leaky, split) is None


def shipped():
    return read_manifest(find_content("weights", content_names("weights")[0]))


def test_weights_that_saw_test_patients_are_refused_or_told(clean):
    manifest = shipped()
    seen = manifest.trained_on.patients.train[0]
    split = by_hand(clean, "P0", "P1", f"P2 {seen}")
    with pytest.raises(ConfigError, match=rf"were trained on 1 of the 2 test patients, such as {seen}. Use the split"):
        check_leakage(manifest, split)
    told = check_leakage(manifest, split, allow=True)
    assert told is not None
    assert told.startswith("Leakage was allowed, so the scores are too good. The weights '")


def test_weights_whose_start_saw_test_patients_are_refused(clean):
    who = Patients(train=("A",), val=("B",))
    about = TrainedOn(dataset="other", split_seed=3, patients=who, inherited=Inherited(val=("P2",)))
    manifest = shipped().model_copy(update={"name": "grandchild", "trained_on": about})
    assert manifest.seen == ("A", "B", "P2")
    (told,) = find_leakage(manifest, by_hand(clean, "P0", "P1", "P2"))
    assert told == (
        "The weights 'grandchild', or what they started from, were trained on 1 of the 1 test patients, such as P2. "
        "Use a split that tests none of them, or other weights."
    )


def test_clean_split_passes(clean):
    assert check_leakage(shipped(), by_hand(clean), clean) is None
    assert check_leakage(None, by_hand(clean)) is None


def test_findings_of_an_audit_count(leaky):
    split = by_hand(leaky)
    assert find_leakage(None, split, leaky) == [
        "The parts of the split share what they must not: same volume, train and val: 1, such as P1. "
        'Keep them together with data.groups = "near", or give such slices one patient id and import again.'
    ]
    save_audit(leaky, audit_split(leaky, split, near_pairs(leaky)))
    with pytest.raises(ConfigError, match=r"near-same slice, val and test: 1, such as P4/0 ~ P7/0"):
        check_leakage(None, split, leaky)
    assert "same slice, train and test: 1" in str(check_leakage(None, split, leaky, allow=True))


app = typer.Typer()
app.command("audit")(audit_command)
app.command("split")(split_command)


def run(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "200"})


def saved(dataset: PreparedDataset) -> str:
    path = dataset.path.parent / f"{dataset.name}-split.json"
    by_hand(dataset).save(path)
    return f"split_file={path}"


def test_command_on_a_clean_dataset(clean):
    done = run("audit", clean.path, "--set", saved(clean))
    assert done.exit_code == 0, done.output
    assert "Nothing shared. Looked for: same patient, same volume, same slice, near-same slice." in done.output
    assert (clean.path / AUDIT_FILE).exists()


def test_command_on_a_leaky_dataset(leaky):
    done = run("audit", leaky.path, "--set", saved(leaky), "--json")
    assert done.exit_code == 1, done.output
    told = json.loads(done.stdout)
    assert told["leaks"]
    assert [finding["kind"] for finding in told["audits"][0]["findings"]] == [
        "same volume",
        "same slice",
        "near-same slice",
    ]
    table = run("audit", leaky.path, "--set", saved(leaky))
    assert table.exit_code == 1
    assert "P4/0 ~ P7/0" in table.output
    quick = run("audit", leaky.path, "--set", saved(leaky), "--no-near")
    assert "Note: Near-duplicates were not looked for." in quick.output


def test_command_against_another_dataset_and_weights(clean, leaky):
    weights = content_names("weights")[0]
    done = run("audit", clean.path, "--set", saved(clean), "--against", leaky.path, "--weights", weights, "--json")
    assert done.exit_code == 1
    own, against, patients = json.loads(done.stdout)["audits"]
    assert (own["leaks"], against["leaks"], patients["leaks"]) == (False, True, False)


def test_command_takes_a_seed(clean):
    settings = ("--set", "val_fraction=0.3", "--set", "data.test_fraction=0.3")
    told = [json.loads(run("audit", clean.path, "--seed", k, *settings, "--json").stdout) for k in (0, 1)]
    prints = {audit["audits"][0]["split_fingerprint"] for audit in told}
    expected = {
        split_dataset(clean, DataConfig(val_fraction=0.3, test_fraction=0.3, split_seed=k)).fingerprint for k in (0, 1)
    }
    assert prints == expected


def test_split_command_writes_folds(clean, tmp_path):
    out = tmp_path / "fold.json"
    done = run("split", clean.path, "--out", out, "--folds", 4, "--set", "fold=3", "--set", "groups=near")
    assert done.exit_code == 0, done.output
    assert "(fold 3 of 4, near-duplicates kept together)" in done.output
    split = Split.load(out)
    assert (len(split.test), split.grouping) == (2, "near")
    assert replace(split, grouping="patient").fingerprint != split.fingerprint
    assert {len(getattr(split, part)) for part in PARTS} == {5, 1, 2}


def test_a_split_by_near_duplicates_is_pinned(leaky):
    config = DataConfig(groups="near", val_fraction=0.3, test_fraction=0.3)
    split = split_dataset(leaky, config)
    assert split_dataset(leaky, config.model_copy(update={"split_sha256": split.fingerprint})) == split
    with pytest.raises(ConfigError, match=r"not searched for as they were.*data.split_sha256 is 000000000000…"):
        split_dataset(leaky, config.model_copy(update={"split_sha256": "0" * 64}))
