"""keshi sweep: methods x strengths x seeds on one split, resumable, with the paper's figures."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from keshi.cli.censor_sweep import METHODS, RESULTS_FILE, STRENGTHS

PAPER_STRENGTHS = ",".join(map(str, STRENGTHS))
MEASURED_ROUNDS = 6  # of a training: after so many of them comes a fresh attacker
QUICK_WINDOWS = 30_000  # training windows of a quick sweep


def sweep(
    recordings: Path = typer.Argument(help="A USC-HAD folder or zip, a .csv or a .npz of recordings."),
    output: Path = typer.Option(..., "--output", "-o", help="Folder of results, checkpoints and figures."),
    label: str = typer.Option("label", help="Column or array of the label to keep (USC-HAD knows its own)."),
    subject: str = typer.Option("subject", help="Column or array of the person to erase."),
    trial: str = typer.Option("trial", help="Column or array of the trial, if there is one."),
    channels: str = typer.Option(None, help="Columns of a csv to use, with commas; all others by default."),
    rate: float = typer.Option(None, help="Samples per second, to note where the file does not say it."),
    methods: str = typer.Option(",".join(METHODS), help="With commas."),
    strengths: str = typer.Option(PAPER_STRENGTHS, help="With commas; 0, the control, is always there."),
    preset: str = typer.Option("paper", help="paper, quick, robust or robust-quick."),
    rounds: int = typer.Option(None, help="Alternating rounds; the preset's by default."),
    batch: int = typer.Option(
        None, help="Samples a step, by the square-root rule: 400 costs a third less than the paper's 100."
    ),
    seed: int = typer.Option(0, help="Of weights, batches, pairs and the split; never of the noise."),
    further_seeds: str = typer.Option(
        "", help="With commas; at strength 1, its control and the plain network."
    ),
    window: int = typer.Option(30, help="Samples per window."),
    stride: int = typer.Option(None, help="Samples between windows; half a window by default."),
    preset_windows: str = typer.Option(None, help="uschad-paper (172,169 windows) or uschad-full (186,307)."),
    unknown: str = typer.Option(None, help="Subjects kept as strangers, with commas; 3 in 10 by default."),
    split: str = typer.Option("random", help="How windows are held out: random (paper), blocked, trials."),
    skip_short: bool = typer.Option(False, help="Leave out recordings shorter than a window."),
    quick: bool = typer.Option(
        False, "--quick", help=f"The quick schedule on at most {QUICK_WINDOWS:,} windows."
    ),
    jobs: int = typer.Option(1, help="Trainings at the same time, each in a process; the same points."),
    threads: int = typer.Option(
        1, help="Threads of torch in each training; part of what makes a run repeatable."
    ),
    also: list[Path] = typer.Option(
        [],
        help="Folder of the same sweep on another machine: not trained again, drawn with this one's. Repeatable.",
    ),
) -> None:
    """Train every method at every strength and draw what each keeps against what it leaks.

    Hours with preset paper; kill it and start it again as you like, with more or fewer --jobs. output/results.jsonl
    has every round, on exact figures of named people: for the owner of the data only, as are the figures.

    Example: keshi sweep USC-HAD/ --methods cnn,sct --strengths 1 --quick -o sweep/
    """
    from dataclasses import replace

    from keshi._validate import nonnegative, nonnegative_integer, one_of, positive_integer, seed_in_range
    from keshi.censoring.methods import method_name
    from keshi.censoring.schedules import SCHEDULES, preset_of
    from keshi.cli.censor_sweep import SweepPlan, check_sweep_folder, run_sweep, sweep_cells
    from keshi.cli.recorded_windows import check_window_options, names, recorded_windows
    from keshi.reports.sweep import write_sweep_report

    check_sweep_folder(output)  # now, rather than after the recordings are read
    check_window_options(stride=stride, preset_windows=preset_windows, split=split)
    positive_integer("jobs (--jobs)", jobs)
    chosen = [method_name(name) for name in names(methods) or ()]
    if not set(chosen) - {"cnn"}:
        raise ValueError("methods (--methods) must name at least one method with an adversary beside cnn.")
    numbers = [
        nonnegative("strengths (--strengths)", float(_number("strengths (--strengths)", text)))
        for text in names(strengths) or ()
    ]
    seeds = [
        seed_in_range(_number("further-seeds (--further-seeds)", text))  # type: ignore[arg-type]
        for text in names(further_seeds) or ()
    ]
    seed_in_range(seed)
    positive_integer("threads (--threads)", threads)
    schedule = SCHEDULES[preset_of(one_of("preset (--preset)", preset, tuple(SCHEDULES)), None, quick=quick)]
    if rounds is not None:
        schedule = replace(schedule, rounds=nonnegative_integer("rounds (--rounds)", rounds))
    if batch is not None:
        schedule = schedule.in_batches_of(positive_integer("batch (--batch)", batch))
    windows, strangers = recorded_windows(
        recordings, label=label, subject=subject, trial=trial, channels=channels, rate=rate, window=window,
        stride=stride, preset_windows=preset_windows, unknown=unknown, skip_short=skip_short,
    )  # fmt: skip
    plan = SweepPlan(
        schedule,
        split=split,
        unknown=strangers,
        most_windows=QUICK_WINDOWS if quick else None,
        attack_every=max(1, schedule.rounds // MEASURED_ROUNDS),
        full_rounds=(max(1, schedule.rounds // 3), schedule.rounds),
    )
    cells = sweep_cells(
        methods=list(dict.fromkeys(["cnn", *chosen])),
        strengths=numbers,
        seeds=(seed,),
        further_seeds=seeds,
    )
    results = run_sweep(windows, output, cells, plan, also=also, jobs=jobs, threads=threads, progress=_say)
    for file in write_sweep_report(results, output / "figures", planned=numbers):
        print(file)
    files = ", ".join(str(folder / RESULTS_FILE) for folder in (output, *also))
    _say(f"{len(results)} trainings in {files}; no worst-case guarantee. Read figures/claims.md")


def _number(name: str, text: str) -> float | int:
    """One number of a list with commas; which option has none is said."""
    try:
        return int(text) if text.lstrip("+-").isdigit() else float(text)
    except ValueError:
        raise ValueError(f"{name} must be numbers with commas between them, got {text!r}.") from None


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
