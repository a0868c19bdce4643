"""ArrayAudit: what synthetic images or windows of any system are good for, and what they give away, in one result.

Runs without torch, unless the convolutional classifier is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from keshi.auditing.array_attacks import TARGETS, Nearness, attack_arrays, nearness
from keshi.auditing.array_distances import ArrayDistances, array_distances
from keshi.auditing.array_features import LEARNT_FROM, Extractor, learnt_extractor
from keshi.auditing.array_sets import ArraySet, class_means, holds_images, scaled_alike
from keshi.auditing.array_utility import LOGISTIC, MLP, ArrayUtility, train_and_test
from keshi.auditing.copies import row_keys
from keshi.auditing.evidence import NOTHING_FOUND_OUT, Evidence, JudgedRelease
from keshi.auditing.holdout_check import check_holdout
from keshi.auditing.holdout_overlap import holdout_overlap
from keshi.auditing.release_attacks import ReleaseAttacks
from keshi.auditing.side_by_side import known
from keshi.auditing.small_groups import SmallGroups, group_shares

FEWEST_HELD = (
    400  # held-out records, or half of them cannot stand as a release and the other half as its control
)
FEWEST_DISTANT = 100  # records of each set for a distance
MOST_DISTANT = 10_000  # records of each set for a distance
MOST_TRAINED = 10_000  # records that a classifier learns from
DEFAULT_CLASSIFIERS = (LOGISTIC, MLP)  # the third needs torch


@dataclass(frozen=True)
class AuditedArrays:
    """One set under audit, or a yardstick: None where it was not measured, with the reason in the audit's notes."""

    name: str
    rows: int
    distances: ArrayDistances | None
    classes_apart: float | None  # total variation distance of the shares of the classes
    utility: tuple[ArrayUtility, ...] | None
    attacks: ReleaseAttacks | None
    nearness: Nearness | None = None
    groups: SmallGroups | None = None

    @property
    def mean_accuracy(self) -> float | None:
        """Of the classifiers that learnt from it, on held-out real records."""
        return None if not self.utility else float(np.mean([one.accuracy for one in self.utility]))

    def to_json(self) -> dict[str, Any]:
        near = None if self.nearness is None else asdict(self.nearness)
        if near is not None:
            del near["closest"]  # pictures
        return {
            "name": self.name,
            "rows": self.rows,
            "distances": None if self.distances is None else asdict(self.distances),
            "classes_apart": self.classes_apart,
            "utility": None if self.utility is None else [asdict(one) for one in self.utility],
            "mean_accuracy": self.mean_accuracy,
            "attacks": None if self.attacks is None else self.attacks.to_json(),
            "nearness": near,
            "groups": None if self.groups is None else self.groups.to_json(),
        }


@dataclass(frozen=True)
class ArrayAudit(JudgedRelease):
    """A release of images or windows between its yardsticks, and beside a second release where one was given.

    Attributes:
        release: What was audited.
        holdout: Real records as if they were the release: the best that is possible; None without a hold-out.
        cheapest: The mean record of every class, again and again: the cheapest that is possible.
        compared: The second release.
        ceiling: Classifiers trained on real training records.
        extractor: Of the features: its name, and `extractor_accuracy` on so many held-out records.
        train_rows, holdout_rows: Real records.
        seed: That repeats every figure.
        notes: What could not be measured, and why.
        evidence: What the verdict rests on.
    """

    release: AuditedArrays
    holdout: AuditedArrays | None
    cheapest: AuditedArrays
    compared: AuditedArrays | None
    ceiling: tuple[ArrayUtility, ...] | None
    extractor: str
    extractor_accuracy: float | None
    extractor_tested: int
    train_rows: int
    holdout_rows: int
    seed: int
    notes: tuple[str, ...] = ()
    evidence: Evidence = NOTHING_FOUND_OUT

    @property
    def tables(self) -> tuple[AuditedArrays, ...]:
        """The release, the second one, and the yardsticks, as far as they are there."""
        found = (self.release, self.compared, self.holdout, self.cheapest)
        return tuple(one for one in found if one is not None)

    def figure(self, gate: str) -> tuple[float | None, str]:
        """The figure of a gate that is no risk, or None and why there is none."""
        if gate == "small_groups":
            groups = self.release.groups
            return (
                None if groups is None else groups.erased_share
            ), "no class is small and has enough records"
        ours = self.release.mean_accuracy
        if ours is None or not self.ceiling:
            return None, "accuracy needs a hold-out and --label with two classes"
        return float(np.mean([one.accuracy for one in self.ceiling])) - ours, ""

    def to_json(self) -> dict[str, Any]:
        """Plain lists and numbers (NaN where there is none), without the records themselves."""
        extractor = {
            "name": self.extractor,
            "accuracy": self.extractor_accuracy,
            "tested": self.extractor_tested,
        }
        return {
            "verdict": self.verdict,
            "train_rows": self.train_rows,
            "holdout_rows": self.holdout_rows,
            "seed": self.seed,
            "notes": list(self.notes),
            **self.evidence.to_json(),
            "extractor": extractor,
            "ceiling": None if self.ceiling is None else [asdict(one) for one in self.ceiling],
            "tables": [one.to_json() for one in self.tables],
        }

    def summary(self) -> list[tuple[str, list[float | None]]]:
        """(figure, its value for each of `tables`): what a reader compares first."""
        columns = [_main_figures(one) for one in self.tables]
        names = list(dict.fromkeys(name for one in columns for name in one))
        return [(name, [known(one.get(name)) for one in columns]) for name in names]


def _main_figures(one: AuditedArrays) -> dict[str, float | None]:
    far = one.distances
    found: dict[str, float | None] = {
        "Frechet distance": far.frechet if far else None,
        "kernel distance": far.kernel.value if far else None,
        "distance of the classes' shares": one.classes_apart,
        "mean accuracy, tested on real records": one.mean_accuracy,
        "nearer to training than to held-out records, share": one.nearness.share if one.nearness else None,
    }
    return found | ({} if one.attacks is None else one.attacks.main_figures())


def audit_arrays(
    synthetic: ArraySet,
    train: ArraySet,
    *,
    holdout: ArraySet | None = None,
    compare: ArraySet | None = None,
    extractor: Extractor | None = None,
    classifiers: Sequence[str] = DEFAULT_CLASSIFIERS,
    targets: int = TARGETS,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> ArrayAudit:
    """Audit synthetic images or windows of any system: distances on features, utility, copies and membership.

    As yardsticks stand real held-out records as if they were the release (half of them; the other half is the control
    of the attacks) and the mean record of every class. Everything here is an exact statistic of the data, for its owner
    only.

    Args:
        synthetic: The release; with labels, where classifiers shall learn from it.
        train: The real records that it was made from.
        holdout: Real records of the same population that it never saw. Without them nothing can be said about privacy.
        compare: A second release.
        extractor: Of the features for both distances; default: `learnt_extractor` on the real training records. Where
            every set brings features of its own, those count.
        classifiers: Names out of `array_utility.ARRAY_CLASSIFIERS`; "CNN" imports torch.
        targets: Records attacked on either side.
        seed: Of every choice.
        progress: Told what is being measured.

    Raises:
        RecordsError: the sets do not fit together, or one of them is empty.

    Example:
        >>> blurred = np.random.default_rng(0).integers(0, 255, (300, 6, 6)).astype(np.uint8)
        >>> audit_arrays(ArraySet(blurred), ArraySet(blurred), holdout=ArraySet(255 - blurred)).verdict
        'leak'
    """

    def say(what: str) -> None:
        if progress is not None:
            progress(what)

    sets = scaled_alike(train, {"synthetic": synthetic, "holdout": holdout, "compare": compare})
    real, made = sets["train"], sets["synthetic"]
    held, second = sets.get("holdout"), sets.get("compare")
    notes = []
    random = np.random.default_rng(seed)
    mixed = real.take(random.permutation(len(real)))
    if all(one.features is not None for one in sets.values()):
        by = Extractor("features that came with the records", lambda some: some)
        learnt = 0
    elif extractor is not None:
        by, learnt = extractor, 0
    else:
        say("features")
        learnt = min(len(mixed) // 2, LEARNT_FROM)
        teach = mixed.first(learnt) if learnt >= 2 else mixed
        by = learnt_extractor(
            teach.records, teach.labels, test=None if held is None else held.records,
            test_labels=None if held is None else held.labels, seed=seed,
        )  # fmt: skip
    # what the extractor learnt from lies oddly in its features: other training records are compared with
    reference = _features(mixed.take(np.arange(learnt, len(mixed))).first(MOST_DISTANT), by)
    check = None if held is None else check_holdout(reference, _features(held, by), seed=seed)
    cheap = class_means(real)
    others = [one for one in (made, held, second) if one is not None]
    size = min(len(reference), *map(len, others))
    if size < FEWEST_DISTANT:
        notes.append(f"Distances need {FEWEST_DISTANT} records of every set; the smallest has {size}.")
    grey = real.records.ndim == 3 and holds_images(train.records)
    can_learn = held is not None and held.labels is not None and real.labels is not None
    if held is None:
        notes.append(
            "No hold-out was given: no attack has a control, so nothing can be said about privacy, nor about learning."
        )
    elif not can_learn:
        notes.append("No label was named: learning from the release was not measured.")
    if held is not None and len(held) < FEWEST_HELD:
        notes.append(
            f"The hold-out has {len(held)} records; with {FEWEST_HELD} the attacks would be tried on it too."
        )

    def learned(some: ArraySet, what: str) -> tuple[ArrayUtility, ...] | None:
        if not can_learn or some.labels is None or held is None or held.labels is None:
            return None
        say(f"classifiers on {what}")
        part = some.take(np.random.default_rng(seed).permutation(len(some))[:MOST_TRAINED])
        assert part.labels is not None
        images = [
            one.records[..., None] if grey else one.records for one in (part, held)
        ]  # else they are windows
        return tuple(
            train_and_test(images[0], part.labels, images[1], held.labels, classifiers=classifiers, seed=seed)
        )

    def audited(
        name: str, some: ArraySet, control: ArraySet | None, *, attacked: ArraySet | None = None
    ) -> AuditedArrays:
        say(name)
        kept = some if attacked is None else attacked  # what stands as the release in the attacks
        distances = None
        if size >= FEWEST_DISTANT:
            chosen = some.take(np.random.default_rng(seed).permutation(len(some))[:size])
            distances = array_distances(reference[:size], _features(chosen, by), seed=seed)
        attacks = near = None
        if control is not None:
            attacks = attack_arrays(kept.records, real.records, control.records, targets=targets, seed=seed)
            near = nearness(kept.records, real.records, control.records, rows=targets, seed=seed)
        groups = None
        if some.labels is not None and real.labels is not None:
            tables = [pd.DataFrame({"class": one.labels}) for one in (some, real)]
            groups = SmallGroups(group_shares(tables[0], tables[1], columns=["class"]))
        utility = ceiling if some is held else learned(some, name)
        return AuditedArrays(
            name, len(some), distances, _classes_apart(some, real), utility, attacks, near, groups
        )

    ceiling = learned(real, "real records")
    release = audited("release", made, held)
    compared = None if second is None else audited("second release", second, held)
    best = None
    if held is not None:
        halves = held.take(random.permutation(len(held)))
        middle = len(held) // 2
        control = halves.take(np.arange(middle, len(held))) if len(held) >= FEWEST_HELD else None
        best = audited("real hold-out", held, control, attacked=halves.first(middle))
    cheapest = audited("class means", cheap, held)
    evidence = NOTHING_FOUND_OUT
    if held is not None:
        keys = [row_keys(one.records) for one in (made, real, held)]
        overlap = holdout_overlap(keys[0], keys[1], keys[2], seed=seed)
        evidence = Evidence(release.attacks, check, overlap)
    return ArrayAudit(
        release, best, cheapest, compared, ceiling, by.name, by.accuracy, by.tested,
        len(real), 0 if held is None else len(held), seed, tuple(notes), evidence,
    )  # fmt: skip


def _features(some: ArraySet, by: Extractor) -> NDArray[np.floating]:
    return by.extract(some.records) if some.features is None else some.features


def _classes_apart(some: ArraySet, real: ArraySet) -> float | None:
    if some.labels is None or real.labels is None:
        return None
    names = sorted({*some.labels.tolist(), *real.labels.tolist()})
    shares = [np.array([(one.labels == name).mean() for name in names]) for one in (some, real)]
    return float(np.abs(shares[0] - shares[1]).sum() / 2)
