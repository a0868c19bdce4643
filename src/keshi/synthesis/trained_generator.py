"""Generator: what is trained, which is free to use and to publish: sample, save, load."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from keshi.artifacts import store
from keshi.errors import ArtifactError
from keshi.privacy.statement import PrivacyStatement
from keshi.records.domain import Domain
from keshi.records.tables import TableEncoder
from keshi.synthesis.record_sizes import ARRAY_WORKSPACE, SAMPLE_ROWS, batch_rows, check_width
from keshi.synthesis.sampling import Balance, CountReport, Sampling, sample_batches

if TYPE_CHECKING:
    import torch

    from keshi.synthesis.array_mixture import ArrayMixture
    from keshi.synthesis.generators import RecordGenerator
    from keshi.synthesis.mixture import ProductMixture
    from keshi.synthesis.reconstruction import LearningPoint
    from keshi.synthesis.window_mixture import WindowMixture


class Generator:
    """A trained generator of records. It is post-processing of its embedding, and carries the same statement.

    Attributes:
        domain: Columns, dtypes and categories of the records.
        statement: The guarantee.
        class_weights: (classes,) share of each class.
        learning_curve: Points of the training.
        preset: Name of the preset that planned the embedding.
        embedding: Fingerprint of the embedding it was trained on; None where nobody said.
    """

    def __init__(
        self,
        network: RecordGenerator | ProductMixture | ArrayMixture | WindowMixture,
        domain: Domain,
        statement: PrivacyStatement,
        class_weights: np.ndarray,
        learning_curve: tuple[LearningPoint, ...],
        preset: str,
        embedding: str | None = None,
    ) -> None:
        self.network = network
        self.domain = domain
        self.statement = statement
        self.class_weights = class_weights
        self.learning_curve = learning_curve
        self.preset = preset
        self.embedding = embedding

    def sample(
        self,
        n: int,
        *,
        seed: int = 0,
        where: str | None = None,
        balance: Balance | None = None,
        most_draws: int | None = None,
        count: CountReport | None = None,
    ) -> pd.DataFrame:
        """`n` synthetic records with the columns, dtypes and missing values of the domain.

        Args:
            n: How many.
            seed: Repeats them.
            where: Only records that meet this condition, such as "income == '>50K' and 30 <= age < 50".
            balance: "equal", "income: >50K=0.5, <=50K=0.5", or {class: share}: the classes' shares, exactly.
            most_draws: Stop after so many draws; None stops where it is all but hopeless.
            count: Told how many records were kept, of how many drawn.

        Raises:
            ConditionError: if the condition cannot be read, cannot be met, or is met too rarely.
        """
        batches = self.sample_batches(
            n, seed=seed, where=where, balance=balance, most_draws=most_draws, count=count
        )
        return pd.concat(list(batches), ignore_index=True)

    def sample_batches(
        self,
        n: int,
        *,
        seed: int = 0,
        where: str | None = None,
        balance: Balance | None = None,
        most_draws: int | None = None,
        count: CountReport | None = None,
    ) -> Iterator[pd.DataFrame]:
        """The records of `sample` in batches, so that any number fits in memory."""
        most = batch_rows(self.domain, SAMPLE_ROWS)
        most = max(1, most // ARRAY_WORKSPACE) if self.domain.array_columns else most
        return sample_batches(
            Sampling(n, seed=seed, where=where, balance=balance, most_draws=most_draws),
            self.domain,
            self.class_weights,
            self._draw,
            batch_rows=most,
            count=count,
        )

    def _draw(self, classes: torch.Tensor, randomness: torch.Generator) -> pd.DataFrame:
        """Decoded records of the given classes."""
        drawn = self.network.draw(classes, self.domain.width, randomness=randomness)
        return TableEncoder(self.domain).decode(drawn, classes.numpy())

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the generator as a folder (or a .zip): manifest, domain, statement, weights. No pickle."""
        store.save(
            path,
            kind="generator",
            settings={
                "preset": self.preset,
                "embedding": self.embedding,
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
        from keshi.synthesis.mixture import KIND
        from keshi.synthesis.reconstruction import LearningPoint

        artifact = store.load(path, kind="generator")
        try:
            settings = artifact.settings
            domain = Domain.restored(artifact.files["domain.toml"].decode())
            tensors = store.tensors_from_bytes(
                artifact.files["weights.safetensors"], source="weights.safetensors"
            )
            # Whatever the file says, before anything of that size is made.
            check_width(domain, mixture=settings["network"]["kind"] == KIND)
            network = _restored(domain, settings["network"], tensors)
            weights = np.array(settings["class_weights"], dtype=np.float64)
            if weights.shape != (domain.n_classes,):
                raise ValueError("class weights do not match the classes of the domain")
            if not ((weights >= 0).all() and math.isclose(weights.sum(), 1.0, abs_tol=1e-6)):
                raise ValueError("class weights are no shares")
            curve = tuple(LearningPoint(**point) for point in settings["learning_curve"])
            if not (curve and all(isinstance(point.step, int) for point in curve)):
                raise ValueError("its learning curve is none")
            trained_on = settings.get("embedding")
            if not (trained_on is None or isinstance(trained_on, str)):
                raise ValueError("the embedding it was trained on has no such name")
            return cls(
                network,
                domain,
                PrivacyStatement.from_dict(
                    store.json_from_bytes(artifact.files["statement.json"], source="statement.json")
                ),
                weights,
                curve,
                settings["preset"],
                trained_on,
            )
        except (KeyError, TypeError, ValueError, RuntimeError, IndexError) as error:
            if isinstance(error, ArtifactError):
                raise
            raise ArtifactError(f"{path}: the generator's parts do not fit together: {error}") from error


def _restored(
    domain: Domain, settings: dict[str, Any], tensors: dict[str, Any]
) -> RecordGenerator | ProductMixture | ArrayMixture | WindowMixture:
    """The network of a saved generator."""
    import torch

    from keshi.synthesis import array_mixture, mixture, window_mixture
    from keshi.synthesis.array_mixture import ArrayMixture
    from keshi.synthesis.generators import generator_for
    from keshi.synthesis.mixture import ProductMixture
    from keshi.synthesis.window_mixture import WindowMixture

    if settings["kind"] == array_mixture.KIND:
        arrays = ArrayMixture.restored(tensors)
        arrays.check_layout(domain)
        return arrays
    if settings["kind"] == mixture.KIND:
        products = ProductMixture.restored(settings, tensors)
        products.check_layout(domain)
        return products
    if settings["kind"] == window_mixture.KIND:
        windows = WindowMixture.restored(settings, tensors)
        windows.check_layout(domain)
        return windows
    network = generator_for(domain, latent=settings["latent"])
    if settings["kind"] != "network" or network.n_classes != settings["n_classes"]:
        raise ValueError("the network is not one of records of the domain")
    network.load_state_dict({name: torch.from_numpy(tensor) for name, tensor in tensors.items()})
    return network.eval()
