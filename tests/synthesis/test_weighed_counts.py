"""One column within groups of classes, from all the counts it takes part in."""

import numpy as np
import pytest
import torch

from keshi.synthesis.mixture_fit import label_is_fitted
from keshi.synthesis.mixture_targets import Targets
from keshi.synthesis.weighed_counts import Weighed, agreed


def estimates(counts, variances):
    mean = Weighed()
    for count, variance in zip(counts, variances, strict=True):
        mean.add(np.asarray(count, dtype=float), np.asarray(variance, dtype=float))
    return mean


def test_estimates_are_weighed_by_their_precision():
    mean = estimates([[10.0, 0.0], [20.0, 30.0]], [[1.0, 1.0], [4.0, 1.0]])
    assert mean.counts == pytest.approx([12.0, 15.0])
    assert mean.variance == pytest.approx([0.8, 0.5])
    assert Weighed().is_empty
    assert not mean.is_empty


def test_without_noise_groups_and_whole_are_the_truth():
    truth = np.array([[100.0, 50, 0], [10, 20, 70]])
    within = estimates([truth], [np.full((2, 1), 1e-6)])
    over_all = estimates([truth.sum(axis=0)], [np.full(3, 1e-6)])
    assert agreed(within, over_all, truth.sum(axis=1)) == pytest.approx(truth, abs=1e-3)
    alone = agreed(Weighed(), over_all, np.array([250.0]))
    assert alone == pytest.approx(truth.sum(axis=0)[None], abs=1e-3)


def test_they_are_nearer_to_the_truth_than_either_by_itself():
    random = np.random.default_rng(0)
    errors = []
    for _ in range(200):
        truth = random.dirichlet(np.ones(6), 2) * np.array([[300.0], [150.0]])
        noisy = truth + random.normal(0, 30, (2, 6))
        whole = truth.sum(axis=0) + random.normal(0, 20, 6)
        found = agreed(
            estimates([noisy], [np.full((2, 1), 900.0)]),
            estimates([whole], [np.full(6, 400.0)]),
            truth.sum(axis=1),
        )
        assert (found >= 0).all()
        assert found.sum(axis=1) == pytest.approx([300, 150])
        errors.append(
            (
                np.abs(found - truth).sum(),
                np.abs(np.maximum(noisy, 0) - truth).sum(),
                np.abs(found.sum(axis=0) - truth.sum(axis=0)).sum(),
                np.abs(whole - truth.sum(axis=0)).sum(),
            )
        )
    found, noisy, found_whole, whole = np.mean(errors, axis=0)
    assert found < 0.85 * noisy
    assert found_whole < 0.9 * whole


def test_a_mixture_without_the_label_is_not_taken_for_fitted_where_classes_share_components():
    """463 records: noise in all other pairs hid at once that the label said nothing, and AUC was below one half."""
    truth = torch.tensor(
        [[[1.0, 0, 0.9, 0.1]], [[0, 1.0, 0.2, 0.8]]]
    )  # a component a class: label, then a column
    mixture = truth.transpose(0, 1)  # both in one group
    units = torch.tensor([200.0])
    pairs = torch.zeros(4, 4)
    pairs[:2, 2:] = 200.0 * torch.einsum("mc,mk->ck", mixture[0, :, :2], mixture[0, :, 2:])
    precision = torch.zeros(4, 4)
    precision[:2, 2:] = 30.0**-2
    nothing = torch.zeros(1, 4, 4)
    targets = Targets(nothing, nothing, pairs, precision, torch.zeros(4), torch.zeros(4))
    independent = mixture.mean(dim=1, keepdim=True).expand(1, 2, 4)
    assert label_is_fitted(mixture, units, targets, 2)
    assert not label_is_fitted(independent, units, targets, 2)
