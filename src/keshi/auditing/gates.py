"""Gates for a pipeline: named figures of an audit against limits; each passes, fails or is inconclusive.

A gate that cannot tell does not pass by itself: silence is no evidence.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Protocol

from keshi.auditing.release_attacks import Risk

GATES = {
    "leak": "1 where the verdict is a leak: any attack beyond chance, however small, or bounds read from the records",
    "risk": "largest risk of all attacks that were made; of membership, 2 AUC - 1",
    "attribute": "risk of attribute inference: all secrets together, or one that leaks beyond chance",
    "linkability": "risk of linkability",
    "copies": "risk of exact and near copies",
    "membership": "largest AUC - 0.5 of the membership attacks",
    "identification": "(share named by the worst attacker - floor) / (1 - floor)",
    "auc_gap": "mean ROC-AUC of real rows less that of the release, on held-out rows",
    "accuracy_gap": "mean accuracy of real records less that of the release, on held-out records",
    "two_way": "mean total variation distance of a pair of columns",
    "small_groups": "share of the small groups that are erased",
}
FIGURES = ("auc_gap", "accuracy_gap", "two_way", "small_groups")  # all others are risks, with an interval
GATES_OF = {
    "table": (
        "leak",
        "risk",
        "attribute",
        "linkability",
        "copies",
        "membership",
        "auc_gap",
        "two_way",
        "small_groups",
    ),
    "arrays": ("leak", "risk", "copies", "membership", "accuracy_gap", "small_groups"),
    "features": ("leak", "risk", "identification"),
}
KINDS = {"table": "a table", "arrays": "images or windows", "features": "features"}


class Gated(Protocol):
    """An audit that gates can be held against."""

    @property
    def verdict(self) -> str: ...
    @property
    def leaks(self) -> tuple[str, ...]: ...
    @property
    def doubts(self) -> tuple[str, ...]: ...
    def risks(self, gate: str) -> list[Risk]: ...
    def figure(self, gate: str) -> tuple[float | None, str]: ...


@dataclass(frozen=True)
class GateResult:
    """One gate: `value` is None where there is no figure; `reason` says why it did not pass."""

    name: str
    limit: float
    value: float | None
    interval: tuple[float, float] | None
    verdict: Literal["passed", "failed", "inconclusive"]
    reason: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def read_gates(texts: Sequence[str], *, kind: str = "table") -> dict[str, float]:
    """Limits from texts such as "risk=0.05".

    Args:
        texts: What --fail-above was given.
        kind: What is audited: "table", "arrays" or "features".

    Raises:
        ValueError: A name that is no gate, a limit that is no number from 0 to 1, or a gate named twice.
    """
    limits: dict[str, float] = {}
    for text in texts:
        name, _, number = (part.strip() for part in text.partition("="))
        try:
            limit = float(number)
        except ValueError:
            limit = math.nan
        if name not in GATES_OF[kind] or not 0 <= limit <= 1 or name in limits:
            raise ValueError(
                f"--fail-above takes NAME=LIMIT once a name, the limit from 0 to 1, got {text!r}. "
                f"The names are, for {KINDS[kind]}, {', '.join(GATES_OF[kind])}."
            )
        limits[name] = limit
    return limits


def check_gates(audit: Gated, limits: dict[str, float]) -> tuple[GateResult, ...]:
    """Hold the audit against the limits.

    A risk fails where its estimate is above the limit and its 95 % interval above 0. It is inconclusive where too few
    rows were attacked, where the estimate is above the limit and the interval holds 0, and where half the interval is
    wider than the limit: then a leak as large as the limit could not have been seen. It is inconclusive, too, where the
    hold-out is no control. Where it passes although there is a leak, below the limit, its reason says so.
    """
    return tuple(_check(audit, name, limit) for name, limit in limits.items())


def _check(audit: Gated, name: str, limit: float) -> GateResult:
    if name in FIGURES:
        value, reason = audit.figure(name)
        if value is None or not math.isfinite(value):
            return GateResult(name, limit, None, None, "inconclusive", reason)
        if value > limit:
            return GateResult(name, limit, value, None, "failed", f"{value:.3g} is above {limit:g}")
        return GateResult(name, limit, value, None, "passed", "")
    said = "; ".join(audit.leaks)
    if name == "leak":
        if audit.verdict == "inconclusive":
            reason = " ".join(audit.doubts) or "some attacks had too few rows"
            return GateResult(name, limit, None, None, "inconclusive", reason)
        found = GateResult(name, limit, float(audit.verdict == "leak"), None, "passed", "")
        return (
            replace(found, verdict="failed", reason=said) if audit.verdict == "leak" and limit < 1 else found
        )
    found = _worst([_judge(name, limit, *one) for one in audit.risks(name)], name, limit)
    if found.verdict == "passed" and audit.doubts:
        return replace(found, verdict="inconclusive", reason=" ".join(audit.doubts))
    if found.verdict == "passed" and said:
        reason = f"below the limit, yet a leak was found: {said}. The gate leak=0 fails on every leak."
        return replace(found, reason=reason)
    return found


def _judge(
    name: str, limit: float, what: str, value: float, interval: tuple[float, float], reason: str | None
) -> GateResult:
    low, high = interval
    if reason is not None or not math.isfinite(value):
        return GateResult(name, limit, None, None, "inconclusive", f"{what}: {reason or 'no figure'}")
    said = f"{what}: {value:.3g}, 95 % interval {low:.3g} to {high:.3g}"
    if value > limit:
        if low > 0:
            return GateResult(name, limit, value, interval, "failed", f"{said}, is above {limit:g}")
        return GateResult(
            name, limit, value, interval, "inconclusive", f"{said}, may be chance; attack more rows"
        )
    if (high - low) / 2 > limit:
        return GateResult(
            name,
            limit,
            value,
            interval,
            "inconclusive",
            f"{said}, too wide to see {limit:g}; attack more rows",
        )
    return GateResult(name, limit, value, interval, "passed", "")


def _worst(found: list[GateResult], name: str, limit: float) -> GateResult:
    if not found:
        reason = "no hold-out was given, so no attack has a control; or there is nothing to attack"
        return GateResult(name, limit, None, None, "inconclusive", reason)
    order = {"failed": 0, "inconclusive": 1, "passed": 2}
    return min(found, key=lambda one: (order[one.verdict], -(one.value or 0.0)))
