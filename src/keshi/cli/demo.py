"""keshi demo: both main jobs on real data that ship inside packages, and one report."""

from __future__ import annotations

import hashlib
import time
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    import pandas as pd

    from keshi.reports.report import Section
    from keshi.synthesis.synthesizer import PearlSynthesizer

EPSILON, DELTA = 1.0, 1e-5
QUICK_STEPS = 50
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
    from keshi.records.files import write_table
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
    print(f"done in {time.perf_counter() - started:.0f} s. Open {output / 'private' / 'report.html'}")


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
    print(f"table: RAND Health Insurance Experiment, {size}; 1 person in 5 held out")
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
    print(f"  {synthesizer.statement.sentence}")
    print("  record level: a person has up to 5 rows here, and is protected less than one row is")
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
    print(
        f"  classifiers trained on synthetic, tested on real: ROC-AUC {_shown(audit.utility.mean_roc_auc)} "
        f"(trained on real {_shown(audit.ceiling.mean_roc_auc)}, on independent columns "
        f"{_shown(audit.floor.mean_roc_auc)})"
    )
    return synthesizer, sections


def _sensor_part(release: Path, private: Path, *, seed: int, quick: bool) -> list[Section]:
    """Smart-watch exercises: the CNN, then SCT, each against a fresh attacker."""
    from keshi.artifacts.store import json_to_bytes, write_atomically
    from keshi.cli.censor_run import run_censoring
    from keshi.cli.progress import progress_bar
    from keshi.datasets.watch import load_watch
    from keshi.records.windows import Recording, segment

    watch = load_watch()
    recordings = [
        Recording(
            x=series,
            label=watch.exercises[exercise],
            subject=int(subject),
            trial=f"{subject}-{side}-{exercise}",
            rate=50.0,
        )
        for series, exercise, subject, side in zip(
            watch.series, watch.exercise, watch.subject, watch.side, strict=True
        )
    ]
    windows = segment(recordings, window=100, stride=50)
    print(f"sensor: smart-watch exercises, 10 people x 7 exercises, {len(windows):,} windows of 2 s")
    with progress_bar("censoring") as advance:
        count = iter(range(1, 10_000))
        result = run_censoring(
            windows,
            method="sct",
            strength=1.0,
            preset="quick",
            rounds=2 if quick else None,
            seed=seed,
            suite=False,
            progress=lambda line: advance(next(count), None, line[:60]),
        )
    assert result.control is not None
    for what, key in (("known", "f1_known"), ("unknown", "f1_unknown")):
        before, after, control = (getattr(f, key) for f in (result.before, result.after, result.control))
        print(
            f"  macro-F1, {what} people: {before:.3f} -> {after:.3f} after SCT (as long without SCT: {control:.3f})"
        )
    attacks = [f.attacker for f in (result.before, result.after, result.control)]
    shown = [f"{a.accuracy:.3f} [{a.lower:.3f}, {a.upper:.3f}]" for a in attacks]
    print(
        f"  a fresh attacker names the person: {shown[0]} -> {shown[1]} (without SCT: {shown[2]}; blind guess "
        f"{result.majority:.3f}); no worst-case guarantee"
    )
    for warning in result.warnings:
        print(f"  warning: {warning}")
    result.encoder.save(release / "encoder")
    write_atomically(private / "censoring.json", json_to_bytes(result.audit()))
    return [censoring_section_of(result)]


def censoring_section_of(result: Any) -> Section:
    """A censoring run as a section of a report."""
    from keshi.reports.censoring_section import CensoringPoint, censoring_section

    named = [("before", result.before), ("after SCT", result.after), ("control, strength 0", result.control)]
    points = [
        CensoringPoint(
            name,
            figures.f1_known,
            figures.f1_unknown,
            figures.attacker.accuracy,
            trial_accuracy=figures.attacker.trial_accuracy,
            attacker="fresh 800-200 network",
        )
        for name, figures in named
        if figures is not None
    ]
    text = " ".join(
        [
            "A censored encoder has no worst-case guarantee: these are leaks that were measured, and a stronger "
            "attacker may learn more. The control is the plain network trained as much longer, without the adversary: "
            "only what differs from it is due to censoring.",
            *(f"Warning: {warning}" for warning in result.warnings),
        ]
    )
    return censoring_section(points, majority_rate=result.majority, title="Smart-watch exercises", text=text)


def split_by_hash(table: pd.DataFrame, people: pd.Series) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Training rows, and those of every fifth person held out, by a fixed hash of the person."""
    held = people.map(lambda person: hashlib.sha256(str(person).encode()).digest()[0] % 5 == 0)
    return table[~held].reset_index(drop=True), table[held].reset_index(drop=True)


def _shown(value: float | None) -> str:
    return "inconclusive" if value is None else f"{value:.3f}"
