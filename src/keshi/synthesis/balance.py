"""How many records of each class to draw, where the owner asks for a balance instead of the generator's own shares."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from keshi.errors import ConditionError
from keshi.records.column_kinds import Categorical, Value, category_key
from keshi.records.domain import Domain

Balance = str | Mapping[Value, float]
""" "equal", a text such as "income: >50K=0.5, <=50K=0.5", or {class: share}."""

_ITEM = re.compile(
    r"""\s*(?:'((?:[^']|'')*)'|"((?:[^"]|"")*)"|(.+?))\s*=\s*(\d+\.?\d*|\.\d+)\s*(?:,|$)""", re.DOTALL
)
_NEAR_ONE = 1e-6  # shares written with a few digits, such as thirds, add up to one this nearly


def class_quotas(
    balance: Balance,
    n: int,
    domain: Domain,
    *,
    allowed: NDArray[np.bool_],
    class_weights: NDArray[np.float64],
) -> NDArray[np.int64]:
    """(classes,) number of records of each class, `n` in all, as near to the shares as whole numbers are.

    Args:
        balance: The shares. Classes that are not named divide what is left as the generator would.
        n: Records in all.
        domain: Its label is what is balanced.
        allowed: (classes,) which ones the condition and the constraints leave possible.
        class_weights: (classes,) the generator's own shares.

    Raises:
        ConditionError: if there is no label, a class is unknown or excluded, or the shares are no shares.
    """
    label = domain.label_column
    if label is None:
        raise ConditionError("balance is for the classes of the label, and this domain has no label.")
    names = [*map(category_key, label.categories), *(["OTHER"] * label.other), *(["missing"] * label.missing)]
    if isinstance(balance, str) and balance.strip() == "equal":
        return _rounded(allowed / allowed.sum(), n)
    asked = _parsed(balance, str(domain.label)) if isinstance(balance, str) else balance
    if not isinstance(asked, Mapping) or not asked:
        raise ConditionError(
            f'balance must be "equal", "{domain.label}: {names[0]}=0.5, ..." or a mapping; got {balance!r}.'
        )
    shares = np.full(len(names), np.nan)
    for value, share in asked.items():
        cell = _cell(value, label, names, str(domain.label))
        is_number = isinstance(share, int | float) and not isinstance(share, bool)
        if not is_number or not math.isfinite(share) or share < 0:
            raise ConditionError(
                f"balance: the share of {names[cell]!r} must be a number from 0 to 1, got {share!r}."
            )
        if not math.isnan(shares[cell]):
            raise ConditionError(f"balance names class {names[cell]!r} twice.")
        if share > 0 and not allowed[cell]:
            raise ConditionError(
                f"balance asks for class {names[cell]!r}, which the condition or a constraint excludes; leave it out."
            )
        shares[cell] = share
    named, rest = np.nansum(shares), np.isnan(shares) & allowed
    if named > 1 + _NEAR_ONE or (not rest.any() and named < 1 - _NEAR_ONE):
        raise ConditionError(f"balance: the shares must add up to 1, got {named:.6g} in all.")
    left = class_weights * rest if (class_weights * rest).sum() > 0 else rest.astype(np.float64)
    shares = np.where(np.isnan(shares), 0.0, shares)
    if rest.any() and named < 1 - _NEAR_ONE:
        shares = shares + left / left.sum() * (1.0 - named)
    return _rounded(shares / shares.sum(), n)


def part_of(quotas: NDArray[np.int64], rows: int) -> NDArray[np.int64]:
    """(groups,) how many of the next `rows` records each group gets, in proportion to what it still needs."""
    total = int(quotas.sum())
    if rows >= total:
        return quotas.copy()
    # In Python's integers: a quota times the rows may not fit 64 bits.
    floors = np.array([int(quota) * rows // total for quota in quotas], dtype=np.int64)
    rests = np.array([int(quota) * rows % total for quota in quotas], dtype=object)
    most = sorted(range(len(quotas)), key=lambda group: -rests[group])[: rows - int(floors.sum())]
    floors[most] += 1
    return floors


def _rounded(shares: NDArray[np.float64], n: int) -> NDArray[np.int64]:
    """Whole numbers that add up to n, by largest remainder."""
    exact = shares * n
    floors = np.floor(exact).astype(np.int64)
    missing = n - int(floors.sum())
    floors[np.argsort(floors - exact, kind="stable")[:missing]] += 1
    return floors


def _parsed(text: str, label: str) -> dict[Value, float]:
    rest = text.strip()
    prefix = re.match(r"(?:`([^`]+)`|([^:=]+?))\s*:", rest)
    if rest.startswith(label) and rest[len(label) :].lstrip().startswith(":"):
        rest = rest[len(label) :].lstrip()[1:]
    elif prefix is not None:
        name = prefix[1] or prefix[2]
        if name != label:
            raise ConditionError(f"balance is for the label, which is {label!r}; got {name!r}.")
        rest = rest[prefix.end() :]
    asked: dict[Value, float] = {}
    place = 0
    while rest[place:].strip():
        item = _ITEM.match(rest, place)
        if item is None:
            raise ConditionError(
                f"balance: expected CLASS=SHARE, ... at {rest[place:].strip()!r}; for example "
                f'"{label}: yes=0.5, no=0.5". Put a class that contains a comma in quotes.'
            )
        name = next(group for group in item.groups()[:3] if group is not None)
        if name in asked:
            raise ConditionError(f"balance names class {name!r} twice.")
        asked[name] = float(item[4])
        place = item.end()
    return asked


def _cell(value: Value, label: Categorical, names: list[str], column: str) -> int:
    key = category_key(value)
    for candidate in (key, key.lower()):  # "True" is what other programs write
        if candidate in names:
            return names.index(candidate)
    raise ConditionError(f"balance: {key!r} is no class of column {column!r}; its classes are {names}.")
