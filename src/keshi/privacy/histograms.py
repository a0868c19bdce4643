"""Noisy dyadic histograms over public ladders, and the bounds and bins that can be read off them for free.

A ladder divides a whole line (all floats, all integers, 1900 to 2100) into coarse cells, and each of them into a few
fine ones; no record has a say in it. Noise comes only through privacy.mechanisms. Imports numpy, no networks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from keshi.privacy.ledger import PrivacyLedger
from keshi.privacy.mechanisms import COUNT, LARGEST_SUM, Block, noise_scales, release
from keshi.privacy.unit import PrivacyUnit

LadderKind = Literal["integer", "number", "timestamp"]
COARSE_SHARE = 0.8  # of mu^2; the coarse cells decide what is covered, the fine ones only tighten it
FALSE_CELL = (
    2e-4  # probability that any empty coarse cell of a column stands out by itself: it may lie far away
)
REACH = 3  # cells beyond the last one that stands out, looked at together: a thin tail shows only in sum
REACH_DEVIATIONS = (
    2.5  # a false step outwards has probability below 3 * 0.0062 and costs up to REACH coarse cells
)
TRIMMED = 0.0025  # of the records at each end may be cut off with the fine cells, at most ...
TRIM_DEVIATIONS = 2.0  # ... and that with this certainty: where noise is large nothing is cut off
MOST_QUANTILE_BINS = 20
BIN_DEVIATIONS = (
    10.0  # of the noise of a fine count in the share of records that a learnt bin is meant to hold
)
FAR = 2.0**1022  # the outermost edge of numbers: upper - lower stays finite
NEAR_ZERO = (
    16  # a lower bound below upper / 16 becomes 0: it widens the range by 6 % and covers all small values
)


@dataclass(frozen=True, eq=False)
class Ladder:
    """A public division of a line.

    Attributes:
        kind: What lies on the line; timestamps are in seconds since 1970.
        edges: (cells * parts + 1,) edges of the fine cells, ascending; a cell includes its lower edge. What lies
            beyond the outermost edges belongs to the outermost cells.
        parts: Fine cells in a coarse one.
    """

    kind: LadderKind
    edges: NDArray[np.float64]
    parts: int

    @property
    def cells(self) -> int:
        """Number of coarse cells."""
        return (len(self.edges) - 1) // self.parts

    @property
    def possible(self) -> NDArray[np.bool_]:
        """(cells * parts,) whether any value can lie in a fine cell: [3.5, 4) holds no integer."""
        if self.kind != "integer":
            return np.ones(len(self.edges) - 1, dtype=bool)
        whole = np.ceil(self.edges)
        return whole[1:] > whole[:-1]

    def count(self, values: NDArray[np.float64]) -> NDArray[np.int64]:
        """(cells + 1 + cells * parts,) coarse counts, the missing (NaN), and fine counts.

        A record adds 1 to one coarse cell and one fine cell, or to "missing" alone, or (infinite) to nothing: an
        infinite value is clipped later and cannot move a bound.
        """
        finite = values[np.isfinite(values)]
        cell = np.searchsorted(self.edges, finite, side="right") - 1
        size = self.cells * self.parts
        fine = np.bincount(np.clip(cell, 0, size - 1), minlength=size).astype(np.int64)
        coarse = fine.reshape(-1, self.parts).sum(axis=1)
        return np.concatenate([coarse, [np.isnan(values).sum()], fine])


def ladder(kind: LadderKind) -> Ladder:
    """The public ladder of a kind of column.

    Numbers: signed powers of two, each octave in four equal parts, and a cell around 0: from 2^-128 to 2^128 (what
    lies beyond goes to the last cell, which reaches to 2^1022), for integers from 1 to 2^64.
    Timestamps: the years 1900 to 2099 in months.
    """
    if kind == "timestamp":
        months = np.arange("1900-01", "2100-02", dtype="datetime64[M]")
        return Ladder(kind, months.astype("datetime64[s]").astype(np.float64), 12)
    first, last = (-1, 64) if kind == "integer" else (-128, 128)  # from 1/2: so that 0 has a cell without 1
    octaves = 2.0 ** np.arange(first, last)
    positive = np.append((octaves[:, None] * (1 + np.arange(4) / 4)).ravel(), 2.0**last)
    if kind == "number":
        positive[-1] = FAR
    smallest = positive[0]
    around_zero = np.array([-smallest / 2, 0.0, smallest / 2])
    return Ladder(kind, np.concatenate([-positive[::-1], around_zero, positive]), 4)


@dataclass(frozen=True, eq=False)
class NoisyHistogram:
    """A released histogram of one column, in records; whatever is computed from it is free.

    Attributes:
        ladder: Its cells.
        coarse: (cells,) noisy counts.
        missing: Noisy number of missing values.
        fine: (cells * parts,) noisy counts.
        coarse_std, fine_std: Standard deviation of the noise in one count.
    """

    ladder: Ladder
    coarse: NDArray[np.float64]
    missing: float
    fine: NDArray[np.float64]
    coarse_std: float
    fine_std: float

    def bounds(self) -> tuple[float, float] | None:
        """Lower and upper edge, points of the ladder, that hold nearly all records; None where all is noise.

        The outermost coarse cells that stand out from the noise, then outwards as long as the next few cells stand
        out together, then inwards by fine cells that are surely next to empty. All of it is post-processing.
        """
        span = self._span()
        if span is None:
            return None
        first, last = span
        parts, edges = self.ladder.parts, self.ladder.edges
        allowed = TRIMMED * max(0.0, float(self.coarse[first : last + 1].sum()))
        fine = self.fine.reshape(-1, parts)
        possible = self.ladder.possible.reshape(-1, parts)
        below = self._trimmed(fine[first], possible[first], allowed)
        above = self._trimmed(fine[last][::-1], possible[last][::-1], allowed)
        if first == last and below + above >= parts:  # only where noise empties a cell from both ends
            below = above = 0
        return float(edges[first * parts + below]), float(edges[(last + 1) * parts - above])

    def quantile_bins(self) -> int:
        """How many bins the noise allows: from the noisy count and the scale of the noise, nothing else.

        A bin of quantile_edges holds half its share of the records at least, and its count is a sum of few fine
        counts. With BIN_DEVIATIONS standard deviations of a fine count in a share, the lightest bin still holds five.
        """
        total = float(self._mass().sum())
        return max(1, min(MOST_QUANTILE_BINS, int(total / (BIN_DEVIATIONS * self.fine_std))))

    def quantile_edges(self, bins: int) -> NDArray[np.float64]:
        """(at most bins + 1,) ascending edges with roughly equal numbers of records between them.

        From left to right, fine cells are put together until a bin has its share; a cell that holds several shares is
        cut into equal parts first, whatever lies where within it. A bin gets half a share at least.
        """
        found = self.bounds()
        if found is None:
            return np.empty(0)
        mass, edges = self._mass(), self.ladder.edges
        least = share = float(mass.sum()) / bins
        if not share:
            return np.array(found)
        cuts, held, ahead = [found[0]], 0.0, float(mass.sum())
        for cell in np.flatnonzero(mass):
            low, high = edges[cell], edges[cell + 1]
            pieces = self._pieces(low, high, float(mass[cell]) / least)
            for piece in range(pieces):
                part = float(mass[cell]) / pieces
                at = float(low + (high - low) * piece / pieces)
                # here, unless with the next piece the bin would come closer to its share
                enough = held >= share / 2 and held + part / 2 > share
                if enough and ahead >= share / 2 and cuts[-1] < at < found[1]:
                    cuts.append(at)
                    held = 0.0
                    # light bins so far leave more to each of those that are allowed
                    share = max(least, ahead / max(1, bins + 1 - len(cuts)))
                held += part
                ahead -= part
        return np.array([*cuts, found[1]])

    def _pieces(self, low: float, high: float, shares: float) -> int:
        """Into how many equal parts a fine cell with so many shares is cut."""
        most = max(1, int(shares))
        if self.ladder.kind == "integer":
            return max(1, min(most, math.ceil(high) - math.ceil(low)))
        # the two cells of numbers around 0 are for what counts as 0
        return 1 if self.ladder.kind == "number" and low * high == 0 else most

    def _mass(self) -> NDArray[np.float64]:
        """(cells * parts,) how many records there are, as far as noise lets it show, in the fine cells inside bounds.

        What does not stand out of a coarse cell counts as nothing: of hundreds of empty cells (all octaves of small
        numbers) about half have a positive noisy count, and together they would draw most edges to themselves.
        """
        found = self.bounds()
        edges, parts = self.ladder.edges, self.ladder.parts
        if found is None:
            return np.zeros(len(edges) - 1)
        usable = (edges[:-1] >= found[0]) & (edges[1:] <= found[1]) & self.ladder.possible
        usable = usable.reshape(-1, parts)
        stands_out = math.sqrt(2.0 * math.log(self.ladder.cells)) * self.coarse_std
        coarse = np.where(usable.any(axis=1) & (self.coarse > stands_out), self.coarse, 0.0)
        fine = np.where(usable, self.fine.reshape(-1, parts), 0.0)
        # shift the fine counts of each coarse cell so that they add up to its own, better, count
        missed = (coarse - fine.sum(axis=1)) / np.maximum(usable.sum(axis=1), 1)
        fine = np.where(usable, np.maximum(fine + missed[:, None], 0.0), 0.0)
        sums = fine.sum(axis=1)
        return (fine * np.divide(coarse, sums, out=np.zeros_like(coarse), where=sums > 0)[:, None]).ravel()

    def _span(self) -> tuple[int, int] | None:
        """First and last coarse cell that hold records, as far as the noise lets it show."""
        deviations = -NormalDist().inv_cdf(FALSE_CELL / self.ladder.cells)
        found = np.flatnonzero(self.coarse > deviations * self.coarse_std)
        if not len(found):
            return None
        first, last = int(found[0]), int(found[-1])
        return first - self._tail(self.coarse[:first][::-1]), last + self._tail(self.coarse[last + 1 :])

    def _tail(self, outwards: NDArray[np.float64]) -> int:
        """How many of the cells outwards to add."""
        added = 0
        while True:
            sums = np.cumsum(outwards[added : added + REACH])
            needed = REACH_DEVIATIONS * self.coarse_std * np.sqrt(np.arange(1, len(sums) + 1))
            hits = np.flatnonzero(sums > needed)
            if not len(hits):
                return added
            added += int(hits[0]) + 1

    def _trimmed(self, inwards: NDArray[np.float64], possible: NDArray[np.bool_], allowed: float) -> int:
        """How many fine cells to cut off, from the outer end of an outermost coarse cell, never all."""
        if not possible.any():
            return 0
        last = int(np.flatnonzero(possible)[-1])  # the innermost cell that can hold anything stays
        noisy = np.maximum(np.cumsum(np.where(possible, inwards, 0.0)[:last]), 0.0)
        at_most = noisy + TRIM_DEVIATIONS * self.fine_std * np.sqrt(np.cumsum(possible[:last]))
        return int(np.flatnonzero(at_most <= allowed).max(initial=-1)) + 1


def histogram_blocks(ladders: Mapping[str, Ladder], unit: PrivacyUnit) -> list[Block]:
    """Two blocks a column: coarse cells with "missing", and fine cells; every column has the same share of mu^2.

    A record adds 1 to at most one cell of a block. Replacing it takes 1 from one cell and adds 1 to another, so the
    block moves by at most sqrt(2): counts are not negative, the triangle inequality's 2 cannot be reached.
    """
    if unit.subject is not None:
        raise ValueError(
            f"learning bounds protects single records so far, got the subject column {unit.subject!r}; declare the "
            "bounds in the domain file."
        )
    moved = COUNT * (math.sqrt(2.0) if unit.count_is_public else 1.0)
    blocks = []
    for name, steps in ladders.items():
        cells, share = steps.cells, 1.0 / len(ladders)
        blocks.append(Block(f"coarse cells of {name}", cells + 1, moved, share * COARSE_SHARE))
        blocks.append(Block(f"fine cells of {name}", cells * steps.parts, moved, share * (1 - COARSE_SHARE)))
    return blocks


def measure_histograms(
    counts: Mapping[str, NDArray[np.int64]],
    ladders: Mapping[str, Ladder],
    *,
    unit: PrivacyUnit,
    mu: float,
    ledger: PrivacyLedger,
    run: str,
    index: int,
    what: str,
    plan_hash: str,
) -> dict[str, NoisyHistogram]:
    """Release the histograms of all columns as one vector: one Gaussian measurement.

    Args:
        counts: For each column what `Ladder.count` gives, summed over the batches.
        ladders: The public ladder of each column.
        unit, mu, ledger, run, index, what, plan_hash: As in `mechanisms.release`.

    Raises:
        BudgetError: if the ledger cannot afford it.
    """
    blocks = histogram_blocks(ladders, unit)
    if max(int(counted.max()) for counted in counts.values()) >= LARGEST_SUM // COUNT:
        raise ValueError("the counts are too large for 64-bit integers: too many records for this grid.")
    noisy = release(
        np.concatenate([counts[name] for name in ladders]) * COUNT,
        blocks,
        mu=mu,
        ledger=ledger,
        run=run,
        index=index,
        what=what,
        plan_hash=plan_hash,
        unit=unit,
    )
    scales = noise_scales(blocks, mu)
    parts = np.split(noisy / COUNT, np.cumsum([block.size for block in blocks])[:-1])
    return {
        name: NoisyHistogram(
            steps,
            parts[2 * i][:-1],
            float(parts[2 * i][-1]),
            parts[2 * i + 1],
            scales[2 * i] / COUNT,
            scales[2 * i + 1] / COUNT,
        )
        for i, (name, steps) in enumerate(ladders.items())
    }


def number_bounds(edges: tuple[float, float], *, integer: bool) -> tuple[float, float]:
    """What edges of a ladder of numbers mean as the bounds of a column: lower < upper, whole for integers.

    The ladder reaches beyond the 64 bits that a Domain allows whole numbers; a bound out there, even by noise alone,
    is drawn in, or the domain would be refused after it was paid for.
    """
    lower, upper = edges
    if 0 < lower < upper / NEAR_ZERO:
        lower = 0.0
    if lower / NEAR_ZERO < upper < 0:
        upper = 1.0 if integer else 0.0  # the upper edge of integers is exclusive
    if integer:
        lowest = min(max(math.ceil(lower), -(2**63)), 2**62)
        highest = min(max(math.ceil(upper) - 1, -(2**62)), 2**63 - 1024)  # the last double below 2^63
        return lowest, max(highest, lowest + 1)
    tiny = 2.0**-128
    lower, upper = (0.0 if abs(edge) <= tiny else edge for edge in (lower, upper))
    return (lower, upper) if lower < upper else (lower, lower + 1.0)
