"""Low-order marginals of described windows: how many are in every cell of one or two descriptors, and of the class.

A window is described by itself, then counted as a record of a table is (`marginals`): it is in exactly one cell of each
marginal, so the norm, and with it the sensitivity, is that of the marginals, whatever the descriptors say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from keshi.records.domain import Domain
from keshi.records.encoded import EncodedBatch
from keshi.synthesis.marginals import MarginalFeatures
from keshi.synthesis.window_descriptors import WindowDescriptors


@dataclass(frozen=True, eq=False)
class WindowMarginals(MarginalFeatures):
    """Some marginals of the table of described windows.

    Attributes:
        descriptors: How a window becomes a record of that table.
    """

    descriptors: WindowDescriptors
    kind: ClassVar[str] = "window marginals"

    def __post_init__(self) -> None:
        if not isinstance(self.descriptors, WindowDescriptors):
            object.__setattr__(self, "descriptors", WindowDescriptors(*self.descriptors))
        super().__post_init__()

    @classmethod
    def of(cls, descriptors: WindowDescriptors, table: MarginalFeatures) -> WindowMarginals:
        """Marginals that were planned for the table."""
        return cls(table.partitions, table.marginals, table.weights, table.n_classes, descriptors)

    @property
    def of_table(self) -> MarginalFeatures:
        """The same, seen as marginals of the table."""
        return MarginalFeatures(self.partitions, self.marginals, self.weights, self.n_classes)

    def fits(self, domain: Domain) -> bool:
        """Whether they are of the domain's windows."""
        return self.descriptors.fits(domain) and super().fits(self.descriptors.domain(domain.n_classes))

    def sums(self, batch: EncodedBatch, weights: NDArray[np.float64]) -> NDArray[np.int64]:
        return super().sums(self.descriptors.described(batch), weights)

    def cut(self, most: int) -> WindowMarginals:
        return self.of(self.descriptors, super().cut(most))

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "descriptors": self.descriptors.settings()}
