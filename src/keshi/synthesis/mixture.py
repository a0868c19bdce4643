"""ProductMixture: a generator of tables whose characteristic function, and so every marginal, is known exactly.

A record is drawn by choosing a component and then every column by itself, from that component's probabilities. So

    P(a, b) = mean over components of p_a p_b,

in closed form and differentiable: neither sampling nor soft one-hot rows stand between the generator and what was
measured. PEARL's generator step (Liew et al., ICLR 2022, section 4), exact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from keshi.records.domain import Domain
from keshi.synthesis.partitions import CLASS, GRID, Partition

KIND = "product mixture"
NETWORK = "network."  # before the names of its tensors


@dataclass(frozen=True, eq=False)
class ColumnValues:
    """How a cell of one column becomes a value.

    Attributes:
        partition: The cells, and the fine cells that a value is drawn from first.
        probability: (fine cells,) probability of each; only their ratios within a cell matter.
        single: (fine cells,) the encoded number that an interval stands for, NaN where it stands for all it holds.
    """

    partition: Partition
    probability: NDArray[np.float64]
    single: NDArray[np.float64]

    def write(
        self, cells: NDArray[np.intp], vectors: NDArray[np.float64], randomness: np.random.Generator
    ) -> None:
        """Draw a value for each of the (n,) cells, into the column's entries of (n, width) encoded vectors."""
        part = self.partition
        fine = np.empty(len(cells), dtype=np.intp)
        joined = np.array(part.joined)
        for cell in np.unique(cells):
            rows, own = np.flatnonzero(cells == cell), np.flatnonzero(joined == cell)
            fine[rows] = own[drawn_evenly(self.probability[None, own], len(rows), randomness)[0]]
        if part.categories:
            vectors[np.arange(len(cells)), part.start + fine] = 1.0
            return
        missing = fine >= part.intervals
        edges = np.array(part.edges) / GRID
        interval = np.minimum(fine, part.intervals - 1)
        low, high = edges[interval], edges[interval + 1]
        value = low + randomness.random(len(cells)) * (high - low)
        single = self.single[fine]
        value = np.where(np.isnan(single), value, single)
        vectors[:, part.start] = np.where(missing, 0.0, value)
        if part.missing:
            vectors[:, part.start + 1] = missing


class ProductMixture:
    """A mixture of products of categorical distributions, in groups of classes.

    Args:
        columns: The columns, the label first where there is one.
        probabilities: (groups, components, cells of all columns together).
        group_weights: (groups,) how many units are in each, as weights.
        network: Weights of the deep network behind the probabilities, to train it on; empty where they are free.
    """

    def __init__(
        self,
        columns: Sequence[ColumnValues],
        probabilities: Tensor,
        group_weights: Tensor,
        network: Mapping[str, NDArray[Any]] | None = None,
    ) -> None:
        self.columns = tuple(columns)
        self.probabilities = probabilities
        self.group_weights = group_weights
        self.network = dict(network or {})

    def settings(self) -> dict[str, Any]:
        """What beside the tensors makes the mixture again, as JSON."""
        return {
            "kind": KIND,
            "columns": [column.partition.settings() for column in self.columns],
        }

    def tensors(self) -> dict[str, NDArray[Any]]:
        """All numbers of the mixture."""
        found: dict[str, NDArray[Any]] = {
            "probabilities": self.probabilities.numpy(),
            "group_weights": self.group_weights.numpy(),
        }
        for index, column in enumerate(self.columns):
            found[f"column.{index}.probability"] = column.probability
            found[f"column.{index}.single"] = column.single
        return found | {NETWORK + name: tensor for name, tensor in self.network.items()}

    @classmethod
    def restored(cls, settings: dict[str, Any], tensors: dict[str, NDArray[Any]]) -> ProductMixture:
        """The mixture of these settings and tensors.

        Raises:
            ValueError: if they do not fit together.
        """
        columns = []
        for index, entry in enumerate(settings["columns"]):
            partition = Partition(*entry)
            probability, single = (tensors[f"column.{index}.{name}"] for name in ("probability", "single"))
            if probability.shape != (partition.fine_cells,) or single.shape != (partition.fine_cells,):
                raise ValueError(f"column {index} has not one probability for each of its cells")
            if not (np.isfinite(probability.sum()) and (probability >= 0).all()):
                raise ValueError(f"column {index} has probabilities that are none")
            if not (np.isnan(single) | (np.abs(single) <= 1.0)).all():
                raise ValueError(f"column {index} has values outside its bounds")
            columns.append(ColumnValues(partition, probability, single))
        probabilities, weights = tensors["probabilities"], tensors["group_weights"]
        sizes = [column.partition.cells for column in columns]
        if weights.ndim != 1 or not (np.isfinite(weights).all() and (weights >= 0).all()):
            raise ValueError("the groups have weights that are none")
        if probabilities.ndim != 3 or probabilities.shape[::2] != (len(weights), sum(sizes)):
            raise ValueError("the probabilities of the components do not follow the columns")
        starts = np.cumsum([0, *sizes[:-1]])
        totals = np.add.reduceat(probabilities.astype(np.float64), starts, axis=2)
        if not (probabilities.size and (probabilities >= 0).all() and np.allclose(totals, 1.0, atol=1e-3)):
            raise ValueError("the components have probabilities that are none")
        network = {n.removeprefix(NETWORK): t for n, t in tensors.items() if n.startswith(NETWORK)}
        if not all(t.dtype == np.float32 and np.isfinite(t).all() for t in network.values()):
            raise ValueError("the network has weights that are none")
        if len(tensors) != 2 + 2 * len(columns) + len(network):
            raise ValueError("there are tensors of no column")
        return cls(columns, torch.from_numpy(probabilities), torch.from_numpy(weights), network)

    def check_layout(self, domain: Domain) -> None:
        """Raise where the mixture's columns are not those of the domain."""
        if not all(column.partition.fits(domain) for column in self.columns):
            raise ValueError("the mixture is of other columns than those of the domain")
        starts = [column.partition.start for column in self.columns]
        first = self.columns[0].partition
        if first.start == CLASS and first.joined != tuple(range(domain.n_classes)):
            raise ValueError("the mixture has not one cell for each class")
        label = [CLASS] if domain.n_classes > 1 else []
        if starts != [*label, *(slot.start for slot in domain.slots if slot.kind != "missing")]:
            raise ValueError("the mixture has not one part for each column of the domain")

    @property
    def n_classes(self) -> int:
        first = self.columns[0].partition
        return first.cells if first.start == CLASS else 1

    @torch.inference_mode()
    def draw(self, classes: Tensor, width: int, *, randomness: torch.Generator) -> NDArray[np.float64]:
        """(n, width) hard encoded records of the classes asked for.

        Components and cells are drawn evenly (systematic sampling): every record by itself has the distribution of the
        mixture, and together they are nearer to it than independent ones.
        """
        own = np.random.default_rng(int(torch.randint(2**62, (1,), generator=randomness)))
        wanted = classes.numpy()
        vectors = np.zeros((len(wanted), width))
        table = self.probabilities.double().numpy()
        columns = self.columns[1:] if self.n_classes > 1 else self.columns
        cells = np.empty((len(columns), len(wanted)), dtype=np.intp)
        for label in np.unique(wanted):
            rows = np.flatnonzero(wanted == label)
            component, times = self._components(int(label), len(rows), own)
            start = self.n_classes if self.n_classes > 1 else 0
            order = own.permutation(len(rows))
            for index, column in enumerate(columns):
                stop = start + column.partition.cells
                cells[index, rows] = _drawn(
                    table.reshape(-1, table.shape[2])[component, start:stop], times, own
                )[order]
                start = stop
        for index, column in enumerate(columns):
            column.write(cells[index], vectors, own)
        return vectors

    def _components(
        self, label: int, rows: int, randomness: np.random.Generator
    ) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
        """Which components make the records of a class, and how many each: in proportion to P(component | class)."""
        groups, components, _ = self.probabilities.shape
        weight = self.group_weights.double()[:, None].expand(groups, components)
        if self.n_classes > 1:
            weight = weight * self.probabilities[:, :, label].double()
        share = (weight / weight.sum()).numpy().ravel()
        if not np.isfinite(share).all():
            share = np.full(groups * components, 1 / (groups * components))
        picked = drawn_evenly(share[None], rows, randomness)[0]
        return np.unique(picked, return_counts=True)


def _drawn(
    probabilities: NDArray[np.float64], times: NDArray[np.int64], randomness: np.random.Generator
) -> NDArray[np.intp]:
    """(sum of times,) cells: row i of the probabilities drawn from times[i] times, evenly."""
    cells = np.empty(int(times.sum()), dtype=np.intp)
    ends = np.cumsum(times)
    for count in np.unique(times):
        chosen = np.flatnonzero(times == count)
        places = (ends[chosen] - count)[:, None] + np.arange(count)
        cells[places] = drawn_evenly(probabilities[chosen], int(count), randomness)
    return cells


def drawn_evenly(
    probabilities: NDArray[np.float64], times: int, randomness: np.random.Generator
) -> NDArray[np.intp]:
    """(rows, times) draws from each row of (rows, cells) probabilities, by systematic sampling, in random order.

    The points of a comb of `times` teeth with a random offset fall into the cells of the cumulated probabilities: each
    draw has the right distribution, and a cell comes up within one of its expected number of times.
    """
    rows, cells = probabilities.shape
    cumulative = np.cumsum(probabilities, axis=1)
    cumulative = cumulative / np.maximum(cumulative[:, -1:], 1e-300)
    teeth = (np.arange(times) + randomness.random((rows, 1))) / max(times, 1)
    teeth = randomness.permuted(teeth, axis=1)
    shifted = (cumulative + np.arange(rows)[:, None]).ravel()  # one sorted list for one search
    found = np.searchsorted(shifted, (teeth + np.arange(rows)[:, None]).ravel(), side="right")
    return np.clip(found.reshape(rows, times) - np.arange(rows)[:, None] * cells, 0, cells - 1)
