"""LearningClaim: what the learning of a domain promises, as an audit of it needs to know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from keshi.errors import DomainError
from keshi.privacy.accounting import delta_from_mu
from keshi.privacy.unit import RELATIONS, PrivacyUnit
from keshi.records.column_kinds import Categorical, Numerical, Timestamp
from keshi.records.domain import Domain


@dataclass(frozen=True)
class LearningClaim:
    """A learning of a domain and what it claims.

    Attributes:
        types: Column name -> "text", "integer", "number", "boolean" or "timestamp".
        epsilon, delta, unit: The guarantee that is claimed.
    """

    types: dict[str, str]
    epsilon: float
    delta: float
    unit: PrivacyUnit

    @classmethod
    def of(cls, domain: Domain) -> LearningClaim:
        """The claim in the [learned] table of a domain; delta is what its mu and its slack need at its epsilon."""
        cost = domain.learned
        if cost is None:
            raise DomainError(f"{domain.source}: it was declared, not learnt; there is no learning to audit.")
        unit = next((u for u in map(PrivacyUnit, RELATIONS) if u.describe() == cost.unit), None)  # type: ignore[arg-type]
        if unit is None:
            raise DomainError(f"{domain.source}: expected a unit that keshi learns under, got {cost.unit!r}.")
        delta = delta_from_mu(cost.mu, cost.epsilon) + cost.delta
        types = {name: _type(column) for name, column in domain.columns.items()}
        return cls(types | dict.fromkeys(domain.ignore, "text"), cost.epsilon, min(delta, 0.999), unit)

    @property
    def texts(self) -> list[str]:
        return [name for name, kind in self.types.items() if kind == "text"]


def _type(column: Any) -> str:
    """What type a column had when it was learnt, as far as the domain still says it."""
    if isinstance(column, Categorical):
        return "boolean" if all(isinstance(value, bool) for value in column.categories) else "text"
    if isinstance(column, Timestamp):
        return "timestamp"
    assert isinstance(column, Numerical)
    return "integer" if column.integer else "number"
