"""Directions of the gradients as the paper explains them, and values against formulas written out."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
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
