"""PearlSynthesizer: fit, sample, save, load. And Generator, the trained thing, which is free to use and to publish."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from keshi._validate import in_range, positive, positive_integer, seed_in_range
from keshi.artifacts import store
from keshi.errors import ArtifactError, DomainError, NotFittedError
from keshi.privacy.contribution import Contributions, bound_contributions
from keshi.privacy.statement import PrivacyStatement
from keshi.privacy.unit import PrivacyUnit, Relation
from keshi.records.column_kinds import Categorical
from keshi.records.domain import Domain, table_name
from keshi.records.files import BATCH_ROWS, read_batches, table_batches
from keshi.records.tables import TableEncoder
from keshi.synthesis.embedding import Planner, embed
from keshi.synthesis.embedding import Progress as EmbedProgress
from keshi.synthesis.features import WEIGHT
from keshi.synthesis.presets import Preset, preset_for
from keshi.synthesis.private_embedding import PrivateEmbedding

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from keshi.privacy.ledger import PrivacyLedger
    from keshi.synthesis.generators import RecordGenerator
    from keshi.synthesis.mixture import ProductMixture
    from keshi.synthesis.reconstruction import LearningPoint
    from keshi.synthesis.reconstruction import Progress as TrainProgress

SAMPLE_ROWS = 65_536  # records generated at a time: memory does not grow with their number
BATCH_VALUES = 2**24  # numbers in a batch of encoded records, 128 MiB: neither does it grow with their width
ARRAY_WORKSPACE = (
    8  # numbers between the layers of a convolutional generator for each one of the record, or a few more
)
MOST_CLASSES = 4_096


class Generator:
    """A trained generator of records. It is post-processing of its embedding, and carries the same statement.

    Attributes:
        domain: Columns, dtypes and categories of the records.
        statement: The guarantee.
        class_weights: (classes,) share of each class.
        learning_curve: Points of the training.
    """

    def __init__(
        self,
        network: RecordGenerator | ProductMixture,
        domain: Domain,
        statement: PrivacyStatement,
        class_weights: np.ndarray,
        learning_curve: tuple[LearningPoint, ...],
        preset: str,
    ) -> None:
        self.network = network
        self.domain = domain
        self.statement = statement
        self.class_weights = class_weights
        self.learning_curve = learning_curve
        self.preset = preset

    def sample(self, n: int, *, seed: int = 0) -> pd.DataFrame:
        """`n` synthetic records with the columns, dtypes and missing values of the domain."""
        return pd.concat(list(self.sample_batches(n, seed=seed)), ignore_index=True)

    def sample_batches(self, n: int, *, seed: int = 0) -> Iterator[pd.DataFrame]:
        """The records of `sample` in batches, so that any number fits in memory."""
        import torch

        positive_integer("n", n)
        seed_in_range(seed)
        decoder = TableEncoder(self.domain)
        randomness = torch.Generator().manual_seed(seed)
        weights = torch.tensor(self.class_weights, dtype=torch.float64)
        most = _batch_rows(self.domain, SAMPLE_ROWS)
        most = max(1, most // ARRAY_WORKSPACE) if self.domain.array_columns else most
        for start in range(0, n, most):
            rows = min(most, n - start)
            classes = _drawn_classes(weights, rows, randomness)
            yield decoder.decode(
                self.network.draw(classes, self.domain.width, randomness=randomness), classes.numpy()
            )

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the generator as a folder (or a .zip): manifest, domain, statement, weights. No pickle."""
        store.save(
            path,
            kind="generator",
            settings={
                "preset": self.preset,
                "network": self.network.settings(),
                "class_weights": [float(weight) for weight in self.class_weights],
                "learning_curve": [vars(point) for point in self.learning_curve],
            },
            files={
                "domain.toml": self.domain.dumps().encode(),
                "statement.json": store.json_to_bytes(self.statement.to_dict()),
                "weights.safetensors": store.tensors_to_bytes(self.network.tensors()),
            },
            overwrite=overwrite,
        )

    @classmethod
    def load(cls, path: str | Path) -> Generator:
        """Read a saved generator.

        Raises:
            ArtifactError: if anything in it is missing, altered, or does not fit together.
        """
        from keshi.synthesis.reconstruction import LearningPoint

        artifact = store.load(path, kind="generator")
        try:
            settings = artifact.settings
            domain = Domain.loads(artifact.files["domain.toml"].decode(), source="domain.toml")
            tensors = store.tensors_from_bytes(
                artifact.files["weights.safetensors"], source="weights.safetensors"
            )
            check_width(domain)  # whatever the file says, before anything of that size is made
            network = _restored(domain, settings["network"], tensors)
            weights = np.array(settings["class_weights"], dtype=np.float64)
            if weights.shape != (domain.n_classes,):
                raise ValueError("class weights do not match the classes of the domain")
            if not ((weights >= 0).all() and math.isclose(weights.sum(), 1.0, abs_tol=1e-6)):
                raise ValueError("class weights are no shares")
            return cls(
                network,
                domain,
                PrivacyStatement.from_dict(
                    store.json_from_bytes(artifact.files["statement.json"], source="statement.json")
                ),
                weights,
                tuple(LearningPoint(**point) for point in settings["learning_curve"]),
                settings["preset"],
            )
        except (KeyError, TypeError, ValueError, RuntimeError, IndexError) as error:
            if isinstance(error, ArtifactError):
                raise
            raise ArtifactError(f"{path}: the generator's parts do not fit together: {error}") from error


def train(
    embedding: PrivateEmbedding,
    *,
    preset: Preset | None = None,
    seed: int = 0,
    threads: int | None = None,
    progress: TrainProgress | None = None,
) -> Generator:
    """Train a generator on an embedding: no records, no budget. Rerun it at will.

    Args:
        embedding: What `keshi embed` wrote.
        preset: Says the schedule; None takes the one that planned the embedding.
        seed: Repeats the training.
    """
    seed_in_range(seed)
    if threads is not None:
        positive_integer("threads", threads)
    preset = preset or preset_for(embedding.domain, embedding.preset)
    network, curve = preset.train(embedding, seed=seed, threads=threads, progress=progress)
    return Generator(
        network,
        embedding.domain,
        embedding.statement,
        embedding.class_counts / embedding.count,
        curve,
        embedding.preset,
    )


class PearlSynthesizer:
    """Differentially private synthetic tables from a private embedding (PEARL).

    Example:
        >>> synthesizer = PearlSynthesizer(domain=Domain.read("people.toml"), epsilon=1.0)
        >>> synthetic = synthesizer.fit(people).sample(10_000)

    Args:
        domain: Public knowledge of the table: a Domain, or the path of a domain file.
        epsilon, delta: The budget of the fit, spent once.
        preset: Name of a preset, or a preset object with settings of your own; None takes keshi for tables, paper for
            images and windows.
        relation: "add-or-remove", or "replace-one" (then the number of records is public).
        subject: Name of the column that says whose record it is: a subject is protected, not a record.
        max_records: At most so many records of a subject are used; None uses all. They share a weight of one.
        ledger: Where the budget is spent; without one, a throw-away ledger of exactly this budget.
        seed: Repeats frequencies and training. It never reaches the noise.
        threads: Threads of torch; None leaves its setting.

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
    ) -> None:
        self.domain = domain if isinstance(domain, Domain) else Domain.read(domain)
        self.epsilon = positive("epsilon", epsilon)
        self.delta = in_range("delta", delta, 0.0, 1.0, open_ends=True)
        self.preset = preset_for(self.domain, preset) if preset is None or isinstance(preset, str) else preset
        self.unit = PrivacyUnit(relation, subject, max_records)
        self.ledger = ledger
        self.seed = seed_in_range(seed)
        self.threads = None if threads is None else positive_integer("threads", threads)

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
            progress=train_progress,
        )
        return self

    def sample(self, n: int, *, seed: int | None = None) -> pd.DataFrame:
        """`n` synthetic records, with the columns, dtypes and missing values of the domain.

        The same seed gives the same records; None takes the synthesizer's own. Give another one for further records.
        """
        return self._fitted().sample(n, seed=self.seed if seed is None else seed)

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
    check_width(domain)
    rows = _batch_rows(domain, BATCH_ROWS)
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


def _restored(
    domain: Domain, settings: dict[str, Any], tensors: dict[str, Any]
) -> RecordGenerator | ProductMixture:
    """The network of a saved generator."""
    import torch

    from keshi.synthesis.generators import generator_for
    from keshi.synthesis.mixture import ProductMixture

    if settings["kind"] == "product mixture":
        mixture = ProductMixture.restored(settings, tensors)
        mixture.check_layout(domain)
        return mixture
    network = generator_for(domain, latent=settings["latent"])
    if settings["kind"] != "network" or network.n_classes != settings["n_classes"]:
        raise ValueError("the network is not one of records of the domain")
    network.load_state_dict({name: torch.from_numpy(tensor) for name, tensor in tensors.items()})
    return network.eval()


def _drawn_classes(weights: Tensor, rows: int, randomness: torch.Generator) -> Tensor:
    """(rows,) classes, each within one of its expected number, in random order: systematic sampling."""
    import torch

    share = torch.cumsum(weights, dim=0) / weights.sum()
    teeth = (
        torch.arange(rows, dtype=torch.float64) + torch.rand(1, generator=randomness, dtype=torch.float64)
    ) / rows
    classes = torch.searchsorted(share, teeth, right=True).clamp_max(len(weights) - 1)
    return classes[torch.randperm(rows, generator=randomness)]


def _batch_rows(domain: Domain, most: int) -> int:
    return max(1, min(most, BATCH_VALUES // domain.width))


def check_width(domain: Domain) -> None:
    """Raise where the generator of the domain's records would be too large to train, or has nothing to generate.

    Raises:
        DomainError: naming the column that takes most.
    """
    from keshi.synthesis.generators import TableGenerator, generator_type

    if not domain.slots:
        raise DomainError(f"{domain.source}: there is no column beside the label; nothing to synthesize.")
    kind = generator_type(domain)
    if domain.width <= kind.widest and domain.n_classes <= MOST_CLASSES:
        return
    cells = {name: column.cells for name, column in domain.columns.items() if isinstance(column, Categorical)}
    entries = {name: math.prod(column.shape) for name, column in domain.array_columns.items()}
    told = (
        f"{domain.source}: a record would take {domain.width:,} numbers and {domain.n_classes:,} classes, and at most "
        f"{kind.widest:,} and {MOST_CLASSES:,} can be trained on; "
    )
    if entries and domain.n_classes <= MOST_CLASSES:
        name = max(entries, key=lambda name: entries[name])
        told += f"column {name!r} alone takes {entries[name]:,}. Declare smaller arrays in {table_name(name)}"
        beside = kind is TableGenerator and entries[name] > kind.widest
        raise DomainError(
            told + (", or put all other columns but the label under ignore." if beside else ".")
        )
    name = max(cells, key=lambda name: cells[name])
    raise DomainError(
        f"{told}column {name!r} alone has {cells[name]:,} categories. List fewer, coarser ones in {table_name(name)} "
        "and set other = true, or put the column under ignore."
    )
