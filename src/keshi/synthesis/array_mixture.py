"""ArrayMixture: a generator of images or windows, a mixture of Gaussians in a subspace and a map of contrast.

A record is drawn by choosing one of its class's cells, then a point from the cell's Gaussian; the point becomes an
array by the directions of the subspace, and every entry is mapped, in rising order, onto the values that entries of
its group were seen to take. Without the map, arrays are blurred: directions that noise hides are missing in them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from keshi.records.domain import Domain
from keshi.synthesis.array_basis import is_one_array
from keshi.synthesis.mixture import drawn_evenly

if TYPE_CHECKING:
    import torch

KIND = "array mixture"


@dataclass(frozen=True, eq=False)
class ArrayMixture:
    """Gaussians in cells of classes, d directions, and a map for each group of entries.

    Attributes:
        mean: (width,) of the arrays, encoded.
        directions: (d, width).
        cell_classes: (cells,) class of each cell.
        shares: (cells,) of its class's records.
        centres: (cells, d).
        factors: (classes, d, d) whose product with its transpose is the covariance within the cells of a class.
        groups: (width,) group of each entry.
        levels: (groups, knots) rising values before the map ...
        values: (groups, knots) ... and after it, from -1 to 1, rising too.
    """

    mean: NDArray[np.float64]
    directions: NDArray[np.float64]
    cell_classes: NDArray[np.int64]
    shares: NDArray[np.float64]
    centres: NDArray[np.float64]
    factors: NDArray[np.float64]
    groups: NDArray[np.int64]
    levels: NDArray[np.float64]
    values: NDArray[np.float64]

    def __post_init__(self) -> None:
        d, width = self.directions.shape
        cells, classes = len(self.cell_classes), len(self.factors)
        shapes = {
            "mean": (width,),
            "shares": (cells,),
            "centres": (cells, d),
            "factors": (classes, d, d),
            "groups": (width,),
            "values": self.levels.shape,
        }
        wrong = [name for name, shape in shapes.items() if getattr(self, name).shape != shape]
        if wrong or self.levels.ndim != 2:
            raise ValueError(f"the parts of the mixture do not fit together: {', '.join(wrong) or 'levels'}")
        if not all(np.isfinite(tensor).all() for tensor in self.tensors().values()):
            raise ValueError("the mixture has numbers that are not finite")
        if set(self.cell_classes.tolist()) != set(range(classes)) or (self.shares < 0).any():
            raise ValueError("every class has cells, and every cell a share of it")
        if self.groups.min() < 0 or self.groups.max() >= len(self.levels):
            raise ValueError("every entry has a group")
        rising = all((np.diff(knots, axis=1) >= 0).all() for knots in (self.levels, self.values))
        if not rising or np.abs(self.values).max() > 1.0:
            raise ValueError("the map of contrast rises, and stays between -1 and 1")

    @property
    def n_classes(self) -> int:
        return len(self.factors)

    def settings(self) -> dict[str, Any]:
        """What beside the tensors makes the mixture again, as JSON."""
        return {"kind": KIND}

    def tensors(self) -> dict[str, NDArray[Any]]:
        """All numbers of the mixture."""
        return dict(vars(self))

    def check_layout(self, domain: Domain) -> None:
        """Raise where the mixture is not of the domain's records."""
        if not is_one_array(domain) or len(self.mean) != domain.width or self.n_classes != domain.n_classes:
            raise ValueError("the mixture is of other arrays, or classes, than those of the domain")

    def draw(self, classes: torch.Tensor, width: int, *, randomness: torch.Generator) -> NDArray[np.float64]:
        """(n, width) encoded records of the classes asked for; cells come up evenly."""
        import torch

        own = np.random.default_rng(int(torch.randint(2**62, (1,), generator=randomness)))
        return self.mapped(self.blurred(classes.numpy(), randomness=own))

    def blurred(self, classes: NDArray[np.int64], *, randomness: np.random.Generator) -> NDArray[np.float64]:
        """(n, width) records of the classes before the map of contrast."""
        points = np.empty((len(classes), len(self.directions)))
        for label in np.unique(classes):
            rows, cells = np.flatnonzero(classes == label), np.flatnonzero(self.cell_classes == label)
            shares = self.shares[cells] + 1e-12
            cell = cells[drawn_evenly(shares[None], len(rows), randomness)[0]]
            noise = randomness.normal(size=(len(rows), points.shape[1]))
            points[rows] = self.centres[cell] + noise @ self.factors[label].T
        return self.mean + points @ self.directions

    def mapped(self, blurred: NDArray[np.float64]) -> NDArray[np.float64]:
        """The same after the map, between -1 and 1."""
        records = np.empty_like(blurred)
        for group, (levels, values) in enumerate(zip(self.levels, self.values, strict=True)):
            entries = np.flatnonzero(self.groups == group)
            records[:, entries] = np.interp(blurred[:, entries], levels, values)
        return records

    @classmethod
    def restored(cls, tensors: dict[str, NDArray[Any]]) -> ArrayMixture:
        """The mixture of these tensors.

        Raises:
            ValueError: if they do not fit together.
        """
        if set(tensors) != set(cls.__dataclass_fields__):
            raise ValueError("a mixture of arrays has other tensors")
        return cls(**tensors)
