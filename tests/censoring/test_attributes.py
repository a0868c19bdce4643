from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from keshi.censoring.attributes import GROUPS, JointGame, as_columns, codes_of
from keshi.censoring.encoders import ConvEncoder, LabelHead
from keshi.censoring.games import PairGame, SubjectGame, TrainingSet
from keshi.censoring.optimizers import rmsprop
from keshi.censoring.training import train_encoder
from keshi.errors import DomainError


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def training_set(subjects: int = 3) -> TrainingSet:
    x = torch.randn(60, 2, 8, generator=generator(5))
    return TrainingSet(x, torch.arange(60) % 2, torch.arange(60) % subjects)


def networks() -> tuple[ConvEncoder, LabelHead]:
    encoder = ConvEncoder(2, 8, features=6, dropout=0.0, generator=generator(1))
    return encoder, LabelHead(6, 2, generator=generator(2))


def test_measurements_are_cut_into_groups_of_equal_size_and_classes_are_left_alone() -> None:
    height = np.random.default_rng(0).normal(170, 10, size=1000)
    codes = codes_of(height)
    np.testing.assert_array_equal(np.bincount(codes), np.full(GROUPS, 1000 // GROUPS))
    assert all(height[codes == k].max() < height[codes == k + 1].min() for k in range(GROUPS - 1))
    np.testing.assert_array_equal(codes_of(np.array(["b", "a", "b"])), [1, 0, 1])
    np.testing.assert_array_equal(codes_of(np.array([1.5, 2.5, 1.5])), [0, 1, 0])
    np.testing.assert_array_equal(codes_of(np.arange(30.0)), np.arange(30))  # people by number
    mostly_one = np.r_[np.full(900, 1.5), np.linspace(2, 3, 100)]
    # no empty group, and never one alone, which would leave nothing to erase
    for mostly in (mostly_one, -mostly_one):
        codes = codes_of(mostly)
        np.testing.assert_array_equal(codes == codes[0], mostly == mostly[0])
        assert set(codes) == {0, 1}


def test_attributes_whose_names_read_the_same_are_refused() -> None:
    with pytest.raises(DomainError, match=r"names that differ as text, got \[1, '1'\]"):
        as_columns({1: [0, 1], "1": [1, 0]})


def test_a_joint_game_adds_adversaries_and_averages_the_label() -> None:
    encoder, head = networks()
    games = {
        "person": PairGame(training_set(3), 6, generator=generator(3)),
        "age": SubjectGame(training_set(5), 6, generator=generator(4), hidden=(8,)),
    }
    joint = JointGame(games)
    z = torch.randn(60, 6, generator=generator(6))
    rng = np.random.default_rng(0)
    expected = sum(game.adversary_loss(z, 20, rng) for game in games.values())
    torch.testing.assert_close(joint.adversary_loss(z, 20, np.random.default_rng(0)), expected)
    rng = np.random.default_rng(1)
    one, two = (game.encoder_losses(encoder, head, 20, rng, adversarial=True) for game in games.values())
    both = joint.encoder_losses(encoder, head, 20, np.random.default_rng(1), adversarial=True)
    torch.testing.assert_close(both.label, (one.label + two.label) / 2)
    torch.testing.assert_close(both.adversarial, one.adversarial + two.adversarial)
    assert joint.uninformed == pytest.approx(np.log(2) + np.log(5))
    assert len(list(joint.adversary.parameters())) == sum(
        len(list(game.adversary.parameters())) for game in games.values()
    )


def test_gradient_reversal_teaches_both_players_of_equation_1_in_one_pass() -> None:
    training, (encoder, head) = training_set(), networks()
    game = SubjectGame(training, 6, generator=generator(3), hidden=(8,), target="grl")
    losses = game.encoder_losses(encoder, head, 30, np.random.default_rng(0), adversarial=True)
    (0.7 * losses.adversarial).backward()
    rows = torch.from_numpy(np.random.default_rng(0).integers(60, size=30))
    plain, _ = networks()
    loss = F.cross_entropy(game.adversary(plain(training.x[rows])), training.subject[rows])
    towards = torch.autograd.grad(0.7 * loss, list(plain.parameters()), retain_graph=True)
    for found, expected in zip(encoder.parameters(), towards, strict=True):
        torch.testing.assert_close(found.grad, -expected)  # the encoder ascends
    for found, expected in zip(
        game.adversary.parameters(),
        torch.autograd.grad(0.7 * loss, list(game.adversary.parameters())),
        strict=True,
    ):
        torch.testing.assert_close(found.grad, expected)  # the adversary descends


def test_a_simultaneous_adversary_learns_in_step_2() -> None:
    training, (encoder, head) = training_set(), networks()
    game = SubjectGame(training, 6, generator=generator(3), hidden=(8,), target="grl")
    before = [p.detach().clone() for p in game.adversary.parameters()]
    optimizers = [
        rmsprop([*encoder.parameters(), *head.parameters()], 1e-3),
        rmsprop(game.adversary.parameters(), 1e-3),
    ]
    *_, adversary, done = train_encoder(
        game, encoder, head, optimizers[0], strength=1.0, iterations=3, batch_size=20,
        rng=np.random.default_rng(0), adversary_optimizer=optimizers[1],
    )  # fmt: skip
    assert done == 3
    assert adversary == pytest.approx(np.log(3), abs=0.2)
    assert all(not torch.equal(a, b) for a, b in zip(before, game.adversary.parameters(), strict=True))
