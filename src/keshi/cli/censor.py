"""keshi censor: recordings of several people -> an encoder that keeps the label and hides the person."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from keshi.cli.censor_run import CensoringRun

QUICK_WINDOWS = 30_000  # training windows of a quick run


def censor(
    recordings: Path = typer.Argument(help="A USC-HAD folder or zip, a .csv or a .npz of recordings."),
    output: Path = typer.Option(..., "--output", "-o", help="Folder to write: release/ and private/."),
    label: str = typer.Option("label", help="Column or array of the label to keep (USC-HAD knows its own)."),
    subject: str = typer.Option("subject", help="Column or array of the person to erase."),
    trial: str = typer.Option("trial", help="Column or array of the trial, if there is one."),
    channels: str = typer.Option(None, help="Columns of a csv to use, with commas; all others by default."),
    rate: float = typer.Option(None, help="Samples per second, to note where the file does not say it."),
    method: str = typer.Option(
        None,
        help="maxent (goes with preset robust); of the paper: cnn, afl-mlp, afl-dnn, afl-grl, sct, lsm; or hsic.",
    ),
    strength: float = typer.Option(
        None, help="Weight of the adversarial term, 1 by default; lambda in the paper."
    ),
    preset: str = typer.Option(
        None, help="robust or paper; robust by default, paper where --method names one of the paper's."
    ),
    rounds: int = typer.Option(
        None, help="Alternating rounds; the preset's by default (robust 6, paper 30)."
    ),
    seed: int = typer.Option(0, help="Repeats weights, batches, pairs and the split; never the noise."),
    window: int = typer.Option(30, help="Samples per window."),
    stride: int = typer.Option(None, help="Samples between windows; half a window by default."),
    preset_windows: str = typer.Option(None, help="uschad-paper (172,169 windows) or uschad-full (186,307)."),
    unknown: str = typer.Option(None, help="Subjects kept as strangers, with commas; 3 in 10 by default."),
    split: str = typer.Option("blocked", help="How windows are held out: blocked, random (paper), trials."),
    skip_short: bool = typer.Option(False, help="Leave out recordings shorter than a window."),
    target: str = typer.Option(None, help="flip (the paper) or prior (bounded; not for lsm)."),
    pairs: str = typer.Option(None, help="sct, lsm: balanced, natural, cells, conditional."),
    guard: bool = typer.Option(
        True, help="End step 2 once the adversary is fooled; --no-guard is the paper."
    ),
    control: bool = typer.Option(True, help="Also train the control at strength 0."),
    noise: float = typer.Option(
        None,
        help="Also certify a release with so much noise, in multiples of the norm features are clipped to.",
    ),
    max_leak: float = typer.Option(
        None,
        help="Find the most useful encoder whose worst attacker names at most this share of windows, or refuse.",
    ),
    leave_out: str = typer.Option(
        None,
        help="Labels left out of training, with commas: what else the features are good for is tried on them.",
    ),
    use: str = typer.Option(
        None,
        help="Further columns to go on measuring, with commas, such as where the sensor sat or a heart rate: how well "
        "they are read off the features is shown beside F1. Nothing is trained on them, and nothing hides them.",
    ),
    suite: bool = typer.Option(True, help="Try all attackers; --no-suite: the 800-200 network alone."),
    onnx: bool = typer.Option(False, "--onnx", help="Also write release/encoder.onnx (needs keshi[onnx])."),
    quick: bool = typer.Option(
        False, "--quick", help=f"A short schedule on at most {QUICK_WINDOWS:,} windows."
    ),
    threads: int = typer.Option(1, help="Threads of torch; part of what makes a run repeatable."),
    resume: bool = typer.Option(
        False, "--resume", help="Go on with the training that was interrupted, kept beside --output."
    ),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace an earlier run in the output folder."),
    as_json: bool = typer.Option(False, "--json", help="Print the private audit as JSON instead of lines."),
) -> None:
    """Learn a representation that keeps the label and loses the person, and measure what it still leaks.

    A censored encoder has no worst-case guarantee: it is judged by fresh attackers, and a stronger one may
    learn more. release/ holds the encoder; private/ the exact figures, for the owner of the data only. A training
    that was killed goes on with --resume.

    Example: keshi censor USC-HAD/ --quick -o run/
    """
    from keshi._validate import one_of
    from keshi.artifacts.atomic import refuse_to_replace
    from keshi.censoring.schedules import SCHEDULES, preset_of
    from keshi.cli.censor_checkpoint import checkpoint_folder, kept_training
    from keshi.cli.censor_run import run_censoring
    from keshi.cli.recorded_windows import check_window_options, recorded_windows, some_names
    from keshi.errors import ArtifactError

    check_window_options(stride=stride, preset_windows=preset_windows, split=split)
    if preset is not None:
        one_of("preset (--preset)", preset, tuple(SCHEDULES))  # also where --quick replaces it
    left_out = some_names("leave-out", leave_out)
    if max_leak is not None:
        asked = {"--strength": strength, "--noise": noise, "--target": target, "--pairs": pairs, "--use": use}
        asked |= {"--leave-out": leave_out, "--no-suite": None if suite else True}
        asked["--no-control"] = None if control else True
        if given := [name for name, value in asked.items() if value is not None]:
            raise ValueError(
                f"--max-leak chooses the strength by itself, by attackers of its own, and takes no {', '.join(given)}."
            )
    # now, rather than after hours of training
    refuse_to_replace(output, overwrite=overwrite)
    if max_leak is None:
        checkpoint_folder(output, resume=resume)
    elif resume and not sweep_folder(output).exists():
        raise ArtifactError(f"{sweep_folder(output)} holds no interrupted search; leave --resume out.")
    if onnx:
        from keshi.censoring.export import check_can_export

        check_can_export()  # now, too
    windows, strangers = recorded_windows(
        recordings, label=label, subject=subject, trial=trial, channels=channels, rate=rate, window=window,
        stride=stride, preset_windows=preset_windows, unknown=unknown, skip_short=skip_short, uses=use,
    )  # fmt: skip
    options: dict[str, Any] = {
        name: value for name, value in (("target", target), ("pairs", pairs)) if value is not None
    }
    schedule = preset_of(preset, method, quick=quick)
    most = QUICK_WINDOWS if quick else None
    common: dict[str, Any] = {"seed": seed, "unknown": strangers, "split": split, "most_windows": most}
    if max_leak is not None:
        from keshi.cli.censor_budget import strength_under_budget

        choice = strength_under_budget(
            windows, sweep_folder(output), max_leak=max_leak, method=method,
            schedule=schedule, rounds=rounds, guard=guard, threads=threads, progress=_say, **common,
        )  # fmt: skip
        print(_as_json(choice.audit()) if as_json else "\n".join(choice.lines))
        if choice.chosen is None:
            raise typer.Exit(1)
        from keshi.cli.censor_budget import write_choice

        write_choice(choice, output, overwrite=overwrite, onnx=onnx)
        _say(f"wrote {output}/release and {output}/private. Next: keshi inspect {output}/release")
        return
    with kept_training(output, resume=resume) as checkpoint:
        result = run_censoring(
            windows,
            method=method,
            strength=1.0 if strength is None else strength,
            preset=schedule,
            rounds=rounds,
            guard=guard,
            control=control,
            threads=threads,
            noise=noise,
            leave_out=left_out,
            suite=suite,
            progress=_say,
            **common,
            checkpoint=checkpoint,
            **options,
        )
        write_run(result, output, overwrite=overwrite, onnx=onnx)
    print(_as_json(result.audit()) if as_json else "\n".join(result_lines(result)))
    for warning in result.warnings:
        _say(f"warning: {warning}")
    _say(
        f"wrote {output}/release (may be passed on; no worst-case guarantee) and {output}/private (exact "
        f"figures, for you only); {result.cpu_seconds:.0f} CPU seconds. Next: keshi inspect {output}/release"
    )


def sweep_folder(output: Path) -> Path:
    """Where the trainings of --max-leak stand; they go on by themselves, and another budget uses them again."""
    return output.with_name(output.name + ".sweep")


def result_lines(result: CensoringRun) -> list[str]:
    """The result as a few plain lines: what is kept and what leaks, before, after and in the control."""
    columns = [("before", result.before), ("after", result.after)]
    if result.control:
        columns.append(("control", result.control))

    def row(name: str, values: list[str]) -> str:
        return f"{name:<34}" + "".join(f"{value:>22}" for value in values).rstrip()

    def attack(figures: object) -> str:
        a = figures.attacker  # type: ignore[attr-defined]
        return f"{a.accuracy:.3f} [{a.lower:.3f}, {a.upper:.3f}]"

    made = result.encoder.settings
    title = f"{made['method']}, strength {made['strength']:g}, {len(result.curve)} rounds"
    return [
        row(title, [name for name, _ in columns]),
        row("label F1, known people", [f"{f.f1_known:.3f}" for _, f in columns]),
        row("label F1, unknown people", [f"{f.f1_unknown:.3f}" for _, f in columns]),
        row("fresh 800-200 names the person", [attack(f) for _, f in columns]),
        row("  from a trial's held-out windows", [f"{f.attacker.trial_accuracy:.3f}" for _, f in columns]),
        row("  at least so many bits leak", [f"{f.attacker.bits:.2f}" for _, f in columns]),
        *_suite_lines(result, columns, row),
        *_certified_lines(result),
        f"blind guess (majority) {result.majority:.3f}; from the true label alone {result.label_only:.3f}; "
        f"{result.before.attacker.subjects} known people, split {result.split.kind}",
        "No worst-case guarantee: these are measured leaks; a stronger attacker may learn more.",
    ]


def _suite_lines(result: CensoringRun, columns: list[Any], row: Any) -> list[str]:
    """The other attackers, strangers told apart, other uses, and releases without features."""
    lines = []
    for name in result.after.attackers:
        found = [f.attackers.get(name) for _, f in columns]
        lines.append(row(f"  {name}", [f"{one.accuracy:.3f}" if one else "-" for one in found]))
    if lines:
        lines.append(row("worst attacker", [f"{f.worst[1].accuracy:.3f}" for _, f in columns]))
        on_trials = [max(a.trial_accuracy for a in (f.attacker, *f.attackers.values())) for _, f in columns]
        lines.append(row("  best on a trial's held-out windows", [f"{share:.3f}" for share in on_trials]))
        lines.append(row("strangers told apart, EER (0.5 best)", [f"{f.eer:.3f}" for _, f in columns]))
    if result.left_out:
        lines.append(row("left-out labels, F1 of a probe", [f"{f.left_out_f1:.3f}" for _, f in columns]))
        lines.append(
            f"  the same probe on the plain network's softmax alone: {result.softmax_left_out_f1:.3f}"
        )
    lines += _use_lines(result, columns, row)
    if "softmax only" in result.without_features:
        shown = ", ".join(f"{name} {share:.3f}" for name, share in result.without_features.items())
        lines.append(f"worst attacker without features: {shown}")
    return lines + [line for line in (result.better_deal, result.beyond_label) if line]


def _use_lines(result: CensoringRun, columns: list[Any], row: Any) -> list[str]:
    """How well every further column is read off, beside the releases that are no features."""
    lines = []
    for name, first in result.after.uses.items():
        for people in ("known", "unknown"):
            if getattr(first, people) is None:
                continue
            shown = [getattr(f.uses[name], people).score for _, f in columns]
            lines.append(row(f"use {name}, {first.measure}, {people}", [f"{one:.3f}" for one in shown]))
            others = [
                f"{what} {getattr(uses[name], people).score:.3f}"
                for what, uses in result.uses_without_features.items()
            ]
            lines.append(f"  {', '.join(others)}, always the same answer {getattr(first, people).floor:.3f}")
        if first.of_person:
            lines.append(
                f"  {name} is the same in all windows of a person: what hides the person hides it, too."
            )
    return lines


def _certified_lines(result: CensoringRun) -> list[str]:
    """What is measured with noise, beside what is proven."""
    if result.certified is None:
        return []
    c, f = result.certified, result.certified.figures
    # split "trials" holds out whole recordings, which are proven of once
    proven = dict.fromkeys(one.sentence for one in (c.window, c.trial, c.recording))
    return [
        f"with noise of {c.noise:g} clipping norms: label F1 {f.f1_known:.3f}; a fresh attacker names the person in "
        f"{f.attacker.accuracy:.3f} of windows, {f.attacker.trial_accuracy:.3f} of held-out trials",
        *(f"  proven: {sentence}" for sentence in proven),
    ]


def write_run(result: CensoringRun, output: Path, *, overwrite: bool = False, onnx: bool = False) -> None:
    """Write release/ (encoder, rounded learning curve) and private/ (audit.json), all or nothing."""
    from keshi.artifacts import store

    # Losses of training only, and rounded: exact figures on named people stay in private/.
    names = ("label_loss", "adversarial_loss", "adversary_loss", "adversary_uninformed")
    curve = [
        {"round": record.round, **{name: float(f"{getattr(record, name):.3g}") for name in names}}
        for record in result.curve
    ]
    files = {"learning_curve.json": store.json_to_bytes(curve)}
    if onnx:
        from keshi.censoring.export import onnx_bytes

        files["encoder.onnx"] = onnx_bytes(result.encoder)
    if result.certified is not None:
        from keshi.censoring.certified import CERTIFICATE_FILE

        # what is proven depends on how frequent everybody is, which stays in private/
        saved = {"norm": result.certified.norm, "noise": result.certified.noise}
        files[CERTIFICATE_FILE] = store.json_to_bytes(saved)
    output.parent.mkdir(parents=True, exist_ok=True)
    with store.new_folder(output, verb="censor", overwrite=overwrite) as folder:
        (folder / "private").mkdir()
        result.encoder.save(folder / "release", files=files)
        store.write_atomically(folder / "private" / "audit.json", store.json_to_bytes(result.audit()))


def _as_json(audit: dict[str, Any]) -> str:
    import json

    return json.dumps(audit, indent=2)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
