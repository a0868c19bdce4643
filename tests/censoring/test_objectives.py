"""Directions of the gradients as the paper explains them, and values against formulas written out."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor

from keshi.censoring import objectives

LOGITS = torch.tensor([-3.0, -0.4, 0.0, 0.7, 2.5], dtype=torch.float64)


def gradient(loss: Tensor, at: Tensor) -> Tensor:
    return torch.autograd.grad(loss, at)[0]


def leaf(values: Tensor = LOGITS) -> Tensor:
    return values.clone().requires_grad_(True)


def sigmoid(t: float) -> float:
    return 1 / (1 + math.exp(-t))


@given(st.lists(st.tuples(st.floats(-8, 8), st.booleans()), min_size=1, max_size=20))
def test_equations_2_and_3_equal_their_sums_written_out(pairs: list[tuple[float, bool]]) -> None:
    logits = torch.tensor([t for t, _ in pairs], dtype=torch.float64)
    same = torch.tensor([float(g) for _, g in pairs], dtype=torch.float64)
    eq2 = -sum(math.log(sigmoid(t)) if g else math.log(1 - sigmoid(t)) for t, g in pairs) / len(pairs)
    eq3 = -sum(math.log(1 - sigmoid(t)) if g else math.log(sigmoid(t)) for t, g in pairs) / len(pairs)
    assert float(objectives.similarity_loss(logits, same)) == pytest.approx(eq2, abs=1e-9)
    assert float(objectives.similarity_confusion(logits, same)) == pytest.approx(eq3, abs=1e-9)


def test_step_1_of_sct_raises_the_logit_of_pairs_of_one_person_and_step_2_lowers_it() -> None:
    for same, sign in ((torch.ones(5).double(), -1), (torch.zeros(5).double(), 1)):
        t = leaf()
        assert (sign * gradient(objectives.similarity_loss(t, same), t) > 0).all()
        t = leaf()
        assert (sign * gradient(objectives.similarity_confusion(t, same), t) < 0).all()


def test_sct_with_the_prior_as_target_pulls_every_logit_towards_even_odds() -> None:
    for same in (torch.ones(5).double(), torch.zeros(5).double()):
        t = leaf()
        slope = gradient(objectives.similarity_confusion(t, same, target="prior"), t)
        assert torch.equal(slope.sign(), LOGITS.sign())


def test_lsm_draws_other_people_with_the_same_label_together_and_other_labels_apart() -> None:
    same_label, other_label = leaf(), leaf()
    loss = objectives.learned_similarity(same_label, other_label)
    down, up = torch.autograd.grad(loss, (same_label, other_label))
    assert (down < 0).all()  # d L_sim / d logit < 0 on Gnp: the loss falls as Dsim says "the same person"
    assert (up > 0).all()


def test_equation_5_adds_a_mean_over_each_set() -> None:
    np_, nn_ = [0.3, -1.0], [2.0, -0.5, 0.1]
    expected = -sum(math.log(sigmoid(t)) for t in np_) / 2 - sum(math.log(1 - sigmoid(t)) for t in nn_) / 3
    found = objectives.learned_similarity(
        torch.tensor(np_, dtype=torch.float64), torch.tensor(nn_, dtype=torch.float64)
    )
    assert float(found) == pytest.approx(expected, abs=1e-12)
    empty = torch.empty(0, dtype=torch.float64)
    assert float(objectives.learned_similarity(empty, empty)) == 0.0


def test_afl_pays_the_encoder_for_an_adversary_that_is_wrong() -> None:
    logits, subjects = (
        leaf(torch.randn(6, 4, generator=torch.Generator().manual_seed(0))),
        torch.arange(6) % 4,
    )
    loss = objectives.adversarial_subject_loss(logits, subjects)
    written = torch.stack([torch.log_softmax(logits, 1)[i, s] for i, s in enumerate(subjects)]).mean()
    assert torch.allclose(loss, written)
    slope = gradient(loss, logits)
    true = torch.nn.functional.one_hot(subjects, 4).bool()
    assert (slope[true] > 0).all()  # the encoder lowers the logit of the true person
    assert (slope[~true] < 0).all()


def test_gradient_reversal_is_equation_1_in_one_pass() -> None:
    generator = torch.Generator().manual_seed(1)
    weights, z = torch.randn(5, 3, generator=generator), torch.randn(8, 5, generator=generator)
    subjects = torch.arange(8) % 3
    flipped, reversed_ = leaf(z), leaf(z)
    a = gradient(objectives.adversarial_subject_loss(flipped @ weights, subjects), flipped)
    logits = objectives.reverse_gradient(reversed_) @ weights
    b = gradient(objectives.adversarial_subject_loss(logits, subjects, target="grl"), reversed_)
    assert torch.allclose(a, b)


def test_the_prior_target_is_lowest_exactly_at_the_base_rates() -> None:
    prior = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    at = leaf(prior.log()[None])
    loss = objectives.adversarial_subject_loss(
        at, torch.zeros(1, dtype=torch.long), target="prior", prior=prior
    )
    assert float(loss.detach()) == pytest.approx(objectives.entropy(torch.tensor([5, 3, 2])))
    assert gradient(loss, at).abs().max() < 1e-12
    with pytest.raises(ValueError, match="needs prior="):
        objectives.adversarial_subject_loss(at, torch.zeros(1, dtype=torch.long), target="prior")


def test_the_label_loss_of_pairs_adds_both_members_or_takes_their_mean() -> None:
    generator = torch.Generator().manual_seed(2)
    first, second = (torch.randn(7, 3, generator=generator) for _ in range(2))
    y1, y2 = torch.arange(7) % 3, torch.arange(7) % 2
    one, two = objectives.label_loss(first, y1), objectives.label_loss(second, y2)
    assert torch.allclose(objectives.label_loss_of_pairs(first, second, y1, y2), one + two)
    assert torch.allclose(
        objectives.label_loss_of_pairs(first, second, y1, y2, reduction="mean"), (one + two) / 2
    )


def test_unknown_targets_are_refused() -> None:
    with pytest.raises(ValueError, match="target must be one of flip, prior; got 'grl'"):
        objectives.similarity_confusion(LOGITS, torch.ones(5).double(), target="grl")
    with pytest.raises(ValueError, match="reduction must be one of sum, mean"):
        objectives.label_loss_of_pairs(LOGITS, LOGITS, LOGITS, LOGITS, reduction="max")


def test_entropy_of_equal_counts_is_the_logarithm_of_their_number() -> None:
    assert objectives.entropy(torch.tensor([3, 3, 3, 3, 0])) == pytest.approx(math.log(4))
    assert objectives.entropy(torch.tensor([9, 0])) == 0.0


def test_information_read_is_zero_at_the_base_rates_and_bounded_by_their_rarest_person() -> None:
    prior = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]], dtype=torch.float64)
    assert float(objectives.information_read(prior.log() + 3.0, prior)) == pytest.approx(0, abs=1e-12)
    sure = torch.tensor([[0.0, 0.0, 60.0], [0.0, 0.0, 60.0]], dtype=torch.float64)
    expected = (math.log(1 / 0.1) + math.log(1 / 0.8)) / 2  # certain of the third person, whoever it was
    assert float(objectives.information_read(sure, prior)) == pytest.approx(expected)
    logits = torch.tensor([[0.3, -1.0, 0.5], [2.0, 0.0, 0.1]], dtype=torch.float64, requires_grad=True)
    q = torch.softmax(logits, 1).detach()
    written_out = (q * (q / prior).log()).sum(1).mean()
    assert float(objectives.information_read(logits, prior).detach()) == pytest.approx(float(written_out))
    # a step down the gradient brings the claim nearer to the base rates
    step = logits.detach() - gradient(objectives.information_read(logits, prior), logits)
    assert objectives.information_read(step, prior) < written_out


def slow_hsic_given_label(z: np.ndarray, subjects: np.ndarray, labels: np.ndarray) -> float:
    """The same measure pair by pair: Song et al. (2012), eq. 5, label after label."""
    ordered = [(i, j) for i in range(len(z)) for j in range(len(z)) if i != j and labels[i] == labels[j]]
    squared = {(i, j): float(((z[i] - z[j]) ** 2).sum()) for i, j in ordered}
    width = sorted(squared.values())[(len(squared) - 1) // 2]
    above = below = 0.0
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        n = len(rows)
        if n < 4:
            continue
        k, same = np.zeros((n, n)), np.zeros((n, n))
        for a in range(n):
            for b in range(n):
                if a != b:
                    k[a, b] = math.exp(-squared[rows[a], rows[b]] / (2 * width))
                    same[a, b] = float(subjects[rows[a]] == subjects[rows[b]])
        product = k @ same
        inner = np.trace(product) + k.sum() * same.sum() / ((n - 1) * (n - 2)) - 2 * product.sum() / (n - 2)
        p = same.sum() / (n * (n - 1))
        above += n * inner / (n * (n - 3))
        below += n * p * (1 - p)
    return above / below if below else 0.0


def people_of_labels(n: int, people: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Features (n, 4) that know the label only, subjects and labels."""
    random = torch.Generator().manual_seed(seed)
    labels = torch.randint(3, (n,), generator=random)
    z = torch.randn(n, 4, generator=random, dtype=torch.float64) + labels[:, None]
    return z, torch.randint(people, (n,), generator=random), labels


@given(st.integers(0, 1000), st.integers(2, 6), st.integers(8, 24))
def test_hsic_equals_its_sums_written_out(seed: int, people: int, n: int) -> None:
    z, subjects, labels = people_of_labels(n, people, seed)
    fast = objectives.hsic_given_label(z, subjects, labels)
    assume(max(torch.bincount(labels)) > 1)  # a pair to take the width from
    assert float(fast) == pytest.approx(slow_hsic_given_label(z.numpy(), subjects.numpy(), labels.numpy()))


def test_hsic_is_0_on_average_for_features_of_the_label_alone_and_clearly_above_for_those_of_the_person() -> (
    None
):
    batches = [people_of_labels(60, 10, seed) for seed in range(200)]
    nothing = [float(objectives.hsic_given_label(*batch)) for batch in batches]
    assert abs(np.mean(nothing)) < 3 * np.std(nothing) / math.sqrt(len(nothing))
    assert abs(np.mean(nothing)) < 0.005
    marked = [float(objectives.hsic_given_label(z + F.one_hot(s, 10)[:, :4], s, y)) for z, s, y in batches]
    assert np.mean(marked) > 0.02
    told = [float(objectives.hsic_given_label(3.0 * F.one_hot(s, 10) + 0.0, s, y)) for _, s, y in batches[:5]]
    assert min(told) > 0.35  # 1 - exp(-1/2): different people at the median distance, the same at none


def test_hsic_means_the_same_for_any_number_of_people_and_any_scale_of_the_features() -> None:
    for people in (3, 30):
        z, subjects, labels = people_of_labels(900, people, 0)
        z = z + 2 * torch.randn(people, 4, generator=torch.Generator().manual_seed(1))[subjects]
        whole = float(objectives.hsic_given_label(z, subjects, labels))
        assert float(objectives.hsic_given_label(1e-3 * z, subjects, labels)) == pytest.approx(whole)
        assert 0.2 < whole < 0.4


def test_the_gradient_of_hsic_is_that_of_its_differences_and_none_runs_through_the_width() -> None:
    z, subjects, labels = people_of_labels(24, 3, 5)
    z = z + F.one_hot(subjects, 4)
    at = leaf(z)
    slope = gradient(objectives.hsic_given_label(at, subjects, labels), at)
    # a pair at the median keeps its distance under a shift of both, and so does the width under small moves of others
    pairs = labels[:, None] == labels
    width = torch.cdist(z, z)[pairs & ~torch.eye(24, dtype=torch.bool)].median()
    free = [i for i in range(24) if not torch.isclose(torch.cdist(z, z)[i], width).any()]
    step = torch.zeros_like(z)
    step[free[0], 0] = 1e-6
    up, down = (float(objectives.hsic_given_label(z + one, subjects, labels)) for one in (step, -step))
    assert float(slope[free[0], 0]) == pytest.approx((up - down) / 2e-6, rel=1e-4)
    follow = z - 0.05 * slope / slope.abs().max()
    assert objectives.hsic_given_label(follow, subjects, labels) < objectives.hsic_given_label(
        at, subjects, labels
    )


def test_hsic_of_too_few_windows_or_of_features_all_alike_is_0_with_a_finite_gradient() -> None:
    # the last: one person alone has nobody to be told from
    for rows, subjects in ((1, [0]), (3, [0, 1, 0]), (6, [0, 0, 0, 1, 1, 1]), (6, [0] * 6)):
        z = torch.randn(rows, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        at = leaf(z if len(set(subjects)) == 1 else torch.ones_like(z))
        value = objectives.hsic_given_label(at, torch.tensor(subjects), torch.zeros(rows, dtype=torch.long))
        assert value.item() == pytest.approx(0.0, abs=1e-12)
        assert torch.isfinite(gradient(value, at)).all()
