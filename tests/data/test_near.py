"""Planted copies of random textures are found, and nothing else is."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from lungzoo.data.near import NearPair, Pictures, find_near, signature
from lungzoo.data.near.detail import coarse_maps, fine_maps
from lungzoo.data.near.signature import FLIPS, candidates, signatures
from lungzoo.data.near.verify import correlate
from lungzoo.data.splits.groups import linked


def texture(seed: int, side_px: int = 128) -> np.ndarray:
    """Random blobs a few pixels wide, uint8."""
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=(side_px, side_px)), 3 * side_px / 128)
    return np.asarray(255 * (noise - noise.min()) / np.ptp(noise), np.uint8)


def shifted(image: np.ndarray, down: int, right: int) -> np.ndarray:
    padded = np.pad(image, 24, mode="reflect")
    return padded[24 - down :, 24 - right :][: image.shape[0], : image.shape[1]]


def windowed(image: np.ndarray) -> np.ndarray:
    return np.asarray(255 * np.clip((image / 255 - 0.1) / 0.7, 0, 1) ** 1.4, np.uint8)


def compressed(image: np.ndarray) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=40)
    return np.asarray(Image.open(buffer))


def pictures(*images: np.ndarray, units: str = "uint8", groups: object = None) -> Pictures:
    rows = np.arange(len(images))
    return Pictures(np.stack(images), units, rows, rows if groups is None else np.array(groups))


def pairs_of(found: list[NearPair]) -> set[tuple[int, int]]:
    return {(min(pair.first, pair.second), max(pair.first, pair.second)) for pair in found}


COPIES = {
    "itself": lambda image: image,
    "shifted": lambda image: shifted(image, 23, -24),
    "windowed": windowed,
    "compressed": compressed,
    "mirrored up-down": lambda image: image[::-1],
    "mirrored left-right": lambda image: image[:, ::-1],
    "turned": lambda image: image[::-1, ::-1],
    "shifted and windowed": lambda image: windowed(shifted(image, -17, 9)),
    "mirrored and compressed": lambda image: compressed(np.ascontiguousarray(image[:, ::-1])),
    "mirrored and shifted": lambda image: shifted(image[::-1], 12, 21),
}


@pytest.mark.parametrize("copy", list(COPIES))
def test_copy_is_found_and_nothing_else(copy):
    originals = [texture(seed) for seed in range(8)]
    assert pairs_of(find_near(pictures(*originals, COPIES[copy](originals[3])))) == {(3, 8)}


def test_shift_flip_and_correlation_are_told():
    image = texture(0)
    (pair,) = find_near(pictures(image, groups=[-1]), pictures(shifted(image, 10, -6)))
    assert (pair.first, pair.second, pair.shift_px, pair.flip) == (0, 0, (10, -6), (False, False))
    assert pair.correlation == pytest.approx(1, abs=0.01)
    (pair,) = find_near(pictures(image, groups=[-1]), pictures(image[:, ::-1]))
    assert (pair.shift_px, pair.flip) == ((0, 0), (False, True))


def test_slices_of_one_group_are_passed_over():
    image = texture(0)
    copies = [image, shifted(image, 4, 4), image[::-1]]
    assert pairs_of(find_near(pictures(*copies))) == {(0, 1), (0, 2), (1, 2)}
    assert pairs_of(find_near(pictures(*copies, groups=[0, 0, 1]))) == {(0, 2), (1, 2)}
    assert find_near(pictures(*copies, groups=[0, 0, 0])) == []


def test_rows_are_numbered_as_in_the_images():
    images = np.stack([texture(seed) for seed in (0, 1, 2, 1)])
    some = Pictures(images, "uint8", np.array([3, 0, 1]), np.array([5, 1, 3]))
    assert pairs_of(find_near(some)) == {(1, 3)}


def test_slices_of_one_value_are_near_nothing():
    flat = np.full((128, 128), 7, np.uint8)
    assert find_near(pictures(flat, flat, texture(0))) == []
    assert not coarse_maps(flat[None], "uint8").any()


def test_nothing_to_compare():
    none = Pictures(np.zeros((0, 8, 8), np.uint8), "uint8", np.arange(0), np.arange(0))
    assert find_near(none) == []
    assert find_near(pictures(texture(0)), none) == []


def test_other_sizes_and_hu_are_compared_too():
    """A slice in HU, twice as large, against its 8-bit copy in the lung window."""
    large = texture(5, 256)
    hu = np.asarray(large.astype(float) / 255 * 1500 - 1350, np.int16)
    found = find_near(pictures(hu, units="hu"), pictures(texture(6), large.reshape(128, 2, 128, 2).mean((1, 3))))
    assert pairs_of(found) == {(0, 1)}


def test_blocks_do_not_change_the_answer(monkeypatch):
    originals = [texture(seed) for seed in range(5)]
    everything = pictures(*originals, *(shifted(image, 3, 5) for image in originals))
    whole = find_near(everything)
    assert pairs_of(whole) == {(k, k + 5) for k in range(5)}
    monkeypatch.setattr(signature, "_BLOCK", 3)
    done = []
    again = find_near(everything, progress=lambda at, total: done.append((at, total)))
    assert [(pair.first, pair.second) for pair in again] == [(pair.first, pair.second) for pair in whole]
    assert done[-1] == (10, 10)  # 4 blocks of 3: the triangle has 10


def test_mirroring_changes_signs_only():
    maps = coarse_maps(texture(1)[None], "uint8")
    plain = signatures(maps, 0, 0)
    for (up_down, sideways), signs in zip(FLIPS, signature._signs(), strict=True):
        mirrored = maps[:, :: -1 if up_down else 1, :: -1 if sideways else 1]
        np.testing.assert_allclose(signatures(mirrored, 0, 0), plain * signs, atol=1e-5)
    assert np.linalg.norm(plain) == pytest.approx(1)


def test_candidates_name_the_flip():
    maps = coarse_maps(np.stack([texture(1), texture(1)[::-1]]), "uint8")
    (block,) = candidates(maps, None, 0.9, (np.arange(2), np.arange(2)))
    assert (block.first.tolist(), block.second.tolist(), block.flip.tolist()) == ([0], [1], [2])


def test_correlation_of_a_map_that_moved():
    """Moved by 6 of 128 cells down; the correlation with noise of the same variance is near 0."""
    maps = fine_maps(np.stack([texture(1), texture(2)]), "uint8")
    moved = np.roll(maps, 6, axis=1)
    score, shift = correlate(maps, moved, np.zeros(2, int))
    assert score == pytest.approx([1, 1], abs=1e-3)
    assert shift.tolist() == [[6, 0], [6, 0]]
    score, _ = correlate(maps, moved[::-1], np.zeros(2, int))
    assert (score < 0.5).all()


def test_links_join_over_any_number_of_steps():
    assert linked("abcdef", [("c", "b"), ("e", "f"), ("b", "a")]) == {
        **{"a": "a", "b": "a", "c": "a"},
        **{"d": "d", "e": "e", "f": "e"},
    }
