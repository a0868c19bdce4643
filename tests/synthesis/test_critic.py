from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from keshi.synthesis.critic import Critic, effective_sample_size, importance_weights


@pytest.mark.parametrize("seed", range(5))
def test_weights_are_the_ratio_of_two_normal_densities_at_the_frequencies(seed: int) -> None:
    random = np.random.default_rng(seed)
    k, d, base = 40, 3, 1.7
    scales = random.uniform(0.5, 4.0, d)
    t = random.normal(0, 1 / np.sqrt(base), (k, d))
    target = multivariate_normal(np.zeros(d), np.diag(1 / scales)).pdf(t)
    proposal = multivariate_normal(np.zeros(d), np.eye(d) / base).pdf(t)
    expected = target / proposal / (target / proposal).sum()
    weights = importance_weights(torch.tensor(t), torch.tensor(scales), base=base)
    np.testing.assert_allclose(weights.numpy(), expected, rtol=1e-9)


def test_a_critic_that_has_not_moved_weighs_all_frequencies_alike() -> None:
    critic = Critic(torch.randn(10, 2), squared_length_scale=1.0, learning_rate=0.1)
    assert critic.weights().tolist() == pytest.approx([0.1] * 10)
    assert critic.effective_size == pytest.approx(10)


@pytest.mark.parametrize(("weights", "size"), [([0.25] * 4, 4), ([1, 0, 0, 0], 1), ([0.5, 0.5, 0, 0], 2)])
def test_the_effective_size_counts_the_frequencies_that_matter(weights, size) -> None:
    assert effective_sample_size(torch.tensor(weights, dtype=torch.float64)) == pytest.approx(size)


def test_ascending_raises_the_weighted_loss_and_keeps_scales_positive() -> None:
    frequencies = torch.randn(30, 3, generator=torch.Generator().manual_seed(0))
    delta = frequencies.square().sum(dim=1)  # far frequencies match worst, so length-scales must shrink
    critic = Critic(frequencies, squared_length_scale=1.0, learning_rate=0.05)
    losses = []
    for _ in range(200):
        losses.append(float(critic.weights() @ delta))
        critic.ascend(delta)
    assert losses[0] < losses[10] < losses[-1]
    assert (critic.squared_scales >= 1e-3).all()
    assert critic.effective_size < 15
