"""Censor: learn a representation that keeps the label and loses the person.

Preset robust, and the methods of Iwasawa et al. (JSAI 2018): adversarial feature learning (AFL), similarity confusion
training (SCT), learned similarity matching (LSM). Judged by measured leakage; there is no worst-case guarantee.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.exceptions import NotFittedError as SklearnNotFittedError
from sklearn.utils.validation import validate_data

from keshi._validate import nonnegative, nonnegative_integer, one_of, positive_integer, seed_in_range
from keshi.censoring.attributes import as_columns, codes_of, game_over, training_set
from keshi.censoring.encoded import CensoredEncoder, load_weights
from keshi.censoring.encoders import LabelHead, make_encoder
from keshi.censoring.input_checks import labelled_windows, real_numbers, scale, sensitive_column
from keshi.censoring.label_training import pretrain
from keshi.censoring.methods import GAMES, check_options, method_name, refuse_foreign_options
from keshi.censoring.schedules import SCHEDULES, Schedule, preset_of
from keshi.censoring.starts import (
    check_start,
    checkpoint_of,
    keep_start,
    options_to_save,
    saved_options,
    saved_start,
)
from keshi.censoring.training import RoundRecord, TrainingStreams, play, use_threads
from keshi.censoring.window_noise import draw_key, key_of_round
from keshi.errors import ArtifactError, DomainError, NotFittedError
from keshi.records.windows import Standardizer


class _NotFitted(NotFittedError, SklearnNotFittedError):
    """Both keshi's error and the one that scikit-learn's tools look for."""


class Censor(ClassifierMixin, TransformerMixin, BaseEstimator):
    """Windows of several people -> an encoder that keeps the label and hides the person; a scikit-learn estimator.

    Args:
        method: "maxent" (goes with preset robust), "cnn" (no adversary), "afl-mlp", "afl-dnn", "afl-grl" (gradient
            reversal), "sct" (or "scl"; goes with preset paper), "lsm", "hsic" (a kernel, no adversary).
        strength: weight of the adversarial term, the paper's lambda; 0 is the control, continued training.
        preset: "robust", "paper", their short forms "robust-quick" and "quick", or your own schedules.Schedule. None is
            robust, but paper where a method of the paper is named.
        rounds: rounds of the two alternating steps; those of the preset by default.
        seed: fixes weights, batches, pairs and dropout, with `threads` to the byte; never the noise in the features.
        features: width of z; the preset's by default (robust 16, paper 400).
        threads: torch threads to use while training.
        guard: end step 2 of a round early once the adversary is fooled, because the flipped term of eq. 1 has no lower
            bound and can ruin the label while the leak stays. False follows the paper to the letter.
        target: afl-mlp, afl-dnn and sct: "flip" (the paper) or "prior" (bounded).
        pairs, partners, reduction: sct and lsm: see games.PairGame. None is the method's default, here and above.

    Attributes:
        encoder_: the frozen CensoredEncoder.
        pretrained_: the same network before censoring; of preset paper, the plain CNN.
        curve_: one RoundRecord a round.
        warnings_: sentences the user should read.
        classes_: the labels, in the order of `predict_proba`.
        n_features_in_: channels of a window, or columns of a table.

    Example:
        >>> z = Censor(preset="robust").fit(x, y, subject=s).transform(x)  # doctest: +SKIP
    """

    encoder_: CensoredEncoder
    pretrained_: CensoredEncoder
    curve_: tuple[RoundRecord, ...]
    warnings_: tuple[str, ...]

    def __init__(
        self,
        method: str | None = None,
        *,
        strength: float = 1.0,
        preset: str | Schedule | None = None,
        rounds: int | None = None,
        seed: int = 0,
        features: int | None = None,
        threads: int = 1,
        guard: bool = True,
        target: str | None = None,
        pairs: str | None = None,
        partners: str | None = None,
        reduction: str | None = None,
    ) -> None:
        # kept as they come, which is how scikit-learn clones and searches; `check` is the first thing that fit does
        self.method = method
        self.strength = strength
        self.preset = preset
        self.rounds = rounds
        self.seed = seed
        self.features = features
        self.threads = threads
        self.guard = guard
        self.target = target
        self.pairs = pairs
        self.partners = partners
        self.reduction = reduction

    @property
    def schedule(self) -> Schedule:
        """The training schedule that preset, rounds and features amount to."""
        if isinstance(self.preset, Schedule):
            schedule = self.preset
        else:
            name = preset_of(self.preset, self.method)
            schedule = SCHEDULES[one_of("preset", name, tuple(SCHEDULES))]
        if self.rounds is not None:
            schedule = replace(schedule, rounds=nonnegative_integer("rounds", self.rounds))
        if self.features is not None:
            schedule = replace(schedule, features=positive_integer("features", self.features))
        return schedule

    @property
    def game_name(self) -> str:
        """The one name of the method, that of the schedule where none is given."""
        return self.schedule.method if self.method is None else method_name(self.method)

    @property
    def game_options(self) -> dict[str, str]:
        """The options of the method that were given."""
        given = {name: getattr(self, name) for name in ("target", "pairs", "partners", "reduction")}
        return {name: value for name, value in given.items() if value is not None}

    def check(self) -> Censor:
        """Raise ValueError where an option is none, before any data is seen; returns self."""
        name, schedule = self.game_name, self.schedule
        check_options(self.game_options)
        refuse_foreign_options(name, self.game_options)
        if schedule.noise > 0 and schedule.features < 2:
            raise ValueError("features must be at least 2 where they get noise: one alone would always be 0.")
        nonnegative("strength", self.strength)
        if not isinstance(self.guard, bool):
            raise ValueError(f"guard must be True or False, got {self.guard!r}.")
        seed_in_range(self.seed)
        positive_integer("threads", self.threads)
        return self

    def fit(
        self,
        X: Any,
        y: Any,
        *,
        subject: Any = None,
        start: CensoredEncoder | None = None,
        on_round: Callable[[int, CensoredEncoder], dict[str, float]] | None = None,
        progress: Callable[[str], None] | None = None,
        checkpoint: str | Path | None = None,
        checkpoint_every: int = 1,
    ) -> Censor:
        """Train for the label, then alternate against the adversary.

        Args:
            X: windows (n, channels, length) in their own units, or rows of a table (n, columns).
            y: label of every window (n,), text, whole numbers or truth values; numbers come back from `predict` in
                the dtype they had.
            subject: person of every window (n,), or several attributes to erase: a mapping or data frame of columns.
                Numbers with fractions, such as a height, are erased in groups. Not needed for method "cnn".
            start: a frozen encoder to begin with instead of label training, such as another fit's
                `pretrained_`; the result is then the same as if it had been trained here.
            on_round: measures the encoder after every round; what it returns joins the learning curve.
            progress: called with a line of text now and then.
            checkpoint: folder to save the state of the training in, after every epoch for the label and every
                round, and to continue from where an interrupted fit left one; the result is the same as without the
                interruption. It holds the key of the noise.
            checkpoint_every: rounds between two saves.

        Raises:
            ArtifactError: `checkpoint` holds the state of other options or other data.
            RecordsError: x is no array of windows of real numbers, or has missing values.
            DomainError: a label or subject is missing, of mixed types or the same everywhere; labels that are
                no classes or could not be saved (dates); `start` does not fit the windows.
        """
        self.check()
        method, schedule = self.game_name, self.schedule
        x = self._windows(X, fitting=True)
        columns = as_columns(subject)
        # an empty mapping or a column that is None would train an encoder that hides nothing
        if method != "cnn" and (not columns or any(column is None for column in columns.values())):
            raise DomainError(
                f"method {method} needs subject=, the person of every window; without people there is nothing to "
                "erase, which is method='cnn'."
            )
        x, y = labelled_windows(x, y)
        attributes = {name: sensitive_column(name, column, x) for name, column in columns.items()
                      if column is not None}  # fmt: skip
        labels, label_codes = np.unique(y, return_inverse=True)
        codes = {name: codes_of(column) for name, column in attributes.items()}
        channels, length = x.shape[1:]
        streams = TrainingStreams(self.seed)
        with use_threads(self.threads):
            generator = streams.torch("weights")  # of the first weights, later of the dropout masks
            encoder = make_encoder(
                channels, length, features=schedule.features, dropout=schedule.dropout, noise=schedule.noise,
                generator=generator,
            )  # fmt: skip
            with np.errstate(over="ignore", invalid="ignore"):  # refused by scale() below, with a message
                scaler = Standardizer.fit(x) if start is None else start.scaler
            scaled, y_codes = torch.from_numpy(scale(scaler, x)), torch.from_numpy(label_codes)
            data = training_set(scaled, y_codes, codes, weight=schedule.shared)
            shared = 0 if data.shared is None else data.shared.shape[1]
            head = LabelHead(schedule.features, len(labels), shared=shared, generator=generator)
            # Made before the long training for the label, so that pairs nobody can form are refused at once.
            game = game_over(
                codes, data, GAMES[method], features=schedule.features, generator=streams.torch("adversary"),
                **self.game_options,
            )  # fmt: skip
            saved = None
            if checkpoint is not None:
                arrays = (scaled.numpy(), label_codes, *codes.values())
                saved = checkpoint_of(checkpoint, checkpoint_every, self._settings(), start, *arrays)
                start = start or saved_start(saved)
            key = b"" if schedule.noise == 0 else saved.noise_key() if saved else draw_key()

            def freeze(number: int = 0, settings: dict[str, Any] | None = None) -> CensoredEncoder:
                """The two networks as they are after round `number`."""
                return CensoredEncoder.of(
                    encoder,
                    head,
                    scaler=scaler,
                    labels=tuple(labels.tolist()),
                    channels=channels,
                    length=length,
                    settings=self._settings(rounds_kept=number) if settings is None else settings,
                    label_dtype=labels.dtype.str if labels.dtype.kind in "iuf" else None,
                    noise=schedule.noise,
                    noise_key=key_of_round(key, number) if key else b"",
                )

            if start is None:
                pretrain(
                    encoder, head, data, schedule=schedule, rng=streams.numpy("pretraining"), progress=progress,
                    checkpoint=saved and saved.epochs,
                )  # fmt: skip
                if saved is not None:
                    keep_start(saved, freeze)
            else:
                check_start(start, freeze())
                load_weights(start, encoder, head)
            pretrained = freeze(settings=self._settings(method="cnn", strength=0.0, options={}))

            def measure(number: int) -> dict[str, float]:
                return on_round(number, freeze(number)) if on_round else {}

            curve: tuple[RoundRecord, ...] = ()
            warnings: tuple[str, ...] = ()
            if game is not None and schedule.rounds > 0:
                # Masks restart here, so that a fit from `start` meets the same ones as a whole fit.
                generator.manual_seed(streams.seed("dropout"))
                outcome = play(
                    game, encoder, head, data, strength=self.strength, schedule=schedule, streams=streams,
                    guard=self.guard, on_round=measure if on_round else None, progress=progress, checkpoint=saved,
                )  # fmt: skip
                curve, warnings = outcome.curve, outcome.warnings
        self.classes_ = labels
        self.pretrained_ = pretrained
        self.encoder_ = freeze(len(curve))
        self.curve_ = curve
        self.warnings_ = warnings
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Windows X (n, channels, length), or rows of a table, -> z (n, features)."""
        return self._fitted().transform(self._windows(X))

    def predict(self, X: Any) -> np.ndarray:
        """The most probable label of every window (n,)."""
        return self._fitted().predict(self._windows(X))

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probability of every label (n, labels)."""
        return self._fitted().predict_proba(self._windows(X))

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the columns of z, for set_output(transform="pandas")."""
        return np.array([f"censor{number}" for number in range(self._fitted().features)], dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []  # z is float32 always
        with suppress(ValueError):  # of a wrong option, which fit names
            tags.non_deterministic = self.schedule.noise > 0  # a fit has noise of its own, whatever the seed
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "encoder_")

    def _windows(self, X: Any, *, fitting: bool = False) -> np.ndarray:
        """X as windows; rows of a table are windows of one sample, checked as scikit-learn does."""
        if not fitting:
            self._fitted()
        if not hasattr(X, "ndim") and not hasattr(X, "columns"):
            X = real_numbers(X)  # nested lists
        if X.ndim < 3:
            return validate_data(self, X, reset=fitting, dtype=np.float64)[:, :, None]
        x = real_numbers(X)
        if fitting and x.ndim == 3:
            self.n_features_in_ = x.shape[1]
            self.__dict__.pop("feature_names_in_", None)  # of an earlier fit on a data frame
        return x

    def save(self, path: str | Path) -> None:
        """Write the frozen encoder as a folder; nothing about the training people goes in."""
        self._fitted().save(path)

    @classmethod
    def load(cls, path: str | Path) -> Censor:
        """A fitted Censor from a saved encoder, with the options it was made with.

        It transforms and predicts; fitted anew on the same windows it gives the same weights.

        Raises:
            ArtifactError: the folder is not a censored encoder, or its settings are none of a Censor.
        """
        encoder = CensoredEncoder.load(path)
        try:
            censor = cls(**saved_options(encoder)).check()
        except (TypeError, ValueError) as error:
            raise ArtifactError(f"{path} was saved with options that no Censor has: {error}") from error
        censor.encoder_ = encoder
        censor.classes_ = np.array(encoder.labels, dtype=encoder.label_dtype)
        censor.n_features_in_ = encoder.channels
        return censor

    def _fitted(self) -> CensoredEncoder:
        if not hasattr(self, "encoder_"):
            raise _NotFitted(
                "this Censor is not fitted yet; call fit(x, y, subject=...) or Censor.load(path)."
            )
        return self.encoder_

    def _settings(self, **more: Any) -> dict[str, Any]:
        preset = "own" if isinstance(self.preset, Schedule) else preset_of(self.preset, self.method)
        return (
            options_to_save(self.get_params(), self.schedule, self.game_name, preset, self.game_options)
            | more
        )
