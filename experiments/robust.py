"""Preset robust against fresh attackers on USC-HAD: what is kept and what leaks, beside every control, over seeds.


    KESHI_DATA=path/to/data python experiments/robust.py -o robust/                   (about 20 CPU minutes)
    python experiments/robust.py --data USC-HAD.zip -o robust/ --quick                (about 5)
    python experiments/robust.py -o robust/ --table                             (print what is there, train nothing)
    python experiments/robust.py -o random/ --split random --windows 200000 --parts "all labels" --seeds 0
                                                           (as the paper's experiment has it, to be laid beside that)

`uschad-paper` windows, blocked split, 25,000 training windows. Every seed has up to four parts, each a line of
results.jsonl: "left out" (every third label left out of training, and learnt by a linear probe from ten windows each),
"uses" (height and age of the person and the strength of movement in the window, read off by linear probes), "all
labels" (F1 and attackers: plain network, control, robust), and "sct" (preset paper at strength 1, only with
`--sct-rounds`). A kill loses the part at work. The same seed gives the same weights; figures repeat up to the noise in
the features, which no seed reaches.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from keshi.artifacts.atomic import write_atomically
from keshi.cli.censor_run import run_censoring
from keshi.records.recordings import read_recordings
from keshi.records.windows import WINDOW_PRESETS, Windows, segment_preset

WINDOWS = 25_000  # of training
FOLDS = 3
PARTS = ("left out", "uses", "all labels")
ROWS = (("before", "plain network"), ("control", "control, strength 0"), ("after", "censored"))
STUDENT = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78}  # 97.5 % quantile of Student's t by number of seeds


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    folder = os.environ.get("KESHI_DATA")
    default = Path(folder) / "usc-had" / "uschad_all.npz" if folder else None
    parser.add_argument("--data", type=Path, default=default, help="USC-HAD folder, zip or npz")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the results")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--windows", type=int, default=WINDOWS, help="training windows")
    parser.add_argument("--split", choices=["blocked", "random"], default="blocked")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--sct-rounds", type=int, default=0, help="also preset paper's SCT, so many rounds")
    parser.add_argument("--quick", action="store_true", help="one seed, short schedule; no conclusions")
    parser.add_argument("--table", action="store_true", help="print the table of what is there")
    chosen = parser.parse_args()
    file = chosen.output / "results.jsonl"
    results = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    if not chosen.table:
        if chosen.data is None:
            parser.error("name the data set with --data, or set KESHI_DATA")
        windows = segment_preset(
            read_recordings(chosen.data, label="activity", subject="subject", further=("height", "age")),
            "uschad-paper",
        )
        windows = replace(windows, further={**windows.further, "movement": movement(windows.x)})
        seeds = [0] if chosen.quick else [int(text) for text in chosen.seeds.split(",")]
        most = min(chosen.windows, 10_000) if chosen.quick else chosen.windows
        kinds = [*chosen.parts, *(["sct"] if chosen.sct_rounds else [])]
        parts = [(kind, seed) for kind in kinds for seed in seeds]
        chosen.output.mkdir(parents=True, exist_ok=True)
        for part, seed in parts:
            key = {"part": part, "seed": seed, "windows": most, "quick": chosen.quick, "split": chosen.split}
            if any(all(line[name] == value for name, value in key.items()) for line in results):
                continue
            audit = run_part(windows, part, seed, most, chosen.quick, chosen.sct_rounds, chosen.split)
            results.append({**key, **audit})
            write_atomically(file, "".join(json.dumps(line) + "\n" for line in results).encode())
    print("\n".join(table(results)))


def movement(x: np.ndarray) -> np.ndarray:
    """Strength of movement in windows x (n, channels, length): log10 of the acceleration's deviation in g, (n,)."""
    size = np.linalg.norm(x[:, :3].astype(np.float64), axis=1)
    return np.log10(size.std(axis=1) + 1e-3)  # one step of the sensor, so that rest has a logarithm


def run_part(
    windows: Windows, part: str, seed: int, most: int, quick: bool, sct_rounds: int, split: str
) -> dict[str, Any]:
    """One censoring run as `keshi censor` does it; its audit."""
    options: dict[str, Any] = {"preset": "robust-quick" if quick else "robust"}
    if part == "left out":
        labels = np.unique(windows.label)
        options |= {"leave_out": labels[np.arange(len(labels)) % FOLDS == seed % FOLDS].tolist()}
    if part in ("left out", "uses"):
        options |= {"control": False, "suite": False, "attack_epochs": 1}  # only the probes are looked at
    if part != "uses":
        windows = replace(windows, further={})
    if part == "sct":
        options = {"method": "sct", "preset": "paper", "rounds": sct_rounds, "guard": False, "control": False}
    run = run_censoring(
        windows,
        seed=seed,
        unknown=WINDOW_PRESETS["uschad-paper"].unknown,
        most_windows=most,
        split=split,
        progress=lambda line: print(line, file=sys.stderr, flush=True),
        **options,
    )
    return run.audit()


def table(results: list[dict[str, Any]]) -> list[str]:
    """Markdown: means over seeds with half-widths of 95 % intervals (Student's t)."""
    whole = [line for line in results if line["part"] == "all labels"]
    probes = [line for line in results if line["part"] == "left out"]
    lines = [
        "| features | F1 known | F1 unknown | worst attacker | its trials | EER unknown | left-out F1 | seeds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for key, name in ROWS:
        found = [line[key] for line in whole if line[key]]
        other = [line[key]["left_out_f1"] for line in probes if line[key]]
        lines.append(_row("preset robust" if key == "after" else name, found, other))
    sct = [line["after"] for line in results if line["part"] == "sct"]
    if sct:
        lines.append(_row("SCT, preset paper, strength 1", sct, []))
    softmax = [line["softmax_left_out_f1"] for line in probes]
    lines += ["", "| without features | worst attacker | left-out F1 |", "|---|---|---|"]
    for name in whole[0]["without_features"] if whole else ():
        share = _mean([line["without_features"][name] for line in whole])
        lines.append(f"| {name} | {share} | {_mean(softmax) if name == 'softmax only' else ''} |")
    lines += _use_table([line for line in results if line["part"] == "uses"])
    for line in whole[:1]:
        lines += ["", "| attacker, seed 0 | plain network | control | preset robust |", "|---|---|---|---|"]
        names = ["800-200", *line["after"]["attackers"]]
        for name in names:
            cells = [_attacker(line[key], name) for key, _ in ROWS]
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def _use_table(found: list[dict[str, Any]]) -> list[str]:
    """How well every further column is read off, R2."""
    if not found:
        return []
    lines = [
        "",
        "| use, R2 | people | raw window | plain network | preset robust | softmax only |",
        "|" + "---|" * 6,
    ]
    for name in found[0]["after"]["uses"]:
        for people in ("known", "unknown"):
            without = [line["uses_without_features"] for line in found]
            releases = [
                [one["raw window"] for one in without],
                [line["before"]["uses"] for line in found],
                [line["after"]["uses"] for line in found],
                [one["softmax only"] for one in without],
            ]
            cells = [_mean([uses[name][people]["score"] for uses in each]) for each in releases]
            lines.append(f"| {name} | {people} | " + " | ".join(cells) + " |")
    return lines


def _attacker(figures: dict[str, Any], name: str) -> str:
    one = figures["attacker"] if name == "800-200" else figures["attackers"].get(name)
    return "" if one is None else f"{one['accuracy']:.3f} [{one['lower']:.3f}, {one['upper']:.3f}]"


def _row(name: str, found: list[dict[str, Any]], left_out: list[float]) -> str:
    worst = [
        max([one["attacker"], *one["attackers"].values()], key=lambda attack: attack["accuracy"])
        for one in found
    ]
    trials = [
        max(attack["trial_accuracy"] for attack in [one["attacker"], *one["attackers"].values()])
        for one in found
    ]
    cells = [
        _mean([one["f1_known"] for one in found]),
        _mean([one["f1_unknown"] for one in found]),
        _mean([one["accuracy"] for one in worst]),
        _mean(trials),
        _mean([one["eer"] for one in found]),
        _mean(left_out),
    ]
    return f"| {name} | " + " | ".join(cells) + f" | {len(found)} |"


def _mean(values: list[float]) -> str:
    numbers = np.array([value for value in values if value is not None], dtype=float)
    if not len(numbers):
        return ""
    if len(numbers) not in STUDENT:
        return f"{numbers.mean():.3f}"
    half = STUDENT[len(numbers)] * numbers.std(ddof=1) / math.sqrt(len(numbers))
    return f"{numbers.mean():.3f} ± {half:.3f}"


if __name__ == "__main__":
    main()
