"""How much of the noise a fit has taken up: its effective degrees of freedom, from the measured counts alone.

    df = sum over cells  cov(fitted, measured) / noise^2  =  E[sum over cells  d fitted / d measured]

(Stein 1981; Efron, JASA 2004), by Monte Carlo as Ramani, Blu and Unser (IEEE TIP 2008) do it for any procedure: fit the
same counts, shaken a little, from the same start, and see how far the fit follows. A fit that has come as near to the
truth as df parameters can leaves a squared residual of cells - df, in units of the noise, and not of all cells.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from keshi.synthesis.mixture_residual import Targets, expected_counts

SHAKE = 0.5  # standard deviations of the noise: small beside it, large beside the rounding of 32-bit numbers
STREAM = 1  # of the seed; its first numbers make the components


@dataclass(frozen=True, eq=False)
class Shaken:
    """Measured counts, each moved up or down by `SHAKE` standard deviations of its noise.

    Attributes:
        targets: The counts so moved.
        moves: What was added, in the order of `Targets.parts`.
    """

    targets: Targets
    moves: tuple[Tensor, ...]

    @classmethod
    def of(cls, targets: Targets, *, seed: int) -> Shaken:
        """Shake the counts; the same seed moves the same ones the same way."""
        randomness = np.random.default_rng((STREAM, seed))
        moves = []
        for counts, precision in targets.parts:
            signs = torch.from_numpy(
                randomness.choice(np.array([-1, 1], dtype=np.float32), tuple(counts.shape))
            )
            deviation = torch.where(precision > 0, precision, 1.0).rsqrt() * (precision > 0)
            moves.append(SHAKE * deviation * signs.to(counts.device))
        return cls(targets.moved(moves), tuple(moves))

    def degrees_of_freedom(self, fitted: Tensor, fitted_to_shaken: Tensor, units: Tensor) -> float:
        """Effective degrees of freedom of a fit, from its twin's after as many steps.

        Args:
            fitted: (groups, components, cells) probabilities that were fitted to the counts.
            fitted_to_shaken: Those that were fitted to the shaken counts.
            units: (groups,) units that each component stands for.
        """
        pairs = zip(expected_counts(fitted, units), expected_counts(fitted_to_shaken, units), strict=True)
        total = 0.0
        for (own, twin), move, (_, precision) in zip(pairs, self.moves, self.targets.parts, strict=True):
            total += float(((twin - own) * move * precision).sum())
        return max(0.0, total / SHAKE**2)
