"""MNIST, or any image set in the same format: what synthetic images are good for, and how far they are from real ones.

    KESHI_DATA=path/to/data python experiments/mnist.py --presets keshi paper --epsilon 1 --seeds 3
    python experiments/mnist.py --images train-images-idx3-ubyte.gz --test t10k-images-idx3-ubyte.gz --quick

Classifiers are trained on synthetic images and tested on real ones; Frechet and kernel distances are on the features of
a CNN that is trained here on real images, against real test images. The labels are found beside the images. Prints one
JSON line a run and a Markdown table of means over seeds; -o adds a grid of pictures (real, then one row a preset).
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
from keshi.auditing.image_distances import frechet_distance, kernel_distance
from keshi.auditing.image_features import FeatureExtractor, train_extractor
from keshi.records.column_kinds import Categorical, Image
from keshi.records.domain import Domain
from keshi.records.files import read_batches
from keshi.synthesis.presets import PRESETS, ArrayPreset, preset_for, with_steps
from keshi.synthesis.synthesizer import PearlSynthesizer

DOMAIN = Domain({"image": Image(28, 28), "label": Categorical(tuple(range(10)))}, label="label")
QUICK_STEPS, QUICK_ROWS = 50, 2_000


def run(
    train: Path,
    test: tuple[np.ndarray, np.ndarray],
    extractor: FeatureExtractor,
    *,
    preset: str,
    epsilon: float,
    steps: int | None,
    rows: int,
    seed: int,
    threads: int,
    classifiers: tuple[str, ...],
) -> tuple[dict[str, Any], np.ndarray]:
    """Synthesize once, and train every classifier on what came out; also the first image of each class."""
    chosen = preset_for(DOMAIN, preset)
    began = time.process_time()
    synthesizer = PearlSynthesizer(
        domain=DOMAIN,
        epsilon=epsilon,
        preset=chosen if isinstance(chosen, ArrayPreset) else with_steps(chosen, steps),
        seed=seed,
        threads=threads,
    ).fit(train)
    synthetic = synthesizer.sample(rows)
    seconds = time.process_time() - began
    images, labels = np.stack(synthetic["image"].tolist()), synthetic["label"].to_numpy()
    features, real = extractor(images[: len(test[0])]), extractor(test[0])
    kernel = kernel_distance(real, features)
    scores = train_and_test(images, labels, *test, classifiers=classifiers, seed=seed)
    result = {
        "preset": preset,
        "epsilon": epsilon,
        "seed": seed,
        "statement": synthesizer.statement.sentence,
        "CPU seconds of the synthesis": round(seconds, 1),
        "CPU seconds of the evaluation": round(time.process_time() - began - seconds, 1),
        "extractor": extractor.name,
        "Frechet distance": round(frechet_distance(real, features), 3),
        "kernel distance": [round(value, 5) for value in (kernel.value, kernel.lower, kernel.upper)],
        "accuracy": {score.classifier: round(score.accuracy, 4) for score in scores},
    }
    return result, np.stack([images[np.flatnonzero(labels == label)[0]] for label in np.unique(labels)])


def summary(results: list[dict[str, Any]]) -> str:
    """Markdown: means over seeds, with the lowest and the highest accuracy."""
    names = list(results[0]["accuracy"])
    lines = [
        "| preset | epsilon | " + " | ".join(names) + " | Frechet | kernel | CPU seconds |",
        "|---|---|" + "---|" * (len(names) + 3),
    ]
    for preset, epsilon in dict.fromkeys((result["preset"], result["epsilon"]) for result in results):
        own = [r for r in results if (r["preset"], r["epsilon"]) == (preset, epsilon)]
        cells = []
        for name in names:
            values = [result["accuracy"][name] for result in own]
            cells.append(f"{np.mean(values):.4f} ({min(values):.4f} to {max(values):.4f})")
        frechet = np.mean([result["Frechet distance"] for result in own])
        kernel = np.mean([result["kernel distance"][0] for result in own])
        seconds = np.mean([result["CPU seconds of the synthesis"] for result in own])
        cells += [f"{frechet:.2f}", f"{kernel:.4f}", f"{seconds:.0f}"]
        lines.append(f"| {preset} | {epsilon:g} | {' | '.join(cells)} |")
    return "\n".join(lines)


def save_grid(path: Path, rows: list[np.ndarray]) -> None:
    """One row of pictures for each of the (classes, height, width) arrays."""
    from PIL import Image as Picture

    grid = np.concatenate([np.concatenate(list(row), axis=1) for row in rows])
    Picture.fromarray(grid.astype(np.uint8)).save(path)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    data = Path(os.environ["KESHI_DATA"]) / "mnist" if "KESHI_DATA" in os.environ else Path()
    parser.add_argument("--images", type=Path, default=data / "train-images-idx3-ubyte.gz")
    parser.add_argument("--test", type=Path, default=data / "t10k-images-idx3-ubyte.gz")
    parser.add_argument("--presets", nargs="+", default=["keshi"], choices=list(PRESETS))
    parser.add_argument("--epsilon", type=float, nargs="+", default=[1.0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--steps", type=int, default=None, help="of presets with steps; default: the preset's"
    )
    parser.add_argument(
        "--classifiers", nargs="+", default=list(ARRAY_CLASSIFIERS), choices=ARRAY_CLASSIFIERS
    )
    parser.add_argument(
        "--rows", type=int, default=60_000, help="synthetic images to train the classifiers on"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path, default=None, help="a PNG of real and synthetic images")
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"one seed, {QUICK_STEPS} steps, {QUICK_ROWS:,} images, the CNN alone",
    )
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.seeds, chosen.steps, chosen.rows, chosen.classifiers = 1, QUICK_STEPS, QUICK_ROWS, [CNN]
    known = pd.concat(list(read_batches(chosen.images, DOMAIN)()), ignore_index=True)
    extractor = train_extractor(np.stack(known["image"].tolist()), known["label"].to_numpy())
    held = pd.concat(list(read_batches(chosen.test, DOMAIN)()), ignore_index=True)
    test = np.stack(held["image"].tolist()), held["label"].to_numpy()
    pictures = [np.stack([test[0][np.flatnonzero(test[1] == label)[0]] for label in np.unique(test[1])])]
    results = []
    for preset in chosen.presets:
        for epsilon in chosen.epsilon:
            for seed in range(chosen.seeds):
                result, first = run(
                    chosen.images,
                    test,
                    extractor,
                    preset=preset,
                    epsilon=epsilon,
                    steps=chosen.steps,
                    rows=chosen.rows,
                    seed=seed,
                    threads=chosen.threads,
                    classifiers=tuple(chosen.classifiers),
                )
                results.append(result)
                print(json.dumps(result), flush=True)
            pictures.append(first)
    print(summary(results))
    if chosen.output is not None:
        save_grid(chosen.output, pictures)


if __name__ == "__main__":
    main()
