"""keshi demo: both main jobs on real data that ship inside packages, and one report."""

from __future__ import annotations

import hashlib
import math
import shutil
import sys
import textwrap
import time
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    import pandas as pd

    from keshi.cli.censor_run import CensoringRun
    from keshi.reports.report import Section
    from keshi.synthesis.synthesizer import PearlSynthesizer

EPSILON, DELTA = 1.0, 1e-5
QUICK_STEPS = 50
WINDOW = 50  # samples: one second; the next one begins where it ends
RECORD_LEVEL = (
    "Record level: what is protected is one row, that is one person's year. 5,912 people have up to 5 rows each, "
    "so a person with 5 rows is protected less than this sentence says."
)


NO_GUARANTEE = (
    "Sensor: the censored encoder has no worst-case guarantee. Its leaks are measured, and a stronger attacker may "
    "learn more."
)
QUICK = "A quick run, a tenth of the training: it shows that everything works, not how well."


def demo(
    output: Path = typer.Option(
        Path("demo"), "--output", "-o", help="Folder for table/, sensor/ and private/."
    ),
    seed: int = typer.Option(0, "--seed", help="Repeats the training; never the noise."),
    quick: bool = typer.Option(
        False, "--quick", help="A tenth of the training: to see it run, not to judge it."
    ),
) -> None:
    """Synthesize a health table and censor smart-watch recordings: real data, no download, under 6 minutes.

    Example: keshi demo -o demo/
    """
    import torch

    from keshi.artifacts.store import json_to_bytes, new_folder, write_atomically
    from keshi.cli.synthesize import release_card
    from keshi.records.table_output import write_table
    from keshi.reports.report import write_report
    from keshi.reports.synthesis import synthesis_report

    torch.set_num_threads(1)  # small networks: a second thread costs more than it gives
    started = time.perf_counter()
    with new_folder(output, verb="demo", overwrite=True) as folder:
        release, private = folder / "table" / "release", folder / "private"
        for part in (
            release,
            private,
            folder / "sensor" / "release",
        ):  # one release each: only the table's is DP
            part.mkdir(parents=True)
        synthesizer, table_sections = _table_part(seed=seed, quick=quick)
        generator = synthesizer.generator_
        synthesizer.embedding_.save(release / "embedding")
        generator.save(release / "generator")
        write_table(generator.sample_batches(20_000, seed=seed), release / "synthetic.csv")
        statement = generator.statement
        write_atomically(release / "statement.json", json_to_bytes(statement.to_dict()))
        write_atomically(release / "CARD.md", release_card(generator, seed=seed).encode())
        censoring_sections = _sensor_part(folder / "sensor" / "release", private, seed=seed, quick=quick)
        report = synthesis_report(
            "keshi demo: a synthetic table and a censored sensor",
            f"Table: {statement.sentence}",
            [*table_sections, *censoring_sections],
            notes=[RECORD_LEVEL, NO_GUARANTEE, *([QUICK] if quick else [])],
        )
        write_report(report, private / "report.html", private / "report.json")
    _print(f"done in {time.perf_counter() - started:.0f} s. Open {output / 'private' / 'report.html'}")


def _table_part(*, seed: int, quick: bool) -> tuple[PearlSynthesizer, list[Section]]:
    """RAND Health Insurance Experiment at epsilon 1, and its audit."""
    from keshi.cli.progress import progress_bar
    from keshi.cli.synthesize import audit_sections
    from keshi.datasets.randhie import load_randhie
    from keshi.records.domain_file import loads
    from keshi.synthesis.presets import preset_for, with_steps
    from keshi.synthesis.synthesizer import PearlSynthesizer

    text = files("keshi.datasets").joinpath("randhie.toml").read_text(encoding="utf-8")
    domain = loads(text, source="randhie.toml")
    table = load_randhie(subject=True)
    train, test = split_by_hash(table, table["zper"])  # nobody's years fall on both sides
    train, test = train.drop(columns="zper"), test.drop(columns="zper")
    size = f"{len(table):,} records x {len(train.columns)}"
    _print(f"table: RAND Health Insurance Experiment, {size}; 1 person in 5 held out")
    cpu, wall = time.process_time(), time.perf_counter()
    synthesizer = PearlSynthesizer(
        domain=domain,
        epsilon=EPSILON,
        delta=DELTA,
        preset=with_steps(preset_for(domain), QUICK_STEPS if quick else None),
        seed=seed,
    )
    with progress_bar("training") as advance:
        synthesizer.fit(
            train, train_progress=lambda point, total: advance(point.step, total, f"loss {point.loss:.2g}")
        )
    cost = {"CPU seconds": time.process_time() - cpu, "seconds": time.perf_counter() - wall}
    _print(f"  {synthesizer.statement.sentence}")
    _print("  record level: a person has up to 5 rows here, and is protected less than one row is")
    audit, sections = audit_sections(
        synthesizer.sample(len(train)),
        train,
        test,
        domain,
        synthesizer.generator_,
        cost=cost,
        seed=seed,
        quick=quick,
    )
    assert audit.utility is not None
    assert audit.ceiling is not None
    assert audit.floor is not None
    _print(
        f"  classifiers trained on synthetic, tested on real: ROC-AUC {_shown(audit.utility.mean_roc_auc)} "
        f"(trained on real {_shown(audit.ceiling.mean_roc_auc)}, on independent columns "
        f"{_shown(audit.floor.mean_roc_auc)})"
    )
    return synthesizer, sections


def _sensor_part(release: Path, private: Path, *, seed: int, quick: bool) -> list[Section]:
    """Smart-watch exercises: a plain network and preset robust, each against fresh attackers."""
    from keshi.artifacts.store import json_to_bytes, write_atomically
    from keshi.censoring.schedules import SCHEDULES
    from keshi.cli.censor_run import run_censoring
    from keshi.cli.progress import progress_bar
    from keshi.datasets.watch import SAMPLES_PER_SECOND, load_watch
    from keshi.records.windows import Recording, segment

    watch = load_watch()
    recordings = [
        Recording(
            x=series,
            label=watch.exercises[exercise],
            subject=int(subject),
            trial=f"{subject}-{side}-{exercise}",
            rate=SAMPLES_PER_SECOND,
        )
        for series, exercise, subject, side in zip(
            watch.series, watch.exercise, watch.subject, watch.side, strict=True
        )
    ]
    windows = segment(recordings, window=WINDOW, stride=WINDOW)
    _print(
        f"sensor: smart-watch exercises, 10 people x 7 exercises, {len(windows):,} windows of 1 s; "
        "plain network -> preset robust"
    )
    preset, rounds = ("robust-quick", 1) if quick else ("robust", SCHEDULES["robust"].rounds)
    # a line an epoch and a round, of the censored network and of the control, and five between
    lines = 2 * (SCHEDULES[preset].pretrain_epochs + rounds) + 5
    with progress_bar("censoring") as advance:
        count = iter(range(1, 10_000))
        result = run_censoring(
            windows,
            preset=preset,
            rounds=rounds,
            seed=seed,
            suite=not quick,
            progress=lambda line: advance(next(count), lines, textwrap.shorten(line, 28, placeholder="")),
        )
    _print("\n".join(censoring_lines(result)))
    result.encoder.save(release / "encoder")
    write_atomically(private / "censoring.json", json_to_bytes(result.audit()))
    return [censoring_section_of(result)]


def censoring_lines(result: CensoringRun) -> list[str]:
    """What is kept and what leaks: the plain network, the censored one, and the control beside them."""
    assert result.control is not None
    three = (result.before, result.after, result.control)
    lines = []
    for who, key in (("known", "f1_known"), ("unknown", "f1_unknown")):
        before, after, control = (f"{getattr(figures, key):.3f}" for figures in three)
        lines.append(f"  macro-F1, {who} people: {before} -> {after} (control {control})")
    worst = [figures.worst[1] for figures in three]
    before, after, control = (f"{one.accuracy:.3f} [{one.lower:.3f}, {one.upper:.3f}]" for one in worst)
    softmax = result.without_features.get("softmax only")
    others = f"blind guess {result.majority:.3f}" + (f"; softmax alone {softmax:.3f}" if softmax else "")
    lines += [
        f"  worst fresh attacker names the person: {before} -> {after}",
        f"    control, the plain network with as much further training: {control}; {others}; no worst-case guarantee",
    ]
    lines += [f"  {result.better_deal}"] if result.better_deal else []
    return lines + [f"  warning: {warning}" for warning in result.warnings]


def censoring_section_of(result: CensoringRun) -> Section:
    """A censoring run as a section of a report."""
    from keshi.reports.censoring_section import CensoringPoint, censoring_section

    named = [
        ("plain network", result.before),
        ("preset robust", result.after),
        ("control, strength 0", result.control),
    ]
    points = []
    for name, figures in named:
        if figures is None:
            continue
        attacker, worst = figures.worst
        points.append(
            CensoringPoint(
                name,
                figures.f1_known,
                figures.f1_unknown,
                worst.accuracy,
                trial_accuracy=worst.trial_accuracy,
                equal_error_rate=None if math.isnan(figures.eer) else figures.eer,
                attacker=attacker,
            )
        )
    without = {name: share for name, share in result.without_features.items() if name != "majority"}
    text = " ".join(
        [
            "A censored encoder has no worst-case guarantee: these are leaks that were measured, and a stronger "
            "attacker may learn more. Of the attackers that were tried, the one that names most windows counts. The "
            "control is the plain network trained as much longer, without the adversary: only what differs from it is "
            "due to censoring.",
            f"Without any features: {', '.join(f'{name} {share:.3f}' for name, share in without.items())}.",
            *([result.better_deal] if result.better_deal else []),
            *(f"Warning: {warning}" for warning in result.warnings),
        ]
    )
    return censoring_section(points, majority_rate=result.majority, title="Smart-watch exercises", text=text)


def _print(lines: str) -> None:
    """Print lines of result, broken between words where a terminal would break within them."""
    for line in lines.splitlines():
        if sys.stdout.isatty():
            further = " " * (len(line) - len(line.lstrip()) + 2)
            width = shutil.get_terminal_size().columns
            line = textwrap.fill(
                line, width, subsequent_indent=further, break_long_words=False, break_on_hyphens=False
            )
        print(line)


def split_by_hash(table: pd.DataFrame, people: pd.Series) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Training rows, and those of every fifth person held out, by a fixed hash of the person."""
    held = people.map(lambda person: hashlib.sha256(str(person).encode()).digest()[0] % 5 == 0)
    return table[~held].reset_index(drop=True), table[held].reset_index(drop=True)


def _shown(value: float | None) -> str:
    return "inconclusive" if value is None else f"{value:.3f}"
