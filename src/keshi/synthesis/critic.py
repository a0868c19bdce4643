"""The critic: adversarial re-weighting of fixed, public frequencies. It has d parameters and sees no data."""

from __future__ import annotations

import torch
from torch import Tensor


def importance_weights(frequencies: Tensor, squared_scales: Tensor, *, base: float) -> Tensor:
    """Self-normalised importance ratio of N(0, diag(1/s)) to omega_0 = N(0, I/s2) on fixed frequencies.

        alpha_j = softmax_j( sum_d t_jd^2 / 2 (s2 - s_d) )

    The factor sqrt(det) of the ratio is the same for all j and cancels. PEARL (Liew et al., ICLR 2022), section 4.2.

    Args:
        frequencies: (k, d) in radians ("t").
        squared_scales: (d,) squared length-scales ("s").
        base: s2 of omega_0, from which the frequencies were drawn.

    Returns:
        (k,) positive, summing to 1.
    """
    return torch.softmax((frequencies.square() / 2) @ (base - squared_scales), dim=0)


def effective_sample_size(weights: Tensor) -> float:
    """1 / sum alpha^2: how many of the k frequencies the weights still look at."""
    return float(1.0 / weights.square().sum())


class Critic:
    """Ascends the generator's loss in the squared length-scales of the frequency distribution.

    Args:
        frequencies: (k, d) in radians.
        squared_length_scale: s2, where every s_d starts.
        learning_rate: Of Adam. The released code's is so small that the weights stay uniform: see `effective_size`.
    """

    def __init__(self, frequencies: Tensor, *, squared_length_scale: float, learning_rate: float) -> None:
        self.frequencies = frequencies
        self.base = squared_length_scale
        scales = torch.full_like(frequencies[0], squared_length_scale)
        self.squared_scales = scales.requires_grad_()
        self._optimizer = torch.optim.Adam([self.squared_scales], lr=learning_rate, maximize=True)

    def weights(self) -> Tensor:
        """(k,) the current weights alpha, without gradient."""
        with torch.no_grad():
            return importance_weights(self.frequencies, self.squared_scales, base=self.base)

    def ascend(self, discrepancies: Tensor) -> None:
        """One step up sum_j alpha_j delta_j, for (k,) discrepancies without gradient."""
        self._optimizer.zero_grad()
        weights = importance_weights(self.frequencies, self.squared_scales, base=self.base)
        (weights @ discrepancies).backward()
        self._optimizer.step()
        with torch.no_grad():  # a squared length-scale is positive
            self.squared_scales.clamp_(min=1e-3 * self.base)

    @property
    def effective_size(self) -> float:
        """Effective sample size of the weights; k when the critic is inert, 1 when it stares at one frequency."""
        return effective_sample_size(self.weights())
