"""Counts, means and second moments of records in cells of a subspace: exact, and of proven sensitivity.

A record is projected onto a public basis, then onto directions that an earlier measurement found; it goes to the
nearest centre of its class, and its difference from there, clipped to the cell's radius, is rounded to a vector v of
whole numbers with |v| <= LEVELS. It adds to its own cell

    count       a                       norm a
    mean        b v                     norm <= b LEVELS
    squares     5 v_i^2, 7 v_i v_j      norm <= 5 LEVELS^2

because 25 sum v_i^4 + 49 sum_(i<j) v_i^2 v_j^2 = 24.5 |v|^4 + 0.5 sum v_i^4 <= 25 |v|^4. (The symmetric matrix v v^T
has each product twice, so weights of 1 and sqrt 2 spread the noise evenly; 5 and 7 are whole numbers nearest to that.)
A record is in one cell only, however many there are. So |f(x)| <= sqrt(a^2 + b^2 LEVELS^2 + 25 LEVELS^4), rounding
included. Where one record replaces another, the two vectors of counts have no negative inner product, and nor have the
squares: 25 sum v_i^2 w_i^2 + 49 sum_(i<j) v_i v_j w_i w_j = 24.5 (v.w)^2 + 0.5 sum v_i^2 w_i^2. So these parts move by
sqrt 2 of their norm at most, and only the means by twice theirs.

Everything is computed on public grids, so that a float64 holds every partial sum: no batch, order or thread changes a
bit. Moments of low order are the derivatives of PEARL's characteristic function at zero (Liew et al., ICLR 2022).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from keshi.privacy.unit import PrivacyUnit
from keshi.records.domain import Domain
from keshi.records.encoded import EncodedBatch
from keshi.synthesis.array_basis import BASIS_BITS, ArrayBasis
from keshi.synthesis.features import AMPLITUDE, WEIGHT, Features

LEVELS = 57  # grid steps to the radius of a cell: 5 * 57^2 is the largest that AMPLITUDE has room for
DIAGONAL, OFF_DIAGONAL = 5, 7
COORDINATE_BITS = 12  # of a record's coordinates, and of the centres: multiples of 2^-12
_SHRINK = 0.998  # of a vector that rounding has made too long; a few times at most
_ROWS = 4_096  # at a time
MOST_DIRECTIONS = 256  # sums of so many squares are exact, and their noise is drawn in a second


@dataclass(frozen=True, eq=False)
class CellMoments:
    """Noisy moments of the records of every cell, in units of records, coordinates in units of the encoded vector.

    Attributes:
        counts: (cells,), or None where they were not measured, ...
        sums: (cells, d) of the differences from the centre, ...
        squares: (cells or 1, d, d) of their products; one for all cells where they are pooled.
        count_std: Of the noise in a count, ...
        sum_std: (cells,) in an entry of the sums, ...
        square_std: (cells or 1,) and in a diagonal entry of the squares; off it, 5/7 of that.
    """

    counts: NDArray[np.float64] | None
    sums: NDArray[np.float64] | None
    squares: NDArray[np.float64] | None
    count_std: float
    sum_std: NDArray[np.float64]
    square_std: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class MomentFeatures(Features):
    """Counts, means and second moments in cells.

    Attributes:
        basis: Public directions.
        rotation: (d, basis.size) directions found by an earlier measurement, or None for the basis itself.
        centres: (cells, d) on the grid of coordinates.
        radii: (cells,) where differences from a centre are clipped. Cells whose squares are pooled share one.
        cell_classes: (cells,) class of each cell; every class has one at least.
        n_classes: Number of classes.
        weights: a, b of the module's text, and whether squares are measured (0 or 1); 0 leaves out.
        pooled: Whether squares are summed over all cells.
        measured: Sums of so many cells only, the first ones, in an audit's many trials; None for all of them.
    """

    basis: ArrayBasis
    rotation: NDArray[np.float64] | None
    centres: NDArray[np.float64]
    radii: NDArray[np.float64]
    cell_classes: NDArray[np.int64]
    n_classes: int
    weights: tuple[int, int, int]
    pooled: bool
    measured: int | None = None
    kind: ClassVar[str] = "moments"

    def __post_init__(self) -> None:
        basis = self.basis if isinstance(self.basis, ArrayBasis) else ArrayBasis(*self.basis)
        object.__setattr__(self, "basis", basis)
        object.__setattr__(self, "weights", tuple(self.weights))
        cells = len(self.cell_classes)
        d = basis.size if self.rotation is None else len(self.rotation)
        if self.rotation is not None and (
            self.rotation.ndim != 2
            or self.rotation.shape[1] != basis.size
            or not _on_grid(self.rotation, BASIS_BITS)
            or not (np.linalg.norm(self.rotation, axis=1) <= 1.01).all()
        ):
            raise ValueError("a rotation has directions of norm 1 on the grid of 2^-16.")
        if self.centres.shape != (cells, d) or not _on_grid(self.centres, COORDINATE_BITS) or not d >= 1:
            raise ValueError("every cell has one centre, on the grid of 2^-12.")
        if not (np.abs(self.centres) <= 2.0 * math.sqrt(basis.width)).all() or d > MOST_DIRECTIONS:
            raise ValueError(f"centres lie where records can be, in at most {MOST_DIRECTIONS} directions.")
        if self.radii.shape != (cells,) or not (np.isfinite(self.radii).all() and (self.radii > 0).all()):
            raise ValueError("every cell has one radius above 0.")
        if not all(type(weight) is int for weight in self.weights) or len(self.weights) != 3:
            raise ValueError("moments have three whole numbers as weights.")
        count, mean, square = self.weights
        if not (
            0 <= count <= AMPLITUDE
            and 0 <= mean <= AMPLITUDE // LEVELS
            and square in (0, 1)
            and any(self.weights)
        ):
            raise ValueError(f"weights of moments lie in 0 to {AMPLITUDE}, {AMPLITUDE // LEVELS} and 1.")
        if set(self.cell_classes.tolist()) != set(range(self.n_classes)):
            raise ValueError("every class has one cell at least.")
        if self.pooled and len(set(self.radii.tolist())) > 1:
            raise ValueError("cells whose squares are pooled share one radius.")
        if self.measured is not None and not 1 <= self.measured <= cells:
            raise ValueError(f"of {cells} cells, 1 to {cells} can be measured, got {self.measured}.")

    @property
    def width(self) -> int:
        return self.basis.width

    @property
    def directions(self) -> int:
        return self.centres.shape[1]

    @property
    def cells(self) -> int:
        """Cells whose sums are in the vector."""
        return len(self.cell_classes) if self.measured is None else self.measured

    @property
    def _sizes(self) -> tuple[int, int, int]:
        """Coordinates of counts, sums and squares."""
        d, matrices = self.directions, 1 if self.pooled else self.cells
        every = (self.cells, self.cells * d, matrices * d * (d + 1) // 2)
        return tuple(size if weight else 0 for size, weight in zip(every, self.weights, strict=True))  # type: ignore[return-value]

    @property
    def size(self) -> int:
        return sum(self._sizes)

    @property
    def norm(self) -> float:
        count, mean, square = self.weights
        return math.hypot(count, mean * LEVELS, square * DIAGONAL * LEVELS**2)

    def sensitivity(self, unit: PrivacyUnit) -> float:
        if not unit.count_is_public:
            return super().sensitivity(unit)
        count, mean, square = self.weights
        rising = math.sqrt(2.0) * math.hypot(count, square * DIAGONAL * LEVELS**2)
        return WEIGHT * math.hypot(rising, 2.0 * mean * LEVELS)

    def fits(self, domain: Domain) -> bool:
        """Whether it is of the domain's records."""
        return self.basis.fits(domain)

    def sums(self, batch: EncodedBatch, weights: NDArray[np.float64]) -> NDArray[np.int64]:
        total = np.zeros(self.size, dtype=np.int64)
        for start in range(0, len(batch), _ROWS):
            rows = slice(start, start + _ROWS)
            total += self._sums(batch.vectors[rows], batch.classes[rows], weights[rows])
        return total

    def _sums(
        self, vectors: NDArray[np.float64], classes: NDArray[np.int64], weights: NDArray[np.float64]
    ) -> NDArray[np.int64]:
        cell, steps = self.placed(vectors, classes)
        count, mean, square = self.weights
        parts: list[NDArray[Any]] = []
        every = len(self.cell_classes)
        if count:
            parts.append(count * np.bincount(cell, weights=weights, minlength=every)[: self.cells])
        weighted = steps * weights[:, None]  # whole numbers below 57 * 2^20; their products' sums below 2^48
        if mean:
            sums = np.zeros((every, self.directions))
            np.add.at(sums, cell, weighted)
            parts.append(mean * sums[: self.cells].ravel())
        if square:
            upper = np.triu_indices(self.directions)
            factor = np.where(upper[0] == upper[1], DIAGONAL, OFF_DIAGONAL)
            groups = [slice(None)] if self.pooled else [cell == one for one in range(self.cells)]
            parts += [factor * (steps[own].T @ weighted[own])[upper] for own in groups]  # type: ignore[index]
        return np.concatenate(parts).astype(np.int64)

    def placed(
        self, vectors: NDArray[np.float64], classes: NDArray[np.int64]
    ) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """Cell of each record, and (n, d) its difference from the centre in whole steps of radius / LEVELS.

        The order of a sum cannot matter: a coefficient is a sum of multiples of 2^-36 below 2^9, a coordinate one of
        2^-28, a squared distance one of 2^-24 below 2^20.
        """
        grid = 2.0**COORDINATE_BITS
        coordinates = np.rint((vectors @ self.basis.matrix.T) * grid)
        if self.rotation is not None:
            coordinates = np.rint(coordinates @ self.rotation.T)
        centres = self.centres * grid
        cell = np.zeros(len(vectors), dtype=np.intp)
        nearest = np.full(len(vectors), np.inf)
        for index, label in enumerate(self.cell_classes):
            own = np.flatnonzero(classes == label)
            away = coordinates[own] - centres[index]
            squared = np.einsum("nd,nd->n", away, away)
            closer = squared < nearest[own]
            nearest[own[closer]], cell[own[closer]] = squared[closer], index
        away = coordinates - centres[cell]
        # A record beyond the radius is moved to it; every operation is on one record's numbers, one by one.
        scale = LEVELS / np.maximum(self.radii[cell] * grid, np.sqrt(nearest))
        steps = np.rint(away * scale[:, None])
        while (long := np.einsum("nd,nd->n", steps, steps) > LEVELS**2).any():
            scale[long] *= _SHRINK
            steps[long] = np.rint(away[long] * scale[long, None])
        return cell, steps

    def cut(self, most: int) -> MomentFeatures:
        kept = min(max(1, math.isqrt(most)), self.directions)  # squares grow with the square of that
        cells = np.sort(np.unique(self.cell_classes, return_index=True)[1])  # one of each class
        rotation = None if self.rotation is None else np.ascontiguousarray(self.rotation[:kept])
        return replace(
            self,
            basis=self.basis if rotation is not None else replace(self.basis, size=kept),
            rotation=rotation,
            centres=np.ascontiguousarray(self.centres[cells, :kept]),
            radii=self.radii[cells],
            cell_classes=self.cell_classes[cells],
            measured=min(most, len(cells)),
        )

    def settings(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "basis": self.basis.settings(),
            "n_classes": self.n_classes,
            "weights": list(self.weights),
            "pooled": self.pooled,
        }
        if self.rotation is None:
            found["rotation"] = None
        return found if self.measured is None else {**found, "measured": self.measured}

    def tensors(self) -> dict[str, NDArray[Any]]:
        found: dict[str, NDArray[Any]] = {
            "centres": self.centres,
            "radii": self.radii,
            "cell_classes": self.cell_classes,
        }
        return found if self.rotation is None else {**found, "rotation": self.rotation}

    def moments(self, values: NDArray[np.float64], *, noise_std: float) -> CellMoments:
        """What was measured, in units of records and of the encoded vector.

        Args:
            values, noise_std: As `Measurement` gives them: grid steps over AMPLITUDE.
        """
        d, (count, mean, square) = self.directions, self.weights
        counts, sums, squares = np.split(values * AMPLITUDE, np.cumsum(self._sizes)[:2])
        noise, step = noise_std * AMPLITUDE, self.radii[: self.cells] / LEVELS
        matrix_step = step[:1] if self.pooled else step
        matrices = None
        if square:
            upper = np.triu_indices(d)
            factor = np.where(upper[0] == upper[1], DIAGONAL, OFF_DIAGONAL)
            matrices = np.zeros((len(matrix_step), d, d))
            matrices[:, upper[0], upper[1]] = squares.reshape(len(matrix_step), -1) / factor
            matrices[:, upper[1], upper[0]] = matrices[:, upper[0], upper[1]]
            matrices *= matrix_step[:, None, None] ** 2
        return CellMoments(
            counts / count if count else None,
            sums.reshape(self.cells, d) * step[:, None] / mean if mean else None,
            matrices,
            noise / count if count else math.inf,
            noise * step / mean if mean else np.full(self.cells, np.inf),
            noise * matrix_step**2 / DIAGONAL if square else np.full(len(matrix_step), np.inf),
        )


def on_grid(values: NDArray[np.float64], bits: int) -> NDArray[np.float64]:
    """The nearest values on a public grid."""
    return np.rint(values * 2.0**bits) / 2.0**bits


def _on_grid(values: NDArray[np.float64], bits: int) -> bool:
    return bool(np.isfinite(values).all()) and np.array_equal(values, on_grid(values, bits))
