"""The trade-off between what features are good for and what they leak: lower envelopes, and gaps between them.

Iwasawa et al. (JSAI 2018), Fig. 2: of all trained points of a method, the curve is the lowest attacker accuracy among
the points that keep the label's F at a threshold or above. Takes plain numbers of any system.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from keshi._validate import same_length

THRESHOLDS = 200  # on which two envelopes are compared


@dataclass(frozen=True, eq=False)
class Envelope:
    """The points nobody of the same method beats: useful (k,) falling, leak (k,) falling with it."""

    useful: np.ndarray
    leak: np.ndarray
    chosen: np.ndarray  # their places among all points

    def at(self, threshold: np.ndarray) -> np.ndarray:
        """Lowest leak among the points at least as useful as each threshold; NaN beyond the most useful one."""
        threshold = np.asarray(threshold, dtype=float)
        # useful falls, so the last point that still reaches a threshold leaks least
        count = (self.useful[None, :] >= threshold.reshape(-1, 1)).sum(axis=1)
        found = np.where(count > 0, self.leak[np.maximum(count - 1, 0)], np.nan)
        return found.reshape(threshold.shape)


def lower_envelope(useful: np.ndarray, leak: np.ndarray) -> Envelope:
    """The lower envelope of points (n,): more useful is better, less leak is better."""
    same_length(useful=np.asarray(useful), leak=np.asarray(leak))
    useful, leak = np.asarray(useful, dtype=float), np.asarray(leak, dtype=float)
    order = np.lexsort((leak, -useful))
    best = np.minimum.accumulate(leak[order])
    first = np.r_[True, best[1:] < best[:-1]] if len(order) else np.array([], dtype=bool)
    chosen = order[first]
    return Envelope(useful[chosen], leak[chosen], chosen)


def mean_gap(one: Envelope, other: Envelope, *, lowest: float, highest: float | None = None) -> float:
    """Mean of one's leak less the other's over thresholds from `lowest` to what both reach; below 0, one is better.

    NaN where one of them does not reach `lowest`.
    """
    top = min(one.useful.max(), other.useful.max(), np.inf if highest is None else highest)
    if top < lowest:
        return float("nan")
    grid = np.linspace(lowest, top, THRESHOLDS)
    return float((one.at(grid) - other.at(grid)).mean())
