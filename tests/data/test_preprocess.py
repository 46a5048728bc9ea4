"""Grids and back, lungs drawn by hand, histograms counted by hand."""

import numpy as np
import pytest

from lungzoo.config import DataConfig
from lungzoo.data.pipeline import Pipeline, View
from lungzoo.data.preprocess.clahe import clahe
from lungzoo.data.preprocess.grey import Statistics, measure_statistics
from lungzoo.data.preprocess.grid import Grid
from lungzoo.data.preprocess.lungs import lung_box, lung_mask, optimal_threshold
from lungzoo.data.preprocess.source import Source
from lungzoo.errors import ConfigError
from lungzoo.schema import parse

RAMP = np.float32([[0, 10, 20, 30]]).repeat(4, 0)


# Grids


def grid(origin, step, shape, source):
    return Grid((origin,) * 2, (step,) * 2, (shape,) * 2, (source,) * 2)


@pytest.mark.parametrize(
    ("origin", "step", "shape", "row"),
    [
        (0.0, 1.0, 4, [0, 10, 20, 30]),
        (0.5, 1.0, 3, [5, 15, 25]),
        (0.0, 0.5, 4, [0, 5, 10, 15]),
        # Every second pixel: half of it and a quarter of each neighbour; at the border what there is.
        (0.0, 2.0, 2, [10 / 3, 20]),
        (-1.0, 1.0, 6, [-7, 0, 10, 20, 30, -7]),  # outside is the fill
    ],
)
def test_resampling_by_hand(origin, step, shape, row):
    found = grid(origin, step, shape, 4).resample(RAMP, -7.0)
    middle = found[shape // 2]
    np.testing.assert_allclose(middle, row, atol=1e-4)


def test_a_mask_pixel_is_lesion_where_half_of_it_is():
    mask = np.zeros((4, 4), np.uint8)
    mask[:, 1:3] = 1
    np.testing.assert_array_equal(grid(0.5, 2.0, 2, 4).resample_mask(mask), [[1, 1], [1, 1]])
    mask[:, 2] = 0
    # The triangle around 0.5 weighs pixels 0 and 1 by 3/8 each, 2 by 1/8 (and -1, outside, not): 3/7.
    np.testing.assert_array_equal(grid(0.5, 2.0, 2, 4).resample_mask(mask), [[0, 0], [0, 0]])


def test_a_grid_around_a_place():
    around = Grid.around((5.0, 7.0), (2.0, 1.0), (3, 4), (20, 20))
    assert around.origin_yx == (3.0, 5.5)
    back = around.inverse
    assert (back.origin_yx, back.step_yx) == ((-1.5, -5.5), (0.5, 1.0))
    assert (back.shape_yx, back.source_yx) == ((20, 20), (3, 4))


def test_a_blob_comes_back_where_it_was():
    y, x = np.mgrid[:64, :64]
    blob = ((y - 30) ** 2 + (x - 40) ** 2 < 100).astype(np.uint8)
    there = Grid.around((30.0, 36.0), (0.6, 0.6), (80, 80), (64, 64))
    back = there.inverse.resample_mask(there.resample_mask(blob))
    assert back.shape == (64, 64)
    assert 2 * (back & blob).sum() / (back.sum() + blob.sum()) > 0.97


# Lungs


def chest(side=64):
    """A body with two lungs of 18×12 and an airless rest, in air; a lesion of 4×4 on the wall of the left one."""
    image = np.full((side, side), -1000, np.int16)
    image[8:56, 6:58] = 40
    image[20:38, 12:24] = -850
    image[20:38, 40:52] = -850
    image[26:30, 16:20] = 30  # a vessel within
    return image


def test_optimal_threshold_is_midway():
    assert optimal_threshold(np.array([0] * 90 + [100] * 10)) == pytest.approx(50)
    assert optimal_threshold(np.full(5, 3)) == 3


@pytest.mark.parametrize("units", ["hu", "uint8"])
def test_lungs_are_the_dark_parts_within_the_body(units):
    image = chest() if units == "hu" else ((chest() + 1000) // 5).astype(np.uint8)
    expected = np.zeros((64, 64), bool)
    expected[20:38, 12:24] = expected[20:38, 40:52] = True
    found = lung_mask(image)
    assert not (found & ~expected).any()
    assert (expected & ~found).sum() <= 8  # a closing rounds no corner of what it fills, the vessel is filled
    assert found[26:30, 16:20].all()


def test_lungs_of_a_volume_are_one_pair():
    volume = np.stack([chest()] * 3)
    volume[0, 44:50, 30:34] = -850  # a third dark part, in one slice
    found = lung_mask(volume)
    assert not found[0, 44:50, 30:34].any()
    np.testing.assert_array_equal(found[1], lung_mask(chest()))


def test_lung_box_has_a_margin_and_falls_back_to_the_whole():
    assert lung_box(chest(), 0) == (slice(20, 38), slice(12, 52))
    assert lung_box(chest(), 0.1) == (slice(18, 40), slice(8, 56))
    assert lung_box(np.full((32, 32), 40)) == (slice(0, 32), slice(0, 32))


def test_a_single_part_of_a_chest_is_no_box():
    crop = np.full((64, 64), 40, np.int16)
    crop[20:50, 10:30] = -850  # 30·20 of 64·64 pixels, a third of the width
    assert lung_box(crop) == (slice(0, 64), slice(0, 64))
    crop[:, 10:30] = -850  # reaches the border
    assert not lung_mask(crop).any()


def test_the_table_and_the_air_above_it_are_no_lungs():
    image = np.full((256, 256), -1000, np.int16)
    image[40:160, 40:216] = 40
    image[70:130, 60:110] = image[70:130, 140:190] = -850
    expected = image == -850
    image[176:178, 20:236] = 40  # the table, which a strap and a cushion join to the body
    image[160:176, [50, 51, 200, 201]] = 40
    np.testing.assert_array_equal(lung_mask(image), expected)


def test_apices_belong_and_gas_of_the_bowel_does_not():
    volume = np.stack([chest()] * 14)
    volume[8:, 20:38, 12:24] = 40  # a tumour ends the left lung at slice 8
    volume[9:13, 22:26, 15:18] = -850  # what is left of it: 4 slices of 12 pixels
    volume[:2, 20:38, 12:52] = 40  # below the lungs
    volume[0:5, 44:48, 28:32] = -850  # gas from there upwards: 5 slices of 16
    found = lung_mask(volume)
    assert found[9:13, 22:26, 15:18].all()
    assert not found[:, 44:52, 28:36].any()


def test_every_slice_of_the_phantom_is_cropped_around_lungs_and_lesions(phantom):
    """Truth: what is air within the body, body being what is filled of all that is brighter than lung."""
    from scipy import ndimage

    source = Source(phantom, DataConfig(preprocess=("lung_crop",)))
    for volume, cases in phantom.cases.groupby("volume"):
        rows = cases.index.to_numpy()
        (y, x), (step, _), (side, _) = source.grid(rows[0]).origin_yx, source.grid(rows[0]).step_yx, source.shape_yx
        assert step < 0.9, volume
        assert all(source.grid(row) is source.grid(rows[0]) for row in rows)
        for row in rows:
            image, lesion = np.asarray(phantom.images[row]), phantom.consensus(np.array([row]), 1)[0] > 0
            lung = ndimage.binary_fill_holes(image > -400) & (image < -600)
            for at, origin in zip(np.nonzero(lung | lesion), (y, x), strict=True):
                assert origin - 0.5 <= at.min()
                assert at.max() <= origin + step * (side - 1) + 0.5


@pytest.mark.slow
def test_lungs_of_a_real_chest(shared_dir):
    """Dice with the scan's own lung contours; 0.946 when this was written."""
    pydicom = pytest.importorskip("pydicom")
    import io
    import zipfile

    from PIL import Image, ImageDraw

    images, structures = {}, None
    with zipfile.ZipFile(shared_dir / "data" / "nsclc_lung1_001_dicom.zip") as source:
        for name in source.namelist():
            data = source.read(name)
            if data[128:132] != b"DICM":
                continue
            found = pydicom.dcmread(io.BytesIO(data))
            if found.Modality == "CT":
                images[round(float(found.ImagePositionPatient[2]), 2)] = found
            elif found.Modality == "RTSTRUCT":
                structures = found
    names = {item.ROINumber: item.ROIName for item in structures.StructureSetROISequence}
    heights = sorted(images)
    drawn = np.zeros((len(heights), 512, 512), bool)
    for item in structures.ROIContourSequence:
        if "lung" not in names[item.ReferencedROINumber].lower():
            continue
        for contour in item.ContourSequence:
            points = np.array(contour.ContourData, float).reshape(-1, 3)
            slice_ = images[round(float(points[0, 2]), 2)]
            origin, (dy, dx) = slice_.ImagePositionPatient, slice_.PixelSpacing
            outline = [((x - origin[0]) / dx, (y - origin[1]) / dy) for x, y, _ in points]
            plane = Image.new("1", (512, 512))
            ImageDraw.Draw(plane).polygon(outline, fill=1)
            drawn[heights.index(round(float(points[0, 2]), 2))] |= np.asarray(plane)
    volume = np.stack([images[z].pixel_array * images[z].RescaleSlope + images[z].RescaleIntercept for z in heights])
    found = lung_mask(volume.astype(np.int16))
    dice = 2 * (found & drawn).sum() / (found.sum() + drawn.sum())
    assert dice > 0.9, f"Dice {dice:.3f}"
    # A tumour cuts the right apex off; both are drawn in these slices.
    for plane, truth in zip(found[98:106], drawn[98:106], strict=True):
        for half in (slice(0, 256), slice(256, 512)):
            assert (plane & truth)[:, half].sum() > 0.7 * truth[:, half].sum() > 0


# CLAHE


def test_clahe_of_one_tile_without_a_limit_is_histogram_equalisation():
    image = np.float32([[0.1, 0.1], [0.1, 0.9]])
    np.testing.assert_allclose(clahe(image, tiles=1, clip=1e9), [[0.75, 0.75], [0.75, 1.0]])


def test_clahe_of_one_tile_with_a_limit():
    image = np.float32([[0.0, 0.0], [0.0, 0.999]])
    # The limit is 64 · 4 / 256 = 1 pixel; two are in excess and go to all bins: (1 + 2 / 256) / 4 in the first.
    found = clahe(image, tiles=1, clip=64)
    np.testing.assert_allclose(found, [[(1 + 2 / 256) / 4] * 2, [(1 + 2 / 256) / 4, 1.0]], atol=1e-6)


def test_clahe_raises_local_contrast_and_stays_in_range():
    rng = np.random.default_rng(0)
    dim = (0.3 + 0.02 * rng.random((64, 64))).astype(np.float32)
    found = clahe(dim, clip=8)
    assert 0 <= found.min() <= found.max() <= 1
    assert found.std() > 3 * dim.std()


# The whole of it, from a dataset and back


@pytest.fixture
def chests(store, make_slice):
    """Two volumes of three whole chests of 64×64 at 0.8 and 1.6 mm, with a lesion within the left lung."""

    def make(**case):
        slices = []
        for n in range(6):
            mask = np.zeros((64, 64), np.uint8)
            mask[26:30, 16:20] = 1
            spacing = 0.8 if n < 3 else 1.6
            values = {"volume": f"v{n // 3}", "patient": f"p{n // 3}", "spacing_mm": (1, spacing, spacing), **case}
            item = make_slice(n, mask=mask, size_px=64, **values)
            item.image[:] = chest()
            slices.append(item)
        return store(slices)

    return make


def seen(dataset, rows, view=None, **config):
    pipeline = Pipeline(dataset, parse(DataConfig, config, "test"), 8, view)
    image, mask, _ = next(pipeline.evaluation(np.array(rows), 0, 0).as_numpy_iterator())
    return pipeline.source, image, mask


def test_lung_crop_fills_the_image_and_comes_back(chests):
    dataset = chests()
    source, image, mask = seen(dataset, [0, 4], preprocess=["lung_crop"], size_px=96)
    assert image.shape == mask.shape == (2, 96, 96, 1)
    # The lungs' box is 18×40 and 1 and 2 pixels of margin: 44 pixels become 96.
    assert source.grid(0).step_yx == pytest.approx((44 / 96, 44 / 96))
    assert source.spacing_mm(4) == pytest.approx((1.6 * 44 / 96, 1.6 * 44 / 96))
    assert mask.sum() / 2 == pytest.approx(16 * (96 / 44) ** 2, rel=0.15)
    back = source.inverse(mask[..., 0].astype(np.uint8), np.array([0, 4]))
    np.testing.assert_array_equal(back, dataset.consensus(np.array([0, 4]), 2))


def test_resampling_to_a_spacing_and_back(chests):
    dataset = chests()
    source, image, mask = seen(dataset, [1, 5], spacing_mm=1.6, size_px=32)
    # 0.8 mm: every second pixel, all of the slice; 1.6 mm: as it is, the middle of it.
    assert [source.grid(row).step_yx[0] for row in (1, 5)] == pytest.approx([2, 1])
    assert mask[0].sum() == 4
    np.testing.assert_array_equal(mask[1, ..., 0], dataset.consensus(np.array([5]), 2)[0, 16:48, 16:48])
    np.testing.assert_allclose(image[1, ..., 0], np.clip((chest()[16:48, 16:48] + 1350) / 1500, 0, 1), atol=1e-3)
    probability = np.full((2, 32, 32), 0.25, np.float32)
    back = source.inverse(probability, np.array([1, 5]))
    assert back.shape == (2, 64, 64)
    assert back[1, 15, 15] == 0
    np.testing.assert_allclose(back[1, 16:48, 16:48], 0.25)
    np.testing.assert_allclose(back[0, 1:-1, 1:-1], 0.25, rtol=1e-5)


def test_the_slices_of_a_volume_share_a_grid(chests):
    source, image, _ = seen(chests(), [1], View(slices=3), preprocess=["lung_crop"])
    np.testing.assert_array_equal(image[..., 0], image[..., 1])
    assert source.grid(0) is source.grid(2)


def test_steps_are_carried_out_once(chests, monkeypatch):
    dataset = chests()
    source = Source(dataset, DataConfig(preprocess=("clahe",)))
    rows = np.array([[2, 4]])
    first = source.read(rows, rows)
    monkeypatch.setattr("lungzoo.data.preprocess.source.clahe", None)
    np.testing.assert_array_equal(first[0], source.read(rows, rows)[0])
    assert first[0].shape == (1, 2, 64, 64)
    assert (first[0][0, 0] != dataset.images[2]).any()


def test_without_steps_predictions_come_back_as_they_are(chests):
    prediction = np.ones((1, 64, 64), np.uint8)
    assert Source(chests(), DataConfig()).inverse(prediction, np.array([0])) is prediction


def test_an_unknown_spacing_is_refused(chests):
    dataset = chests(spacing_mm=(float("nan"),) * 3)
    with pytest.raises(ConfigError, match=r"does not know it of 6 of 6, such as p0/0. Received: 1.0. Leave it out"):
        Source(dataset, DataConfig(spacing_mm=1.0))


def test_clahe_of_several_windows_is_refused(chests):
    config = parse(DataConfig, {"preprocess": ["clahe"], "windows": ["lung", "bone"]}, "test")
    with pytest.raises(ConfigError, match=r"equalises one window. Received: 2 in data.windows"):
        Source(chests(), config)


def test_statistics_are_of_the_given_rows_alone(store, make_slice):
    dataset = store([make_slice(value) for value in (0, 51, 255)], units="uint8")
    found = measure_statistics(dataset, DataConfig(), np.array([0, 1]))
    assert found == Statistics((pytest.approx(0.1),), (pytest.approx(0.1),))


@pytest.mark.parametrize("config", [{"window_hu": [-1000, 150]}, {"windows": ["lung"]}])
def test_windows_of_8_bit_images_are_refused(store, make_slice, config):
    dataset = store([make_slice(0)], units="uint8")
    key = next(iter(config))
    with pytest.raises(ConfigError, match=rf"data.{key} needs a dataset in HU; this one's images are 8-bit.*Received"):
        Pipeline(dataset, parse(DataConfig, config, "test"), 1)


def test_a_config_read_back_with_all_defaults_is_no_window_of_8_bit_images(store, make_slice):
    dataset = store([make_slice(0)], units="uint8")
    Pipeline(dataset, parse(DataConfig, DataConfig().model_dump(), "test"), 1)


# Lungs alone


def test_air_outside_the_lungs(chests):
    """Masks stay, and so does what is within the lung fields."""
    dataset, config = chests(), DataConfig(preprocess=("lung_mask",))
    rows = np.arange(len(dataset))
    image, mask = Source(dataset, config).read(rows, rows)
    plain, plain_mask = Source(dataset, DataConfig()).read(rows, rows)
    np.testing.assert_array_equal(mask, plain_mask)
    volumes = dataset.cases["volume"].to_numpy()
    for volume in np.unique(volumes):
        of = volumes == volume
        lungs = lung_mask(plain[of])
        assert 0 < lungs.mean() < 0.7
        np.testing.assert_array_equal(image[of], np.where(lungs, plain[of], -1024))


def test_one_slice_at_a_time_has_the_lungs_of_its_volume(chests):
    dataset, config = chests(), DataConfig(preprocess=("lung_mask",))
    rows = np.arange(len(dataset))
    whole, source = Source(dataset, config).read(rows, rows)[0], Source(dataset, config)
    for row in rows[::-1]:
        np.testing.assert_array_equal(source.read(np.array([row]), np.array([row]))[0][0], whole[row])


def test_a_picture_without_lungs_stays_whole(store, make_slice):
    dataset = store([make_slice(z, size_px=16) for z in range(2)])
    image, _ = Source(dataset, DataConfig(preprocess=("lung_mask",))).read(np.arange(2), np.arange(2))
    np.testing.assert_array_equal(image, dataset.images[:])


# Names


def test_windows_by_name_and_by_numbers():
    config = parse(DataConfig, {"windows": ["lung", [-100, 200]]}, "test")
    assert config.windows == ((-1350.0, 150.0), (-100.0, 200.0))


@pytest.mark.parametrize(
    ("windows", "text"),
    [
        (
            ["lnug"],
            r"unknown window. Did you mean 'lung'\? Received: 'lnug'. Allowed: lung, mediastinum, bone",
        ),
        ([[3, 3]], r"windows must rise from low to high. Received: \[3.0, 3.0\]"),
    ],
)
def test_wrong_windows_are_refused(windows, text):
    with pytest.raises(ConfigError, match=text):
        parse(DataConfig, {"windows": windows}, "test")


def test_a_key_beside_a_preset_wins():
    from lungzoo.config import AUGMENT_PRESETS, AugmentConfig

    medium = parse(AugmentConfig, {"preset": "medium", "noise": 0.0}, "test")
    assert (medium.noise, medium.gamma) == (0.0, AUGMENT_PRESETS["medium"]["gamma"])
    assert parse(AugmentConfig, medium.model_dump(), "test") == medium
    assert not AugmentConfig(preset="none").flip
    with pytest.raises(ConfigError, match="preset"):
        parse(AugmentConfig, {"preset": ["huge"]}, "test")
