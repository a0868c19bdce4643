"""Censor: learn a representation that keeps the label and loses the person.

Adversarial feature learning (AFL), similarity confusion training (SCT) and learned similarity matching (LSM),
Iwasawa et al. (JSAI 2018). What it learns is judged by measured leakage; it has no worst-case guarantee.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from keshi._validate import one_of, same_length
from keshi.censoring.encoded import CensoredEncoder, load_weights
from keshi.censoring.encoders import FEATURES, ConvEncoder, LabelHead
from keshi.censoring.games import GAMES, TrainingSet, method_name, refuse_foreign_options
from keshi.censoring.training import (
    SCHEDULES,
    RoundRecord,
    Schedule,
    TrainingStreams,
    play,
    pretrain,
    use_threads,
)
from keshi.errors import DomainError, NotFittedError, RecordsError
from keshi.records.windows import Standardizer


class Censor:
    """Windows of several people -> an encoder that keeps the label and hides the person.

    Args:
        method: "cnn" (no adversary), "afl-mlp", "afl-dnn", "sct" (alias "scl") or "lsm".
        strength: weight of the adversarial term, the paper's lambda; 0 is the control, continued training.
        preset: "paper", "quick", or a training.Schedule of your own.
        rounds: rounds of the two alternating steps; those of the preset by default.
        seed: fixes weights, batches, pairs and dropout; with `threads` it fixes every byte of the result.
        features: width of z.
        threads: torch threads to use while training.
        guard: end step 2 of a round early once the adversary is fooled; False follows eq. 1 to the letter.
        game_options: further options of the method: target= and, for sct and lsm, pairs=, reduction=.

    Attributes:
        encoder_: the frozen CensoredEncoder.
        pretrained_: the same network before censoring, the plain CNN.
        curve_: one RoundRecord a round.
        warnings_: sentences the user should read.

    Example:
        >>> censor = Censor("sct", strength=1.0, preset="quick").fit(x, y, subject=s)  # doctest: +SKIP
        >>> z = censor.transform(x)  # doctest: +SKIP
    """

    encoder_: CensoredEncoder
    pretrained_: CensoredEncoder
    curve_: tuple[RoundRecord, ...]
    warnings_: tuple[str, ...]

    def __init__(
        self,
        method: str = "sct",
        *,
        strength: float = 1.0,
        preset: str | Schedule = "paper",
        rounds: int | None = None,
        seed: int = 0,
        features: int = FEATURES,
        threads: int = 1,
        guard: bool = True,
        **game_options: Any,
    ) -> None:
        self.method = method_name(method)
        refuse_foreign_options(self.method, game_options)
        if not (np.isfinite(strength) and strength >= 0):
            raise ValueError(f"strength must be a finite number of at least 0, got {strength!r}.")
        if rounds is not None and rounds < 0:
            raise ValueError(f"rounds must be at least 0, got {rounds!r}.")
        self.strength = float(strength)
        self.preset = preset if isinstance(preset, str) else "own"
        schedule = (
            SCHEDULES[one_of("preset", preset, tuple(SCHEDULES))] if isinstance(preset, str) else preset
        )
        self.schedule = schedule if rounds is None else replace(schedule, rounds=rounds)
        self.seed = seed
        self.features = features
        self.threads = threads
        self.guard = guard
        self.game_options = game_options

    def fit(
        self,
        x: np.ndarray,
        y: np.ndarray,
        *,
        subject: np.ndarray,
        start: CensoredEncoder | None = None,
        on_round: Callable[[int, CensoredEncoder], dict[str, float]] | None = None,
        progress: Callable[[str], None] | None = None,
    ) -> Censor:
        """Train for the label, then alternate against the adversary.

        Args:
            x: windows (n, channels, length) in their own units.
            y, subject: label and person of every window (n,).
            start: a frozen encoder to begin with instead of label training, such as another fit's
                `pretrained_`; the result is then the same as if it had been trained here.
            on_round: measures the encoder after every round; what it returns joins the learning curve.
            progress: called with a line of text now and then.

        Raises:
            RecordsError: x is no array of windows, or has missing values.
            DomainError: fewer than two labels or subjects, or `start` does not fit the windows.
        """
        x, y, subject = np.asarray(x), np.asarray(y), np.asarray(subject)
        _check_training_data(x, y, subject)
        labels, label_codes = np.unique(y, return_inverse=True)
        subject_codes = np.unique(subject, return_inverse=True)[1]
        channels, length = x.shape[1:]
        streams = TrainingStreams(self.seed)
        with use_threads(self.threads):
            generator = streams.torch("weights")  # of the first weights, later of the dropout masks
            encoder = ConvEncoder(
                channels, length, features=self.features, dropout=self.schedule.dropout, generator=generator
            )
            head = LabelHead(self.features, len(labels), generator=generator)
            scaler = Standardizer.fit(x) if start is None else start.scaler
            freeze = partial(
                CensoredEncoder.of,
                encoder,
                head,
                scaler=scaler,
                labels=tuple(labels.tolist()),
                channels=channels,
                length=length,
            )
            data = TrainingSet(
                torch.from_numpy(scaler.apply(x)),
                torch.from_numpy(label_codes),
                torch.from_numpy(subject_codes),
            )
            # Made before the long training for the label, so that pairs nobody can form are refused at once.
            make_game = GAMES[self.method]
            game = make_game and make_game(
                data, self.features, generator=streams.torch("adversary"), **self.game_options
            )
            if start is None:
                rng = streams.numpy("pretraining")
                pretrain(encoder, head, data, schedule=self.schedule, rng=rng, progress=progress)
            else:
                _check_start(start, freeze(settings={}))
                load_weights(start, encoder, head)
            pretrained = freeze(settings={**self._settings(), "method": "cnn", "strength": 0.0})

            def measure(number: int) -> dict[str, float]:
                return (
                    on_round(number, freeze(settings=self._settings(rounds_kept=number))) if on_round else {}
                )

            curve: tuple[RoundRecord, ...] = ()
            warnings: tuple[str, ...] = ()
            if game is not None and self.schedule.rounds > 0:
                # Masks restart here, so that a fit from `start` meets the same ones as a whole fit.
                generator.manual_seed(streams.seed("dropout"))
                outcome = play(
                    game,
                    encoder,
                    head,
                    data,
                    strength=self.strength,
                    schedule=self.schedule,
                    streams=streams,
                    guard=self.guard,
                    on_round=measure if on_round else None,
                    progress=progress,
                )
                curve, warnings = outcome.curve, outcome.warnings
        self.pretrained_ = pretrained
        self.encoder_ = freeze(settings=self._settings(rounds_kept=len(curve)))
        self.curve_ = curve
        self.warnings_ = warnings
        return self

    def transform(self, x: np.ndarray) -> np.ndarray:
        """Windows x (n, channels, length) -> z (n, features)."""
        return self._fitted().transform(x)

    def predict(self, x: np.ndarray) -> np.ndarray:
        """The most probable label of every window (n,)."""
        return self._fitted().predict(x)

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """Probability of every label (n, labels)."""
        return self._fitted().predict_proba(x)

    def save(self, path: str | Path) -> None:
        """Write the frozen encoder as a folder; nothing about the training people goes in."""
        self._fitted().save(path)

    @classmethod
    def load(cls, path: str | Path) -> Censor:
        """A fitted Censor from a saved encoder; it transforms and predicts, and can be fitted anew."""
        encoder = CensoredEncoder.load(path)
        made = encoder.settings
        censor = cls(str(made.get("method", "cnn")), strength=float(made.get("strength", 0.0)))
        censor.encoder_ = encoder
        return censor

    def _fitted(self) -> CensoredEncoder:
        if not hasattr(self, "encoder_"):
            raise NotFittedError(
                "this Censor is not fitted yet; call fit(x, y, subject=...) or Censor.load(path)."
            )
        return self.encoder_

    def _settings(self, **more: Any) -> dict[str, Any]:
        return {
            "method": self.method,
            "strength": self.strength,
            "preset": self.preset,
            "seed": self.seed,
            "schedule": asdict(self.schedule),
            "options": dict(self.game_options),
            **more,
        }


def _check_training_data(x: np.ndarray, y: np.ndarray, subject: np.ndarray) -> None:
    if x.ndim != 3 or len(x) == 0:
        raise RecordsError(f"x must be windows (n, channels, length), got an array of shape {x.shape}.")
    same_length(x=x, y=y, subject=subject)
    if not np.isfinite(x).all():
        raise RecordsError("x has missing or infinite values; fill or drop those windows first.")
    for name, values, purpose in (("y", y, "keep"), ("subject", subject, "erase")):
        found = np.unique(values)
        if len(found) < 2:
            raise DomainError(
                f"{name} has only one value ({found[0]!s}) in {len(values)} windows; at least 2 are needed "
                f"to have something to {purpose}."
            )


def _check_start(start: CensoredEncoder, wanted: CensoredEncoder) -> None:
    for name in ("labels", "channels", "length", "features"):
        if getattr(start, name) != getattr(wanted, name):
            raise DomainError(
                f"start= has {name} {getattr(start, name)!r}, these windows need {getattr(wanted, name)!r}; "
                "begin with an encoder of the same data, or without start=."
            )
