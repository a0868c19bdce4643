"""Presets: which measurements to take, in which order, with which part of the budget, and how to train on them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from keshi._validate import one_of
from keshi.errors import DomainError
from keshi.records.domain import Domain
from keshi.synthesis.array_basis import is_one_array
from keshi.synthesis.array_mixture import ArrayMixture
from keshi.synthesis.array_preset import ArrayPreset
from keshi.synthesis.characteristic import CharacteristicFeatures
from keshi.synthesis.features import ClassCounts, SpreadStatistic
from keshi.synthesis.frequencies import draw_gaussian_frequencies
from keshi.synthesis.generators import RecordGenerator
from keshi.synthesis.marginal_plan import (
    MOST_PAIRS_OF_CELLS,
    Resolution,
    fewest_cells,
    first_look,
    second_look,
)
from keshi.synthesis.marginals import MarginalFeatures
from keshi.synthesis.mixture import ProductMixture
from keshi.synthesis.mixture_fit import MixtureSchedule, fit_mixture
from keshi.synthesis.private_embedding import Measurement, Plan, PrivateEmbedding
from keshi.synthesis.reconstruction import LearningPoint, Progress, Schedule, train_generator
from keshi.synthesis.window_descriptors import MOST_CHANNELS, WindowDescriptors
from keshi.synthesis.window_marginals import WindowMarginals
from keshi.synthesis.window_mixture import WindowMixture

Network = RecordGenerator | ProductMixture | ArrayMixture | WindowMixture

TABLE_FREQUENCIES, TABLE_SCHEDULE = 500, Schedule()  # the released code's, on Adult
# The released code's on images: 5 epochs of 600 steps.
ARRAY_FREQUENCIES, ARRAY_SCHEDULE = 1_500, Schedule(steps=3_000, batch=100, critic_every=5)


@dataclass(frozen=True)
class PaperPreset:
    """PEARL as in the paper (Liew et al., ICLR 2022), private where the released code is not.

    Deviations:

    - the length-scale is measured under DP (5 % of mu^2): the released code reads it off ten raw records;
    - bounds, bins and categories come from the Domain, never from the records;
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
        critic: False leaves the critic out: that is DP-MERF (Harder et al., AISTATS 2021) on the same measurements.
    """

    frequencies: int | None = None
    counts_share: float = 0.05
    schedule: Schedule | None = None
    steps: int | None = None
    critic: bool = True
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
        schedule = schedule if self.critic else replace(schedule, critic_every=0)
        return schedule if self.steps is None else replace(schedule, steps=self.steps)

    def train(
        self,
        embedding: PrivateEmbedding,
        *,
        start: Network | None,
        seed: int,
        threads: int | None,
        device: str,
        progress: Progress | None,
    ) -> tuple[RecordGenerator, tuple[LearningPoint, ...]]:
        """A trained network, and its learning curve."""
        if isinstance(start, ProductMixture | ArrayMixture | WindowMixture):
            raise ValueError("a mixture cannot go on as the network of another preset; begin anew.")
        schedule = self.schedule_for(embedding.domain)
        return train_generator(
            embedding,
            schedule,
            start=start,
            seed=seed,
            threads=threads,
            device=device,
            progress=progress,
        )

    def with_steps(self, steps: int) -> PaperPreset:
        """The preset with another number of generator steps."""
        return replace(self, steps=steps)


@dataclass(frozen=True)
class KeshiPreset:
    """Low-order marginals in one vector, and a product mixture whose characteristic function is exact. For tables.

    A first measurement counts every column by itself; a second, planned from it, counts pairs of columns, within each
    class and over all. `marginal_plan` says which, `mixture_fit` how the generator is trained.

    Attributes:
        resolution: How finely to look.
        schedule: How to fit the mixture.
        counts_share: Part of the first measurement's mu^2 that the class counts take.
    """

    resolution: Resolution = field(default_factory=Resolution)
    schedule: MixtureSchedule = field(default_factory=MixtureSchedule)
    counts_share: float = 0.03
    name: str = "keshi"
    shares: tuple[float, ...] = (0.25, 0.75)

    def plan(self, domain: Domain, earlier: Sequence[Measurement], *, seed: int) -> Plan:
        """Columns by themselves first; then pairs of columns."""
        if domain.array_columns:
            raise DomainError(
                f"{domain.source}: preset keshi takes a table, or one image or window beside the label, and here "
                f"{list(domain.array_columns)} stand beside other columns; use preset paper, or put columns under "
                "ignore. Nothing was spent."
            )
        cells = fewest_cells(domain, self.resolution)
        if cells**2 > MOST_PAIRS_OF_CELLS:
            raise DomainError(
                f"{domain.source}: preset keshi would fit all pairs of {cells:,} cells, and at most "
                f"{math.isqrt(MOST_PAIRS_OF_CELLS):,} cells fit into memory; use preset paper, or put columns under "
                "ignore. Nothing was spent."
            )
        if not earlier:
            return Plan(
                (first_look(domain, self.resolution), ClassCounts(domain.n_classes)),
                (1.0 - self.counts_share, self.counts_share),
                "columns and class counts",
            )
        mu = earlier[0].mu * math.sqrt(self.shares[1] / self.shares[0])
        return Plan(
            (second_look(domain, earlier[0], mu=mu, resolution=self.resolution),), (1.0,), "pairs of columns"
        )

    def train(
        self,
        embedding: PrivateEmbedding,
        *,
        start: Network | None,
        seed: int,
        threads: int | None,
        device: str,
        progress: Progress | None,
    ) -> tuple[ProductMixture, tuple[LearningPoint, ...]]:
        """A product mixture, and its learning curve."""
        if start is not None and not isinstance(start, ProductMixture):
            raise ValueError("only a product mixture can go on with preset keshi; begin anew.")
        if start is not None and generator_kind(start) != self.kind:
            raise ValueError(
                f"the generator to go on with is of kind {generator_kind(start)} and cannot go on as {self.kind}: ask "
                "for its own kind (keshi train --resume without --generator does), or begin anew."
            )
        return fit_mixture(
            embedding,
            self.schedule,
            start=start,
            seed=seed,
            threads=threads,
            device=device,
            progress=progress,
        )

    @property
    def kind(self) -> str:
        """Kind of generator: a key of GENERATORS."""
        if self.schedule.network:
            return "network"
        return "classwise" if self.schedule.components == 1 else "mixture"

    def with_steps(self, steps: int) -> KeshiPreset:
        """The preset with another number of steps at most."""
        return replace(self, schedule=replace(self.schedule, steps=steps))


@dataclass(frozen=True)
class WindowPreset:
    """What describes a window, measured and fitted as a table is. For one window of few channels a record.

    Attributes:
        tables: How to look at the table of described windows, and how to fit its mixture. Chosen on the known and
            unknown people of USC-HAD and of a watch. Every class has components of its own, however rare it is: what
            windows say of the label is what they are for. So few intervals that pairs within each class fit beside
            one another.
    """

    tables: KeshiPreset = field(
        default_factory=lambda: KeshiPreset(
            resolution=Resolution(most_pair_bins=6, rare_class=0.0, both_weight=0.0)
        )
    )
    name: str = "keshi"

    @property
    def shares(self) -> tuple[float, ...]:
        return self.tables.shares

    def plan(self, domain: Domain, earlier: Sequence[Measurement], *, seed: int) -> Plan:
        """Levels and strengths by themselves first; then pairs of them."""
        if not WindowDescriptors.suit(domain):
            raise DomainError(
                f"{domain.source}: these measurements are of one window of at most {MOST_CHANNELS} channels beside the "
                "label; use preset paper, or put other columns under ignore. Nothing was spent."
            )
        descriptors = WindowDescriptors.of(domain)
        table = descriptors.domain(domain.n_classes)
        planned = self.tables.plan(table, [_of_table(measured) for measured in earlier], seed=seed)
        blocks = (
            WindowMarginals.of(descriptors, block) if isinstance(block, MarginalFeatures) else block
            for block in planned.features
        )
        what = "pairs of levels and strengths" if earlier else "levels, strengths and class counts"
        return Plan(tuple(blocks), planned.shares, what)

    def train(
        self,
        embedding: PrivateEmbedding,
        *,
        start: Network | None,
        seed: int,
        threads: int | None,
        device: str,
        progress: Progress | None,
    ) -> tuple[WindowMixture, tuple[LearningPoint, ...]]:
        """A product mixture of described windows, and its learning curve."""
        embedding.measurement(WindowMarginals)  # raises where another preset planned the embedding
        descriptors = WindowDescriptors.of(embedding.domain)
        table = replace(
            embedding,
            domain=descriptors.domain(embedding.domain.n_classes),
            measurements=tuple(_of_table(measured) for measured in embedding.measurements),
        )
        known = start.products if isinstance(start, WindowMixture) else start
        products, curve = self.tables.train(
            table, start=known, seed=seed, threads=threads, device=device, progress=progress
        )
        return WindowMixture(products, descriptors), curve

    def with_steps(self, steps: int) -> WindowPreset:
        """The preset with another number of steps at most."""
        return replace(self, tables=self.tables.with_steps(steps))


def _of_table(measured: Measurement) -> Measurement:
    """The same noisy vector, seen as a measurement of the table of described windows."""
    blocks = (
        block.of_table if isinstance(block, WindowMarginals) else block for block in measured.plan.features
    )
    return replace(measured, plan=replace(measured.plan, features=tuple(blocks)))


Preset = KeshiPreset | PaperPreset | ArrayPreset | WindowPreset
PRESETS: dict[str, Preset] = {
    "keshi": KeshiPreset(),
    "paper": PaperPreset(),
    "dp-merf": PaperPreset(critic=False, name="dp-merf"),
}


def preset_for(domain: Domain, name: str | None = None) -> Preset:
    """The preset of this name; without one, keshi, and paper where images or windows stand beside other columns."""
    if name is None:
        name = "paper" if domain.array_columns and not is_one_array(domain) else "keshi"
    if one_of("preset", name, tuple(PRESETS)) == "keshi" and is_one_array(domain):
        return WindowPreset() if WindowDescriptors.suit(domain) else ArrayPreset()
    return PRESETS[name]


GENERATORS: dict[str, dict[str, Any]] = {
    "mixture": {},
    "network": {"network": True, "steps": 600, "spread": 1.0},
    "classwise": {"components": 1},
}


def generator_kind(generator: Network) -> str | None:
    """The kind that `with_generator` takes to train more of it; None where its preset has but one."""
    generator = generator.products if isinstance(generator, WindowMixture) else generator
    if not isinstance(generator, ProductMixture):
        return None
    if generator.network:
        return "network"
    return "classwise" if generator.probabilities.shape[1] == 1 else "mixture"


def with_generator(preset: Preset, kind: str | None) -> Preset:
    """The preset with another kind of generator: all are trained from the same embedding.

    Raises:
        ValueError: if the preset has but one kind.
    """
    if kind is None:
        return preset
    one_of("generator", kind, tuple(GENERATORS))
    if isinstance(preset, WindowPreset):
        of_tables = with_generator(preset.tables, kind)
        assert isinstance(of_tables, KeshiPreset)
        return replace(preset, tables=of_tables)
    if not isinstance(preset, KeshiPreset):
        raise ValueError(f"preset {preset.name} has one kind of generator; leave --generator out.")
    return replace(preset, schedule=replace(preset.schedule, **GENERATORS[kind]))


def with_steps(preset: Preset, steps: int | None) -> Preset:
    """The preset with another number of generator steps, or as it is."""
    return preset if steps is None else preset.with_steps(steps)
