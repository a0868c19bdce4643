"""The arithmetic of a ledger: what its entries have spent, what remains, whether a spend fits.

Squares are added as exact fractions, so the order of the spends cannot matter and nothing is lost to
rounding; every root is rounded towards more spent. May import the standard library, keshi.errors and
privacy.accounting.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from keshi.errors import BudgetError
from keshi.privacy.accounting import epsilon_from_mu, mu_from_epsilon
from keshi.privacy.ledger_file import Entry

# The squares of shares like sqrt(0.05) and sqrt(0.95) miss 1 by some 1e-16. mu_from_epsilon is rounded down
# by more than this tolerance, so the guarantee holds all the same.
TOLERANCE = Fraction(1, 10**12)


@dataclass(frozen=True)
class Amount:
    """Privacy spent or remaining: mu, and the epsilon it means at `delta` less the slacks.

    `delta_slack` holds the deltas of thresholds too. Gaussian mechanisms compose in mu^2, so the epsilons of what
    is spent and of what remains do not add up to the budget's epsilon.
    """

    epsilon: float
    delta: float
    mu: float
    delta_slack: float
    measurements: int


def amount_spent(chain: Sequence[Entry]) -> Amount:
    """All spends together, whether or not a noisy value was kept; epsilon and mu are rounded up."""
    _, delta = _budget(chain)
    squares, slack, count = _totals(chain)
    mu = _root_up(squares)
    left = _down(Fraction(delta) - slack)
    epsilon = epsilon_from_mu(mu, left) if mu > 0 else 0.0
    return Amount(epsilon, delta, mu, _up(slack), count)


def amount_remaining(chain: Sequence[Entry]) -> Amount:
    """What one further measurement without slack may spend, rounded down; zeros where nothing remains."""
    _, delta = _budget(chain)
    squares, slack, _ = _totals(chain)
    left = _down(Fraction(delta) - slack)
    limit = _limit(chain, slack)
    remaining = limit - squares
    if remaining <= limit * TOLERANCE:
        return Amount(0.0, delta, 0.0, _up(slack), 0)
    mu = math.sqrt(remaining) * (1 - 1e-15)
    # epsilon_from_mu rounds up by 1e-9 (relative) and 1e-12; here the safe side is below
    epsilon = max(0.0, epsilon_from_mu(mu, left) * (1 - 4e-9) - 4e-12) if mu > 0 else 0.0
    return Amount(epsilon, delta, mu, _up(slack), 0)


def refuse_overspending(
    chain: Sequence[Entry], *, mu: float, delta_slack: float, what: str, delta_threshold: float = 0.0
) -> None:
    """Raise a BudgetError that says what was asked and what remains, unless the spend fits."""
    epsilon, delta = _budget(chain)
    squares, slack, _ = _totals(chain)
    slack += Fraction(delta_slack) + Fraction(delta_threshold)
    delta_slack += delta_threshold  # for the message
    if squares + Fraction(mu) ** 2 <= _limit(chain, slack) * (1 + TOLERANCE):
        return
    left = amount_remaining(chain)
    asked = f"mu {mu:.3g}" + (f" and a delta slack of {delta_slack:.3g}" if delta_slack else "")
    if delta_slack < delta:
        asked = f"epsilon {epsilon_from_mu(mu, _down(Fraction(delta) - Fraction(delta_slack))):.3g} ({asked})"
    if left.mu == 0:
        remains = "nothing of the budget remains"
    else:
        remains = f"epsilon {left.epsilon:.3g} (mu {left.mu:.3g}) remains"
    raise BudgetError(
        f"{what!r} asks for {asked}, but {remains} of epsilon {epsilon:g} at delta {delta:g}. Nothing was "
        "spent on it. Ask for less, or use what was released before: that is free."
    )


def _budget(chain: Sequence[Entry]) -> tuple[float, float]:
    return chain[0].fields["epsilon"], chain[0].fields["delta"]


def _totals(chain: Sequence[Entry]) -> tuple[Fraction, Fraction, int]:
    """Sum of mu^2, sum of delta slacks and of the thresholds' deltas, number of spends."""
    spends = [entry.fields for entry in chain if entry.kind == "spend"]
    squares = sum((Fraction(fields["mu"]) ** 2 for fields in spends), Fraction(0))
    slack = sum(
        (Fraction(fields["delta_slack"]) + Fraction(fields.get("delta_threshold", 0.0)) for fields in spends),
        Fraction(0),
    )
    return squares, slack, len(spends)


def _limit(chain: Sequence[Entry], slack: Fraction) -> Fraction:
    """The square of the largest mu that the budget allows beside these slacks."""
    epsilon, delta = _budget(chain)
    left = _down(Fraction(delta) - slack)
    return Fraction(mu_from_epsilon(epsilon, left)) ** 2 if left > 0 else Fraction(0)


def _down(value: Fraction) -> float:
    return math.nextafter(float(value), -math.inf) if Fraction(float(value)) > value else float(value)


def _up(value: Fraction) -> float:
    return math.nextafter(float(value), math.inf) if Fraction(float(value)) < value else float(value)


def _root_up(value: Fraction) -> float:
    root = math.sqrt(_up(value))
    return root if Fraction(root) ** 2 >= value else math.nextafter(root, math.inf)
