"""WindowMixture: a generator of sensor windows, a product mixture of what describes them and noise of that strength."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from keshi.records.domain import Domain
from keshi.synthesis.mixture import ProductMixture
from keshi.synthesis.window_descriptors import WindowDescriptors

if TYPE_CHECKING:
    import torch

KIND = "window mixture"


class WindowMixture:
    """Draws a described window from a product mixture, then a window that it describes.

    Args:
        products: Of the table of described windows.
        descriptors: How a window is described.
    """

    def __init__(self, products: ProductMixture, descriptors: WindowDescriptors) -> None:
        self.products = products
        self.descriptors = descriptors

    def settings(self) -> dict[str, Any]:
        """What beside the tensors makes the mixture again, as JSON."""
        return {
            **self.products.settings(),
            "kind": KIND,
            "descriptors": self.descriptors.settings(),
        }

    def tensors(self) -> dict[str, NDArray[Any]]:
        """All numbers of the mixture."""
        return self.products.tensors()

    @classmethod
    def restored(cls, settings: dict[str, Any], tensors: dict[str, NDArray[Any]]) -> WindowMixture:
        """The mixture of these settings and tensors.

        Raises:
            ValueError: if they do not fit together.
        """
        return cls(ProductMixture.restored(settings, tensors), WindowDescriptors(*settings["descriptors"]))

    def check_layout(self, domain: Domain) -> None:
        """Raise where the mixture is not of the domain's windows."""
        if not self.descriptors.fits(domain):
            raise ValueError("the mixture is of other windows than those of the domain")
        self.products.check_layout(self.descriptors.domain(domain.n_classes))

    @property
    def n_classes(self) -> int:
        return self.products.n_classes

    def draw(self, classes: torch.Tensor, width: int, *, randomness: torch.Generator) -> NDArray[np.float64]:
        """(n, width) encoded windows of the classes asked for."""
        import torch

        described = self.products.draw(classes, self.descriptors.columns, randomness=randomness)
        own = np.random.default_rng(int(torch.randint(2**62, (1,), generator=randomness)))
        return self.descriptors.windows(described, own)
