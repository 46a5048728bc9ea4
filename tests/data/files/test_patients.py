import pytest

from lungzoo.data.files.case_table import CaseRow
from lungzoo.data.files.patients import Owner, Owners, check_folders
from lungzoo.errors import ConfigError, DatasetError


@pytest.mark.parametrize(
    ("rule", "key", "row", "is_volume", "owner"),
    [
        ("auto", "a", CaseRow(patient="P1"), False, Owner("P1", "a", 0)),
        ("auto", "a", CaseRow(), False, Owner("", "a", 0)),
        ("auto", "a", CaseRow(), True, Owner("a", "a", None, guessed=True)),
        ("auto", "P2/a", CaseRow(), False, Owner("P2", "P2/a", 0, by_folder=True)),
        ("csv", "P2/a", CaseRow(), False, Owner("", "P2/a", 0)),
        ("file", "P2/a", CaseRow(), False, Owner("P2/a", "P2/a", 0)),
        (r"^(P\d+)_", "P2_x", CaseRow(volume="v", z=4), False, Owner("P2", "v", 4)),
        (r"^(?P<patient>P\d+)_(?P<z>\d+)", "P2_017", CaseRow(), False, Owner("P2", "P2", 17)),
        (r"(?P<volume>s\d)_(?P<patient>P\d)_(?P<z>\d)", "s3_P2_1", CaseRow(), False, Owner("P2", "s3", 1)),
    ],
)
def test_rules(rule, key, row, is_volume, owner):
    assert Owners(rule).of(key, row, is_volume) == owner


def test_what_does_not_fit():
    with pytest.raises(DatasetError, match=r"patients='\^\(P\)' finds no patient in 'Q1'"):
        Owners("^(P)").of("Q1", CaseRow(), False)
    with pytest.raises(DatasetError, match="finds z 'x' in 'Px'; expected a whole number"):
        Owners("(P)(?P<z>.)").of("Px", CaseRow(), False)
    with pytest.raises(DatasetError, match="z is for single slices, and this is a volume"):
        Owners("file").of("a", CaseRow(z=1), True)


def test_rules_that_are_none():
    with pytest.raises(ConfigError, match=r"or a regular expression with a group. Received: 'cvs'"):
        Owners("cvs")
    with pytest.raises(ConfigError, match="not a regular expression: missing"):
        Owners("(P")


def test_folders_that_all_share_are_no_patients():
    owners = Owners("auto", ["src/mine/P1/a", "src/mine/P2/b"])
    assert owners.of("src/mine/P1/a", CaseRow(), False).patient == "P1"
    owners = Owners("auto", ["mine/a", "mine/b"])
    assert owners.of("mine/a", CaseRow(), False) == Owner("", "mine/a", 0)
    assert owners.of("mine/a", CaseRow(), True) == Owner("mine/a", "mine/a", None, guessed=True)
    assert Owners("auto", ["P1/a", "b"]).of("P1/a", CaseRow(), False).by_folder


def test_folders_of_splits():
    check_folders("here", ["P1", "P2"])
    with pytest.raises(DatasetError, match=r"here has its images in folders named Train, val, which.*--set patients="):
        check_folders("here", ["Train", "val", "P1"])
