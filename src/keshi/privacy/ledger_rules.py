"""What may be added to the chain of a ledger: a measurement has one plan and one noisy value, all have one unit.

What it may cost stands in `ledger_amounts`. May import keshi.errors and the entries of a ledger file; nothing heavy.
"""

from __future__ import annotations

from collections.abc import Sequence

from keshi.errors import BudgetError
from keshi.privacy.ledger_file import Entry


def of_measurement(chain: Sequence[Entry], kind: str, run: str, index: int) -> list[Entry]:
    """The entries of one kind about one measurement of one run."""
    return [e for e in chain if e.kind == kind and (e.fields["run"], e.fields["index"]) == (run, index)]


def next_attempt(chain: Sequence[Entry], run: str, index: int, *, plan: str) -> int:
    """How often a measurement was paid for without its value being kept.

    Raises:
        BudgetError: it was paid for with another plan, or its value is kept.
    """
    earlier = of_measurement(chain, "spend", run, index)
    if any(entry.fields["plan"] != plan for entry in earlier):
        raise BudgetError(
            f"run {run!r}, measurement {index} was paid for with another plan; a run cannot be "
            "replayed with other settings. Give the same settings, or start a new run."
        )
    if of_measurement(chain, "value", run, index):
        raise BudgetError(
            f"run {run!r}, measurement {index} is paid for and its noisy value is kept. Use it "
            f"again with stored({run!r}, {index}): drawing a second one would cost more privacy."
        )
    return len(earlier)


def refuse_second_value(chain: Sequence[Entry], run: str, index: int) -> None:
    """Raise where a measurement has its noisy value."""
    if of_measurement(chain, "value", run, index):
        raise BudgetError(
            f"run {run!r}, measurement {index} has its noisy value; a second one is never released. Use stored()."
        )


def refuse_other_unit(chain: Sequence[Entry], unit: str) -> None:
    """The mu of different units or relations do not add up to a guarantee for any of them."""
    promised = [chain[0].fields.get("unit", ""), *(e.fields["unit"] for e in chain if e.kind == "spend")]
    other = sorted({earlier for earlier in promised if earlier and earlier != unit})
    if other and unit:
        raise BudgetError(
            f"this ledger's budget is for {other[0]}, and this measurement is for {unit}: together they would "
            "guarantee neither. Keep to one unit and relation, or give the other a ledger of its own."
        )
