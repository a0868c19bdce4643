"""One censoring run from windows to figures: train, attack freshly before and after, compare with a control.

Lives here because only the command line knows both censoring and auditing; `keshi demo` calls it too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from time import process_time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keshi.auditing.identification import Identification
    from keshi.censoring.certified import Certificate, CertifiedEncoder
    from keshi.censoring.encoded import CensoredEncoder
    from keshi.censoring.splits import PeopleSplit
    from keshi.censoring.training import RoundRecord, Schedule
    from keshi.records.windows import Windows

ATTACK_EPOCHS = 30  # at most; early stopping may end it sooner


@dataclass(frozen=True)
class LeakFigures:
    """What one encoder keeps and gives away.

    f1_known, f1_unknown: macro F1 of the label on held-out windows of known people, and on strangers (NaN if
    there are none). attacker: a fresh 800-200 network that names the known people on their held-out windows.
    """

    f1_known: float
    f1_unknown: float
    attacker: Identification


@dataclass(frozen=True)
class CertifiedFigures:
    """The release with noise: what is kept and leaks as measured, beside what no attacker can beat.

    norm, noise: clipping norm, and standard deviation in multiples of it. window, trial: the certificates for one
    window, and for all windows of a held-out recording of usual length.
    """

    norm: float
    noise: float
    figures: LeakFigures
    window: Certificate
    trial: Certificate


@dataclass(frozen=True, eq=False)
class CensoringRun:
    """The frozen result of `run_censoring`.

    before is the plain network, after the censored one, control the plain one after as many further steps
    at strength 0 (None if not asked for). label_only is the rate of naming people from the true label.
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
            "certified": asdict(self.certified) if self.certified else None,
            "learning_curve": [asdict(record) for record in self.curve],
            "warnings": list(self.warnings),
            "cpu_seconds": round(self.cpu_seconds, 1),
        }
        return _without_nan(audit)


def run_censoring(
    windows: Windows,
    *,
    method: str = "sct",
    strength: float = 1.0,
    preset: str | Schedule = "paper",
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
    progress: Callable[[str], None] | None = None,
    **game_options: Any,
) -> CensoringRun:
    """Censor an encoder on the known people's windows and measure it before and after.

    Args:
        windows: of at least three people for figures on strangers; see records.windows.segment.
        method, strength, preset, rounds, seed, guard, threads, game_options: as for censoring.censor.Censor.
        unknown: the strangers; by default the last three tenths of the people.
        split, held_out: how known people's windows are held out, see censoring.splits.split_people.
        most_windows: train on at most so many windows, drawn at random; all by default.
        control: also continue the plain network at strength 0 for as many steps.
        attack_epochs: most epochs of each fresh attacker, which stops early; 30 by default.
        start: an uncensored encoder of an earlier run on the same split, to save its training.
        noise: also measure and certify a release with so much noise, in multiples of the clipping norm, which is the
            median norm of the training windows' features.
    """
    import numpy as np

    from keshi._validate import positive
    from keshi.auditing.identification import label_only_rate
    from keshi.auditing.labels import macro_f1
    from keshi.censoring.censor import Censor
    from keshi.censoring.splits import split_people

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
    if noise is not None:
        positive("noise (--noise)", noise)
    parts = split_people(windows, unknown=unknown, held_out=held_out, kind=split, seed=seed)
    rows = parts.train
    if most_windows is not None and most_windows < len(rows):
        rows = np.sort(np.random.default_rng(seed).choice(rows, most_windows, replace=False))
    train, known, strangers = (windows.take(part) for part in (rows, parts.test_known, parts.test_unknown))
    say(
        f"{len(train):,} training windows of {len(parts.known)} known people, {len(known):,} held out "
        f"({split}); {len(strangers):,} of {len(parts.unknown)} unknown people"
    )

    def label_figures(encoder: CensoredEncoder | CertifiedEncoder) -> dict[str, float]:
        f1 = {"f1_known": macro_f1(known.label, encoder.predict(known.x))}
        if len(strangers):
            f1["f1_unknown"] = macro_f1(strangers.label, encoder.predict(strangers.x))
        return f1

    censor.fit(
        train.x,
        train.label,
        subject=train.subject,
        start=start,
        on_round=lambda number, encoder: label_figures(encoder),
        progress=progress,
    )

    def figures(name: str, encoder: CensoredEncoder | CertifiedEncoder) -> LeakFigures:
        say(f"training a fresh attacker on the representation {name}")
        return LeakFigures(
            **{"f1_unknown": math.nan, **label_figures(encoder)},
            attacker=_attack(
                encoder, train, known, seed=seed, epochs=attack_epochs or ATTACK_EPOCHS, threads=threads
            ),
        )

    before = figures("before censoring", censor.pretrained_)
    is_plain = method == "cnn"
    after = before if is_plain else figures("after censoring", censor.encoder_)
    check = None
    if control and not is_plain:
        say("the control: the same further training at strength 0")
        plain = Censor(method, strength=0.0, **options)
        plain.fit(train.x, train.label, subject=train.subject, start=censor.pretrained_, progress=progress)
        check = figures("of the control", plain.encoder_)
    certified = None
    if noise is not None:
        from keshi.censoring.certified import CertifiedEncoder, clipping_norm

        noisy = CertifiedEncoder(censor.encoder_, clipping_norm(censor.encoder_.transform(train.x)), noise)
        shares = np.unique(known.subject, return_counts=True)[1].astype(float)
        usual = int(np.median(np.unique(known.trial, return_counts=True)[1]))
        certified = CertifiedFigures(
            noisy.norm,
            noise,
            figures("with noise", noisy),
            noisy.certificate(shares),
            noisy.certificate(shares, windows=usual),
        )
    return CensoringRun(
        encoder=censor.encoder_,
        uncensored=censor.pretrained_,
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
    )


def _attack(
    encoder: CensoredEncoder | CertifiedEncoder,
    train: Windows,
    known: Windows,
    *,
    seed: int,
    epochs: int,
    threads: int,
) -> Identification:
    from keshi.auditing.identification import identify
    from keshi.censoring.training import use_threads

    with use_threads(threads):
        return identify(
            encoder.transform(train.x),
            train.subject,
            encoder.transform(known.x),
            known.subject,
            trial_test=known.trial,
            seed=seed + 1,  # not a seed of the training, so that no first weights are shared
            max_epochs=epochs,
        )


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
