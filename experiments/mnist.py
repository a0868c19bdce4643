"""MNIST, or any image set in the same format: what synthetic images are good for, and how far they are from real ones.

    KESHI_DATA=path/to/data python experiments/mnist.py --methods keshi paper --epsilon 1 --seeds 3
    python experiments/mnist.py --images train-images-idx3-ubyte.gz --test t10k-images-idx3-ubyte.gz --quick
    python experiments/mnist.py --methods keshi paper dp-sgd-gan --results images.jsonl -o grid.png --page page.html
    python experiments/mnist.py --results images.jsonl --report

Classifiers are trained on synthetic images and tested on real ones; Frechet and kernel distances are on the features of
a CNN that is trained here on real images, against real test images. The labels are found beside the images. Each run is
one JSON line (--results keeps it, and a run that stands there is not made again); at the end a Markdown table of means
over seeds. -o and --page draw a few images of each class: real ones and those of every method, side by side.
dp-sgd-gan runs in an environment of its own, which is made under --work; "real" trains on real images.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from image_peers import dpsgd_gan_images

from keshi.auditing.array_utility import ARRAY_CLASSIFIERS, CNN, train_and_test
from keshi.auditing.image_distances import frechet_distance, kernel_distance
from keshi.auditing.image_features import FeatureExtractor, train_extractor
from keshi.records.column_kinds import Categorical, Image
from keshi.records.domain import Domain
from keshi.records.files import read_batches
from keshi.reports.array_section import pictures_section
from keshi.reports.report import Report, write_report
from keshi.synthesis.presets import PRESETS, ArrayPreset, preset_for, with_steps
from keshi.synthesis.synthesizer import PearlSynthesizer

CLASSES = 10
DOMAIN = Domain({"image": Image(28, 28), "label": Categorical(tuple(range(CLASSES)))}, label="label")
DELTA = 1e-5
QUICK_STEPS, QUICK_ROWS = 50, 2_000
REAL, GAN = "real", "dp-sgd-gan"
PICTURES = 5  # of a class, in the grid
KEYS = ("images", "method", "epsilon", "seed", "rows")


@dataclass(frozen=True)
class Images:
    """(n, 28, 28) bytes, and (n,) labels."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    @classmethod
    def read(cls, path: Path) -> Images:
        table = pd.concat(list(read_batches(path, DOMAIN)()), ignore_index=True)
        return cls(np.stack(table["image"].tolist()), table["label"].to_numpy().astype(np.int64))

    def first(self, most: int = 8) -> Images:
        """The first few of each class."""
        rows = np.concatenate([np.flatnonzero(self.labels == one)[:most] for one in range(CLASSES)])
        return Images(self.images[rows], self.labels[rows])

    def by_class(self, most: int) -> dict[str, NDArray[np.generic]]:
        return {str(one): self.images[np.flatnonzero(self.labels == one)[:most]] for one in range(CLASSES)}


def made_by(
    method: str, train: Images, chosen: argparse.Namespace, *, epsilon: float, seed: int
) -> tuple[Images, dict[str, Any]]:
    """Synthetic images of one method, its promise, and the CPU seconds from images to images."""
    if method == REAL:
        order = np.random.default_rng(seed).permutation(len(train.images))[: chosen.rows]
        return Images(train.images[order], train.labels[order]), {"statement": "none: these are real"}
    if method == GAN:
        images, labels, usage = dpsgd_gan_images(
            train.images, train.labels, classes=CLASSES, epsilon=epsilon, delta=DELTA, seed=seed,
            rows=chosen.rows, work=chosen.work,
        )  # fmt: skip
        told = f"({epsilon:g}, {DELTA:g})-differential privacy for adding or removing one image, by opacus"
        return Images(images, labels), {"statement": told, "CPU seconds of the synthesis": usage.cpu_seconds}
    preset = preset_for(DOMAIN, method)
    began = time.process_time()
    synthesizer = PearlSynthesizer(
        domain=DOMAIN,
        epsilon=epsilon,
        delta=DELTA,
        preset=preset if isinstance(preset, ArrayPreset) else with_steps(preset, chosen.steps),
        seed=seed,
        threads=chosen.threads,
    ).fit(chosen.images)
    drawn = synthesizer.sample(chosen.rows)
    seconds = round(time.process_time() - began, 1)
    found = Images(np.stack(drawn["image"].tolist()), drawn["label"].to_numpy().astype(np.int64))
    return found, {"statement": synthesizer.statement.sentence, "CPU seconds of the synthesis": seconds}


def judged(
    found: Images, test: Images, extractor: FeatureExtractor, chosen: argparse.Namespace, *, seed: int
) -> dict[str, Any]:
    """Distances from the real test images, and accuracy on them of classifiers that learnt from the synthetic ones."""
    began = time.process_time()
    features, real = extractor(found.images[: len(test.images)]), extractor(test.images)
    kernel = kernel_distance(real, features)
    scores = train_and_test(
        found.images, found.labels, test.images, test.labels, classifiers=chosen.classifiers, seed=seed
    )
    return {
        "extractor": extractor.name,
        "Frechet distance": round(frechet_distance(real, features), 3),
        "kernel distance": [round(value, 5) for value in (kernel.value, kernel.lower, kernel.upper)],
        "accuracy": {score.classifier: round(score.accuracy, 4) for score in scores},
        "CPU seconds of the evaluation": round(time.process_time() - began, 1),
    }


def summary(results: list[dict[str, Any]]) -> str:
    """Markdown: means over seeds, with the lowest and the highest accuracy."""
    heading = [
        "images",
        "method",
        "epsilon",
        "images made",
        "seeds",
        *ARRAY_CLASSIFIERS,
        "Frechet",
        "kernel",
        "CPU seconds",
    ]
    lines = ["| " + " | ".join(heading) + " |", "|" + "---|" * len(heading)]
    groups = dict.fromkeys(tuple(one[key] for key in KEYS if key != "seed") for one in results)
    for group in groups:
        own = [r for r in results if tuple(r[key] for key in KEYS if key != "seed") == group]
        images, method, epsilon, rows = group
        cells = [images, method, "-" if method == REAL else f"{epsilon:g}", f"{rows:,}", str(len(own))]
        for name in ARRAY_CLASSIFIERS:
            values = [result["accuracy"][name] for result in own if name in result["accuracy"]]
            spread = f" ({min(values):.4f} to {max(values):.4f})" if len(values) > 1 else ""
            cells.append(f"{np.mean(values):.4f}{spread}" if values else "-")
        seconds = [
            one["CPU seconds of the synthesis"] for one in own if "CPU seconds of the synthesis" in one
        ]
        cells += [
            f"{np.mean([one['Frechet distance'] for one in own]):.1f}",
            f"{np.mean([one['kernel distance'][0] for one in own]):.3f}",
            f"{np.mean(seconds):.0f}" if seconds else "-",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def kept_samples(chosen: argparse.Namespace) -> dict[str, Images]:
    """A few images of the chosen methods and budgets, from this run or from earlier ones."""
    if chosen.samples is None:
        return {}
    names = [f"{method}, epsilon {epsilon:g}" for epsilon in chosen.epsilon for method in chosen.methods]
    found = {}
    for name in names:
        if (file := chosen.samples / f"{name}.npz").exists():
            with np.load(file) as kept:
                found[name] = Images(kept["images"], kept["labels"])
    return found


def save_grid(path: Path, sets: dict[str, Images]) -> None:
    """A PNG: one block for each set from left to right, a row for each class."""
    from PIL import Image as Picture

    blocks = []
    for one in sets.values():
        rows = [np.concatenate(list(images), axis=1) for images in one.by_class(PICTURES).values()]
        block = np.concatenate([np.pad(row, ((0, 0), (0, PICTURES * 28 - row.shape[1]))) for row in rows])
        blocks += [np.full((len(block), 6), 255, dtype=np.uint8), block]
    Picture.fromarray(np.concatenate(blocks[1:], axis=1)).quantize(16).save(path, optimize=True)


def save_page(path: Path, sets: dict[str, Images], results: list[dict[str, Any]]) -> None:
    """The same as a page, for whoever may see the real images."""
    drawn = {name: one.by_class(8) for name, one in sets.items()}
    real = drawn.pop(REAL)
    first, *others = drawn
    bounds = np.zeros((28, 28)), np.full((28, 28), 255.0)
    beside = {name: drawn[name] for name in others}
    write_report(
        Report(
            title="Images side by side",
            statement=list(dict.fromkeys(f"{one['method']}: {one['statement']}" for one in results)),
            not_protected=["The real images: the first grid shows some of them."],
            sections=[
                pictures_section("images", real, drawn[first], bounds=bounds, name=first, beside=beside)
            ],
        ),
        path,
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    data = Path(os.environ["KESHI_DATA"]) / "mnist" if "KESHI_DATA" in os.environ else Path()
    parser.add_argument("--images", type=Path, default=data / "train-images-idx3-ubyte.gz")
    parser.add_argument("--test", type=Path, default=data / "t10k-images-idx3-ubyte.gz")
    parser.add_argument("--name", default="mnist", help="of the image set, in the results")
    parser.add_argument("--methods", nargs="+", default=["keshi"], choices=[*PRESETS, GAN, REAL])
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
    parser.add_argument("--work", type=Path, default=Path.home() / ".cache" / "keshi-benchmarks")
    parser.add_argument("--results", type=Path, default=None, help="file of JSON lines, to add to")
    parser.add_argument(
        "--samples", type=Path, default=None, help="folder of a few images of each method, for -o"
    )
    parser.add_argument("--report", action="store_true", help="print the table of --results; run nothing")
    parser.add_argument("-o", "--output", type=Path, default=None, help="a PNG of real and synthetic images")
    parser.add_argument("--page", type=Path, default=None, help="the same as a page (.html)")
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"one seed, {QUICK_STEPS} steps, {QUICK_ROWS:,} images, the CNN alone",
    )
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.seeds, chosen.steps, chosen.rows, chosen.classifiers = 1, QUICK_STEPS, QUICK_ROWS, [CNN]
    results = (
        [json.loads(line) for line in chosen.results.read_text().splitlines()]
        if chosen.results and chosen.results.exists()
        else []
    )
    if chosen.report:
        print(summary(results))
        return
    train, test = Images.read(chosen.images), Images.read(chosen.test)
    extractor = train_extractor(train.images, train.labels)
    sets = {REAL: test}
    for method in chosen.methods:
        for epsilon in chosen.epsilon:
            for seed in range(chosen.seeds):
                run = {
                    "images": chosen.name,
                    "method": method,
                    "epsilon": epsilon,
                    "seed": seed,
                    "rows": chosen.rows,
                }
                if any(all(one[key] == run[key] for key in KEYS) for one in results):
                    continue
                found, said = made_by(method, train, chosen, epsilon=epsilon, seed=seed)
                result = {**run, **said, **judged(found, test, extractor, chosen, seed=seed)}
                results.append(result)
                print(json.dumps(result), flush=True)
                if chosen.results is not None:
                    with chosen.results.open("a") as lines:
                        print(json.dumps(result), file=lines)
                if method != REAL and seed == 0:
                    name = f"{method}, epsilon {epsilon:g}"
                    sets[name] = found.first()
                    if chosen.samples is not None:
                        chosen.samples.mkdir(parents=True, exist_ok=True)
                        np.savez(chosen.samples / f"{name}.npz", **vars(sets[name]))
    print(summary(results))
    sets |= kept_samples(chosen)
    if chosen.output is not None:
        save_grid(chosen.output, sets)
    if chosen.page is not None and len(sets) > 1:
        save_page(chosen.page, sets, results)


if __name__ == "__main__":
    main()
