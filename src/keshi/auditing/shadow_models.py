"""Membership by shadow models: run the synthesizer with and without a person, often, and learn the difference.

The strongest attack here, for whoever has the synthesizer: it fits what the attack looks for to the system itself.
Takes any callable; imports numpy and pandas only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from keshi._validate import in_range, positive_integer
from keshi.auditing.cells import shared_columns
from keshi.auditing.membership import (
    FALSE_POSITIVE_RATES,
    MembershipAttack,
    RateAt,
    score_membership,
)
from keshi.auditing.mixed_distance import distance_blocks, encode_rows, nearest
from keshi.errors import RecordsError

Synthesizer = Callable[[pd.DataFrame, int], pd.DataFrame]
"""Given a real table and a seed, a synthetic table of the same columns."""

FEWEST_MODELS = 8  # half of them teach the attack, half are attacked
TARGETS = 50
BOOTSTRAP_DRAWS = 400


def membership_by_shadow_models(
    synthesizer: Synthesizer,
    table: pd.DataFrame,
    *,
    targets: Sequence[int] | np.ndarray | None = None,
    models: int = 16,
    keep: float = 0.5,
    seed: int = 0,
) -> MembershipAttack:
    """Attack a synthesizer on chosen people, after Shokri et al. (IEEE S&P 2017) and LiRA (Carlini et al., 2022).

    Every model is made from a random half of the other rows and a coin's choice of the targets. The first half of the
    models shows, for each target, how near its closest synthetic record is when it was in and when it was out; the
    logarithm of the likelihood ratio of two normals with a common variance then judges the other half of the models.

    Args:
        synthesizer: Called with (table, seed) once a model. It sees row numbers in no form: the index is made anew.
        table: Real rows, (n, d).
        targets: Positions of the people attacked; default: the 50 rows farthest from all others, who have most to fear.
        models: Runs of the synthesizer, at least 8.
        keep: Share of the other rows that each model is made from.
        seed: Of the choices, of the models (seed, seed + 1, ...) and of the bootstrap.

    Returns:
        A MembershipAttack over all pairs (target, attacked model); its error comes from drawing whole models and whole
        targets anew, because the pairs of one model, or of one target, depend on each other.

    Raises:
        RecordsError: The table has too few rows, or a target is no row of it.
    """
    positive_integer("models", models)
    in_range("keep", keep, 0.0, 1.0, open_ends=True)
    if models < FEWEST_MODELS:
        raise ValueError(f"models must be at least {FEWEST_MODELS}, got {models}.")
    chosen = np.asarray(_outliers(table, TARGETS) if targets is None else targets, dtype=np.int64)
    if (
        not len(chosen)
        or len(np.unique(chosen)) < len(chosen)
        or chosen.min() < 0
        or chosen.max() >= len(table)
    ):
        raise RecordsError(f"targets must be different positions from 0 to {len(table) - 1}, at least one.")
    others = np.setdiff1d(np.arange(len(table)), chosen)
    if len(others) < 2:
        raise RecordsError(f"the table has {len(others)} rows beside the targets; at least 2 are needed.")
    random = np.random.default_rng(seed)
    is_member = random.random((models, len(chosen))) < 0.5
    score = np.zeros((models, len(chosen)))
    for model in range(models):
        rows = random.permutation(others)[: max(1, round(keep * len(others)))]
        rows = random.permutation(np.concatenate([rows, chosen[is_member[model]]]))
        made = synthesizer(table.iloc[rows].reset_index(drop=True), seed + model)
        shared_columns(table, made, least_rows=1)
        ours, theirs = encode_rows([table], [made[list(table.columns)]])
        score[model] = -np.log(nearest(ours.take(chosen), theirs)[1] + 1e-3)
    teach = models // 2
    judged = _likelihood_ratios(score[:teach], is_member[:teach], score[teach:])
    return _judged_by_models(judged, is_member[teach:], seed=seed)


def _outliers(table: pd.DataFrame, count: int) -> np.ndarray:
    """Positions of the rows that are farthest from their closest other row."""
    (rows,) = encode_rows([table], [])
    random = np.random.default_rng(0)
    candidates = random.permutation(len(table))[:2000]  # the search grows with the square
    distance = np.zeros(len(candidates))
    for part, block in distance_blocks(rows.take(candidates), rows):
        block[np.arange(len(block)), candidates[part]] = np.iinfo(np.int32).max  # not to oneself
        distance[part] = block.min(axis=1)
    return candidates[np.argsort(-distance, kind="stable")[: min(count, len(table) // 2)]]


def _likelihood_ratios(score: np.ndarray, is_member: np.ndarray, attacked: np.ndarray) -> np.ndarray:
    """log p(score | in) - log p(score | out) of every attacked (model, target), normals of a common variance."""
    overall = score.mean(axis=0)
    means = []
    for group in (is_member, ~is_member):
        count = group.sum(axis=0)
        # one made-up observation at the middle: a target that was always in, or out, is not judged
        means.append((np.where(group, score, 0).sum(axis=0) + overall) / (count + 1))
    inside, outside = means
    residual = score - np.where(is_member, inside, outside)
    spread = max(float(residual.var()), 1e-12)
    return (attacked * (inside - outside) - (inside**2 - outside**2) / 2) / spread


def _area(inside: np.ndarray, outside: np.ndarray) -> float:
    """Area under the ROC curve without its error, which is what takes time; ties count half."""
    ordered = np.sort(outside)
    below = np.searchsorted(ordered, inside, "left") + np.searchsorted(ordered, inside, "right")
    return float(below.mean() / (2 * len(outside)))


def _judged_by_models(score: np.ndarray, is_member: np.ndarray, *, seed: int) -> MembershipAttack:
    pooled = score_membership("shadow models", score[is_member], score[~is_member], seed=seed)
    rates = tuple(
        RateAt(
            rate.false_positive_rate,
            rate.true_positive_rate,
            (0.0, 1.0),
            "inconclusive: no interval; pairs of one model depend on each other",
        )
        for rate in pooled.rates
    )
    random = np.random.default_rng(seed)
    models, targets = score.shape
    draws = []
    for _ in range(BOOTSTRAP_DRAWS):
        place = np.ix_(random.integers(models, size=models), random.integers(targets, size=targets))
        inside, outside = score[place][is_member[place]], score[place][~is_member[place]]
        if min(len(inside), len(outside)) > 1:
            draws.append(_area(inside, outside))
    error = max(float(np.std(draws)), pooled.error) if draws else math.nan
    assert not rates or len(rates) == len(FALSE_POSITIVE_RATES)
    return MembershipAttack(
        pooled.attack, pooled.auc, error, rates, pooled.members, pooled.nonmembers, pooled.reason
    )
