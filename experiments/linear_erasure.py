"""LEACE on USC-HAD: what is left of the person after the best linear erasure, beside preset robust.

    KESHI_DATA=path/to/data python experiments/linear_erasure.py -o erasure/         (about 8 CPU minutes a seed)
    python experiments/linear_erasure.py -o erasure/ --table                        (print what is there, train nothing)

Least-squares concept erasure (Belrose et al., NeurIPS 2023) is the smallest affine change of features after which no
linear model tells the concept on the rows that it was fitted on. It needs no training, so whatever trains an adversary
has to beat it on attackers that are not linear. `uschad-paper` windows, blocked split, 25,000 training windows, as in
robust.py. The eraser is fitted on training windows; F1 is that of logistic regression learnt on the features as they
are released. Each line of results.jsonl is one release; a kill loses the seed at work.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from keshi.artifacts.atomic import write_atomically
from keshi.auditing.attackers import ATTACKERS, attack_all, naming_task, perceptron
from keshi.auditing.labels import macro_f1
from keshi.censoring.censor import Censor
from keshi.censoring.encoded import CensoredEncoder
from keshi.censoring.splits import split_people
from keshi.records.recordings import read_recordings
from keshi.records.windows import WINDOW_PRESETS, Windows, segment_preset

WINDOWS = 25_000  # of training
EPOCHS = 12  # most of each network among the attackers, which stop early
SMALLEST = 1e-6  # variances and correlations below this share of the largest are rounding
CONCEPTS = ("nothing", "person", "person given the label")

Eraser = Callable[[np.ndarray], np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    folder = os.environ.get("KESHI_DATA")
    default = Path(folder) / "usc-had" / "uschad_all.npz" if folder else None
    parser.add_argument("--data", type=Path, default=default, help="USC-HAD folder, zip or npz")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the results")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--windows", type=int, default=WINDOWS, help="training windows")
    parser.add_argument("--table", action="store_true", help="print the table of what is there")
    chosen = parser.parse_args()
    file = chosen.output / "results.jsonl"
    results = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    if not chosen.table:
        if chosen.data is None:
            parser.error("name the data set with --data, or set KESHI_DATA")
        windows = segment_preset(
            read_recordings(chosen.data, label="activity", subject="subject"), "uschad-paper"
        )
        chosen.output.mkdir(parents=True, exist_ok=True)
        for seed in [int(text) for text in chosen.seeds.split(",")]:
            if any(line["seed"] == seed for line in results):
                continue
            results += releases(windows, seed=seed, most=chosen.windows)
            write_atomically(file, "".join(json.dumps(line) + "\n" for line in results).encode())
    print("\n".join(table(results)))


def least_squares_eraser(z: np.ndarray, concept: np.ndarray) -> Eraser:
    """LEACE, Theorem 4.3: x -> x - W^+ P W (x - E x), W the whitening of z and P onto the columns of W Cov(z, concept).

    Args:
        z: features (n, d).
        concept: what no linear model shall tell (n, k), numbers.
    """
    mean = z.mean(axis=0, dtype=np.float64)
    centred = z - mean
    values, vectors = np.linalg.eigh(centred.T @ centred / len(z))
    kept = values > SMALLEST * values.max()
    values, vectors = values[kept], vectors[:, kept]
    whiten, colour = (vectors * values**power @ vectors.T for power in (-0.5, 0.5))
    told = whiten @ (centred.T @ (concept - concept.mean(axis=0)) / len(z))
    directions, sizes, _ = np.linalg.svd(told, full_matrices=False)
    directions = directions[:, sizes > SMALLEST * sizes.max()]
    erased = colour @ directions @ directions.T @ whiten
    return lambda x: (x - (x - mean) @ erased.T).astype(np.float32)


def concept_of(name: str, train: Windows) -> np.ndarray:
    """Who it was as columns of 0 and 1; given the label, one for each pair of both, less what the label tells of it."""
    if name == "person":
        return one_hot(train.subject)
    label, pair = (
        one_hot(train.label),
        one_hot(np.char.add(np.char.add(_text(train.label), "|"), _text(train.subject))),
    )
    return pair - label @ np.linalg.lstsq(label, pair, rcond=None)[0]


def one_hot(values: np.ndarray) -> np.ndarray:
    names, codes = np.unique(values, return_inverse=True)
    return np.eye(len(names))[codes]


def _text(values: np.ndarray) -> np.ndarray:
    return np.asarray(values).astype(str)


def releases(windows: Windows, *, seed: int, most: int) -> list[dict[str, Any]]:
    """A line for each encoder and each concept erased from its features."""
    parts = split_people(windows, unknown=WINDOW_PRESETS["uschad-paper"].unknown, seed=seed)
    rows = np.sort(np.random.default_rng(seed).choice(parts.train, most, replace=False))
    train, known, strangers = (windows.take(part) for part in (rows, parts.test_known, parts.test_unknown))
    encoders = {
        "plain network": Censor("cnn", preset="paper", seed=seed).fit(train.x, train.label).encoder_,
        "preset robust": Censor(seed=seed).fit(train.x, train.label, subject=train.subject).encoder_,
    }
    lines = []
    for encoder_name, encoder in encoders.items():
        for concept in CONCEPTS:
            began = process_time()
            found = _measured(encoder, concept, train, known, strangers, seed)
            found["cpu_seconds"] = round(process_time() - began, 1)
            lines.append({"seed": seed, "windows": most, "encoder": encoder_name, "erased": concept, **found})
            print(json.dumps(lines[-1]), file=sys.stderr, flush=True)
    return lines


def _measured(
    encoder: CensoredEncoder, concept: str, train: Windows, known: Windows, strangers: Windows, seed: int
) -> dict[str, Any]:
    """F1 and fresh attackers on features with the concept erased."""
    z = [encoder.transform(part.x) for part in (train, known, strangers)]
    if concept != "nothing":
        erase = least_squares_eraser(z[0], concept_of(concept, train))
        z = [erase(one) for one in z]
    head = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(z[0], train.label)
    task = naming_task(z[0], train.subject, z[1], known.subject)
    attackers = {
        "linear": partial(perceptron, hidden=(), max_epochs=EPOCHS),
        "800-200": partial(perceptron, max_epochs=EPOCHS),
        "15 nearest": ATTACKERS["15 nearest"],
    }
    named = attack_all(task, trial=known.trial, attackers=attackers, seed=seed + 1)
    return {
        "f1_known": macro_f1(known.label, head.predict(z[1])),
        "f1_unknown": macro_f1(strangers.label, head.predict(z[2])),
        "attackers": {name: asdict(one) for name, one in named.items()},
        "majority": float(np.mean(task.code_test == np.bincount(task.code_train).argmax())),
    }


def table(results: list[dict[str, Any]]) -> list[str]:
    """Markdown, means over seeds."""
    names = list(results[0]["attackers"]) if results else []
    lines = [
        f"| features | erased linearly | F1 known | F1 unknown | {' | '.join(names)} | seeds |",
        "|" + "---|" * (len(names) + 5),
    ]
    for encoder, concept in dict.fromkeys((line["encoder"], line["erased"]) for line in results):
        found = [line for line in results if (line["encoder"], line["erased"]) == (encoder, concept)]
        figures = [[line[f"f1_{people}"] for line in found] for people in ("known", "unknown")]
        figures += [[line["attackers"][name]["accuracy"] for line in found] for name in names]
        cells = " | ".join(f"{np.mean(values):.3f}" for values in figures)
        lines.append(f"| {encoder} | {concept} | {cells} | {len(found)} |")
    return lines


if __name__ == "__main__":
    main()
