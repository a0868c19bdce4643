"""Plan, Measurement, PrivateEmbedding: what crosses the trust boundary. Below it nothing can reach a record.

A PrivateEmbedding is an ordered list of measurements. Each is one noisy vector of several blocks; the plan of a later
one may depend on the values of the earlier ones, never on the records.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keshi.artifacts import store
from keshi.errors import ArtifactError
from keshi.privacy.accounting import compose, delta_from_mu
from keshi.privacy.statement import PrivacyStatement
from keshi.privacy.unit import PrivacyUnit
from keshi.records.domain import Domain
from keshi.synthesis.characteristic import CharacteristicFeatures
from keshi.synthesis.entry_values import EntryValues
from keshi.synthesis.features import AMPLITUDE, WEIGHT, ClassCounts, Features, SpreadStatistic
from keshi.synthesis.marginals import MarginalFeatures
from keshi.synthesis.moments import MomentFeatures
from keshi.synthesis.unit_counts import counts_of_classes
from keshi.synthesis.window_marginals import WindowMarginals

_KINDS: dict[str, type[Features]] = {
    kind.kind: kind
    for kind in (
        CharacteristicFeatures,
        ClassCounts,
        EntryValues,
        MarginalFeatures,
        MomentFeatures,
        SpreadStatistic,
        WindowMarginals,
    )
}
_STEPS = float(AMPLITUDE * WEIGHT)  # grid steps in a sum to which one unit adds 1


@dataclass(frozen=True, eq=False)
class Plan:
    """What one measurement sums over the records, and how its privacy is shared. Public.

    Attributes:
        features: The blocks of the vector, in order.
        shares: Part of the measurement's mu^2 each block spends; they sum to 1.
        what: One or two words for the statement and the ledger.
    """

    features: tuple[Features, ...]
    shares: tuple[float, ...]
    what: str

    @property
    def size(self) -> int:
        return sum(block.size for block in self.features)

    @cached_property
    def hash(self) -> str:
        """SHA-256 of everything that says what is summed, so that only sums of one plan are merged."""
        digest = hashlib.sha256()
        for block, share in zip(self.features, self.shares, strict=True):
            digest.update(json.dumps([block.kind, share, block.settings()], sort_keys=True).encode())
            for name, tensor in sorted(block.tensors().items()):
                digest.update(name.encode() + np.ascontiguousarray(tensor, dtype="<f8").tobytes())
        return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class Measurement:
    """One noisy vector.

    Attributes:
        plan: What was measured.
        sums: (plan.size,) int64 noisy sums in grid steps.
        scales: Noise scale of each block, in grid steps.
        mu: What it spent (Gaussian DP).
    """

    plan: Plan
    sums: NDArray[np.int64]
    scales: tuple[int, ...]
    mu: float

    def values(self, kind: type[Features]) -> NDArray[np.float64]:
        """Noisy sums of the block of this kind, in units of one record."""
        index = self._index(kind)
        start = sum(block.size for block in self.plan.features[:index])
        return self.sums[start : start + self.plan.features[index].size] / _STEPS

    def noise_std(self, kind: type[Features]) -> float:
        """Standard deviation of the noise in `values(kind)`."""
        return self.scales[self._index(kind)] / _STEPS

    def features(self, kind: type[Features]) -> Any:
        """The block of this kind."""
        return self.plan.features[self._index(kind)]

    def share(self, kind: type[Features]) -> float:
        """Part of the measurement's mu^2 that the block of this kind spent."""
        return self.plan.shares[self._index(kind)]

    def has(self, kind: type[Features]) -> bool:
        return any(type(block) is kind for block in self.plan.features)

    def _index(self, kind: type[Features]) -> int:
        return next(i for i, block in enumerate(self.plan.features) if type(block) is kind)


@dataclass(frozen=True, eq=False)
class PrivateEmbedding:
    """Everything a generator is trained from: differentially private as a whole, and safe to publish.

    Attributes:
        domain: What is publicly known of the table.
        unit: The unit of privacy.
        measurements: The noisy vectors, in the order they were taken.
        statement: The guarantee.
        preset: Name of the preset that planned it.
        public_count: Number of units, where the neighbouring relation makes it public; else None.
    """

    domain: Domain
    unit: PrivacyUnit
    measurements: tuple[Measurement, ...]
    statement: PrivacyStatement
    preset: str
    public_count: int | None = None

    def measurement(self, kind: type[Features]) -> Measurement:
        """The last measurement with a block of this kind.

        Raises:
            ArtifactError: if there is none, as where an embedding is trained on by another preset.
        """
        for measured in reversed(self.measurements):
            if measured.has(kind):
                return measured
        raise ArtifactError(
            f"the embedding has no {kind.kind}: preset {self.preset!r} planned it; train on it by that preset."
        )

    @cached_property
    def class_counts(self) -> NDArray[np.float64]:
        """(classes,) estimated number of units in each class: never negative, summing to `count`.

        The nearest counts (in squares) to the noisy ones that could be counts: a projection onto the simplex,
        which is post-processing. The released code sets negative ones to 0.001 instead, and divides by them.
        """
        self.measurement(ClassCounts)  # raises where nothing counted them
        noisy = counts_of_classes(self.measurements, self.domain.n_classes)
        total = float(self.public_count) if self.public_count is not None else max(float(noisy.sum()), 1.0)
        return project_to_simplex(noisy, total)

    @property
    def count(self) -> float:
        """Number of units: public, or estimated from all noisy counts."""
        return float(self.class_counts.sum())

    @cached_property
    def fingerprint(self) -> str:
        """Tells this embedding from any other: a hash of its noisy values, so as public as they are."""
        digest = hashlib.sha256()
        for measurement in self.measurements:
            digest.update(bytes.fromhex(measurement.plan.hash))
            digest.update(np.ascontiguousarray(measurement.sums, dtype="<i8").tobytes())
        return digest.hexdigest()

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the embedding as a folder (or a .zip): manifest, domain, statement, tensors. No pickle."""
        tensors: dict[str, NDArray[Any]] = {}
        listing = []
        for index, measurement in enumerate(self.measurements):
            tensors[f"{index}.sums"] = measurement.sums
            blocks = []
            for position, block in enumerate(measurement.plan.features):
                blocks.append({"kind": block.kind, "settings": block.settings()})
                for name, tensor in block.tensors().items():
                    tensors[f"{index}.{position}.{name}"] = tensor
            listing.append(
                {
                    "what": measurement.plan.what,
                    "blocks": blocks,
                    "shares": list(measurement.plan.shares),
                    "scales": list(measurement.scales),
                    "mu": measurement.mu,
                    "plan_hash": measurement.plan.hash,
                }
            )
        settings = {
            "preset": self.preset,
            "unit": self.unit.to_dict(),
            "public_count": self.public_count,
            "measurements": listing,
        }
        store.save(
            path,
            kind="embedding",
            settings=settings,
            files={
                "domain.toml": self.domain.dumps().encode(),
                "statement.json": store.json_to_bytes(self.statement.to_dict()),
                "measurements.safetensors": store.tensors_to_bytes(tensors),
            },
            overwrite=overwrite,
        )

    @classmethod
    def load(cls, path: str | Path) -> PrivateEmbedding:
        """Read a saved embedding.

        Raises:
            ArtifactError: if anything in it is missing, altered, or does not fit together.
        """
        artifact = store.load(path, kind="embedding")
        try:
            return cls._from_artifact(artifact)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, StopIteration) as error:
            raise ArtifactError(
                f"{path}: the embedding's parts do not fit together ({error!r}). Restore it from a copy; the noise "
                "cannot be drawn again."
            ) from error

    @classmethod
    def _from_artifact(cls, artifact: store.Artifact) -> PrivateEmbedding:
        settings = artifact.settings
        tensors = store.tensors_from_bytes(
            artifact.files["measurements.safetensors"], source="measurements.safetensors"
        )
        measurements = []
        for index, entry in enumerate(settings["measurements"]):
            blocks = tuple(
                _KINDS[block["kind"]](**block["settings"], **_with_prefix(tensors, f"{index}.{position}."))
                for position, block in enumerate(entry["blocks"])
            )
            plan = Plan(blocks, tuple(entry["shares"]), entry["what"])
            sums = tensors[f"{index}.sums"]
            if plan.hash != entry["plan_hash"] or sums.shape != (plan.size,) or sums.dtype != np.int64:
                raise ValueError(f"measurement {index} does not follow its plan")
            if len(entry["scales"]) != len(blocks) or min(entry["scales"]) < 1 or not entry["mu"] > 0:
                raise ValueError(f"measurement {index} has no noise scale for every block")
            measurements.append(Measurement(plan, sums, tuple(entry["scales"]), float(entry["mu"])))
        embedding = cls(
            Domain.restored(artifact.files["domain.toml"].decode()),
            PrivacyUnit(**settings["unit"]),
            tuple(measurements),
            PrivacyStatement.from_dict(
                store.json_from_bytes(artifact.files["statement.json"], source="statement.json")
            ),
            settings["preset"],
            settings["public_count"],
        )
        embedding._check_layout()
        embedding._check_statement()
        return embedding

    def _check_layout(self) -> None:
        """Raise where the measurements are of other records than the domain describes."""
        width, classes = self.domain.width, self.domain.n_classes
        for block in (block for measurement in self.measurements for block in measurement.plan.features):
            widths = {getattr(block, "width", width)}
            if isinstance(block, CharacteristicFeatures):
                widths.add(block.frequencies.shape[1])
            if isinstance(block, MarginalFeatures | MomentFeatures) and not block.fits(self.domain):
                raise ValueError(f"the {block.kind} are of other columns than those of the domain")
            if widths != {width} or getattr(block, "n_classes", classes) != classes:
                raise ValueError("the measurements do not follow the columns of the domain")
        count = self.public_count
        if (count is not None) is not self.unit.count_is_public or not (count is None or count >= 1):
            raise ValueError("the number of units contradicts the neighbouring relation")

    def _check_statement(self) -> None:
        """Raise where the promise is stronger than the noise: whoever rewrites a folder must not be believed."""
        promised = self.statement
        learning = () if self.domain.learned is None else ("learned domain",)
        names = (*learning, *(measurement.plan.what for measurement in self.measurements))
        if promised.unit != self.unit.describe() or promised.measurements != names:
            raise ValueError("the statement is about another unit or other measurements")
        for measurement in self.measurements:
            plan, what = measurement.plan, measurement.plan.what
            if not math.isclose(math.fsum(plan.shares), 1.0, abs_tol=1e-9) or min(plan.shares) <= 0:
                raise ValueError(f"the shares of {what!r} are not positive, or do not sum to 1")
            for block, share, scale in zip(plan.features, plan.shares, measurement.scales, strict=True):
                needed = block.sensitivity(self.unit) / (measurement.mu * math.sqrt(share))
                # Not more either: then the features, or their weights, are not those that were measured.
                if type(scale) is not int or not needed * (1 - 1e-9) <= scale <= needed * (1 + 1e-9) + 1:
                    raise ValueError(f"the noise of {what!r} is not what its mu needs")
        learned = [] if self.domain.learned is None else [self.domain.learned.mu]
        spent = compose([*learned, *(measurement.mu for measurement in self.measurements)])
        delta = delta_from_mu(promised.mu, promised.epsilon) + promised.delta_slack
        if spent > promised.mu * (1 + 1e-9) or delta > promised.delta * (1 + 1e-6):
            raise ValueError("the statement promises more than the noise gives")


def project_to_simplex(values: NDArray[np.float64], total: float) -> NDArray[np.float64]:
    """The point nearest to `values` among those that are nowhere negative and sum to `total`, which may be 0."""
    descending = np.sort(values)[::-1]
    excess = (np.cumsum(descending) - total) / np.arange(1, len(values) + 1)
    # The largest one stays positive, unless `total` is 0 or lost in its rounding.
    positive = max(1, int(np.count_nonzero(descending > excess)))
    shift = excess[positive - 1]
    return np.maximum(values - shift, 0.0)


def share_of_mu(mu: float, shares: Sequence[float]) -> tuple[float, ...]:
    """Split mu among measurements: mu^2 adds, so each takes the square root of its share."""
    return tuple(mu * math.sqrt(share) for share in shares)


def _with_prefix(tensors: dict[str, NDArray[Any]], prefix: str) -> dict[str, NDArray[Any]]:
    return {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}
