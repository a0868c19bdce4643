"""PrivacyStatement: the guarantee of a release in one sentence, and every figure behind it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from decimal import ROUND_CEILING, Context, Decimal
from typing import Any

LARGE_DELTA = 1e-3  # beyond it the promise allows what nobody would call private, and says so
_ALL_DIGITS = Context(prec=400)  # of any float: a file may promise an epsilon of 1e300, and is printed


@dataclass(frozen=True)
class PrivacyStatement:
    """What is guaranteed, for whom, by what.

    Attributes:
        epsilon, delta: The guarantee of everything in the release together.
        unit: The unit of privacy and the neighbouring relation, in words.
        mu: The same guarantee as Gaussian DP, before `delta_slack`.
        delta_slack: Part of delta set aside for the integer grid of the noise and, where categories were learnt,
            for their thresholds.
        measurements: What was measured with noise, in order.
        remaining: epsilon that remains of the ledger's budget at its delta.
        ledger, ledger_head: The ledger, and the hash of its last entry when this was written; empty where none
            was kept.
        assumed_public: What was taken to be public knowledge.
    """

    epsilon: float
    delta: float
    unit: str
    mu: float
    delta_slack: float
    measurements: tuple[str, ...]
    remaining: float
    ledger: str
    ledger_head: str
    assumed_public: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """The promise in one sentence."""
        count = len(self.measurements)
        if not self.ledger:
            left = "no ledger kept"
        elif self.remaining < 0.005 * min(1.0, self.epsilon):  # a trifle, left by rounding what was spent
            left = "nothing of the budget remains"
        else:
            left = f"epsilon {self.remaining:.3g} of the budget remains"
        weak = ""
        if self.delta > LARGE_DELTA:
            weak = (
                f"; weak, as publishing each record with probability {self.delta:.3g} would keep this delta"
            )
        return (
            f"({promised(self.epsilon)}, {promised(self.delta)})-differential privacy for {self.unit}; "
            f"{count} noisy measurement{'s' if count != 1 else ''} ({', '.join(self.measurements)}); {left}{weak}."
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON form, with the sentence."""
        return {"sentence": self.sentence, **asdict(self)}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> PrivacyStatement:
        known = {key: fields[key] for key in cls.__dataclass_fields__}
        for key in ("measurements", "assumed_public"):
            known[key] = tuple(known[key])
        return cls(**known)


def promised(value: float) -> str:
    """An epsilon or a delta of a promise, as every place prints it: hundredths, or three significant figures below 1.

    Never less than it is, or the promise would look stronger; and never 0.00, however small.
    """
    exact = Decimal(repr(float(value)))
    last = -2 if exact >= 1 else exact.adjusted() - 2  # hundredths, or the third significant figure
    rounded = exact.quantize(Decimal((0, (1,), last)), rounding=ROUND_CEILING, context=_ALL_DIGITS)
    return f"{rounded:.2f}" if exact >= 1 else f"{float(rounded):.3g}"
