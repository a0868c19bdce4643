"""Gates for a pipeline: named figures of an audit against limits; each passes, fails or is inconclusive.

A gate that cannot tell does not pass by itself: silence is no evidence.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from keshi.auditing.controlled_rate import ControlledRate
from keshi.auditing.release_attacks import FALSE_ALARM, ReleaseAttacks
from keshi.auditing.release_audit import ReleaseAudit

GATES = {
    "risk": "largest risk of attribute inference, linkability and copies",
    "attribute": "risk of attribute inference: all secrets together, or one that leaks beyond chance",
    "linkability": "risk of linkability",
    "copies": "risk of exact and near copies",
    "membership": "largest AUC - 0.5 of the membership attacks",
    "auc_gap": "mean ROC-AUC of real rows less that of the release, on held-out rows",
    "two_way": "mean total variation distance of a pair of columns",
    "small_groups": "share of the small groups that are erased",
}


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


def read_gates(texts: Sequence[str]) -> dict[str, float]:
    """Limits from texts such as "risk=0.05".

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
        if name not in GATES or not 0 <= limit <= 1 or name in limits:
            raise ValueError(
                f"--fail-above takes NAME=LIMIT once a name, the limit from 0 to 1, got {text!r}. "
                f"The names are {', '.join(GATES)}."
            )
        limits[name] = limit
    return limits


def check_gates(audit: ReleaseAudit, limits: dict[str, float]) -> tuple[GateResult, ...]:
    """Hold the audit against the limits.

    A risk fails where its estimate is above the limit and its 95 % interval above 0. It is inconclusive where too few
    rows were attacked, where the estimate is above the limit and the interval holds 0, and where half the interval is
    wider than the limit: then a leak as large as the limit could not have been seen.
    """
    return tuple(_check(audit, name, limit) for name, limit in limits.items())


def _check(audit: ReleaseAudit, name: str, limit: float) -> GateResult:
    if name in ("auc_gap", "two_way", "small_groups"):
        value, reason = _utility_figure(audit, name)
        if value is None or not math.isfinite(value):
            return GateResult(name, limit, None, None, "inconclusive", reason)
        if value > limit:
            return GateResult(name, limit, value, None, "failed", f"{value:.3g} is above {limit:g}")
        return GateResult(name, limit, value, None, "passed", "")
    if audit.release.attacks is None:
        return GateResult(
            name, limit, None, None, "inconclusive", "no hold-out was given, so no attack has a control"
        )
    return _worst([_judge(name, limit, *one) for one in _risks(audit.release.attacks, name)], name, limit)


Risk = tuple[str, float, tuple[float, float], str | None]


def _risks(attacks: ReleaseAttacks, name: str) -> list[Risk]:
    """(attack, estimate, 95 % interval, why it says nothing) of all that the gate looks at."""
    if name == "membership":
        found = []
        for one in attacks.membership:
            low, high = one.interval()
            found.append((one.attack, one.gap, (low - 0.5, high - 0.5), one.reason))
        return found
    rates: list[ControlledRate] = []
    if name in ("risk", "attribute") and attacks.attribute is not None:
        secrets = attacks.attribute.secrets
        alpha = 2 * FALSE_ALARM / len(secrets)  # of many secrets one stands out by chance
        rates += [attacks.attribute.overall, *(one for one in secrets if one.is_leak(alpha))]
    if name in ("risk", "linkability") and attacks.linkability is not None:
        rates.append(attacks.linkability)
    if name in ("risk", "copies"):
        rates += [attacks.copies.exact, attacks.copies.near]
    return [(one.what, one.risk, one.interval(), one.reason) for one in rates if not one.nothing_to_guess]


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
        return GateResult(name, limit, None, None, "inconclusive", "nothing could be attacked")
    order = {"failed": 0, "inconclusive": 1, "passed": 2}
    return min(found, key=lambda one: (order[one.verdict], -(one.value or 0.0)))


def _utility_figure(audit: ReleaseAudit, name: str) -> tuple[float | None, str]:
    if name == "two_way":
        return audit.release.fidelity.equal_width.mean_two_way, "a table of one column has no pairs"
    if name == "small_groups":
        groups = audit.release.groups
        return (
            None if groups is None else groups.erased_share
        ), "no small group has enough rows to be judged"
    ours = audit.release.utility.mean_roc_auc if audit.release.utility else None
    best = audit.ceiling.mean_roc_auc if audit.ceiling else None
    if ours is None or best is None:
        return None, "ROC-AUC needs a hold-out, --label, and two classes with enough rows in every table"
    return best - ours, ""
