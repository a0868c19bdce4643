"""PearlSynthesizer: embed a table, train a generator on the embedding, sample from it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch

from keshi._validate import in_range, positive, positive_integer, seed_in_range
from keshi.errors import NotFittedError
from keshi.privacy.contribution import Contributions, bound_contributions
from keshi.privacy.statement import PrivacyStatement
from keshi.privacy.unit import PrivacyUnit, Relation
from keshi.records.domain import Domain
from keshi.records.files import BATCH_ROWS, read_batches, table_batches
from keshi.records.tables import TableEncoder
from keshi.synthesis.array_preset import ArrayPreset
from keshi.synthesis.embedding import Planner, embed
from keshi.synthesis.embedding import Progress as EmbedProgress
from keshi.synthesis.features import WEIGHT
from keshi.synthesis.presets import KeshiPreset, Preset, preset_for
from keshi.synthesis.private_embedding import PrivateEmbedding
from keshi.synthesis.record_sizes import batch_rows, check_width
from keshi.synthesis.sampling import Balance, CountReport
from keshi.synthesis.trained_generator import Generator

if TYPE_CHECKING:
    from keshi.privacy.ledger import PrivacyLedger
    from keshi.synthesis.reconstruction import Progress as TrainProgress


def train(
    embedding: PrivateEmbedding,
    *,
    preset: Preset | None = None,
    start: Generator | None = None,
    seed: int = 0,
    threads: int | None = None,
    device: str = "cpu",
    progress: TrainProgress | None = None,
) -> Generator:
    """Train a generator on an embedding: no records, no budget. Rerun it at will.

    Args:
        embedding: What `keshi embed` wrote.
        preset: Says the generator and the schedule; None takes the one that planned the embedding.
        start: A generator of the same embedding to go on with; None begins anew.
        seed: Repeats the training, to the byte on the CPU.
        device: Of torch, where the training is computed: "cpu", "cuda", "cuda:1", "mps".

    Raises:
        ValueError: if `start` is of another embedding, or another kind of generator than the preset's; if torch finds
            no such device.
    """
    seed_in_range(seed)
    if threads is not None:
        positive_integer("threads", threads)
    preset = preset or preset_for(embedding.domain, embedding.preset)
    training_device(device, preset)
    # Without a ledger the statements of two tables say the same; what was measured does not.
    other = start is not None and start.embedding not in (None, embedding.fingerprint)
    if start is not None and (
        other or start.statement != embedding.statement or start.domain != embedding.domain
    ):
        raise ValueError(
            "the generator to go on with was trained on another embedding; begin anew without it."
        )
    network, curve = preset.train(
        embedding,
        start=start.network if start else None,
        seed=seed,
        threads=threads,
        device=device,
        progress=progress,
    )
    if start is not None:  # one learning curve for all that was trained
        done = start.learning_curve[-1].step
        curve = (*start.learning_curve, *(replace(point, step=done + point.step) for point in curve))
    return Generator(
        network,
        embedding.domain,
        embedding.statement,
        embedding.class_counts / embedding.count,
        curve,
        embedding.preset,
        embedding.fingerprint,
    )


class PearlSynthesizer:
    """Differentially private synthetic tables from a private embedding (PEARL).

    Example:
        >>> synthesizer = PearlSynthesizer(domain=Domain.read("people.toml"), epsilon=1.0)
        >>> synthetic = synthesizer.fit(people).sample(10_000)

    Args:
        domain: Public knowledge of the table: a Domain, or the path of a domain file.
        epsilon, delta: The budget of the fit, spent once.
        preset: Name of a preset, or a preset object with settings of your own; None takes keshi, or paper where images
            or windows stand beside other columns.
        relation: "add-or-remove", or "replace-one" (then the number of records is public).
        subject: Name of the column that says whose record it is: a subject is protected, not a record.
        max_records: At most so many records of a subject are used; None uses all. They share a weight of one.
        ledger: Where the budget is spent; without one, a throw-away ledger of exactly this budget.
        seed: Repeats frequencies and training. It never reaches the noise.
        threads: Threads of torch; None leaves its setting.
        device: Of torch, where the generator is trained. Records are read, and samples drawn, on the CPU.

    Attributes:
        embedding_: The PrivateEmbedding.
        generator_: The trained Generator.
    """

    embedding_: PrivateEmbedding
    generator_: Generator

    def __init__(
        self,
        *,
        domain: Domain | str | Path,
        epsilon: float = 1.0,
        delta: float = 1e-5,
        preset: str | Preset | None = None,
        relation: Relation = "add-or-remove",
        subject: str | None = None,
        max_records: int | None = None,
        ledger: PrivacyLedger | None = None,
        seed: int = 0,
        threads: int | None = None,
        device: str = "cpu",
    ) -> None:
        self.domain = domain if isinstance(domain, Domain) else Domain.read(domain)
        self.epsilon = positive("epsilon", epsilon)
        self.delta = in_range("delta", delta, 0.0, 1.0, open_ends=True)
        self.preset = preset_for(self.domain, preset) if preset is None or isinstance(preset, str) else preset
        self.unit = PrivacyUnit(relation, subject, max_records)
        self.ledger = ledger
        self.seed = seed_in_range(seed)
        self.threads = None if threads is None else positive_integer("threads", threads)
        self.device = training_device(device, self.preset)

    def fit(
        self,
        table: Any,
        *,
        embed_progress: EmbedProgress | None = None,
        train_progress: TrainProgress | None = None,
    ) -> PearlSynthesizer:
        """Embed the table, spending the budget, and train a generator on the embedding.

        Args:
            table: pandas, polars or Arrow table, or the path of a csv, parquet or Arrow file. It is not changed.

        Raises:
            DomainError: naming everything in the table that contradicts the domain.
            BudgetError: if the ledger has less left than epsilon.
        """
        for fitted in (
            "embedding_",
            "generator_",
        ):  # a fit that fails leaves nothing of an earlier one behind
            self.__dict__.pop(fitted, None)
        self.embedding_ = embed_table(
            table,
            self.domain,
            self.preset,
            epsilon=self.epsilon,
            delta=self.delta,
            unit=self.unit,
            ledger=self.ledger,
            seed=self.seed,
            progress=embed_progress,
        )
        self.generator_ = train(
            self.embedding_,
            preset=self.preset,
            seed=self.seed,
            threads=self.threads,
            device=self.device,
            progress=train_progress,
        )
        return self

    def sample(
        self,
        n: int,
        *,
        seed: int | None = None,
        where: str | None = None,
        balance: Balance | None = None,
        most_draws: int | None = None,
        count: CountReport | None = None,
    ) -> pd.DataFrame:
        """`n` synthetic records, with the columns, dtypes and missing values of the domain, as in `Generator.sample`.

        The same seed gives the same records; None takes the synthesizer's own. Give another one for further records.
        """
        return self._fitted().sample(
            n,
            seed=self.seed if seed is None else seed,
            where=where,
            balance=balance,
            most_draws=most_draws,
            count=count,
        )

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the trained generator."""
        self._fitted().save(path, overwrite=overwrite)

    @staticmethod
    def load(path: str | Path) -> Generator:
        """Read a saved generator, which can `sample`."""
        return Generator.load(path)

    @property
    def statement(self) -> PrivacyStatement:
        """The privacy statement of the fit."""
        return self._fitted().statement

    def _fitted(self) -> Generator:
        if not hasattr(self, "generator_"):
            raise NotFittedError("this PearlSynthesizer has no generator yet; call fit(table) first.")
        return self.generator_


def training_device(name: str, preset: Preset) -> str:
    """The name of a torch device, if torch can compute there and the preset has something to compute.

    Raises:
        ValueError: if not.
    """
    try:
        torch.zeros(1, device=name).item()
    # What it raises for a device that is not there differs from device to device, and so does the reason.
    except (AssertionError, NotImplementedError, RuntimeError, TypeError) as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise ValueError(
            f"device {name!r}: torch cannot compute there ({reason[:200]}). Leave it out for the CPU, or install the "
            "build of torch for that device."
        ) from error
    if isinstance(preset, ArrayPreset) and torch.device(name).type != "cpu":
        raise ValueError(
            f"preset keshi fits these images or windows at once, on the CPU; leave device {name} out."
        )
    return name


def embed_table(
    table: Any,
    domain: Domain,
    preset: Planner,
    *,
    epsilon: float,
    delta: float,
    unit: PrivacyUnit,
    ledger: PrivacyLedger | None = None,
    run: str | None = None,
    seed: int = 0,
    progress: EmbedProgress | None = None,
    show_values: bool = False,
) -> PrivateEmbedding:
    """Embed a table in memory or in a file. The first pass checks it against the domain before anything is spent."""
    seed_in_range(seed)
    check_width(domain, mixture=isinstance(preset, KeshiPreset))
    rows = batch_rows(domain, BATCH_ROWS)
    if isinstance(table, str | Path):
        source, batches = str(table), read_batches(table, domain, rows=rows)
    else:
        source, batches = "the table", table_batches(table, rows=rows)
    encoder = TableEncoder(domain, subject=unit.subject, show_values=show_values)

    def embed_with(contributions: Contributions | None) -> PrivateEmbedding:
        return embed(
            lambda: encoder.encode_batches(batches(), source=source),
            domain,
            preset,
            epsilon=epsilon,
            delta=delta,
            unit=unit,
            contributions=contributions,
            ledger=ledger,
            run=run,
            seed=seed,
            progress=progress,
        )

    if unit.subject is None:
        return embed_with(None)
    identifiers = (encoder.subjects(batch, source=source) for batch in batches())
    with bound_contributions(identifiers, unit_weight=WEIGHT, max_records=unit.max_records) as contributions:
        return embed_with(contributions)
