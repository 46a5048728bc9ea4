"""How long does a scan take, and how much memory, next to a loop over its slices?

The loop is what one writes first: `model.predict` on one slice at a time, with TensorFlow as it comes, and with oneDNN
as lungzoo's commands ask for it. All answer with the same mask, which is checked. Beside them stands `--lungs`, which
looks for lesions in the lung fields only; the voxels are counted in which it differs from the loop's mask, cut to the
same fields. Every way runs in a process of its own, after a warm-up, and includes reading:

    python benchmarks/speed/predict.py --scan nsclc_lung1_001_dicom.zip
    python benchmarks/speed/predict.py --memory 1000     # slices of 512×512 that are made up
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from lungzoo.cli.output import ONEDNN

WEIGHTS = "lungzoo:unet_mobilenetv2_035-lidc-v1"
WAYS = ("loop", "loop, oneDNN", "predict", "predict --lungs", "command")
ALLOWED_GIB = 3.0


def main() -> int:
    arguments = read_arguments()
    if arguments.way:
        print(json.dumps(measure(arguments.way, arguments.scan, arguments.weights, arguments.batch_size)))
        return 0
    if arguments.memory:
        return check_memory(arguments)
    print(f"{arguments.scan.name}, {arguments.weights}, {os.cpu_count()} cores", flush=True)
    found = {way: in_a_process(way, arguments) for way in WAYS[:-1]}
    loop = found["loop"]
    for way, facts in found.items():
        print(
            f"  {way:18} {facts['wall_s']:6.1f} s, {facts['cpu_s']:6.1f} s of CPU, {facts['slices']} slices, "
            f"{facts['peak_gib']:.2f} GiB at most: {loop['wall_s'] / facts['wall_s']:.1f} times as fast as the loop "
            f"({loop['cpu_s'] / facts['cpu_s']:.1f} by CPU time)"
        )
    differs = any(found[way]["sha256"] != loop["sha256"] for way in ("loop, oneDNN", "predict"))
    print(f"  same mask as the loop: {'no' if differs else 'yes'}, voxel for voxel")
    inside = found["predict --lungs"]
    print(
        f"  with --lungs, {inside['differ_vox']} voxels differ from the loop's mask within the lungs, which has "
        f"{inside['of_loop_vox']}"
    )
    return int(differs)


def check_memory(arguments: argparse.Namespace) -> int:
    """Predict a made-up volume with the command itself, every kind of file written, and print the peak."""
    with tempfile.TemporaryDirectory() as folder:
        arguments.scan = Path(folder) / "scan.nii.gz"
        write_volume(arguments.scan, arguments.memory)
        facts = in_a_process("command", arguments)
    peak = facts["peak_gib"]
    print(
        f"{arguments.memory} slices of 512×512: {facts['wall_s']:.0f} s, {peak:.2f} GiB at most (allowed {ALLOWED_GIB})"
    )
    return int(peak > ALLOWED_GIB)


def measure(way: str, scan: Path, weights: str, batch_size: int) -> dict[str, object]:
    if way == "command":
        began = clocks()
        run_command(scan, weights, batch_size)
        return facts_of(began, 0)
    from lungzoo.inference.inputs import Reading, find_inputs
    from lungzoo.inference.postprocess import find_lungs
    from lungzoo.inference.predict import Settings, predict_scan
    from lungzoo.inference.predictor import Passes, open_predictor

    found = find_inputs([scan], Reading())[0]
    predictor = open_predictor(weights)
    volume = found.read()
    if way.startswith("loop"):
        loop(predictor, volume.image[:2])
        began = clocks()
        mask = loop(predictor, found.read().image)
        return facts_of(began, len(mask)) | {"sha256": digest(mask)}
    lungs = way.endswith("--lungs")
    settings = Settings(changes={"lungs": lungs}, passes=Passes(batch_size))
    predict_scan(found, [predictor], settings)  # the graph is built for the size of the batches that come
    began = clocks()
    result = predict_scan(found, [predictor], settings)
    facts = facts_of(began, len(result.mask)) | {"sha256": digest(result.mask)}
    if lungs:
        looped = loop(predictor, volume.image) & find_lungs(volume.image, volume.spacing_mm)
        facts |= {"of_loop_vox": int(looped.sum()), "differ_vox": int((looped != result.mask).sum())}
    return facts


def loop(predictor, image: np.ndarray) -> np.ndarray:
    low, high = predictor.protocol.data.window_hu
    mask = np.zeros(image.shape, np.uint8)
    for z, plane in enumerate(image):
        scaled = np.clip((plane.astype(np.float32) - low) / (high - low), 0, 1)
        logits = predictor.model.predict(scaled[None, ..., None], verbose=0)
        mask[z] = logits[0, ..., 0] >= np.log(predictor.protocol.threshold / (1 - predictor.protocol.threshold))
    return mask


def run_command(scan: Path, weights: str, batch_size: int) -> None:
    from typer.testing import CliRunner

    from lungzoo.cli import app

    with tempfile.TemporaryDirectory() as folder:
        outputs = [str(Path(folder) / f"out{ending}") for ending in (".nii.gz", ".json", ".png")]
        options = [option for output in outputs for option in ("-o", output)]
        command = ["predict", str(scan), *options, "-w", weights, "--batch-size", str(batch_size)]
        CliRunner().invoke(app, command, catch_exceptions=False)


def write_volume(path: Path, slices: int) -> None:
    """Write noise with balls in it; compressed lightly, since how long that takes is not the question."""
    import gzip

    import nibabel

    hu = np.random.default_rng(0).integers(-900, -800, (slices, 512, 512), np.int16)
    y, x = np.ogrid[:512, :512]
    for z in range(0, slices, 20):
        hu[z : z + 8, (y - 256) ** 2 + (x - 200) ** 2 < 100] = 40
    image = nibabel.Nifti1Image(hu.transpose(2, 1, 0), np.diag([-0.7, -0.7, 1.0, 1.0]))
    with gzip.open(path, "wb", compresslevel=1) as file:
        image.to_stream(file)


def facts_of(began: np.ndarray, slices: int) -> dict[str, object]:
    wall, cpu = clocks() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"wall_s": wall, "cpu_s": cpu, "peak_gib": peak, "slices": slices}


def clocks() -> np.ndarray:
    """Wall time and the process's CPU time over all threads, which others on the machine hardly touch."""
    return np.array([time.perf_counter(), time.process_time()])


def digest(mask: np.ndarray) -> str:
    import hashlib

    return hashlib.sha256(np.ascontiguousarray(mask).tobytes()).hexdigest()


def in_a_process(way: str, arguments: argparse.Namespace) -> dict[str, object]:
    command = [sys.executable, __file__, "--way", way, "--scan", str(arguments.scan), "--weights", arguments.weights]
    command += ["--batch-size", str(arguments.batch_size)]
    environment = {name: value for name, value in os.environ.items() if name != ONEDNN}
    environment |= {} if way == "loop" else {ONEDNN: "1"}
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    )
    return json.loads(done.stdout.splitlines()[-1])


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scan", type=Path, help="a scan of whole chest slices, such as a zip of a DICOM series")
    parser.add_argument("--weights", default=WEIGHTS)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--memory", type=int, default=0, help="slices of a made-up volume to predict instead")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.scan is None and not arguments.memory:
        parser.error("give a scan with --scan, or --memory SLICES")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
