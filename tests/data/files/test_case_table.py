import math

import pytest

from lungzoo.data.files.case_table import read_case_table
from lungzoo.errors import DatasetError


def test_what_a_row_says():
    table, faults = read_case_table(
        b"image,patient,label,volume,z,spacing_y_mm,age,site\na.png,P1,LR2,scan,3,0.7,61,upper\ndeep/b,P2,,,,,,lower\n",
        ["x/a", "deep/b"],
    )
    assert faults == []
    row = table["x/a"]
    assert (row.patient, row.label, row.volume, row.z, row.spacing_mm[1]) == ("P1", "LR2", "scan", 3, 0.7)
    assert row.extra == {"age": 61.0, "site": "upper"}
    blank = table["deep/b"]
    assert (blank.volume, blank.z, blank.extra["site"]) == ("", None, "lower")
    assert math.isnan(blank.spacing_mm[0])
    assert math.isnan(float(blank.extra["age"]))


def test_rows_and_images_have_to_match():
    _, faults = read_case_table(
        b"image,z,spacing_x_mm\na,1,1\nb,1,1\na,2,1\nc,-1,\nd,1,0\ne,x,\n", ["a", "c", "d", "e"]
    )
    assert faults == [
        "cases.csv, row 3: there is no image 'b', or more than one",
        "cases.csv, row 4: the image 'a' has a row already",
        "cases.csv, row 5: z must be a whole number from 0. Received: -1",
        "cases.csv, row 6: spacing must be above 0 mm or blank. Received: [nan, nan, 0.0]",
        "cases.csv, row 7: z must be a number or blank. Received: 'x'",
        "c: has no row in cases.csv",
        "d: has no row in cases.csv",
        "e: has no row in cases.csv",
    ]


def test_a_name_that_is_not_unique():
    table, faults = read_case_table(b"image\na\n", ["x/a", "y/a"])
    assert table == {}
    assert "there is no image 'a', or more than one" in faults[0]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "has no column image. Received: nothing"),
        (b"patient\nP1\n", "has no column image. Received: patient"),
        (b"image,age,age\n", "must be named, differ"),
        (b"image,readers\n", "not be called 'readers'"),
        (b"\xff\xfe\x00", "is not a CSV table in UTF-8"),
        (b'image\n"a\n', "is not a CSV table"),
    ],
)
def test_what_is_no_table(data, reason):
    with pytest.raises(DatasetError, match=reason):
        read_case_table(data, [])
