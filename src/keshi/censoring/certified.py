"""The certified release: features of bounded norm plus Gaussian noise, and what no attacker can beat, however clever.

A window's features are clipped to norm C and get noise of C times `noise` in every dimension, on an integer grid, from
the operating system's entropy. What follows holds for any encoder and any attacker, also one who knows the encoder and
has labelled recordings of everybody; each window of a trial adds to what is learned.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keshi._validate import in_range, positive, positive_integer
from keshi.artifacts import store
from keshi.censoring.encoded import CensoredEncoder
from keshi.errors import ArtifactError, RecordsError
from keshi.privacy import mechanisms
from keshi.privacy.accounting import SMALLEST_SCALE, delta_slack, epsilon_from_mu, grid_distance
from keshi.privacy.statement import promised

GRID = 2**20  # steps per clipping norm: rounding is a millionth of it, and the noise is drawn in whole steps
CERTIFICATE_FILE = "certificate.json"
LARGEST_STEPS = 2**50  # of the noise: a draw of many deviations stays far below 64 bits
WORTHLESS_DELTA = 1e-3  # local differential privacy with a larger delta says nothing of anybody
HALVINGS = 200  # of a bisection in double precision


def check_noise(name: str, noise: float) -> float:
    """Return a noise that can be drawn and certified, in multiples of the clipping norm, or raise naming the option."""
    positive(name, noise)
    least, most = SMALLEST_SCALE / GRID, LARGEST_STEPS / GRID
    if not least <= noise <= most:
        raise ValueError(
            f"{name} must lie between {least:.2g} and {most:.2g} clipping norms, where what is drawn is certified, got "
            f"{noise:g}."
        )
    return noise


@dataclass(frozen=True)
class Certificate:
    """What a release proves about `windows` windows of one person, for people as frequent as `shares` says.

    Attributes:
        noise: standard deviation in multiples of the clipping norm.
        dimension: of the features.
        windows: released of the same trial; their noise is independent.
        accuracy: no attacker names the person in more than this share of such trials; the lower of the next two.
        by_divergence: from Gaussian local differential privacy against a release of pure noise.
        by_fano: from the capacity of the Gaussian channel.
        bits: at most so many bits about the person in the whole trial.
        mu: the trial is mu-Gaussian-differentially private for any change of its windows (local model).
        epsilon, delta: the same as (epsilon, delta).
        guess: what naming the most frequent person reaches without any features.
    """

    noise: float
    dimension: int
    windows: int
    accuracy: float
    by_divergence: float
    by_fano: float
    bits: float
    mu: float
    epsilon: float
    delta: float
    guess: float

    @property
    def sentence(self) -> str:
        local = f"({promised(self.epsilon)}, {promised(self.delta)})-local differential privacy"
        if self.delta > WORTHLESS_DELTA:
            local = f"no local differential privacy to speak of (epsilon {self.epsilon:.0f})"
        trial = "one window" if self.windows == 1 else f"{self.windows} windows of one trial"
        return (
            f"From {trial} no attacker names the person more often than {self.accuracy:.3f} (guessing "
            f"{self.guess:.3f}); at most {self.bits:.2f} bits; {local}."
        )


def certify(
    *, noise: float, dimension: int, shares: np.ndarray, windows: int = 1, delta: float = 1e-5
) -> Certificate:
    """The certificate of `windows` releases of one person.

    Args:
        noise: standard deviation of the noise in multiples of the clipping norm.
        dimension: of the features.
        shares: (people,) how frequent everybody is among those an attacker chooses from.
        windows: released of one trial.
        delta: of the statement of local differential privacy.
    """
    check_noise("noise", noise)
    positive_integer("dimension", dimension)
    positive_integer("windows", windows)
    in_range("delta", delta, 0.0, 1.0, open_ends=True)
    shares = np.asarray(shares, dtype=float)
    if not (np.isfinite(shares).all() and (shares >= 0).all() and shares.sum() > 0):
        raise ValueError("shares must be numbers of at least 0, some above it: how frequent everybody is.")
    shares = shares[shares > 0] / shares.sum()
    # A feature vector lies within 1 of the origin (in clipping norms, and a rounding), n of them within sqrt(n).
    radius = (1 + math.sqrt(dimension) / GRID) * math.sqrt(windows)
    from_noise, mu = radius / noise, 2 * radius / noise
    nats = windows * dimension / 2 * math.log1p((radius / noise) ** 2 / (windows * dimension))
    entropy = float(-(shares * np.log(shares)).sum())
    nats = min(nats, entropy)
    # the noise is discrete: that far from the Gaussian the bounds are made for, in total variation
    slack = grid_distance([(windows * dimension, math.ceil(noise * GRID))])
    by_divergence = min(1.0, accuracy_by_divergence(from_noise, shares) + slack)
    by_fano = min(1.0, accuracy_by_fano(nats, float(shares.max())) + slack)
    epsilon = epsilon_from_mu(mu, delta)
    return Certificate(
        noise=noise,
        dimension=dimension,
        windows=windows,
        accuracy=max(min(by_divergence, by_fano), float(shares.max())),
        by_divergence=by_divergence,
        by_fano=by_fano,
        bits=nats / math.log(2),
        mu=mu,
        epsilon=epsilon,
        delta=min(1.0, delta + delta_slack(slack, epsilon)),  # with little noise the grid's share outgrows it
        guess=float(shares.max()),
    )


def accuracy_by_fano(nats: float, guess: float) -> float:
    """Highest share of right names with `nats` of mutual information, where guessing reaches `guess`.

    Fano's inequality in its binary form: the event "named right" has probability a under the joint law and at most
    `guess` under independence, so d(a || guess) <= I(person; release) by data processing.
    """
    if guess >= 1:
        return 1.0

    def divergence(a: float) -> float:
        rest = (1 - a) * math.log((1 - a) / (1 - guess)) if a < 1 else 0.0
        return a * math.log(a / guess) + rest

    return _largest(lambda a: divergence(a) <= nats, guess, 1.0)


def accuracy_by_divergence(distance: float, shares: np.ndarray) -> float:
    """Highest share of right names when everybody's release is within `distance` of one Gaussian (GDP against it).

    By Neyman and Pearson, the region where an attacker names person s has under s's law at most the probability
    Phi(Phi^-1(q_s) + distance), q_s its probability under the common Gaussian; the q_s add up to at most 1. The sum of
    share_s times that is concave in q, so its maximum has equal slopes: Phi^-1(q_s) = (ln share_s - c) / distance -
    distance / 2, with c such that the q_s add up to 1.
    """
    from scipy.special import ndtr

    logs = np.log(shares)
    if distance < 1e-9:
        return float(min(1.0, shares.max() + distance))

    def quantiles(c: float) -> np.ndarray:
        return (logs - c) / distance - distance / 2

    # a larger c lowers every q_s; the last digit of c is less than what is added below
    c = _largest(lambda c: bool(ndtr(quantiles(c)).sum() >= 1), -60.0 - 10 * distance**2, 60.0)
    return min(1.0, float(np.dot(shares, ndtr(quantiles(c) + distance))) + 1e-12)


@dataclass(frozen=True, eq=False)
class CertifiedEncoder:
    """A censored encoder whose features leave it clipped and noisy.

    Attributes:
        encoder: what makes the features; any.
        norm: C, the clipping norm; choose it on training data, see `clipping_norm`.
        noise: standard deviation in multiples of C.
    """

    encoder: CensoredEncoder
    norm: float
    noise: float

    def __post_init__(self) -> None:
        positive("norm", self.norm)
        check_noise("noise", self.noise)

    @classmethod
    def load(cls, path: str | Path) -> CertifiedEncoder:
        """The encoder of a release that `keshi censor --noise` wrote, with its norm and noise.

        Raises:
            ArtifactError: the folder is no censored encoder, or was released without noise.
        """
        encoder = CensoredEncoder.load(path)
        file = store.load(path).files.get(CERTIFICATE_FILE)
        if file is None:
            raise ArtifactError(f"{path} was released without noise; load it with CensoredEncoder.load.")
        try:
            saved = store.json_from_bytes(file, source=f"{path}: {CERTIFICATE_FILE}")
            return cls(encoder, float(saved["norm"]), float(saved["noise"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ArtifactError(f"{path}: {CERTIFICATE_FILE} is not complete ({error}).") from error

    def transform(self, x: np.ndarray) -> np.ndarray:
        """Windows x (n, channels, length) -> clipped, noisy features (n, features) float32; new noise every time."""
        return self.release(self.encoder.transform(x))

    def release(self, z: np.ndarray) -> np.ndarray:
        """Clip features z (n, features) and add the noise."""
        if not np.isfinite(z).all():
            raise RecordsError("z has missing or infinite values, which cannot be clipped.")
        exact = z.astype(np.float64)
        length = np.linalg.norm(exact, axis=1, keepdims=True)
        clipped = exact * (self.norm / np.maximum(length, self.norm))
        steps = np.rint(clipped / self.norm * GRID).astype(np.int64)
        noisy = mechanisms.discrete_gaussian(steps.ravel(), math.ceil(self.noise * GRID))
        return (noisy.reshape(steps.shape) * (self.norm / GRID)).astype(np.float32)

    def predict(self, x: np.ndarray) -> np.ndarray:
        """The most probable label of every window from its noisy features."""
        return self.encoder.predict_from_features(self.transform(x))

    def certificate(self, shares: np.ndarray, *, windows: int = 1, delta: float = 1e-5) -> Certificate:
        """What is proven for people of these shares; see `certify`."""
        return certify(
            noise=self.noise, dimension=self.encoder.features, shares=shares, windows=windows, delta=delta
        )

    def certificate_of_trials(self, subject: np.ndarray, trial: np.ndarray) -> Certificate:
        """What is proven of the windows of one trial, of the median number of them.

        People are as frequent as their trials: whoever has many short ones is guessed more often by trial than by
        window.

        Args:
            subject, trial: (n,) of every window that is released.
        """
        counts = np.unique(trial, return_counts=True)[1]
        return self.certificate(trial_shares(subject, trial), windows=int(np.median(counts)))


def trial_shares(subject: np.ndarray, trial: np.ndarray) -> np.ndarray:
    """How many trials everybody has, from subject and trial (n,) of every window."""
    first = np.unique(trial, return_index=True)[1]
    return np.unique(subject[first], return_counts=True)[1].astype(float)


def clipping_norm(z: np.ndarray, *, quantile: float = 0.5) -> float:
    """A quantile of the norms of training features z (n, features): smaller clips more and adds less noise."""
    in_range("quantile", quantile, 0.0, 1.0)
    lengths: np.ndarray = np.linalg.norm(z.astype(np.float64), axis=1)
    return float(np.quantile(lengths, quantile))


def _largest(holds: Callable[[float], bool], low: float, high: float) -> float:
    """The largest value that holds, erring upwards in the last digit, where all below hold and none above."""
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if holds(middle):
            low = middle
        else:
            high = middle
    return high
