"""One censoring run from windows to figures: train, attack freshly before and after, compare with a control.

Lives here because only the command line knows both censoring and auditing; `keshi demo` calls it too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from time import process_time
from typing import TYPE_CHECKING, Any

from keshi.cli.censor_figures import FEW, LeakFigures, Measurement

if TYPE_CHECKING:
    from keshi.auditing.use_probe import UseFigures
    from keshi.censoring.certified import Certificate, CertifiedEncoder
    from keshi.censoring.encoded import CensoredEncoder
    from keshi.censoring.splits import PeopleSplit
    from keshi.censoring.training import RoundRecord, Schedule
    from keshi.records.windows import Windows

MARGIN = 0.02  # of F1 or R2: less is within what another seed gives
ATTACK_EPOCHS = 30  # at most; early stopping may end it sooner


@dataclass(frozen=True)
class CertifiedFigures:
    """The release with noise: what is kept and leaks as measured, beside what no attacker can beat.

    norm, noise: clipping norm, and standard deviation in multiples of it. window, trial, recording: the certificates
    for one window, for the held-out windows of a trial of usual length, and for all windows of one.
    """

    norm: float
    noise: float
    figures: LeakFigures
    window: Certificate
    trial: Certificate
    recording: Certificate


@dataclass(frozen=True, eq=False)
class CensoringRun:
    """The frozen result of `run_censoring`.

    before is the plain network, after the censored one, control the plain one after as many further steps
    at strength 0 (None if not asked for). label_only is the rate of naming people from the true label; without_features
    has it too, and what the worst attacker reaches on other releases that are no features. softmax_left_out_f1 is the
    probe on left-out labels from the plain network's probabilities alone; uses_without_features what a probe reads
    of further columns off them, and off the raw window.
    """

    encoder: CensoredEncoder
    uncensored: CensoredEncoder
    before: LeakFigures
    after: LeakFigures
    control: LeakFigures | None
    label_only: float
    curve: tuple[RoundRecord, ...]
    warnings: tuple[str, ...]
    split: PeopleSplit
    training_windows: int
    cpu_seconds: float
    certified: CertifiedFigures | None = None
    without_features: dict[str, float] = field(default_factory=dict)
    left_out: tuple = ()
    softmax_left_out_f1: float = math.nan
    uses_without_features: dict[str, dict[str, UseFigures]] = field(default_factory=dict)

    @property
    def better_deal(self) -> str | None:
        """A sentence where releasing predictions serves the label as well and leaks no more; else None."""
        leak = self.after.worst[1].accuracy
        for name in ("softmax only", "predicted label only"):
            if self.without_features.get(name, math.inf) <= leak:
                return (
                    f"If the label is all that is wanted, release the {name.removesuffix(' only')} instead: it names "
                    f"{self.without_features[name]:.3f} of the windows' people, the features {leak:.3f}."
                )
        return None

    @property
    def beyond_label(self) -> str | None:
        """What the features serve beyond the label, beside the softmax; None where no other use was measured."""
        people = "known" if math.isnan(self.after.f1_unknown) else "unknown"
        without = self.uses_without_features.get("softmax only", {})
        served = {
            name: (getattr(uses, people).score, getattr(without[name], people).score)
            for name, uses in self.after.uses.items()
            if not uses.of_person
        }
        if self.left_out:
            served["left-out labels"] = (self.after.left_out_f1, self.softmax_left_out_f1)
        if not served:
            return None
        better = {name: two for name, two in served.items() if two[0] > two[1] + MARGIN}
        shown = ", ".join(
            f"{name} {z:.3f} (softmax {softmax:.3f})" for name, (z, softmax) in (better or served).items()
        )
        if better:
            return f"Beyond the label the features serve better than the softmax: {shown}."
        return f"Beyond the label the features serve no better than the softmax: {shown}."

    @property
    def majority(self) -> float:
        """Share of held-out windows of the person most frequent in training: what a blind guess reaches."""
        return self.before.attacker.majority

    def audit(self) -> dict[str, Any]:
        """Every exact figure, for the owner of the data only; NaN becomes None for JSON."""
        figures = {"before": self.before, "after": self.after, "control": self.control}
        audit = {
            "training": dict(self.encoder.settings),
            "split": self.split.kind,
            "known_people": [str(person) for person in self.split.known],
            "unknown_people": [str(person) for person in self.split.unknown],
            "training_windows": self.training_windows,
            **{name: asdict(value) if value else None for name, value in figures.items()},
            "majority": self.majority,
            "label_only": self.label_only,
            "without_features": self.without_features,
            "left_out_labels": [str(label) for label in self.left_out],
            "softmax_left_out_f1": self.softmax_left_out_f1,
            "uses_without_features": {
                what: {name: asdict(one) for name, one in uses.items()}
                for what, uses in self.uses_without_features.items()
            },
            "certified": asdict(self.certified) if self.certified else None,
            "learning_curve": [asdict(record) for record in self.curve],
            "warnings": list(self.warnings),
            "cpu_seconds": round(self.cpu_seconds, 1),
        }
        return _without_nan(audit)


def run_censoring(
    windows: Windows,
    *,
    method: str | None = None,
    strength: float = 1.0,
    preset: str | Schedule | None = None,
    rounds: int | None = None,
    seed: int = 0,
    unknown: Sequence | None = None,
    split: str = "blocked",
    held_out: float = 0.1,
    most_windows: int | None = None,
    guard: bool = True,
    control: bool = True,
    attack_epochs: int | None = None,
    start: CensoredEncoder | None = None,
    threads: int = 1,
    noise: float | None = None,
    leave_out: Sequence = (),
    suite: bool = True,
    progress: Callable[[str], None] | None = None,
    checkpoint: Path | None = None,
    **game_options: Any,
) -> CensoringRun:
    """Censor an encoder on the known people's windows and measure it before and after.

    Args:
        windows: of at least three people for figures on strangers; see records.windows.segment. Every column in
            `further` is a use to measure: nothing is trained on it, a linear probe reads it off every release.
        method, strength, preset, rounds, seed, guard, threads, game_options: as for censoring.censor.Censor.
        unknown: the strangers; by default the last three tenths of the people.
        split, held_out: how known people's windows are held out, see censoring.splits.split_people.
        most_windows: train on at most so many windows, drawn at random; all by default.
        control: also continue the plain network at strength 0 for as many steps.
        attack_epochs: most epochs of each fresh attacker, which stops early; 30 by default.
        start: an uncensored encoder of an earlier run on the same split, to save its training.
        noise: also measure and certify a release with so much noise, in multiples of the clipping norm, which is the
            median norm of the training windows' features.
        leave_out: labels that nothing is trained or measured for, but a probe: what else the features are good for.
        suite: try all attackers, and the releases without features; False: the 800-200 network alone.
        checkpoint: folder to save the state of every training in, and to go on from where a run was interrupted; the
            result is the same as without the interruption. The attackers are always trained afresh.

    Before censoring means the plain network: of preset robust that is one of the paper's width, without noise, trained
    on the same schedule; the control goes on with it for as many updates.
    """
    import numpy as np

    from keshi.auditing.few_shot import check_few_shot
    from keshi.auditing.identification import label_only_rate
    from keshi.auditing.use_probe import check_uses
    from keshi.censoring.censor import Censor
    from keshi.censoring.certified import check_noise
    from keshi.censoring.splits import split_people, training_rows
    from keshi.cli.censor_checkpoint import check_same
    from keshi.errors import DomainError

    began = process_time()
    say = progress or (lambda line: None)
    options: dict[str, Any] = {
        "preset": preset,
        "rounds": rounds,
        "seed": seed,
        "threads": threads,
        "guard": guard,
        **game_options,
    }
    censor = Censor(method, strength=strength, **options).check()
    whole = windows
    if noise is not None:
        check_noise("noise (--noise)", noise)
    elsewhere = None
    if len(leave_out):
        if absent := sorted({str(one) for one in leave_out} - {str(one) for one in np.unique(windows.label)}):
            raise DomainError(
                f"labels to leave out {absent} do not occur; the labels are {np.unique(windows.label).tolist()}."
            )
        out = np.isin(windows.label.astype(str), [str(one) for one in leave_out])
        elsewhere, windows = windows.take(out), windows.take(~out)
        try:
            check_few_shot(elsewhere.label, trial=elsewhere.trial, per_class=FEW)
        except DomainError as error:
            raise DomainError(f"{error} Leave out others (--leave-out).") from error
    check_uses(windows.further, windows.subject)
    parts = split_people(windows, unknown=unknown, held_out=held_out, kind=split, seed=seed)
    rows = training_rows(windows, parts.train, most=most_windows, seed=seed)
    train, known, strangers = (windows.take(part) for part in (rows, parts.test_known, parts.test_unknown))
    say(
        f"{len(train):,} training windows of {len(parts.known)} known people, {len(known):,} held out "
        f"({split}); {len(strangers):,} of {len(parts.unknown)} unknown people"
    )
    epochs = attack_epochs or ATTACK_EPOCHS
    if checkpoint is not None:
        shaping: dict[str, Any] = {
            "method": censor.game_name, "strength": strength, **asdict(censor.schedule), "seed": seed,
            "threads": threads, "guard": guard, **game_options, "control": control, "split": split,
            "held out": held_out, "unknown": None if unknown is None else [str(one) for one in unknown],
            "most windows": most_windows, "leave out": sorted(str(one) for one in leave_out),
        }  # fmt: skip
        check_same(checkpoint, shaping, whole)
    measurement = Measurement(train, known, strangers, elsewhere, seed, epochs, threads, suite)
    censor.fit(
        train.x,
        train.label,
        subject=train.subject,
        start=start,
        on_round=lambda number, encoder: measurement.label_f1(encoder),
        progress=progress,
        checkpoint=checkpoint and checkpoint / "censored",
    )

    def figures(name: str, encoder: CensoredEncoder | CertifiedEncoder) -> LeakFigures:
        say(f"training fresh attackers on the representation {name}")
        return measurement.of(encoder)

    is_plain = censor.game_name == "cnn"
    has_noise = censor.schedule.noise > 0
    uncensored, last = censor.pretrained_, None
    if not is_plain and (control or has_noise):
        say("the control: the plain network, with as much further training at strength 0")
        rounds_of_it = censor.schedule.rounds if control else 0
        wide = {"preset": replace(censor.schedule.plain, rounds=rounds_of_it), "rounds": None}
        plain = Censor(censor.game_name, strength=0.0, **{**options, **(wide if has_noise else {})})
        plain.fit(
            train.x,
            train.label,
            subject=train.subject,
            start=None if has_noise else censor.pretrained_,
            progress=progress,
            checkpoint=checkpoint and checkpoint / "control",
        )
        uncensored, last = plain.pretrained_, plain.encoder_
    before = figures("before censoring", uncensored)
    after = before if is_plain else figures("after censoring", censor.encoder_)
    check = figures("of the control", last) if control and last is not None else None
    without = measurement.without_features(uncensored)
    certified = None
    if noise is not None:
        from keshi.censoring.certified import CertifiedEncoder, clipping_norm

        noisy = CertifiedEncoder(censor.encoder_, clipping_norm(censor.encoder_.transform(train.x)), noise)
        shares = np.unique(known.subject, return_counts=True)[1].astype(float)
        recordings = windows.take(np.isin(windows.subject, parts.known))
        certified = CertifiedFigures(
            noisy.norm,
            noise,
            figures("with noise", noisy),
            noisy.certificate(shares),
            noisy.certificate_of_trials(known.subject, known.trial),
            noisy.certificate_of_trials(recordings.subject, recordings.trial),
        )
    return CensoringRun(
        encoder=censor.encoder_,
        uncensored=uncensored,
        before=before,
        after=after,
        control=check,
        label_only=label_only_rate(train.label, train.subject, known.label, known.subject),
        curve=censor.curve_,
        warnings=censor.warnings_,
        split=parts,
        training_windows=len(train),
        cpu_seconds=process_time() - began,
        certified=certified,
        without_features={"majority": before.attacker.majority, **without},
        left_out=tuple(leave_out),
        softmax_left_out_f1=measurement.softmax_left_out_f1(uncensored),
        uses_without_features=measurement.uses_without_features(uncensored),
    )


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
