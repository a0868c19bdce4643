"""The certified release on USC-HAD: what no attacker can beat, beside what fresh ones reach and the F1 that is left.

    KESHI_DATA=path/to/data python experiments/certified.py -o certified/            (about 10 CPU minutes a seed)
    python experiments/certified.py -o certified/ --table                           (print what is there, train nothing)

`uschad-paper` windows, blocked split, 25,000 training windows, as in robust.py. Every level of noise (in multiples of
the clipping norm) is tried on two encoders: that of preset robust, and one trained in the same way with as much noise
as the release will have. Features leave without the noise of preset robust, since the certified one takes its place.
The label is predicted by the encoder's own head, and by logistic regression learnt on noisy training features. Each
line of results.jsonl is one release; a kill loses the seed at work.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import warnings
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np

from keshi.artifacts.atomic import write_atomically
from keshi.auditing.attackers import ATTACKERS, attack_all, naming_task, noise_aware, perceptron, score
from keshi.auditing.labels import macro_f1
from keshi.censoring.censor import Censor
from keshi.censoring.certified import CertifiedEncoder, certify, trial_shares
from keshi.censoring.encoded import CensoredEncoder
from keshi.censoring.schedules import SCHEDULES, Schedule
from keshi.censoring.splits import split_people
from keshi.records.recordings import read_recordings
from keshi.records.windows import WINDOW_PRESETS, Windows, segment_preset

WINDOWS = 25_000  # of training
LEVELS = (0.25, 0.5, 1.0, 2.0)  # of noise, in clipping norms
EPOCHS = 12  # most of each network among the attackers, which stop early
USELESS = 0.5  # a bound above it is called vacuous: the attacker may be right more often than wrong
ENCODERS = ("preset robust", "trained with the noise")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    folder = os.environ.get("KESHI_DATA")
    default = Path(folder) / "usc-had" / "uschad_all.npz" if folder else None
    parser.add_argument("--data", type=Path, default=default, help="USC-HAD folder, zip or npz")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the results")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--levels", default=",".join(f"{level:g}" for level in LEVELS))
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
        levels = tuple(float(text) for text in chosen.levels.split(","))
        chosen.output.mkdir(parents=True, exist_ok=True)
        for seed in [int(text) for text in chosen.seeds.split(",")]:
            if any(line["seed"] == seed for line in results):
                continue
            results += releases(windows, levels=levels, seed=seed, most=chosen.windows)
            write_atomically(file, "".join(json.dumps(line) + "\n" for line in results).encode())
    print("\n".join(table(results)))


def releases(windows: Windows, *, levels: tuple[float, ...], seed: int, most: int) -> list[dict[str, Any]]:
    """One line for preset robust as it is, and one for every encoder and level of certified noise."""
    parts = split_people(windows, unknown=WINDOW_PRESETS["uschad-paper"].unknown, seed=seed)
    rows = np.sort(np.random.default_rng(seed).choice(parts.train, most, replace=False))
    train, known, strangers = (windows.take(part) for part in (rows, parts.test_known, parts.test_unknown))

    def trained(schedule: Schedule) -> CensoredEncoder:
        censor = Censor(preset=schedule, seed=seed)
        return censor.fit(train.x, train.label, subject=train.subject).encoder_

    robust = trained(SCHEDULES["robust"])
    norm = math.sqrt(robust.features)  # of all features: they have mean 0 and mean square 1
    lines = []
    for level in (0.0, *levels):
        for name in ENCODERS if level else ENCODERS[:1]:
            began = process_time()
            same = name == ENCODERS[0]
            encoder = robust if same else trained(replace(SCHEDULES["robust"], noise=level * norm))
            found = _measured(encoder, level, norm, train, known, strangers, seed)
            found["cpu_seconds"] = round(process_time() - began, 1)
            lines.append({"seed": seed, "windows": most, "encoder": name, "noise": level, **found})
            print(json.dumps(lines[-1]), file=sys.stderr, flush=True)
    return lines


def _measured(
    encoder: CensoredEncoder,
    level: float,
    norm: float,
    train: Windows,
    known: Windows,
    strangers: Windows,
    seed: int,
) -> dict[str, Any]:
    """F1 and fresh attackers on one release; what is proven of it where there is certified noise."""
    release = CertifiedEncoder(encoder, norm, level) if level else None
    clean = encoder.without_noise(train.x)
    z = [
        release.release(encoder.without_noise(part.x)) if release else encoder.transform(part.x)
        for part in (train, known, strangers)
    ]
    fitted = _fitted(z[0], train.label)
    found: dict[str, Any] = {}
    for people, part, features in (("known", known, z[1]), ("unknown", strangers, z[2])):
        found[f"f1_{people}"] = macro_f1(part.label, encoder.predict_from_features(features))
        said = fitted.predict(features)
        found[f"f1_{people}_fitted"] = macro_f1(part.label, said)
        found[f"accuracy_{people}_fitted"] = float(np.mean(said == part.label))
    task = naming_task(z[0], train.subject, z[1], known.subject)
    networks = {
        "linear": partial(perceptron, hidden=(), max_epochs=EPOCHS),
        "800-200": partial(perceptron, max_epochs=EPOCHS),
        "15 nearest": ATTACKERS["15 nearest"],
    }
    attackers = attack_all(task, trial=known.trial, attackers=networks, seed=seed + 1)
    log_p = noise_aware(
        task, clean_train=clean, noisy_test=z[1], noise=level * norm or encoder.noise, seed=seed + 1
    )
    attackers["noise aware"] = score(log_p, task.code_test, trial=known.trial, seed=seed)
    found["attackers"] = {name: asdict(one) for name, one in attackers.items()}
    found["majority"] = float(np.mean(task.code_test == np.bincount(task.code_train).argmax()))
    if release:
        shares = np.unique(known.subject, return_counts=True)[1].astype(float)
        found["window"] = asdict(release.certificate(shares))
        found["trial"] = asdict(release.certificate_of_trials(known.subject, known.trial))
        # the noise cannot tell the label from the person: the same bound holds for naming the label
        labels = np.unique(known.label, return_counts=True)[1].astype(float)
        found["label_accuracy_at_most"] = release.certificate(labels).accuracy
        found["windows_until_vacuous"] = windows_until(
            level, encoder.features, trial_shares(known.subject, known.trial)
        )
    return found


def windows_until(level: float, dimension: int, shares: np.ndarray) -> int:
    """How many windows of one recording may be released before the bound on naming its person is above 1/2."""
    count = 0
    while certify(noise=level, dimension=dimension, shares=shares, windows=count + 1).accuracy <= USELESS:
        count += 1
    return count


def _fitted(z: np.ndarray, label: np.ndarray) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make_pipeline(StandardScaler(), LogisticRegression(max_iter=200)).fit(z, label)


def table(results: list[dict[str, Any]]) -> list[str]:
    """Markdown: one line a release, means over seeds."""
    lines = [
        "| encoder | noise | F1 known | F1 unknown | label accuracy, at most | worst attacker, window | at most | "
        "worst attacker, trial | at most | windows until above 1/2 | epsilon of a window | seeds |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, level in dict.fromkeys((line["encoder"], line["noise"]) for line in results):
        same = [line for line in results if (line["encoder"], line["noise"]) == (name, level)]
        f1 = [_mean([line[f"f1_{who}_fitted"] for line in same]) for who in ("known", "unknown")]
        worst = [
            _mean([max(one[what] for one in line["attackers"].values()) for line in same])
            for what in ("accuracy", "trial_accuracy")
        ]
        if level:
            first = same[0]
            proven = [f"{first[what]['accuracy']:.3f}" for what in ("window", "trial")]
            label = f"{first['label_accuracy_at_most']:.3f}"
            until, epsilon = f"{first['windows_until_vacuous']}", f"{first['window']['epsilon']:.1f}"
        else:
            proven, label, until, epsilon = ["none", "none"], "", "", ""
        cells = [name, f"{level:g}", *f1, label, worst[0], proven[0], worst[1], proven[1], until, epsilon]
        lines.append("| " + " | ".join(cells) + f" | {len(same)} |")
    return lines


def _mean(values: list[float]) -> str:
    return f"{np.mean(values):.3f}"


if __name__ == "__main__":
    main()
