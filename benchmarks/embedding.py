"""CPU cost of the exact embedding beside the same blocked kernel in plain float32, and of the noise.

    OMP_NUM_THREADS=1 python benchmarks/embedding.py            (1,000,000 x 20 records, 1,000 frequencies)
    OMP_NUM_THREADS=1 python benchmarks/embedding.py --quick

Both kernels run in turn in one process, block by block of the same size, so that their ratio holds on a noisy machine.
Prints the medians and the ratio of CPU seconds as JSON.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from keshi.privacy.mechanisms import discrete_gaussian
from keshi.records.encoded import FEATURE_BITS, EncodedBatch
from keshi.synthesis import characteristic
from keshi.synthesis.characteristic import CharacteristicFeatures
from keshi.synthesis.frequencies import draw_gaussian_frequencies

ROWS_A_BATCH = 65_536


def plain_kernel(records: NDArray[np.float32], frequencies: NDArray[np.float32]) -> NDArray[np.float64]:
    """Sum of cosines and sines in float32, blocked like ours: what an embedding without a guarantee costs."""
    total = np.zeros((2, frequencies.shape[1]))
    for start in range(0, len(records), characteristic._ROWS):
        phase = records[start : start + characteristic._ROWS] @ frequencies
        total[0] += np.cos(phase).sum(axis=0)
        total[1] += np.sin(phase).sum(axis=0)
    return total


def cpu_seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--columns", type=int, default=20)
    parser.add_argument("--frequencies", type=int, default=1_000)
    parser.add_argument("--noise", type=int, default=200_000, help="coordinates")
    parser.add_argument("--quick", action="store_true", help="a twentieth of the size")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.rows, chosen.noise = chosen.rows // 20, chosen.noise // 20
    features = CharacteristicFeatures(
        draw_gaussian_frequencies(chosen.frequencies, chosen.columns, squared_length_scale=5.0, seed=0), 1
    )
    radians = np.ascontiguousarray((2 * math.pi * features.frequencies).T, dtype=np.float32)
    random = np.random.default_rng(0)
    ours, plain, converting = [], [], []
    for start in range(0, chosen.rows, ROWS_A_BATCH):
        rows = min(ROWS_A_BATCH, chosen.rows - start)
        records = random.uniform(-1, 1, (rows, chosen.columns)).astype(np.float32)
        began = time.process_time()
        on_grid = np.rint(records.astype(np.float64) * 2**FEATURE_BITS) / 2**FEATURE_BITS
        batch = EncodedBatch(on_grid, np.zeros(rows, dtype=np.int64))
        converting.append(time.process_time() - began)
        ones = np.ones(rows)
        ours.append(cpu_seconds(lambda batch=batch, ones=ones: features.sums(batch, ones)))
        plain.append(cpu_seconds(lambda records=records: plain_kernel(records, radians)))
    noise = cpu_seconds(lambda: discrete_gaussian(np.zeros(chosen.noise, dtype=np.int64), 2**40))
    print(
        json.dumps(
            {
                "records": chosen.rows,
                "columns": chosen.columns,
                "frequencies": chosen.frequencies,
                "exact embedding, CPU seconds": round(sum(ours) + sum(converting), 2),
                "plain float32 kernel, CPU seconds": round(sum(plain), 2),
                "ratio": round((sum(ours) + sum(converting)) / sum(plain), 3),
                "median ratio a batch": round(float(np.median(np.array(ours) / np.array(plain))), 3),
                "noise coordinates": chosen.noise,
                "noise, CPU seconds": round(noise, 2),
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
