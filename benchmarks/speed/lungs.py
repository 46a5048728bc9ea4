"""How much memory and time does it take to find the lungs of a volume at full size, as `lung_mask` does?

The volume is made up, of 512×512 pixels a slice:

    python benchmarks/speed/lungs.py --slices 300
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np
import scipy.ndimage

from lungzoo.data.preprocess.lungs import lung_fields

SIDE_PX = 512
MIB = 2**20


def main() -> None:
    """Print a line: what came on top of the volume itself, and the time of the processor."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, default=300)
    image = chest(parser.parse_args().slices)
    scipy.ndimage.label(image[0] < 0)  # what is loaded late counts before
    before, began = peak_bytes(), time.process_time()
    share = lung_fields(image).mean()
    spent, more = time.process_time() - began, peak_bytes() - before
    print(
        f"{len(image)} slices of {SIDE_PX}×{SIDE_PX}, {image.nbytes / MIB:.0f} MiB: {more / MIB:.0f} MiB more at most, "
        f"{more / image.size:.1f} bytes a voxel; {spent / len(image):.2f} s of CPU a slice; {share:.0%} is lung"
    )


def chest(slices: int) -> np.ndarray:
    """Two lungs in a body, with noise."""
    y, x = (np.mgrid[:SIDE_PX, :SIDE_PX] - SIDE_PX / 2) / SIDE_PX
    plane = np.full((SIDE_PX, SIDE_PX), -1000, np.int16)
    plane[(x / 0.42) ** 2 + (y / 0.32) ** 2 < 1] = 40
    for middle in (-0.2, 0.2):
        plane[((x - middle) / 0.13) ** 2 + (y / 0.2) ** 2 < 1] = -850
    rng = np.random.default_rng(0)
    image = np.empty((slices, SIDE_PX, SIDE_PX), np.int16)
    for z in range(slices):
        image[z] = plane + rng.integers(-40, 40, plane.shape, np.int16)
    return image


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
