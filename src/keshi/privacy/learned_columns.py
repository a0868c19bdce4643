"""From noisy counts to the columns of a Domain: bounds, bins and category lists. Post-processing, which costs nothing.

No record reaches this module. Imports no networks.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from keshi.privacy.histograms import NoisyHistogram, number_bounds
from keshi.privacy.mechanisms import Key
from keshi.records.column_kinds import Categorical, Column, Numerical, Timestamp
from keshi.records.columns import OTHER

_DAY = 86_400


def columns_learnt(
    types: Mapping[str, str],
    zoned: set[str],
    histograms: Mapping[str, NoisyHistogram],
    counts: Mapping[Key, float],
) -> tuple[dict[str, Column], tuple[str, ...]]:
    """The columns, without texts of which no value was published, and the names of those with placeholder bounds."""
    columns: dict[str, Column] = {}
    unclear = []
    for name, kind in types.items():
        if kind == "boolean":
            columns[name] = Categorical((False, True), missing=True)
        elif kind == "text":
            # a frequent value called OTHER falls into the cell of that name
            values = tuple(v for column, v in counts if column == name and v not in (None, OTHER))
            if values:
                columns[name] = Categorical(values, missing=True, other=True)
        else:
            if histograms[name].bounds() is None:
                unclear.append(name)
            columns[name] = _bounded(kind, histograms[name], zoned=name in zoned)
    return columns, tuple(unclear)


def _bounded(kind: str, histogram: NoisyHistogram, *, zoned: bool) -> Numerical | Timestamp:
    """Bounds and bins; placeholders, and no bins, where nothing stands out from the noise."""
    found, steps = histogram.bounds(), histogram.ladder
    inner = [float(edge) for edge in histogram.quantile_edges(histogram.quantile_bins())[1:-1]]
    if kind == "timestamp":
        lower, upper = found or (float(steps.edges[0]), float(steps.edges[-1]))
        days = [_DAY * math.ceil(edge / _DAY) for edge in inner]  # whole days: easier to read, and to keep
        moments = tuple(_moment(cut, zoned=zoned) for cut in _between(days, lower, upper))
        return Timestamp(_moment(lower, zoned=zoned), _moment(upper, zoned=zoned), missing=True, bins=moments)
    integer = kind == "integer"
    lower, upper = number_bounds(found or (0.0, 1.0), integer=integer)
    if integer:  # a bin from one whole number to a larger one is not empty of whole numbers
        return Numerical(lower, upper, True, True, bins=_between([math.ceil(e) for e in inner], lower, upper))
    tiny = 2.0**-128  # counts as 0, as in number_bounds
    inner = [edge if abs(edge) > tiny else math.copysign(tiny, edge) for edge in inner]
    return Numerical(lower, upper, missing=True, bins=_between(inner, lower, upper))


def _between(cuts: Iterable[float], lower: float, upper: float) -> tuple[float, ...]:
    return tuple(sorted({cut for cut in cuts if lower < cut < upper}))


def _moment(seconds: float, *, zoned: bool) -> str:
    moment = datetime(1970, 1, 1, tzinfo=UTC if zoned else None) + timedelta(seconds=float(seconds))
    return moment.isoformat()
