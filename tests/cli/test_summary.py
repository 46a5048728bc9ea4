"""The text of `lungzoo data show`, from values made by hand."""

from lungzoo.cli.summary import summary_lines

FACTS = {
    "name": "d", "reader": "lidc-slices", "title": "D", "licence": "", "units": "uint8", "shape": [12, 8, 9],
    "patients": 3, "volumes": 4, "slices": 12, "slices_with_lesion": 9, "slices_disputed": 2, "slices_empty": 1,
    "spacing": {"z_mm": [0.6, 5.0], "y_mm": [0.5, 0.5], "x_mm": None, "slices_unknown": 2},
    "labels": {"benign": {"slices": 10, "patients": 2}, "unlabelled": {"slices": 2, "patients": 1}},
    "lesion_volume": {},
    "lesion_diameter": {
        "mm": {
            "slices": 9,
            "percentiles": {"0": 1.5, "5": 2, "25": 3, "50": 5.25, "75": 6, "95": 7, "100": 8},
            "histogram": {"0-4": 6, "4-6": 3, "30+": 0},
        }
    },
    "readers": {"slices_by_reader": {"a": 10, "b": 4}, "slices_by_number": {"0": 1, "1": 8, "2": 3}},
    "patients_known": True, "columns": {}, "notes": [], "fingerprint": "f" * 64, "contact_sheet": "d-sheet.png",
}  # fmt: skip


def test_summary_lines():
    assert summary_lines(FACTS) == [
        "Name           d",
        "Title          D",
        "Licence        –",
        "Reader         lidc-slices",
        "Images         12 slices of 8 × 9 px, units uint8",
        "From           3 patients, 4 volumes",
        "Slices         9 with a lesion, 2 disputed, 1 empty",
        "Spacing        z 0.6 to 5 mm, y 0.5 mm, unknown for 2 slices",
        "Fingerprint    " + "f" * 64,
        "Contact sheet  d-sheet.png",
        "",
        "Label         slices  patients",
        "benign            10         2",
        "unlabelled         2         1",
        "",
        "Lesion diameter in mm, 9 slices: median 5.25, range 1.5 to 8",
        "0-4         6  " + "█" * 30,
        "4-6         3  " + "█" * 15,
        "30+         0",
        "",
        "Reader    slices",
        "a             10",
        "b              4",
        "Slices by number of readers  0: 1, 1: 8, 2: 3",
    ]


def test_a_dataset_without_lesions_or_spacing():
    spacing = {"z_mm": None, "y_mm": None, "x_mm": None, "slices_unknown": 12}
    lines = summary_lines({**FACTS, "lesion_diameter": {}, "spacing": spacing})
    assert "Spacing        unknown for 12 slices" in lines
    assert not [line for line in lines if "diameter" in line]


def test_lesion_volumes_where_grids_are_known():
    one = {"volumes": 1, "percentiles_cm3": {"0": 156.323, "50": 156.323, "100": 156.323}}
    assert "Lesion volume  156.323 cm³" in summary_lines({**FACTS, "lesion_volume": one})
    two = {"volumes": 2, "percentiles_cm3": {"0": 1.5, "50": 2.25, "100": 3.0}}
    line = "Lesion volume  median 2.25 cm³, range 1.5 to 3, in 2 volumes"
    assert line in summary_lines({**FACTS, "lesion_volume": two})


def test_what_the_import_noted():
    columns = {"published_split": {"test": 4, "train": 8}}
    lines = summary_lines({**FACTS, "columns": columns, "notes": ["put right", "left out"]})
    assert lines[-7:] == [
        "",
        "published_split    slices",
        "test                    4",
        "train                   8",
        "",
        "Note: put right",
        "Note: left out",
    ]


def test_one_of_each_and_patients_without_names():
    assert "From           1 patient, 1 volume" in summary_lines({**FACTS, "patients": 1, "volumes": 1})
    line = "4 volumes, no named patients: each of 3 images counts as one, and splits keep near-duplicates together"
    assert f"From           {line}" in summary_lines({**FACTS, "patients_known": False})
