"""Sampling under conditions: classes are chosen exactly, the rest by rejection, and the count of both is told.

Whatever is asked, records are drawn, repaired, tested and handed on in batches, so that memory does not grow with their
number; and the same seed gives the same records.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from keshi._validate import positive_integer, seed_in_range
from keshi.errors import ConditionError
from keshi.records.bound_conditions import bind, masks
from keshi.records.constraints import bind_constraints
from keshi.records.domain import Domain
from keshi.records.identifiers import IdentifierWriter
from keshi.records.possible_records import Alternatives, possible_records
from keshi.records.repairs import repaired
from keshi.records.tests_on_columns import ColumnValues, Mask
from keshi.synthesis.balance import Balance, class_quotas, part_of

if TYPE_CHECKING:
    import torch

MOST_BATCHES = 2_000  # of records drawn, before a sampling that does not get its number is stopped
MOST_DRAWS_A_RECORD = 100  # or so many draws for every record that is asked for, if that is more
FRUITLESS_DRAWS = 1_000_000  # after which a condition that fewer than LEAST_SHARE meet is given up
LEAST_SHARE = 1e-5
SPARE = 1.1  # drawn beyond what the share so far suggests, so that most batches suffice

Draw = Callable[["torch.Tensor", "torch.Generator"], pd.DataFrame]
"""(rows,) classes and a source of randomness -> decoded records of these classes."""


@dataclass(frozen=True)
class SampleCount:
    """How many records were kept, of how many drawn."""

    kept: int
    drawn: int

    def __str__(self) -> str:
        share = self.kept / self.drawn if self.drawn else 0.0
        return f"{self.kept:,} records of {self.drawn:,} drawn ({_percent(share)})"


CountReport = Callable[[SampleCount], None]


@dataclass(frozen=True)
class Sampling:
    """What is asked of a sampling, checked against the domain.

    Attributes:
        n: Records.
        seed: Repeats them.
        where: Only records that meet this condition.
        balance: Shares of the classes, instead of the generator's own.
        most_draws: Stop after so many; None stops after 2,000 batches or 100 draws a record, whichever is more.
    """

    n: int
    seed: int = 0
    where: str | None = None
    balance: Balance | None = None
    most_draws: int | None = None

    def __post_init__(self) -> None:
        if positive_integer("n", self.n) >= 2**63:
            raise ValueError(f"n must be a whole number below 2^63, got {self.n}.")
        seed_in_range(self.seed)
        if self.most_draws is not None:
            positive_integer("most_draws", self.most_draws)


def sample_batches(
    sampling: Sampling,
    domain: Domain,
    class_weights: NDArray[np.float64],
    draw: Draw,
    *,
    batch_rows: int,
    count: CountReport | None = None,
) -> Iterator[pd.DataFrame]:
    """Batches of records that meet the condition and keep the domain's constraints, with fresh identifiers.

    Args:
        sampling: What is asked.
        domain: Columns, label, constraints and identifiers.
        class_weights: (classes,) the generator's own shares.
        draw: Draws records of given classes.
        batch_rows: Records drawn at a time.
        count: Told after every batch how many were kept and drawn so far.

    Raises:
        ConditionError: if the condition cannot be read, cannot be met, or is met too rarely; the last while drawing.
    """
    drawing = _Drawing(sampling, domain, class_weights, draw, batch_rows)  # checks everything at once
    return drawing.batches(count)


class _Drawing:
    """One run of a sampling: the groups of classes to draw from, and what each has yielded so far."""

    def __init__(
        self,
        sampling: Sampling,
        domain: Domain,
        class_weights: NDArray[np.float64],
        draw: Draw,
        batch_rows: int,
    ) -> None:
        import torch

        self.sampling = sampling
        self.domain = domain
        self.draw = draw
        self.batch_rows = batch_rows
        self.constraints = bind_constraints(domain.constraints, domain.columns, domain.identifiers)
        self.where = None
        if sampling.where is not None:
            self.where = bind(sampling.where, domain.columns, identifiers=domain.identifiers)
        weights = np.asarray(class_weights, dtype=np.float64)
        allowed = self._allowed_classes(len(weights))
        if sampling.balance is None:
            usable = weights * allowed
            groups = [usable if usable.sum() > 0 else allowed.astype(np.float64)]
            self.quotas = np.array([sampling.n], dtype=np.int64)
        else:
            groups = list(np.eye(len(weights)))
            self.quotas = class_quotas(
                sampling.balance, sampling.n, domain, allowed=allowed, class_weights=weights
            )
        self.groups = [torch.tensor(group, dtype=torch.float64) for group in groups]
        self.kept = np.zeros(len(groups), dtype=np.int64)
        self.drawn = np.zeros(len(groups), dtype=np.int64)
        self.randomness = torch.Generator().manual_seed(sampling.seed)
        self.most_draws = sampling.most_draws or max(
            MOST_BATCHES * batch_rows, MOST_DRAWS_A_RECORD * sampling.n
        )

    def _allowed_classes(self, n_classes: int) -> Mask:
        """(classes,) which ones the condition and the constraints leave possible."""
        rules: list[Alternatives] = [constraint.alternatives for constraint in self.constraints]
        label, columns = self.domain.label, self.domain.columns
        allowed = np.ones(n_classes, dtype=bool)
        asked: list[Alternatives] = [((self.where, "true"),)] if self.where is not None else []
        for wanted, what in (
            (asked, "the condition contradicts itself, or a column's declaration: no record can meet it"),
            (asked + rules, "no record can meet the condition and keep the domain's constraints"),
        ):
            possible = possible_records(wanted, columns, label)
            if not possible.any:
                raise ConditionError(
                    f"{what}. See what is asked of {', '.join(map(repr, possible.blocked))}: {self.sampling.where}"
                )
            if possible.label_cells is not None:
                allowed &= possible.label_cells
        return allowed

    def batches(self, count: CountReport | None) -> Iterator[pd.DataFrame]:
        import torch

        writer = IdentifierWriter(self.domain.identifiers, seed=self.sampling.seed)
        left = self.quotas.copy()
        while left.any():
            part = part_of(left, self.batch_rows)
            frame = self.fill(part)
            left -= part
            if len(self.groups) > 1:  # they were drawn class by class
                order = torch.randperm(len(frame), generator=self.randomness).numpy()
                frame = frame.iloc[order].reset_index(drop=True)
            if count is not None:
                count(SampleCount(int(self.kept.sum()), int(self.drawn.sum())))
            yield writer.add(frame)

    def fill(self, wanted: NDArray[np.int64]) -> pd.DataFrame:
        """Exactly so many records of each group."""
        wanted, found = wanted.copy(), []
        while wanted.any():
            self._check_hope()
            asked = self.requests(wanted)
            frame, good = self.tested(asked)
            start = 0
            keep = np.zeros(len(frame), dtype=bool)
            for group, rows in enumerate(asked):
                places = np.flatnonzero(good[start : start + rows])[: wanted[group]]
                keep[start + places] = True
                enough = len(places) == wanted[group]
                # What was drawn after the last one that was needed does not count: the share would be too small.
                self.drawn[group] += places[-1] + 1 if enough and len(places) else rows
                self.kept[group] += len(places)
                wanted[group] -= len(places)
                start += rows
            found.append(frame if keep.all() else frame[keep])
        return _joined(found)

    def requests(self, wanted: NDArray[np.int64]) -> list[int]:
        """How many records of each group to draw next, at most a batch in all."""
        asked = []
        for group, pending in enumerate(wanted):
            share = 1.0
            if self.drawn[group] > self.kept[group]:
                share = max(self.kept[group], 0.5) / self.drawn[group] / SPARE
            asked.append(math.ceil(pending / share))
        total = sum(asked)
        if total <= self.batch_rows:
            return asked
        return [math.ceil(rows / total * self.batch_rows) for rows in asked]

    def tested(self, asked: Sequence[int]) -> tuple[pd.DataFrame, Mask]:
        """Freshly drawn records, repaired, and which of them meet all that is asked."""
        import torch

        classes = [
            _drawn_classes(group, rows, self.randomness)
            for group, rows in zip(self.groups, asked, strict=True)
            if rows
        ]
        frame = self.draw(torch.cat(classes), self.randomness)
        frame, good = repaired(frame, self.constraints, self.domain)
        if self.where is not None:
            good = good & masks(self.where, ColumnValues(frame, self.domain.columns))[0]
        return frame, good

    def _check_hope(self) -> None:
        drawn = int(self.drawn.sum())
        rare = (
            (self.drawn >= FRUITLESS_DRAWS)
            & (self.kept < LEAST_SHARE * self.drawn)
            & (self.quotas > self.kept)
        )
        if drawn < self.most_draws and not rare.any():
            return
        what = " and ".join(
            (["the condition"] if self.where is not None else [])
            + (["the domain's constraints"] if self.constraints else [])
        )
        classes = (
            f" of class {self._class_name(int(np.flatnonzero(rare)[0]))}"
            if rare.any() and len(rare) > 1
            else ""
        )
        more = (
            ""
            if rare.any()
            else f", or allow more than {self.most_draws:,} draws (--most-draws, most_draws=)"
        )
        raise ConditionError(
            f"stopped at {SampleCount(int(self.kept.sum()), drawn)}, and {self.sampling.n:,} are wanted: too few of "
            f"the generator's records{classes} meet {what}. Loosen them, ask for fewer records{more}."
        )

    def _class_name(self, cell: int) -> str:
        label = self.domain.label_column
        assert label is not None  # there are groups only where a balance of the label was asked for
        names = [*map(repr, label.categories), *(["OTHER"] * label.other), *(["missing"] * label.missing)]
        return names[cell]


def _drawn_classes(weights: torch.Tensor, rows: int, randomness: torch.Generator) -> torch.Tensor:
    """(rows,) classes, each within one of its expected number, in random order: systematic sampling."""
    import torch

    share = torch.cumsum(weights, dim=0) / weights.sum()
    teeth = (
        torch.arange(rows, dtype=torch.float64) + torch.rand(1, generator=randomness, dtype=torch.float64)
    ) / rows
    last = int(weights.nonzero()[-1])  # rounding must not reach a class that is excluded
    classes = torch.searchsorted(share, teeth, right=True).clamp_max(last)
    return classes[torch.randperm(rows, generator=randomness)]


def _joined(frames: list[pd.DataFrame]) -> pd.DataFrame:
    if len(frames) == 1:
        return frames[0].reset_index(drop=True)
    return pd.concat([frame for frame in frames if len(frame)], ignore_index=True)


def _percent(share: float) -> str:
    """Two figures, so that a share of a millionth is not called 0."""
    return f"{100 * share:.3g} %" if share >= 0.1 or share == 0 else f"{100 * share:.2g} %"
