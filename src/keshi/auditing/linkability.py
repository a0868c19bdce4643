"""Do two files about the same person meet in the release? Linkability of two disjoint sets of columns."""

from __future__ import annotations

from collections.abc import Sequence

from keshi.auditing.controlled_rate import ControlledRate, controlled_rate
from keshi.auditing.mixed_distance import MixedRows, nearest
from keshi.errors import RecordsError


def linkability(
    synthetic: MixedRows,
    train: MixedRows,
    control: MixedRows,
    *,
    first: Sequence[str] | None = None,
    second: Sequence[str] | None = None,
) -> ControlledRate:
    """How often both halves of a row lead to the same synthetic record (Giomi et al., Anonymeter, PoPETs 2023, 3.2).

    Of records equally near the first counts, in the same order for both halves: where the order is random, two sets of
    tied records meet with the probability of their overlap (intersection over union).

    Args:
        synthetic, train, control: Rows in one coding (`encode_rows`), the synthetic ones shuffled.
        first, second: Disjoint sets of columns that two attackers' files hold; default: every other column.

    Raises:
        RecordsError: The sets overlap, are empty, or name columns that are not there.
    """
    names = list(train.names)
    first = names[0::2] if first is None else list(first)
    second = [name for name in names if name not in first][:] if second is None else list(second)
    unknown = [name for name in (*first, *second) if name not in names]
    if unknown or not first or not second or set(first) & set(second):
        raise RecordsError(
            f"linking needs two disjoint, filled sets of the columns {names}; got {first} and {second}."
        )
    linked = []
    for targets in (train, control):
        one, _ = nearest(targets, synthetic, [names.index(name) for name in first])
        other, _ = nearest(targets, synthetic, [names.index(name) for name in second])
        linked.append(one == other)
    return controlled_rate("two halves of a row lead to one synthetic record", linked[0], linked[1])
