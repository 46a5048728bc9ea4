"""Do the maps of `lungzoo explain` show what a network relies on? Measured on the test patients of published weights.

Slices whose lesion is found are explained, one per nodule, shifted as in scoring so that the lesion is not always in
the middle. Two figures, each with an interval over patients:

- pointing game (Zhang et al. 2016, arXiv:1608.00507): share of maps whose largest value lies in the reference lesion,
  and within 8 pixels of it, half a cell of the deepest level. A random point does so as often as the lesion's share of
  the slice; the most probable pixel of the network itself is how well it could be done.
- deletion (Petsiuk et al. 2018, arXiv:1806.07421): pixels are replaced by the slice's median in the order of the map,
  and the network sees what is left; the mean probability over the predicted mask, averaged over shares 0, 2, 5, 10, 20
  and 40% of the pixels. Smaller is better.

Next to them stand maps that know nothing of the network: a random order of 8×8 squares, the distance to the predicted
mask, and the maps of a network of random weights, asked for the same mask.

    python benchmarks/accuracy/explanations.py unet_mobilenetv2_035-lidc-v1 --data data/lidc --cases 150
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from scipy.ndimage import distance_transform_edt

import lungzoo
from lungzoo.config import DataConfig, ScoreConfig
from lungzoo.data.pipeline import Pipeline, View
from lungzoo.data.splits.split import select_rows, split_patients
from lungzoo.data.store import PreparedDataset
from lungzoo.explain.cam import Combine, activation_map, enlarge, local_map
from lungzoo.explain.features import CutModel, region_score
from lungzoo.explain.methods.occlusion import log_odds_of, occlusion_map, patches
from lungzoo.inference.batches import Batches
from lungzoo.models.assemble import build_model
from lungzoo.models.load import resolve
from lungzoo.statistics.bootstrap import intervals

SHARES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4)
NEAR_PX = 8
PATCH, STRIDE, REACH = (16, 16), (8, 8), (200, 200)
Maker = Callable[[np.ndarray, np.ndarray], np.ndarray]


def main() -> None:
    """Print both figures of every method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", help="a published name, or a path that lungzoo.load takes")
    parser.add_argument("--data", type=Path, required=True, help="the prepared dataset that they were trained on")
    parser.add_argument("--cases", type=int, default=150, help="slices at most, one per nodule")
    parser.add_argument("--occluded", type=int, default=40, help="how many of them are explained by occlusion too")
    arguments = parser.parse_args()
    manifest, _ = resolve(arguments.weights)
    model, dataset = lungzoo.load(arguments.weights), PreparedDataset(arguments.data)
    cases = read_cases(manifest, dataset, arguments.cases)
    found = [case for case in cases if (predicted(model, case[0]) & case[1]).any()]
    print(
        f"{len(found)} of {len(cases)} slices with a lesion that is found, {len({case[2] for case in found})} patients"
    )
    area, near = (np.mean([grown(case[1], by).mean() for case in found]) for by in (0, NEAR_PX))
    print(f"a random point: in the lesion {area:.3f}, within {NEAR_PX} px {near:.3f}")
    combined = {"Seg-Grad-CAM": activation_map, "Seg-HiResCAM": local_map}
    levels = sorted(model.get_layer("encoder").output)
    makers = {f"{name} {at}": cam_maker(model, at, combine) for name, combine in combined.items() for at in levels}
    keras.utils.set_random_seed(0)
    random = build_model(manifest.model)
    makers["Seg-Grad-CAM P4, random weights"] = cam_maker(random, "P4", activation_map)
    makers["Seg-HiResCAM P4, random weights"] = cam_maker(random, "P4", local_map)
    makers["the network's own probability"] = lambda image, region: probability(model, image[None])[0]
    makers["distance to the predicted mask"] = lambda image, region: -distance_transform_edt(~region)
    makers["random order"] = random_order
    for name, make in makers.items():
        report(name, make, model, found)
    same = {f"{name}, the same slices": makers[name] for name in (f"{each} P4" for each in combined)}
    makers = {"occlusion 16 px": occlusion_maker(model), **same}
    for name, make in makers.items():
        report(name, make, model, found[:: max(len(found) // arguments.occluded, 1)])


def read_cases(manifest: Any, dataset: PreparedDataset, most: int) -> list[tuple[np.ndarray, np.ndarray, str]]:
    """Return (image (H, W, 1), reference bool (H, W), patient) of test lesions, the largest slice of each nodule."""
    data, score = DataConfig(**manifest.protocol["data"]), ScoreConfig(**manifest.protocol["score"])
    split = split_patients(dataset.cases, data, dataset.fingerprint)
    rows = select_rows(dataset, split, data)["test"]
    pipeline = Pipeline(dataset, data, 32, View(manifest.model.in_slices))
    seen: dict[str, tuple[int, np.ndarray, np.ndarray, str]] = {}
    position = 0
    for images, masks, _ in pipeline.evaluation(rows, score.shift_px, data.split_seed).as_numpy_iterator():
        for image, mask in zip(images, masks[..., 0] > 0, strict=True):
            row = dataset.cases.iloc[rows[position]]
            size = int(mask.sum())
            if size >= score.min_lesion_px and size > seen.get(row["volume"], (0,))[0]:
                seen[row["volume"]] = size, image, mask, str(row["patient"])
            position += 1
    chosen = list(seen.values())
    places = np.linspace(0, len(chosen) - 1, min(most, len(chosen))).round().astype(int)
    return [chosen[place][1:] for place in places]


def probability(model: Any, images: np.ndarray) -> np.ndarray:
    """Return the probability of lesion, (n, H, W)."""
    return 1 / (1 + np.exp(-log_odds_of(model)(images)[0]))


def predicted(model: Any, image: np.ndarray) -> np.ndarray:
    """Return the predicted mask, bool (H, W)."""
    return np.asarray(probability(model, image[None])[0] >= 0.5)


def cam_maker(model: Any, level: str, combine: Combine) -> Maker:
    """Return features of a level, combined with their gradients."""
    cut, stride = CutModel(model, level), 2 ** int(level[1:])

    def make(image: np.ndarray, region: np.ndarray) -> np.ndarray:
        features, gradient = cut.gradient(image[None], region_score(region))
        return enlarge(combine(features, gradient), region.shape, stride)

    return make


def occlusion_maker(model: Any) -> Maker:
    """Return occlusion of the whole slice."""
    batches = Batches(log_odds_of(model), 32, print)

    def make(image: np.ndarray, region: np.ndarray) -> np.ndarray:
        boxes = list(patches(region, PATCH, STRIDE, REACH))
        return occlusion_map(batches, image, region, boxes, lambda done, total: None)

    return make


def random_order(image: np.ndarray, region: np.ndarray) -> np.ndarray:
    """Return squares of 8×8 pixels in a random order, the same for slices of one size and lesion."""
    coarse = np.random.default_rng(int(region.sum())).random([-(-side // 8) for side in region.shape])
    return coarse.repeat(8, 0).repeat(8, 1)[: region.shape[0], : region.shape[1]]


def deletion(model: Any, image: np.ndarray, region: np.ndarray, order: np.ndarray) -> float:
    """Return the mean probability over a region while the pixels go in the order of a map."""
    # Equal values, such as a map's zeros, go in a random order and not row by row.
    ties = np.random.default_rng(0).random(order.size)
    ranks = np.lexsort((ties, -order.ravel()))
    copies = np.repeat(image[None], len(SHARES), axis=0)
    for copy, share in zip(copies, SHARES, strict=True):
        copy.reshape(-1, copy.shape[-1])[ranks[: round(share * order.size)]] = np.median(image, axis=(0, 1))
    return float(probability(model, copies)[:, region].mean())


def report(name: str, make: Maker, model: Any, cases: list[tuple[np.ndarray, np.ndarray, str]]) -> None:
    """Print the figures of one method."""
    hits, close, left, seconds = [], [], [], 0.0
    for image, reference, _ in cases:
        region = predicted(model, image)
        started = time.process_time()
        values = make(image, region)
        seconds += time.process_time() - started
        point = peak(values)
        hits.append(float(reference[point]))
        close.append(float(grown(reference, NEAR_PX)[point]))
        left.append(deletion(model, image, region, values))
    patients = np.array([patient for *_, patient in cases])
    figures = {"in the lesion": hits, f"within {NEAR_PX} px": close, "deletion": left}
    shown = [f"{title} {interval(values, patients)}" for title, values in figures.items()]
    size = f"{len(cases)} slices, {len(set(patients))} patients, {1000 * seconds / len(cases):.0f} ms of CPU a map"
    print(f"{name}: {', '.join(shown)}; {size}", flush=True)


def interval(values: list[float], patients: np.ndarray) -> str:
    """Return a mean with its 95% interval from resampling patients."""
    found = intervals([np.array(values)], patients, draws=2000, limits=(0.0, 1.0))
    return f"{found.mean[0]:.3f} [{found.low[0]:.3f}, {found.high[0]:.3f}]"


def peak(values: np.ndarray) -> tuple[int, ...]:
    """Return where a map is largest: of equal pixels, such as a patch's, the one nearest to their middle."""
    places = np.argwhere(values >= values.max() - 1e-6 * abs(values.max()))
    away = np.linalg.norm(places - places.mean(axis=0), axis=1)
    return tuple(places[away.argmin()].tolist())


def grown(mask: np.ndarray, by_px: int) -> np.ndarray:
    """Return a mask with all that lies within a distance of it."""
    return np.asarray(distance_transform_edt(~mask) <= by_px)


if __name__ == "__main__":
    main()
