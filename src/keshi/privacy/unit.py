"""PrivacyUnit: who is protected (one record or one subject) and what neighbouring data sets are."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from keshi._validate import one_of, positive_integer

Relation = Literal["add-or-remove", "replace-one"]
RELATIONS: tuple[str, ...] = ("add-or-remove", "replace-one")


@dataclass(frozen=True)
class PrivacyUnit:
    """The unit of privacy and the neighbouring relation of a guarantee.

    Attributes:
        relation: "add-or-remove" one unit, or "replace-one" unit by another (then the number of units is public).
        subject: Name of the column that says whose record it is; None where every record is a unit of its own.
        max_records: At most so many records of a subject are used; None uses all. They share a weight of one.
    """

    relation: Relation = "add-or-remove"
    subject: str | None = None
    max_records: int | None = None

    def __post_init__(self) -> None:
        one_of("relation", self.relation, RELATIONS)
        if self.max_records is not None:
            positive_integer("max_records", self.max_records)
            if self.subject is None:
                raise ValueError(
                    "max_records bounds the records of a subject; name the subject's column too."
                )

    @property
    def count_is_public(self) -> bool:
        """Whether neighbouring data sets have the same number of units, so that it may be stated."""
        return self.relation == "replace-one"

    @property
    def name(self) -> str:
        return "record" if self.subject is None else "subject"

    def sensitivity(self, norm: float) -> float:
        """L2 sensitivity of a sum to which one unit contributes a vector of at most this `norm`.

        Adding or removing a unit moves the sum by its vector; replacing it moves the sum by the difference of two
        such vectors, at most twice the norm (triangle inequality).
        """
        return norm if self.relation == "add-or-remove" else 2.0 * norm

    def describe(self) -> str:
        """The unit in words, as it stands in the privacy statement."""
        whose = "" if self.subject is None else f" (column {self.subject})"
        verb = "adding or removing" if self.relation == "add-or-remove" else "replacing"
        return f"{verb} one {self.name}{whose}"

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)
