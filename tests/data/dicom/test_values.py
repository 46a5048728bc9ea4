"""Attributes as plain values, or an error that says what is there instead."""

import pytest
from pydicom import Dataset

from lungzoo.data.dicom.values import first, integer, items, number, numbers, text
from lungzoo.errors import DatasetError


@pytest.fixture
def dataset() -> Dataset:
    dataset = Dataset()
    dataset.PatientID = "P1"
    dataset.ImageType = ["ORIGINAL", "AXIAL"]
    dataset.SliceThickness = "2.50"
    dataset.PixelSpacing = [0.5, 0.7]
    dataset.Rows = 12
    dataset.RescaleType = ""
    dataset.StudyID = None
    item = Dataset()
    item.Rows = 3
    dataset.SourceImageSequence = [item]
    dataset.PatientComments = "abc"
    return dataset


def test_what_is_there(dataset):
    assert text(dataset, "PatientID") == "P1"
    assert text(dataset, "ImageType") == "ORIGINAL\\AXIAL"
    assert number(dataset, "SliceThickness") == 2.5
    assert numbers(dataset, "PixelSpacing", 2) == (0.5, 0.7)
    assert integer(dataset, "Rows", 1, 12) == 12
    assert [item.Rows for item in items(dataset, "SourceImageSequence")] == [3]


def test_what_is_not(dataset):
    assert text(dataset, "RescaleType") == text(dataset, "StudyID") == text(dataset, "Modality") == ""
    assert number(dataset, "RescaleSlope") is None
    assert integer(dataset, "Columns", 1, 9, default=4) == 4
    assert items(dataset, "ROIContourSequence") == []
    assert first(dataset, "ROIContourSequence") is None


@pytest.mark.parametrize(
    ("read", "words"),
    [
        (lambda dataset: number(dataset, "PixelSpacing"), r"PixelSpacing has 2 value\(s\), expected 1"),
        (lambda dataset: number(dataset, "PatientComments"), "PatientComments is 'abc', expected a number"),
        (
            lambda dataset: numbers(dataset, "SourceImageSequence", 1),
            "SourceImageSequence is a Sequence, expected a number",
        ),
        (lambda dataset: text(dataset, "SourceImageSequence"), "SourceImageSequence is a Sequence, expected text"),
        (lambda dataset: items(dataset, "PatientID"), "PatientID is not a sequence"),
        (lambda dataset: integer(dataset, "Columns", 1, 9), "has no Columns"),
        (lambda dataset: integer(dataset, "Rows", 1, 9), "Rows is 12, expected a whole number from 1 to 9"),
        (lambda dataset: integer(dataset, "SliceThickness", 1, 9), r"SliceThickness is 2\.5, expected a whole number"),
    ],
)
def test_what_is_wrong(dataset, read, words):
    with pytest.raises(DatasetError, match=words):
        read(dataset)
