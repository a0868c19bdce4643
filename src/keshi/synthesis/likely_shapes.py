"""What shape a column of numbers is likely to have, from counts that are mostly noise.

Where few records are spread over many intervals no interval stands out, and counts drawn from noise are a comb over
the whole range. Yet place and width of the bulk, and what lies on 0 or a bound, are two or three numbers, and those the
same counts do tell: a mean over simple shapes, each weighed by its likelihood. From noisy values only.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

PLACES = np.linspace(
    -0.1, 1.1, 25
)  # of the bulk's middle, in shares of the range: off it, one side alone is seen
WIDTHS = np.geomspace(0.01, 1.0, 10)  # of the logistic distribution, in shares of the range; 1 is nearly even
EVEN = 1e-6  # share of the even column: no cell is impossible
ATOMS = (0.1, 0.25, 0.5, 0.75, 0.95)  # shares of the units on one likely value


def likely_shares(
    noisy: NDArray[np.float64],
    variance: NDArray[np.float64],
    widths: NDArray[np.float64],
    total: float,
    *,
    likely: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """(cells,) expected share of each cell: the posterior mean over logistic bulks, with or without one likely value.

    Args:
        noisy, variance: (cells,) noisy counts of neighbours in their order, and the variance of their noise.
        widths: (cells,) of the cells.
        total: Of all cells.
        likely: (cells,) whether a cell is a single likely value.
    """
    edges = np.concatenate([[0.0], np.cumsum(widths)]) / widths.sum()
    standing = (edges - PLACES[:, None, None]) / WIDTHS[None, :, None]
    below = 1.0 / (1.0 + np.exp(-np.clip(standing, -500.0, 500.0)))
    bulk = np.diff(below, axis=2).reshape(-1, len(noisy))
    held = bulk.sum(axis=1)
    bulk = bulk[held > 1e-9] / held[held > 1e-9, None]
    shapes = [bulk]
    for cell in np.flatnonzero(likely):
        alone = np.zeros(len(noisy))
        alone[cell] = 1.0
        shapes += [(1.0 - share) * bulk + share * alone for share in ATOMS]
    every = np.concatenate(shapes)
    # Few shapes have an atom where many cells could be one: all likely values together weigh as much as none.
    prior = np.concatenate(
        [np.full(len(s), 1.0 if i == 0 else 1.0 / (len(shapes) - 1)) for i, s in enumerate(shapes)]
    )
    misfit = ((noisy - total * every) ** 2 / variance).sum(axis=1) / 2.0
    weight = prior * np.exp(misfit.min() - misfit)
    even = widths / widths.sum()
    return np.asarray((1.0 - EVEN) * (weight @ every) / weight.sum() + EVEN * even)
