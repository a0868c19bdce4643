"""Low-order marginals: how many records are in every cell of one, two or three columns together.

A marginal is the characteristic function restricted to frequencies that touch few columns, seen through a Fourier
transform: for the cells of one column, P(cell) and E[exp(2 pi i k cell / cells)] say the same. So these are further
blocks of PEARL's one vector (Liew et al., ICLR 2022): the choice of which frequencies to measure. With the class as
one of the columns it is the paper's F(x, y) = f(x) (outer) onehot(y).

Sensitivity: a record is in exactly one cell of each marginal and adds that marginal's weight to it, so that
|f(x)| = sqrt(sum of weight^2) exactly; no entry is negative and nothing is rounded.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from keshi.records.domain import Domain
from keshi.records.encoded import EncodedBatch
from keshi.synthesis.features import AMPLITUDE, Features
from keshi.synthesis.partitions import Partition

CUT_CELLS = 16  # of the marginals that an audit's many trials keep: each cell costs noise in every trial


@dataclass(frozen=True, eq=False)
class MarginalFeatures(Features):
    """Some marginals of the columns, one after the other.

    Attributes:
        partitions: Cells of the columns; a column may come in several resolutions.
        marginals: Which partitions each marginal crosses; its cells are numbered in C order.
        weights: What a record adds to its cell of each marginal, in grid steps: the larger, the less noise.
        n_classes: Number of classes.
    """

    partitions: tuple[Partition, ...]
    marginals: tuple[tuple[int, ...], ...]
    weights: tuple[int, ...]
    n_classes: int
    kind: ClassVar[str] = "marginals"
    nonnegative: ClassVar[bool] = True

    def __post_init__(self) -> None:
        partitions = tuple(p if isinstance(p, Partition) else Partition(*p) for p in self.partitions)
        object.__setattr__(self, "partitions", partitions)
        object.__setattr__(self, "marginals", tuple(tuple(marginal) for marginal in self.marginals))
        object.__setattr__(self, "weights", tuple(self.weights))
        if len(self.weights) != len(self.marginals) or not all(0 < w <= AMPLITUDE for w in self.weights):
            raise ValueError(f"every marginal needs a weight from 1 to {AMPLITUDE}.")
        if not all(type(weight) is int for weight in self.weights):
            raise ValueError("the weights of marginals are whole numbers of grid steps.")
        for marginal in self.marginals:
            known = all(type(index) is int and 0 <= index < len(partitions) for index in marginal)
            if not marginal or not known or len({partitions[i].start for i in marginal}) < len(marginal):
                raise ValueError("a marginal crosses partitions of different columns, one at least.")

    @cached_property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Cells of each marginal along each of its partitions."""
        return tuple(tuple(self.partitions[p].cells for p in marginal) for marginal in self.marginals)

    @cached_property
    def size(self) -> int:  # type: ignore[override]
        return sum(math.prod(shape) for shape in self.shapes)

    @property
    def norm(self) -> float:
        return math.sqrt(sum(weight**2 for weight in self.weights))

    def fits(self, domain: Domain) -> bool:
        """Whether every partition is one of a column of the domain."""
        return all(partition.fits(domain) for partition in self.partitions)

    def sums(self, batch: EncodedBatch, weights: NDArray[np.float64]) -> NDArray[np.int64]:
        fine: dict[tuple[Any, ...], NDArray[np.intp]] = {}
        cells = []
        for partition in self.partitions:
            if partition.source not in fine:
                fine[partition.source] = partition.fine(batch)
            cells.append(np.array(partition.joined, dtype=np.intp)[fine[partition.source]])
        own = None if (weights == 1.0).all() else weights
        parts = []
        for marginal, shape, weight in zip(self.marginals, self.shapes, self.weights, strict=True):
            cell = cells[marginal[0]]
            for other, length in zip(marginal[1:], shape[1:], strict=True):
                cell = cell * length + cells[other]
            # Sums of whole numbers below 2^53: exact, also in the float64 that weights make of them.
            counts = np.bincount(cell, weights=own, minlength=math.prod(shape))
            parts.append(counts.astype(np.int64) * weight)
        return np.concatenate(parts)

    def cut(self, most: int) -> MarginalFeatures:
        sizes = [math.prod(shape) for shape in self.shapes]
        smallest = np.argsort(sizes, kind="stable")[:most].tolist()
        kept = sorted(index for index in smallest if sizes[index] <= max(CUT_CELLS, min(sizes)))
        used = sorted({index for marginal in kept for index in self.marginals[marginal]})
        return MarginalFeatures(
            tuple(self.partitions[index] for index in used),
            tuple(tuple(used.index(index) for index in self.marginals[marginal]) for marginal in kept),
            tuple(self.weights[marginal] for marginal in kept),
            self.n_classes,
        )

    def settings(self) -> dict[str, Any]:
        return {
            "partitions": [partition.settings() for partition in self.partitions],
            "marginals": [list(marginal) for marginal in self.marginals],
            "weights": list(self.weights),
            "n_classes": self.n_classes,
        }

    def tables(self, values: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        """Noisy counts of every marginal, in records.

        Args:
            values: (size,) as `Measurement.values` gives them: grid steps over AMPLITUDE.
        """
        ends = np.cumsum([math.prod(shape) for shape in self.shapes])[:-1]
        return [
            part.reshape(shape) * (AMPLITUDE / weight)
            for part, shape, weight in zip(np.split(values, ends), self.shapes, self.weights, strict=True)
        ]

    def noise_stds(self, noise_std: float) -> NDArray[np.float64]:
        """(marginals,) standard deviation of the noise in a count, in records, from that of the values."""
        return noise_std * AMPLITUDE / np.array(self.weights, dtype=np.float64)
