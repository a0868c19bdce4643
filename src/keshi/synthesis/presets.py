"""Presets: which measurements to take, in which order, with which part of the budget, and how to train on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from keshi.records.domain import Domain
from keshi.synthesis.characteristic import CharacteristicFeatures
from keshi.synthesis.features import ClassCounts, SpreadStatistic
from keshi.synthesis.frequencies import draw_gaussian_frequencies
from keshi.synthesis.private_embedding import Measurement, Plan
from keshi.synthesis.reconstruction import Schedule

TABLE_FREQUENCIES, TABLE_SCHEDULE = 500, Schedule()  # the released code's, on Adult
# The released code's on images: 5 epochs of 600 steps.
ARRAY_FREQUENCIES, ARRAY_SCHEDULE = 1_500, Schedule(steps=3_000, batch=100, critic_every=5)


@dataclass(frozen=True)
class PaperPreset:
    """PEARL as in the paper (Liew et al., ICLR 2022), private where the released code is not.

    Deviations:

    - the length-scale is measured under DP (5 % of mu^2): the released code reads it off ten raw records;
    - bounds and categories come from the Domain, never from the records;
    - noise is drawn on the integers, from operating-system entropy: float noise, or a seed, gives records away;
    - class counts are projected onto the simplex: dividing by counts near 0 amplifies noise;
    - published records are hard: soft one-hot rows are no records;
    - a step generates at most `reconstruction.LARGEST_BATCH` records: memory must not grow with n;
    - the neighbouring relation is add-or-remove unless replace-one, the paper's, is asked for: one default, so that all
      spends of a ledger add up.

    Attributes:
        frequencies: k. None takes the released code's: 1,500 where there are images or windows, 500 for tables.
        counts_share: Part of the second measurement's mu^2 that the class counts take.
        schedule: None takes the released code's: 3,000 steps of 100 generated records and a critic step every 5 where
            there are images or windows; 8,000 steps of a tenth of the records and a critic step every 10 for tables.
        steps: Generator steps, in place of the schedule's.
    """

    frequencies: int | None = None
    counts_share: float = 0.05
    schedule: Schedule | None = None
    steps: int | None = None
    name: str = "paper"
    shares: tuple[float, ...] = (0.05, 0.95)

    def plan(self, domain: Domain, earlier: Sequence[Measurement], *, seed: int) -> Plan:
        """The length-scale first; then characteristic function and class counts in one vector."""
        if not earlier:
            return Plan((SpreadStatistic(domain.width, domain.largest_norm),), (1.0,), "length-scale")
        statistic: SpreadStatistic = earlier[0].features(SpreadStatistic)
        scale = statistic.squared_length_scale(
            earlier[0].values(SpreadStatistic), noise_std=earlier[0].noise_std(SpreadStatistic)
        )
        k = ARRAY_FREQUENCIES if domain.array_columns else TABLE_FREQUENCIES
        k = k if self.frequencies is None else self.frequencies
        frequencies = draw_gaussian_frequencies(k, domain.width, squared_length_scale=scale, seed=seed)
        return Plan(
            (CharacteristicFeatures(frequencies, domain.n_classes), ClassCounts(domain.n_classes)),
            (1.0 - self.counts_share, self.counts_share),
            "embedding with class counts",
        )

    def schedule_for(self, domain: Domain) -> Schedule:
        """How to train on records of this domain."""
        schedule = self.schedule or (ARRAY_SCHEDULE if domain.array_columns else TABLE_SCHEDULE)
        return schedule if self.steps is None else replace(schedule, steps=self.steps)


PRESETS = {"paper": PaperPreset()}


def with_steps(preset: PaperPreset, steps: int | None) -> PaperPreset:
    """The preset with another number of generator steps, or as it is."""
    return preset if steps is None else replace(preset, steps=steps)
