import pytest

from lungzoo.data.files.pairs import Pair, find_pairs


@pytest.mark.parametrize(
    ("names", "pairs"),
    [
        (["images/a.png", "masks/a.png"], [("a", "images/a.png", "masks/a.png")]),
        (["images/a.nii.gz", "masks/a_mask.nii"], [("a", "images/a.nii.gz", "masks/a_mask.nii")]),
        (["top/images/P1/a.npy", "top/masks/P1/a.png"], [("top/P1/a", "top/images/P1/a.npy", "top/masks/P1/a.png")]),
        (["a.tif", "a_mask.tif"], [("a", "a.tif", "a_mask.tif")]),
        (["P1/a.PNG", "P1/a-Mask.PNG"], [("P1/a", "P1/a.PNG", "P1/a-Mask.PNG")]),
        (["phantom.nii.gz", "mask.nii.gz", "README.md"], [("phantom", "phantom.nii.gz", "mask.nii.gz")]),
        (["P1/image.nii", "P1/mask.nii"], [("P1", "P1/image.nii", "P1/mask.nii")]),
    ],
)
def test_layouts(names, pairs):
    assert find_pairs(names) == ([Pair(*pair) for pair in pairs], [])


def test_natural_order():
    names = [f"{part}/P-{n}.png" for n in (10, 9, 100) for part in ("images", "masks")]
    assert [pair.key for pair in find_pairs(names)[0]] == ["P-9", "P-10", "P-100"]


@pytest.mark.parametrize(
    ("names", "fault"),
    [
        (["images/a.png"], "images/a.png: has no mask"),
        (["masks/a.png"], "masks/a.png: is a mask without an image"),
        (["a.png", "b.png", "mask.png"], "mask.png: lies beside 2 images; expected one"),
        (["mask.png"], "mask.png: lies beside 0 images"),
        (["images/a.png", "images/a.tif", "masks/a.png"], "images/a.tif: has the name of images/a.png"),
    ],
)
def test_faults(names, fault):
    assert fault in find_pairs(names)[1][0]


def test_masks_may_lack():
    assert find_pairs(["images/a.png"], masks_may_lack=True) == ([Pair("a", "images/a.png")], [])
