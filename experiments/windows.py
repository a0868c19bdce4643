"""Synthetic sensor windows: what a CNN that learnt from them makes of real people, and what subject-level DP takes.

    KESHI_DATA=path/to/data python experiments/windows.py --sets usc-had watch --epsilon 0.2 1 10 -o windows/
    KESHI_DATA=path/to/data python experiments/windows.py --people 14 100 1000 10000 --epsilon 1 -o windows/
    python experiments/windows.py --quick -o windows/                                     (seconds; made-up recordings)

Each training set (real windows, keshi's copies, and two yardsticks without privacy: the mean window of each class, and
independent entries with the real mean and deviation) is what one CNN learns the activity from; macro-F is on real windows
of known people, from time that was kept aside, and of people that nobody saw. With --people the training set is
windows of that many simulated people, each a real known person with another strength, pace, offset and turn of the
sensor: one window an activity each. Every line of results.jsonl is one run; the page holds traces and spectra.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import f1_score

from keshi.auditing.array_utility import train_and_predict
from keshi.records.column_kinds import Categorical, Window
from keshi.records.domain import Domain
from keshi.records.recordings import read_recordings
from keshi.records.windows import Recording, Windows, segment
from keshi.reports.array_section import traces_section
from keshi.reports.report import Report, write_report
from keshi.synthesis.synthesizer import PearlSynthesizer

ROWS = 10_000  # windows that the CNN learns from, at most
EPOCHS = 10  # of the CNN: windows are few
DELTA = 1e-5
MOST_DRAWN = 6  # releases on the page
KEYS = ("set", "trained on", "people", "epsilon")
DRAWN = 300  # windows of a class whose mean trace and spectrum are shown


@dataclass(frozen=True)
class WindowSet:
    """Recordings and how to cut them. Bounds are the ranges of the sensors.

    Attributes:
        file: Below the data folder.
        label: Its array of activities.
        length: Samples of a window; the next one begins where it ends.
        rate: Samples per second.
        lower, upper: Of each channel.
        unknown: People who are only tested on.
    """

    file: str
    label: str
    length: int
    rate: float
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    unknown: tuple[int, ...]


SETS = {
    "usc-had": WindowSet(
        "usc-had/uschad_all.npz", "activity", 64, 100.0, (-6.0,) * 3 + (-500.0,) * 3, (6.0,) * 3 + (500.0,) * 3, (11, 12, 13, 14)
    ),
    "watch": WindowSet(
        "watch/watch.npz", "y", 64, 50.0, (-8.0,) * 3 + (-20.0,) * 3, (8.0,) * 3 + (20.0,) * 3, (9, 10)
    ),
}  # fmt: skip
QUICK = WindowSet("", "activity", 32, 50.0, (-2.0,) * 2, (2.0,) * 2, (9, 10))


@dataclass(frozen=True)
class Split:
    """Windows (n, length, channels) with label and person: to learn from, and two parts to test on."""

    train: Windows
    known: Windows
    unknown: Windows


def split_people(recordings: Sequence[Recording], chosen: WindowSet) -> Split:
    """Known people's first four fifths of every recording, their last fifth, and everything of unknown people."""
    early, late, other = [], [], []
    for one in recordings:
        if one.subject in chosen.unknown:
            other.append(one)
            continue
        cut = len(one.x) * 4 // 5
        early.append(Recording(one.x[:cut], one.label, one.subject, one.trial))
        late.append(Recording(one.x[cut:], one.label, one.subject, one.trial))
    parts = [segment(part, window=chosen.length, stride=chosen.length, too_short="skip") for part in (early, late, other)]  # fmt: skip
    return Split(*parts)


def made_up_recordings(seed: int = 0) -> list[Recording]:
    """Ten people who walk and run, for --quick."""
    random, at = np.random.default_rng(seed), np.arange(1_000) / 50
    found = []
    for person in range(1, 11):
        for name, hertz in (("walk", 1.0), ("run", 2.5)):
            pace = hertz * random.normal(1, 0.05)
            x = np.column_stack([np.sin(2 * np.pi * pace * at), 0.5 * np.cos(2 * np.pi * pace * at)])
            found.append(Recording((x + random.normal(0, 0.2, x.shape)).astype(np.float32), name, person, 0))
    return found


def simulated_people(real: Windows, chosen: WindowSet, people: int, *, seed: int) -> Windows:
    """One window an activity of each of so many people: a real window, its strength, pace, offset and axes changed.

    Whoever is made this way moves like one of the real people; how strongly people differ is set by hand (a tenth in
    strength, a twentieth in pace, some 15 degrees of the sensor's turn), not found out from data.
    """
    random = np.random.default_rng(seed)
    labels = np.unique(real.label)
    channels, length = real.channels, real.length
    triples = channels // 3
    found = np.empty((people, len(labels), channels, length), dtype=np.float32)
    lower, upper = np.array(chosen.lower), np.array(chosen.upper)
    by_class = {
        (s, c): np.flatnonzero((real.subject == s) & (real.label == c)) for s in real.subjects for c in labels
    }
    for person in range(people):
        strength, pace = np.exp(random.normal(0, 0.1)), np.exp(random.normal(0, 0.05))
        turn = _rotation(random.normal(0, np.radians(15.0), 3))
        offset = random.normal(0, 0.02, channels) * np.repeat((upper - lower) / 8.0, 1)
        places = np.clip((np.arange(length) - length / 2) * pace + length / 2, 0, length - 1)
        whose = real.subjects[random.integers(len(real.subjects))]
        for index, label in enumerate(labels):
            rows = by_class[whose, label]
            rows = rows if len(rows) else np.flatnonzero(real.label == label)
            window = real.x[rows[random.integers(len(rows))]]
            changed = np.stack([np.interp(places, np.arange(length), one) for one in window])
            mean = changed.mean(axis=1, keepdims=True)
            changed = mean + strength * (changed - mean)
            for first in range(0, 3 * triples, 3):
                changed[first : first + 3] = turn @ changed[first : first + 3]
            found[person, index] = np.clip(changed + offset[:, None], lower[:, None], upper[:, None])
    n = people * len(labels)
    who = np.repeat(np.arange(people), len(labels))
    return Windows(
        found.reshape(n, channels, length), np.tile(labels, people), who, who, np.zeros(n, dtype=np.int64)
    )


def _rotation(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    (a, b, c), (sa, sb, sc) = np.cos(angles), np.sin(angles)
    about_x = np.array([[1, 0, 0], [0, a, -sa], [0, sa, a]])
    about_y = np.array([[b, 0, sb], [0, 1, 0], [-sb, 0, b]])
    about_z = np.array([[c, -sc, 0], [sc, c, 0], [0, 0, 1]])
    return about_x @ about_y @ about_z


def class_means(real: Windows, rows: int, random: np.random.Generator) -> tuple[NDArray[Any], NDArray[Any]]:
    """The mean window of the class, again and again, with a little noise so that a CNN has something to learn."""
    label = random.choice(real.label, rows)
    means = {one: real.x[real.label == one].mean(axis=0) for one in np.unique(real.label)}
    x = np.stack([means[one] for one in label])
    return x + random.normal(0, 0.01, x.shape) * real.x.std(axis=(0, 2))[:, None], label


def independent_entries(
    real: Windows, rows: int, random: np.random.Generator
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Every entry by itself, from a Gaussian with the class's own mean and deviation."""
    label = random.choice(real.label, rows)
    of = {
        one: (real.x[real.label == one].mean(axis=0), real.x[real.label == one].std(axis=0))
        for one in np.unique(real.label)
    }
    x = np.stack([of[one][0] for one in label]) + random.normal(size=(rows, *real.x.shape[1:])) * np.stack(
        [of[one][1] for one in label]
    )
    return x, label


def synthesized(
    train: Windows, chosen: WindowSet, *, epsilon: float, subject: bool, rows: int, seed: int
) -> tuple[NDArray[Any], NDArray[Any], str, float]:
    """Keshi's copies, channels first; the statement; CPU seconds from windows to windows."""
    names = [str(one) for one in np.unique(train.label)]
    window = Window(chosen.length, train.channels, chosen.lower, chosen.upper, chosen.rate)
    domain = Domain({"x": window, "label": Categorical(tuple(names))}, label="label", ignore=("person",))
    began = time.process_time()
    table = {"x": np.moveaxis(train.x, 1, 2), "label": train.label.astype(str), "person": train.subject}
    synthesizer = PearlSynthesizer(
        domain=domain,
        epsilon=epsilon,
        delta=DELTA,
        subject="person" if subject else None,
        seed=seed,
        threads=1,
    ).fit(table)
    made = synthesizer.sample(rows)
    x = np.moveaxis(np.stack(made["x"].tolist()), 2, 1)
    return (
        x,
        made["label"].to_numpy().astype(str),
        synthesizer.statement.sentence,
        time.process_time() - began,
    )


def scores(x: NDArray[Any], label: NDArray[Any], split: Split, *, epochs: int, seed: int) -> dict[str, float]:
    """Macro-F of one CNN on known and on unknown people."""
    parts = {"known people": split.known, "unknown people": split.unknown}
    tests = np.concatenate([np.moveaxis(part.x, 1, 2) for part in parts.values()])
    guess, _ = train_and_predict(
        np.moveaxis(x, 1, 2).astype(np.float32), label.astype(str), tests, epochs=epochs, seed=seed
    )
    found, start = {}, 0
    for name, part in parts.items():
        own = guess[start : start + len(part)]
        start += len(part)
        wanted = part.label.astype(str)
        f1 = f1_score(wanted, own, average="macro", labels=np.unique(wanted), zero_division=0.0)
        found[name] = round(float(f1), 4)
    return found


def runs(chosen: argparse.Namespace) -> Iterator[tuple[dict[str, Any], Split, NDArray[Any], NDArray[Any]]]:
    """Every training set of every data set, scored; with the split it belongs to, its windows and their labels."""
    rows, epochs = (500, 20) if chosen.quick else (ROWS, EPOCHS)
    for name in ["made-up"] if chosen.quick else chosen.sets:
        own = QUICK if chosen.quick else SETS[name]
        if chosen.quick:
            recordings = made_up_recordings()
        else:
            recordings = read_recordings(chosen.data / own.file, label=own.label, subject="subject")
        split = split_people(recordings, own)
        for seed in range(chosen.seeds):
            random = np.random.default_rng(seed)
            some = split.train.take(random.permutation(len(split.train))[:rows])
            sets: list[tuple[str, dict[str, Any], Callable[[], tuple[Any, ...]]]] = []
            if not chosen.people:
                sets += [
                    ("real", {}, lambda some=some: (some.x, some.label)),
                    ("independent entries", {}, lambda: independent_entries(split.train, rows, random)),
                    ("class means", {}, lambda: class_means(split.train, rows, random)),
                ]
                for unit in ("window", "person"):
                    for epsilon in chosen.epsilon:
                        sets.append((f"keshi, per {unit}", {"epsilon": epsilon}, _keshi(split.train, own, epsilon, unit, rows, seed)))  # fmt: skip
            for people in chosen.people:
                simulated = simulated_people(split.train, own, people, seed=seed)
                part = simulated.take(random.permutation(len(simulated))[:rows])
                sets.append(("simulated people", {"people": people}, lambda part=part: (part.x, part.label)))
                for epsilon in chosen.epsilon:
                    what = {"epsilon": epsilon, "people": people}
                    sets.append(("keshi, per simulated person", what, _keshi(simulated, own, epsilon, "person", rows, seed)))  # fmt: skip
            for what, more, make in sets:
                x, label, *said = make()
                result = {
                    "set": name,
                    "trained on": what,
                    **more,
                    "seed": seed,
                    "windows": len(x),
                    **scores(x, label, split, epochs=epochs, seed=seed),
                }
                if said:
                    result |= {"statement": said[0], "CPU seconds": round(said[1], 1)}
                yield result, split, x, label


def _keshi(
    train: Windows, own: WindowSet, epsilon: float, unit: str, rows: int, seed: int
) -> Callable[[], tuple[Any, ...]]:
    return lambda: synthesized(train, own, epsilon=epsilon, subject=unit == "person", rows=rows, seed=seed)


def summary(results: Sequence[dict[str, Any]]) -> str:
    """Markdown: macro-F, means over seeds."""
    lines = [
        "| set | trained on | people | epsilon | known people | unknown people | seeds |",
        "|---|---|---|---|---|---|---|",
    ]
    keys = list(dict.fromkeys(tuple(str(one.get(key, "")) for key in KEYS) for one in results))
    for key in keys:
        own = [one for one in results if tuple(str(one.get(name, "")) for name in KEYS) == key]
        figures = [
            f"{np.mean([one[part] for one in own]):.3f}" for part in ("known people", "unknown people")
        ]
        lines.append("| " + " | ".join([*key, *figures, str(len(own))]) + " |")
    return "\n".join(lines)


def by_class(x: NDArray[Any], label: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """(n, length, channels) windows of each class, at most DRAWN."""
    names = label.astype(str)
    return {str(name): np.moveaxis(x[names == name][:DRAWN], 1, 2) for name in np.unique(names)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    data = os.environ.get("KESHI_DATA")
    parser.add_argument("--data", type=Path, default=Path(data) if data else None, help="default: KESHI_DATA")
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS))
    parser.add_argument("--epsilon", type=float, nargs="+", default=[1.0])
    parser.add_argument(
        "--people", type=int, nargs="+", default=[], help="simulated people instead of real ones"
    )
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument(
        "--output", "-o", type=Path, required=True, help="folder of results.jsonl, table and page"
    )
    parser.add_argument(
        "--quick", action="store_true", help="made-up recordings, few windows; no conclusions"
    )
    chosen = parser.parse_args()
    if chosen.data is None and not chosen.quick:
        raise SystemExit("where are the data? Give --data FOLDER or set KESHI_DATA; --quick needs none.")
    chosen.output.mkdir(parents=True, exist_ok=True)
    results, sections = [], []
    with (chosen.output / "results.jsonl").open("a") as lines:
        for result, split, x, label in runs(chosen):
            results.append(result)
            print(json.dumps(result), file=lines, flush=True)
            print(json.dumps(result), flush=True)
            if result["trained on"].startswith("keshi") and result["seed"] == 0:
                title = ", ".join(str(result[key]) for key in KEYS if key in result)
                rate = None if chosen.quick else SETS[result["set"]].rate
                real = by_class(split.train.x, split.train.label)
                section = traces_section("x", real, by_class(x, label), rate=rate)
                sections.append(replace(section, title=f"{title}: traces and spectra"))
    (chosen.output / "table.md").write_text(summary(results) + "\n")
    print(summary(results))
    page = Report(
        title="Real and synthetic windows",
        statement=[one["statement"] for one in results if "statement" in one][:1],
        not_protected=["The real windows: the traces show their exact means. These data sets are public."],
        sections=sections[:MOST_DRAWN],
    )
    write_report(page, chosen.output / "windows.html")


if __name__ == "__main__":
    main()
