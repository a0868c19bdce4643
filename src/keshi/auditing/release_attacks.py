"""All attacks on one synthetic table, with a hold-out as their control, and the same attacks on two yardsticks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from keshi._validate import positive_integer
from keshi.auditing.attribute import AttributeInference, attribute_inference
from keshi.auditing.cells import shared_columns
from keshi.auditing.controlled_rate import ControlledRate
from keshi.auditing.copies import Copies, copies
from keshi.auditing.linkability import linkability
from keshi.auditing.membership import MembershipAttack, membership_attacks
from keshi.auditing.mixed_distance import encode_rows

TARGETS = 2000  # people attacked on either side; membership takes more, for its rates at few false positives
MEMBERSHIP_TARGETS = 5000
MOST_SYNTHETIC = 100_000  # synthetic records searched; of a larger release a random part
LOWEST_RISK = -1.0  # shown: where the control nearly always succeeds, chance alone makes it -100 and less
FALSE_ALARM = 0.01  # probability that any of all attacks calls a harmless release a leak

Verdict = Literal["leak", "no leak found", "inconclusive"]
Risk = tuple[str, float, tuple[float, float], str | None]
"""Attack, estimate, 95 % interval, and why it says nothing (None where it counts)."""


@dataclass(frozen=True)
class ReleaseAttacks:
    """What the attacks on one table found.

    Attributes:
        membership: By distance and by density.
        attribute: Secrets guessed, together and one by one.
        linkability: Two halves of a row that meet; None for a table of one column.
        copies: Exact and near ones.
        synthetic_rows: Synthetic records searched.
    """

    membership: tuple[MembershipAttack, ...]
    attribute: AttributeInference | None
    linkability: ControlledRate | None
    copies: Copies
    synthetic_rows: int

    @property
    def rates(self) -> tuple[ControlledRate, ...]:
        """Every attack that has a success rate."""
        guesses = () if self.attribute is None else (self.attribute.overall, *self.attribute.secrets)
        links = () if self.linkability is None else (self.linkability,)
        return (*guesses, *links, self.copies.exact, self.copies.near)

    @property
    def leaks(self) -> tuple[str, ...]:
        """Attacks that succeed beyond chance; all together raise a false alarm with probability 1 % at most."""
        secrets = () if self.attribute is None else self.attribute.secrets
        found: list[tuple[str, MembershipAttack | ControlledRate]] = [
            *((one.attack, one) for one in self.membership),
            *((f"{one.what} guessed" if one in secrets else one.what, one) for one in self.rates),
        ]
        alpha = 2 * FALSE_ALARM / len(found)  # one-sided, shared out over all of them (Bonferroni)
        return tuple(name for name, one in found if one.is_leak(alpha))

    @property
    def verdict(self) -> Verdict:
        """ "no leak found" is no proof: a stronger attack may find one."""
        if self.leaks:
            return "leak"
        found: list[MembershipAttack | ControlledRate] = [*self.membership, *self.rates]
        all_count = all(one.is_conclusive for one in found)
        return "no leak found" if all_count else "inconclusive"

    def risks(self, gate: str) -> list[Risk]:
        """What a gate looks at: "membership", "attribute", "linkability" or "copies", or all of it: "risk"."""
        areas: list[Risk] = []
        if gate in ("risk", "membership"):
            times = 2.0 if gate == "risk" else 1.0  # 2 AUC - 1 runs from 0 to 1, as the other risks do
            for area in self.membership:
                low, high = (times * (limit - 0.5) for limit in area.interval())
                areas.append((area.attack, times * area.gap, (low, high), area.reason))
        rates: list[ControlledRate] = []
        if gate in ("risk", "attribute") and self.attribute is not None:
            secrets = self.attribute.secrets
            alpha = 2 * FALSE_ALARM / len(secrets)  # of many secrets one stands out by chance
            rates += [self.attribute.overall, *(one for one in secrets if one.is_leak(alpha))]
        if gate in ("risk", "linkability") and self.linkability is not None:
            rates.append(self.linkability)
        if gate in ("risk", "copies"):
            rates += [self.copies.exact, self.copies.near]
        guessed = [one for one in rates if not one.nothing_to_guess]
        return [*areas, *((one.what, one.risk, one.interval(), one.reason) for one in guessed)]

    def main_figures(self) -> dict[str, float | None]:
        """Figure -> value, None where it is inconclusive: what a reader compares between releases."""
        rates = {
            "attribute inference, risk": self.attribute.overall if self.attribute else None,
            "linkability, risk": self.linkability,
            "exact copies, risk": self.copies.exact,
            "near copies, risk": self.copies.near,
        }
        found = {
            name: max(one.risk, LOWEST_RISK) if one.is_conclusive else None
            for name, one in rates.items()
            if one is not None
        }
        areas = {f"membership, {one.attack}, AUC": one for one in self.membership}
        return found | {name: one.auc if one.is_conclusive else None for name, one in areas.items()}

    def to_json(self) -> dict[str, Any]:
        return {
            "verdict": self.verdict,
            "leaks": list(self.leaks),
            "synthetic_rows": self.synthetic_rows,
            "membership": [one.to_json() for one in self.membership],
            "attribute": None if self.attribute is None else self.attribute.to_json(),
            "linkability": None if self.linkability is None else self.linkability.to_json(),
            "copies": self.copies.to_json(),
        }


def attack_release(
    synthetic: pd.DataFrame,
    train: pd.DataFrame,
    holdout: pd.DataFrame,
    *,
    secrets: Sequence[str] | None = None,
    quasi_identifiers: Sequence[str] | None = None,
    targets: int = TARGETS,
    seed: int = 0,
) -> ReleaseAttacks:
    """Attack a synthetic table of any system where only its records are given.

    Args:
        synthetic: The release, (n, d).
        train: The real rows it was made from.
        holdout: Real rows of the same population that it never saw: the control of every attack. A fifth of them, at
            most 5,000, serve as the reference of the density attack and are not attacked.
        secrets, quasi_identifiers: See `attribute_inference`.
        targets: People attacked on either side; membership attacks up to 5,000 where this is 2,000 (2.5 times as many).
        seed: Of the choices among rows.

    Raises:
        RecordsError: The tables do not have the same columns, or one of them is empty.
    """
    positive_integer("targets", targets)
    for table in (synthetic, holdout):
        shared_columns(train, table, least_rows=1)
    names = list(train.columns)
    real, held, made = encode_rows([train, holdout[names]], [synthetic[names]])
    random = np.random.default_rng(seed)
    many = round(targets * MEMBERSHIP_TARGETS / TARGETS)
    made = made.take(
        random.permutation(len(made))[:MOST_SYNTHETIC]
    )  # ties go to the first: their order is fair
    order = random.permutation(len(held))
    left_over = min(len(held) // 5, MEMBERSHIP_TARGETS)
    reference, strangers = held.take(order[:left_over]), held.take(order[left_over:][:many])
    members = real.take(random.permutation(len(real))[:many])
    few = np.arange(targets)
    train_sample = members.take(few[: len(members)])
    control_sample = strangers.take(few[: len(strangers)])
    alone = len(names) < 2
    return ReleaseAttacks(
        membership_attacks(made, reference, members, strangers, seed=seed),
        None
        if alone
        else attribute_inference(
            made, train_sample, control_sample, secrets=secrets, quasi_identifiers=quasi_identifiers
        ),
        None if alone else linkability(made, train_sample, control_sample),
        copies(made, real, held, train_sample=train_sample, control_sample=control_sample),
        len(made),
    )
