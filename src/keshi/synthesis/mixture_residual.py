"""How far a product mixture is from what was measured, in closed form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

SIGNIFICANT = 3.0  # standard deviations of the squared residual of noise alone


@dataclass(frozen=True, eq=False)
class Targets:
    """What was measured, laid out as the mixture predicts it; a precision of 0 stands where nothing was.

    Attributes:
        within, within_precision: (groups, cells, cells) counts of pairs within each group of classes.
        over_all, over_all_precision: (cells, cells) counts of pairs over all classes.
        single, single_precision: (cells,) counts of single columns.
    """

    within: Tensor
    within_precision: Tensor
    over_all: Tensor
    over_all_precision: Tensor
    single: Tensor
    single_precision: Tensor

    def to(self, device: str) -> Targets:
        """The same on another device of torch."""
        return Targets(*(tensor.to(device) for tensor in vars(self).values()))

    @property
    def parts(self) -> tuple[tuple[Tensor, Tensor], ...]:
        """Counts and precisions within groups, over all and of single columns, as `expected_counts` has them."""
        return (
            (self.within, self.within_precision),
            (self.over_all, self.over_all_precision),
            (self.single, self.single_precision),
        )

    @property
    def measured(self) -> int:
        """Number of measured cells."""
        return sum(int((precision > 0).sum()) for _, precision in self.parts)

    def moved(self, moves: Sequence[Tensor]) -> Targets:
        """The same with something added to the counts of each part."""
        within, over_all, single = moves
        return replace(
            self,
            within=self.within + within,
            over_all=self.over_all + over_all,
            single=self.single + single,
        )


def expected_counts(probabilities: Tensor, units: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What a product mixture expects of pairs within groups, of pairs over all and of single columns.

    Args:
        probabilities: (groups, components, cells).
        units: (groups,) units that each component stands for.

    Returns:
        (groups, cells, cells), (cells, cells), (cells,)
    """
    # All pairs of a group at once: the count of cells a and b is sum over components of units p_a p_b.
    pairs = torch.bmm(probabilities.transpose(1, 2), probabilities) * units[:, None, None]
    return pairs, pairs.sum(dim=0), (probabilities.sum(dim=1) * units[:, None]).sum(dim=0)


def squared_residual(probabilities: Tensor, units: Tensor, targets: Targets) -> Tensor:
    """Sum of squared residuals in units of the noise; arguments as in `expected_counts`."""
    expected = expected_counts(probabilities, units)
    parts = zip(expected, targets.parts, strict=True)
    return torch.stack([((own - counts).square() * w).sum() for own, (counts, w) in parts]).sum()


def label_is_fitted(probabilities: Tensor, units: Tensor, targets: Targets, n_classes: int) -> bool:
    """Whether the pairs with the label are as near as noise alone would have them.

    Where classes share components the fit begins with columns independent of them; and where records are few the noise
    in all other pairs hides that at once. Arguments as in `expected_counts`; the label's cells are the first.
    """
    weighted = probabilities * units[:, None, None]
    pairs = torch.einsum("gmc,gmk->ck", weighted[:, :, :n_classes], probabilities[:, :, n_classes:])
    precision = targets.over_all_precision[:n_classes, n_classes:]
    measured = max(1, int((precision > 0).sum()))
    residual = (
        float(((pairs - targets.over_all[:n_classes, n_classes:]).square() * precision).sum()) / measured
    )
    return residual < 1.0 + SIGNIFICANT * (2.0 / measured) ** 0.5
