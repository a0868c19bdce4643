"""One cell of a sweep, from the plain network of its seed to the measured rounds; goes on from its checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from time import process_time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keshi.censoring.encoded import CensoredEncoder
    from keshi.cli.censor_sweep import Cell, SweepPlan
    from keshi.records.windows import Windows


def plain_network(folder: Path, seed: int) -> Path:
    """Where the encoder stands that every cell of a seed starts from."""
    return folder / "encoders" / f"cnn-0-seed{seed}"


def run_cell(
    windows: Windows,
    folder: Path,
    cell: Cell,
    plan: SweepPlan,
    *,
    threads: int,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Train and measure a cell; what it was and what was found, as plain values."""
    from keshi.censoring.training import use_threads

    with use_threads(threads):  # of the measuring, too: its sums of floats depend on it
        return _run_cell(windows, folder, cell, plan, threads, say)


def _run_cell(
    windows: Windows, folder: Path, cell: Cell, plan: SweepPlan, threads: int, say: Callable[[str], None]
) -> dict[str, Any]:
    from keshi.censoring.censor import Censor
    from keshi.censoring.encoded import CensoredEncoder
    from keshi.censoring.splits import split_people, training_rows
    from keshi.cli.sweep_measures import Measurement

    parts = split_people(
        windows, unknown=plan.unknown, held_out=plan.held_out, kind=plan.split, seed=cell.seed
    )
    rows = training_rows(windows, parts.train, most=plan.most_windows, seed=cell.seed)
    train = windows.take(rows)
    start = plain_network(folder, cell.seed)
    kept = start.parent
    kept.mkdir(exist_ok=True)
    options = {"preset": plan.schedule, "seed": cell.seed, "threads": threads, "guard": plan.guard}

    began = process_time()
    if not start.exists():
        plain = Censor("cnn", **options).fit(  # type: ignore[arg-type]
            train.x, train.label, subject=train.subject, progress=say, checkpoint=folder / "work" / start.name
        )
        _keep(plain.encoder_, start)
    encoder = CensoredEncoder.load(start)
    measure = Measurement(windows, parts, train, plan, cell.seed)
    if cell.method == "cnn":
        points = [{"round": 0, **measure.every_round(encoder, attack=True), **measure.in_full(encoder)}]
        warnings: tuple[str, ...] = ()
        controls = measure.controls(encoder)
    else:

        def after_round(number: int, encoder: CensoredEncoder) -> dict[str, float]:
            last = number == plan.schedule.rounds
            found = measure.every_round(
                encoder, attack=last or number in plan.full_rounds or number % plan.attack_every == 0
            )
            if last or number in plan.full_rounds:
                found |= measure.in_full(encoder)
                _keep(encoder, kept / f"{cell.name}-round{number}")
            return found

        censor = Censor(cell.method, strength=cell.strength, **options, **plan.options(cell.method))  # type: ignore[arg-type]
        censor.fit(
            train.x,
            train.label,
            subject=train.subject,
            start=encoder,
            on_round=after_round,
            progress=say,
            checkpoint=folder / "work" / cell.name,
            checkpoint_every=plan.checkpoint_every,
        )
        points = [
            {**{k: v for k, v in asdict(r).items() if k != "measures"}, **r.measures} for r in censor.curve_
        ]
        warnings, controls = censor.warnings_, {}
    return {
        "split": parts.kind,
        "known": [str(person) for person in parts.known],
        "unknown": [str(person) for person in parts.unknown],
        "training_windows": len(train),
        "points": points,
        "warnings": list(warnings),
        "controls": controls,
        # of this process: less than the whole where the cell was interrupted; the points have their own
        "cpu_seconds": round(process_time() - began, 1),
    }


def _keep(encoder: CensoredEncoder, target: Path) -> None:
    if not target.exists():  # there already where a round is done again after a kill
        encoder.save(target)
