"""Learn a Domain from a file under differential privacy: bounds and bins by histograms, categories by thresholds.

The file is read in batches, once for everything of fixed size and, where there is text, once more for the values that
could clear the threshold. What the columns are called and of what type they are is taken as public.
"""

from __future__ import annotations

import hashlib
import json
import math
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from keshi._validate import in_range, positive
from keshi.errors import DomainError, RecordsError
from keshi.privacy.accounting import compose, delta_slack, mu_from_epsilon, slack_share
from keshi.privacy.domain_counts import count_candidates, count_fixed
from keshi.privacy.histograms import (
    LadderKind,
    NoisyHistogram,
    ladder,
    measure_histograms,
)
from keshi.privacy.learned_columns import columns_learnt
from keshi.privacy.ledger import IN_MEMORY, PrivacyLedger
from keshi.privacy.ledger_amounts import refuse_overspending
from keshi.privacy.mechanisms import COUNT, Key, release_above_threshold, threshold, threshold_scale
from keshi.privacy.statement import PrivacyStatement
from keshi.privacy.unit import PrivacyUnit
from keshi.records.column_kinds import Column, Numerical, Timestamp
from keshi.records.domain import LEARNED_EPSILON, Domain, Learned
from keshi.records.files import column_types, zoned_columns
from keshi.records.raw_columns import raw_batches

THRESHOLD_SHARE = 0.1  # of delta; the threshold falls only with the root of its logarithm
Progress = Callable[[str, int], None]
"""Called with what is going on and the number of records read so far."""


@dataclass(frozen=True, eq=False)
class LearnedDomain:
    """What was learnt; nothing in it costs any more privacy.

    Attributes:
        domain: The learnt Domain; its ledger is named where one on disk was used.
        statement: The guarantee; None where the types said everything and nothing was spent.
        histograms: Noisy histogram of each column of numbers or moments.
        counts: Noisy number of records of each published (column, value), value None for missing.
        smallest_published: About how many records a value needs to be published; None without text columns.
        unclear: Columns whose bounds are placeholders, because nothing stood out from the noise.
        source: Name of the file.
        run: Name of the run in the ledger.
    """

    domain: Domain
    statement: PrivacyStatement | None
    histograms: Mapping[str, NoisyHistogram]
    counts: Mapping[Key, float]
    smallest_published: float | None
    unclear: tuple[str, ...]
    source: str
    run: str

    @property
    def text(self) -> str:
        """The domain file, with comments that say what was learnt and what it cost."""
        from keshi.records.domain_file import dumps

        column_comments = {
            name: self._column_comments(name, column) for name, column in self.domain.columns.items()
        }
        return dumps(self.domain, comments=self._comments(), column_comments=column_comments)

    def _comments(self) -> list[str]:
        source = "".join(c if c.isprintable() else "?" for c in self.source)
        lines = [
            f"Names and types: from {source}; they are your declaration, and no promise covers them "
            "(in a text file types are guessed from the records)."
        ]
        if self.statement is not None:
            lines += [
                "Bounds, bins and categories were learnt from its records. What it cost:",
                self.statement.sentence,
                f"Run {self.run} in the ledger named below."
                if self.domain.ledger
                else "Paid without a ledger; `keshi ledger create` books it (see [learned]).",
                "Bounds are points of a public grid around nearly all records, never the smallest or largest value.",
                "Bins hold about as many records each, read off the same noisy counts; change or drop them freely.",
            ]
        if self.smallest_published is not None:
            lines.append(
                f"Values that fewer than about {self.smallest_published:,.0f} records hold are not listed: they go "
                "to OTHER. Add those that are publicly possible."
            )
        lines.append(
            "missing = true stands everywhere: whether anything is missing was not decided from the records."
        )
        if self.domain.ignore:
            lines.append("ignore: text columns without one frequent value (names, identifiers, free text).")
        return [*lines, 'label = "..."   # name the class column here, if there is one']

    def _column_comments(self, name: str, column: Column) -> list[str]:
        lines = []
        if name in self.unclear:
            lines.append("CHECK: nothing stood out from the noise; these bounds are placeholders.")
        if isinstance(column, Numerical) and column.integer:
            lines.append('a code? then: type = "categorical", categories = [1, 2, 3] instead of the bounds')
        elif isinstance(column, Numerical):
            lines.append("written with few digits after the point? then say so: decimals = 2")
        elif isinstance(column, Timestamp):
            lines.append(
                'dates without a time of day? then say so: resolution = "day", and whole days as bounds'
            )
        missing = self.histograms[name].missing if name in self.histograms else self.counts.get((name, None))
        if missing is not None:
            lines.append(f"missing: about {max(0, round(missing)):,} records (noisy)")
        return lines


def learn_domain(
    path: str | Path,
    *,
    epsilon: float,
    delta: float = 1e-5,
    unit: PrivacyUnit | None = None,
    ledger: PrivacyLedger | None = None,
    run: str | None = None,
    progress: Progress | None = None,
) -> LearnedDomain:
    """Learn bounds, bins and categories of the table in a file; epsilon and delta are for all of them together.

    All numbers and moments are one Gaussian measurement, all texts another with a threshold; every column has the same
    share of mu^2. A missing value is a cell of its own everywhere: to declare that from a noisy count would refuse a
    file with few missing values later, and the refusal would tell.

    Args:
        path: csv, parquet or Arrow file; images and windows are declared, not learnt.
        epsilon, delta: What is spent; a tenth of delta goes to the threshold of the category lists.
        unit: The unit of privacy; every record must be a unit of its own. None: adding or removing one record.
        ledger: Where it is spent; without one, a throw-away ledger with exactly this budget.
        run: Name of the run in the ledger; resuming under the same name pays nothing twice.
        progress: Told how many records were read.

    Raises:
        BudgetError: if the ledger has less left than epsilon; nothing is spent then.
        RecordsError: if the file cannot be read.
        DomainError: if not one column could be learnt.
    """
    positive("epsilon", epsilon)
    in_range("delta", delta, 0.0, 1.0, open_ends=True)
    unit = unit or PrivacyUnit()
    if unit.subject is not None:
        raise ValueError(
            f"learning a domain protects single records so far, got the subject column {unit.subject!r}: a person with "
            "many records would not be protected. Declare bounds, bins and categories yourself (keshi domain without "
            "--epsilon drafts the file)."
        )
    types = column_types(path)
    if not types:
        raise RecordsError(f"{path}: the table has no columns.")
    arrays = sorted(name for name, kind in types.items() if kind == "array")
    if arrays:
        raise DomainError(
            f"{path}: {arrays} hold images or windows, whose bounds are declared and not learnt: the range of a pixel "
            "or of a sensor is public. `keshi domain` without --epsilon drafts the file."
        )
    texts = [name for name, kind in types.items() if kind == "text"]
    ladders = {
        name: ladder(cast(LadderKind, kind))
        for name, kind in types.items()
        if kind in ("integer", "number", "timestamp")
    }
    paid = len(texts) + len(ladders)
    delta_threshold = delta * THRESHOLD_SHARE if texts else 0.0
    mu = mu_from_epsilon(epsilon, delta * (1.0 - slack_share(epsilon)) - delta_threshold)
    kept = ledger is not None
    ledger = ledger or PrivacyLedger.in_memory(epsilon=epsilon, delta=delta)
    run = run or uuid.uuid4().hex
    mu_bounds, mu_lists = (mu * math.sqrt(len(part) / max(paid, 1)) for part in (ladders, texts))
    plan = _hash(types, unit.to_dict(), epsilon, delta)
    _refuse_unless_affordable(ledger, run, mu_bounds, mu_lists, delta_threshold)

    batches = raw_batches(path, types, progress)
    fixed = count_fixed(batches, ladders, texts)
    histograms: dict[str, NoisyHistogram] = {}
    measured: list[str] = []
    if ladders:
        measured.append(f"bounds of {_columns(ladders)}")
        histograms = measure_histograms(
            fixed.ladders,
            ladders,
            unit=unit,
            mu=mu_bounds,
            ledger=ledger,
            run=run,
            index=0,
            what=measured[-1],
            plan_hash=plan,
        )
    counts: dict[Key, float] = {}
    smallest_published = None
    if texts:
        measured.append(f"categories of {_columns(texts)}")
        scale = threshold_scale(touched=len(texts), unit=unit, mu=mu_lists)
        smallest = smallest_candidate(scale)
        published = release_above_threshold(
            count_candidates(batches, texts, fixed, smallest),
            touched=len(texts),
            smallest=smallest,
            unit=unit,
            mu=mu_lists,
            delta_threshold=delta_threshold,
            ledger=ledger,
            run=run,
            index=1,
            what=measured[-1],
            plan_hash=plan,
        )
        counts = {key: steps / COUNT for key, steps in published.items()}
        smallest_published = (
            threshold(
                scale, touched=len(texts), smallest=smallest, unit=unit, delta_threshold=delta_threshold
            )
            / COUNT
        )
    columns, unclear = columns_learnt(types, zoned_columns(path), histograms, counts)
    ignored = tuple(name for name in types if name not in columns)
    if not columns:
        raise DomainError(
            f"{path}: not one of its {_columns(types)} has a value that stands out from the noise (too few records, or "
            f"epsilon is too small). What was spent is spent; declare the categories of one of {list(types)} yourself."
        )
    domain = Domain(
        columns,
        ignore=ignored,
        ledger=None if ledger.id == IN_MEMORY else ledger.id,
        learned=_cost(ledger, run, epsilon, unit) if measured else None,
    )
    statement = PrivacyStatement(
        epsilon=epsilon,
        delta=delta,
        unit=unit.describe(),
        mu=mu,
        delta_slack=delta * slack_share(epsilon) + delta_threshold,
        measurements=tuple(measured),
        remaining=ledger.remaining().epsilon,
        ledger=ledger.id if kept else "",
        ledger_head=ledger.head if kept else "",
        assumed_public=(
            "column names and types: the owner's declaration, not covered (in a text file types are guessed from the "
            "records)",
        ),
    )
    return LearnedDomain(
        domain,
        statement if measured else None,
        histograms,
        counts,
        smallest_published,
        unclear,
        Path(path).name,
        run,
    )


def smallest_candidate(scale: int) -> int:
    """A text that fewer records hold gets no noise: 6 % of the threshold, so that rare names cost none."""
    return max(3, scale // (3 * COUNT))


def _columns(names: Any) -> str:
    return f"{len(names)} column{'s' if len(names) != 1 else ''}"


def _hash(*settings: Any) -> str:
    """Hash of the public plan; a stored value is used again only under the same."""
    text = json.dumps(
        [1, THRESHOLD_SHARE, *settings], sort_keys=True
    )  # 1: the version of ladders and thresholds
    return hashlib.sha256(text.encode()).hexdigest()


def _refuse_unless_affordable(
    ledger: PrivacyLedger, run: str, mu_bounds: float, mu_lists: float, delta_threshold: float
) -> None:
    """Both measurements or none: a half-learnt domain would be money for nothing."""
    missing = [  # whether a stored value follows this plan is checked where it is used
        mu if mu and ledger.stored(run, index) is None else 0.0
        for index, mu in enumerate((mu_bounds, mu_lists))
    ]
    if any(missing):
        refuse_overspending(
            ledger.entries(),
            mu=math.hypot(*missing),
            delta_slack=0.0,
            delta_threshold=delta_threshold if missing[1] else 0.0,
            what="learning a domain",
        )


def _cost(ledger: PrivacyLedger, run: str, epsilon: float, unit: PrivacyUnit) -> Learned:
    """What the run has spent, with a slack that holds up to epsilon 20, whichever ledger it is booked in."""
    spends = [e.fields for e in ledger.entries() if e.kind == "spend" and e.fields["run"] == run]
    largest = max(LEARNED_EPSILON, ledger.budget["epsilon"])
    # a ledger holds the slack at the epsilon of its own budget
    grown = delta_slack(1.0, largest) / delta_slack(1.0, ledger.budget["epsilon"])
    delta = math.fsum(f["delta_slack"] * grown + f.get("delta_threshold", 0.0) for f in spends)
    return Learned(
        mu=compose(f["mu"] for f in spends),
        delta=delta * (1.0 + 1e-12),  # rounded up
        unit=unit.describe(),
        epsilon=epsilon,
        ledger="" if ledger.id == IN_MEMORY else ledger.id,
        run=run,
    )
