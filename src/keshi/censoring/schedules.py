"""How long and how fast to train, and what leaves the encoder: the presets.

Preset `paper` is Iwasawa et al. (JSAI 2018) to the letter; preset `robust` is what withstands fresh attackers: few
features, noise added to them in training and at release, and a bounded adversary (docs/explanation/censoring.md).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from keshi._validate import in_range, nonnegative, nonnegative_integer, positive, positive_integer

FEATURES = 400  # Yang et al. (IJCAI 2015, Fig. 1)


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train. `iterations` is per step; batches of pairs count pairs.

    Where `noise` is above 0, every window's features are scaled to mean 0 and mean square 1, and get Gaussian noise of
    this standard deviation, in training (from the seed) and whenever they leave the encoder (never from it, see
    window_noise.py). `shared` is the weight of the descriptors that all people share (shared.py), for cnn, afl and
    maxent.
    """

    pretrain_epochs: int = 15  # not given; by then the loss on USC-HAD falls by under 2 % an epoch
    pretrain_rate: float = 1e-4  # Adam
    pretrain_batch_size: int = 100
    rounds: int = 30
    iterations: int = 2000  # 200,000 samples in batches of 100
    batch_size: int = 100
    encoder_rate: float = 2.5e-5  # RMSprop
    adversary_rate: float = 2.5e-5  # RMSprop
    smoothing: float = 0.99  # of RMSprop's mean square; torch's default, the paper names none
    dropout: float = 0.2  # not given in the paper
    features: int = FEATURES
    noise: float = 0.0
    shared: float = 0.0
    decay: bool = False  # the encoder's rate falls over the rounds, along half a cosine

    def __post_init__(self) -> None:
        for name in ("pretrain_epochs", "pretrain_batch_size", "iterations", "batch_size", "features"):
            positive_integer(name, getattr(self, name))
        for name in ("pretrain_rate", "encoder_rate", "adversary_rate"):
            positive(name, getattr(self, name))
        nonnegative_integer("rounds", self.rounds)
        nonnegative("noise", self.noise)
        nonnegative("shared", self.shared)
        if in_range("smoothing", self.smoothing, 0.0, 1.0) == 1:
            raise ValueError("smoothing must lie below 1, got 1: the mean square would never change.")
        if in_range("dropout", self.dropout, 0.0, 1.0) == 1:
            raise ValueError("dropout must lie below 1, got 1: nothing would be left to learn from.")

    def in_batches_of(self, size: int) -> Schedule:
        """The same training on as many samples, in batches of another size: fewer steps, which cost less a sample.

        Rates grow with the square root of the batch and RMSprop forgets as much a sample as before, with which
        training in small steps on gradients that are mostly noise follows the same path: the square-root rule of
        Malladi et al. (NeurIPS 2022). Only the alternating rounds are changed, not the training for the label before.
        """
        times = positive_integer("size", size) / self.batch_size
        forgotten = times * (1 - self.smoothing)
        if forgotten > 1 + 1e-9:
            raise ValueError(
                f"batches of {size} are too large for the square-root rule: at most "
                f"{round(self.batch_size / (1 - self.smoothing))} samples for smoothing {self.smoothing:g}."
            )
        return replace(
            self,
            iterations=max(1, round(self.iterations / times)),
            batch_size=size,
            encoder_rate=self.encoder_rate * math.sqrt(times),
            adversary_rate=self.adversary_rate * math.sqrt(times),
            smoothing=max(0.0, 1 - forgotten),
        )

    @property
    def plain(self) -> Schedule:
        """The same training of a plain network: the paper's width, no noise, the label alone."""
        return replace(self, features=FEATURES, noise=0.0, shared=0.0)

    @property
    def method(self) -> str:
        """The method that goes with it where none is named."""
        return "maxent" if self.noise > 0 else "sct"


_ROBUST = Schedule(
    pretrain_epochs=6,
    pretrain_rate=1e-3,
    pretrain_batch_size=256,
    rounds=6,
    iterations=200,
    batch_size=256,
    encoder_rate=1e-3,
    adversary_rate=1e-3,
    features=16,
    noise=0.3,
    shared=1.0,
    decay=True,
)
SCHEDULES = {
    "robust": _ROBUST,
    "paper": Schedule(),
    # A few minutes instead of hours: larger steps, far fewer of them. For trying out, not for conclusions.
    "quick": Schedule(
        pretrain_epochs=5,
        pretrain_rate=1e-3,
        rounds=5,
        iterations=200,
        encoder_rate=1e-4,
        adversary_rate=1e-3,
    ),
    "robust-quick": replace(_ROBUST, pretrain_epochs=4, rounds=3, iterations=100),
}


def preset_of(preset: str | None, method: str | None, *, quick: bool = False) -> str:
    """The preset where none is named: robust, or the paper's for the paper's methods."""
    if preset is None:
        preset = "robust" if method in (None, "maxent") else "paper"
    return {"robust": "robust-quick", "paper": "quick"}.get(preset, preset) if quick else preset
