"""PEARL on MNIST, or on any image set in the same format: accuracy on real images of classifiers trained on synthetic.

    KESHI_DATA=path/to/data python experiments/mnist.py --epsilon 1 --seeds 3
    python experiments/mnist.py --images train-images-idx3-ubyte.gz --test t10k-images-idx3-ubyte.gz --quick

The labels are found beside the images. Prints one JSON line a seed and a Markdown table of means over seeds.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from keshi.auditing.array_utility import ARRAY_CLASSIFIERS, CNN, train_and_test
from keshi.records.column_kinds import Categorical, Image
from keshi.records.domain import Domain
from keshi.records.files import read_batches
from keshi.synthesis.presets import PRESETS, with_steps
from keshi.synthesis.synthesizer import PearlSynthesizer

DOMAIN = Domain({"image": Image(28, 28), "label": Categorical(tuple(range(10)))}, label="label")
QUICK_STEPS, QUICK_ROWS = 50, 2_000


def run(
    train: Path,
    test: pd.DataFrame,
    *,
    preset: str,
    epsilon: float,
    steps: int | None,
    rows: int,
    seed: int,
    threads: int,
) -> dict[str, Any]:
    """Synthesize once, and train every classifier on what came out."""
    classifiers = ARRAY_CLASSIFIERS if rows > QUICK_ROWS else (CNN,)
    began = time.process_time()
    synthesizer = PearlSynthesizer(
        domain=DOMAIN,
        epsilon=epsilon,
        preset=with_steps(PRESETS[preset], steps),
        relation="replace-one",  # as in the paper
        seed=seed,
        threads=threads,
    ).fit(train)
    synthetic = synthesizer.sample(rows)
    seconds = time.process_time() - began
    scores = train_and_test(
        np.stack(synthetic["image"].tolist()),
        synthetic["label"].to_numpy(),
        np.stack(test["image"].tolist()),
        test["label"].to_numpy(),
        classifiers=classifiers,
    )
    return {
        "preset": preset,
        "seed": seed,
        "statement": synthesizer.statement.sentence,
        "steps": synthesizer.generator_.learning_curve[-1].step,
        "CPU seconds of the synthesis": round(seconds, 1),
        "CPU seconds of the evaluation": round(time.process_time() - began - seconds, 1),
        "accuracy": {score.classifier: round(score.accuracy, 4) for score in scores},
    }


def summary(results: list[dict[str, Any]]) -> str:
    """Markdown: mean over seeds, lowest and highest."""
    lines = ["| classifier | mean accuracy | lowest | highest |", "|---|---|---|---|"]
    for name in results[0]["accuracy"]:
        values = [result["accuracy"][name] for result in results]
        lines.append(f"| {name} | {np.mean(values):.4f} | {min(values):.4f} | {max(values):.4f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    data = Path(os.environ["KESHI_DATA"]) / "mnist" if "KESHI_DATA" in os.environ else Path()
    parser.add_argument("--images", type=Path, default=data / "train-images-idx3-ubyte.gz")
    parser.add_argument("--test", type=Path, default=data / "t10k-images-idx3-ubyte.gz")
    parser.add_argument("--preset", default="paper", choices=list(PRESETS))
    parser.add_argument("--epsilon", type=float, default=1.0)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=None, help="default: the preset's")
    parser.add_argument(
        "--rows", type=int, default=60_000, help="synthetic images to train the classifiers on"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"one seed, {QUICK_STEPS} steps, {QUICK_ROWS:,} images, the CNN alone",
    )
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.seeds, chosen.steps, chosen.rows = 1, QUICK_STEPS, QUICK_ROWS
    test = pd.concat(list(read_batches(chosen.test, DOMAIN)()), ignore_index=True)
    results = []
    for seed in range(chosen.seeds):
        options = {key: getattr(chosen, key) for key in ("preset", "epsilon", "steps", "rows", "threads")}
        results.append(run(chosen.images, test, seed=seed, **options))
        print(json.dumps(results[-1]), flush=True)
    print(summary(results))


if __name__ == "__main__":
    main()
