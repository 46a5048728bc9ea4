"""What does reading a pickle safely cost, against trusting it?

Builds a file like the published set's (512×512 slices, float64 HU, masks of one byte), reads it in fresh processes by
turns, and prints memory as a multiple of the file's size and time as a multiple of `pandas.read_pickle` + `numpy.save`:

    python benchmarks/speed/pickles.py --gigabytes 3 --folder /var/tmp

It needs about three times the size on the disk and twice in memory. What it builds, it removes.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

SIDE_PX = 512
ROW_BYTES = SIDE_PX * SIDE_PX * (1 + 8 + 8)
LABELS = ("LR2", "LR3", "LR4A", "LR4B")
MIB = 2**20


def main() -> None:
    arguments = read_arguments()
    if arguments.job:
        print(json.dumps(JOBS[arguments.job](arguments.file, arguments.out)))
        return
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        file = Path(folder) / "lung_cancer_train.pkl"
        run("build", file, Path(str(arguments.gigabytes)))
        size = file.stat().st_size
        print(
            f"{file.name}: {size / 1e9:.2f} GB, {rows_of(arguments.gigabytes)} rows; {arguments.pairs} rounds",
            flush=True,
        )
        report(size, measure(file, arguments.pairs))


def measure(file: Path, pairs: int) -> dict[str, list[dict[str, float]]]:
    """Run every job by turns, each in a fresh process, and return its figures."""
    figures: dict[str, list[dict[str, float]]] = {job: [] for job in ("trust", "arrays", "import")}
    for _ in range(pairs):
        for job, found in figures.items():
            with tempfile.TemporaryDirectory(dir=file.parent) as out:
                found.append(run(job, file, Path(out) / "out"))
    return figures


def report(size: int, figures: dict[str, list[dict[str, float]]]) -> None:
    names = {
        "trust": "pandas.read_pickle + numpy.save",
        "arrays": "PickledTable, the same .npy files",
        "import": "lungzoo data import, checks and hashes with it",
    }
    trusted_s = statistics.median(figure["seconds"] for figure in figures["trust"])
    for job, found in figures.items():
        seconds = [figure["seconds"] for figure in found]
        peak = max(figure["peak_bytes"] for figure in found)
        print(
            f"{names[job]}: {statistics.median(seconds):.2f} s (of {', '.join(f'{s:.2f}' for s in seconds)}), "
            f"peak {peak / MIB:,.0f} MiB; time × {statistics.median(seconds) / trusted_s:.2f}, "
            f"memory × {peak / size:.3f} of the file"
        )
    print("Targets: time × 1.5, memory × 1.3.")


def run(job: str, file: Path, out: Path) -> dict[str, float]:
    command = [sys.executable, __file__, "--job", job, "--file", str(file), "--out", str(out)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def timed(work: Callable[[Path, Path], None]) -> Callable[[Path, Path], dict[str, float]]:
    """Return seconds without the imports, and the peak of the process plus that of its largest child."""

    def measured(file: Path, out: Path) -> dict[str, float]:
        import pandas  # noqa: F401

        from lungzoo.data.readers import mendeley_lungrads  # noqa: F401

        began = time.perf_counter()
        work(file, out)
        seconds = time.perf_counter() - began
        peaks = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return {"seconds": seconds, "peak_bytes": sum(peaks) * 1024}

    return measured


def trust(file: Path, out: Path) -> None:
    import pandas as pd

    frame = pd.read_pickle(file)
    out.mkdir()
    for column in ("hu_array", "mask"):
        np.save(out / f"{column}.npy", np.stack(list(frame[column])))


def arrays(file: Path, out: Path) -> None:
    from lungzoo.data.pickles.table import PickledTable

    table = PickledTable(file.open("rb"), file.name)
    out.mkdir()
    for column in ("hu_array", "mask"):
        cells = table.columns[column]
        with (out / f"{column}.npy").open("wb") as target:
            header = {
                "descr": cells[0].dtype.str,
                "fortran_order": False,
                "shape": (len(cells), *cells[0].shape),
            }
            np.lib.format.write_array_header_1_0(target, header)
            for cell in cells:
                target.write(cell.read().data)


def import_(file: Path, out: Path) -> None:
    from lungzoo.data.readers.mendeley_lungrads import MendeleyLungRadsReader
    from lungzoo.data.writer import import_dataset

    import_dataset(MendeleyLungRadsReader(file), "mendeley-lungrads", out)


def build(file: Path, gigabytes: Path) -> dict[str, float]:
    """Write a frame as the published one: HU as whole numbers in float64, 0 outside a lung, a small lesion."""
    import pandas as pd

    rng = np.random.default_rng(0)
    y, x = np.mgrid[:SIDE_PX, :SIDE_PX]
    lung = ((x - 256) / 160) ** 2 + ((y - 256) / 110) ** 2 < 1
    noise = rng.normal(0, 40, (SIDE_PX, SIDE_PX))
    rows = []
    for n in range(rows_of(float(str(gigabytes)))):
        whole = np.rint(np.where(lung, -850, 40) + np.roll(noise, n * 37)).astype(np.float64)
        mask = (((x - 200) ** 2 + (y - 250 - n % 30) ** 2) < (4 + n % 20) ** 2).astype(np.int8)
        rows.append((LABELS[n % 4], mask, whole * lung, whole))
    frame = pd.DataFrame(rows, columns=["label1", "mask", "hu_array", "hu_array_old"])
    frame.to_pickle(file, protocol=4)
    return {}


def rows_of(gigabytes: float) -> int:
    return max(1, int(gigabytes * 1e9 / ROW_BYTES))


JOBS = {"build": build, "trust": timed(trust), "arrays": timed(arrays), "import": timed(import_)}


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=3.0, help="size of the file to build")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="where there is room")
    parser.add_argument("--pairs", type=int, default=3, help="how often each way is measured")
    parser.add_argument("--job", choices=("build", "trust", "arrays", "import"), help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main()
