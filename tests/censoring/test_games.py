from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from keshi.censoring.encoders import ConvEncoder, LabelHead
from keshi.censoring.games import ConditionalGame, KernelGame, PairGame, SubjectGame, TrainingSet
from keshi.censoring.methods import GAMES, method_name
from keshi.censoring.objectives import hsic_given_label
from keshi.censoring.pairs import PairSampler
from keshi.errors import DomainError


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def data(n: int = 60, subjects: int = 3, labels: int = 2) -> TrainingSet:
    rng = np.random.default_rng(0)
    x = torch.randn(n, 2, 8, generator=generator(5))
    return TrainingSet(
        x, torch.from_numpy(rng.integers(labels, size=n)), torch.from_numpy(np.arange(n) % subjects)
    )


def networks() -> tuple[ConvEncoder, LabelHead]:
    return ConvEncoder(2, 8, features=6, dropout=0.0, generator=generator(1)), LabelHead(
        6, 2, generator=generator(2)
    )


def test_sct_uses_one_draw_of_pairs_for_label_and_confusion() -> None:
    training, (encoder, head) = data(), networks()
    game = PairGame(training, 6, generator=generator(3))
    losses = game.encoder_losses(encoder, head, 20, np.random.default_rng(4), adversarial=True)
    sampler = PairSampler(training.label.numpy(), training.subject.numpy(), mode="balanced")
    pairs = sampler.draw(20, np.random.default_rng(4))
    z1, z2 = encoder(training.x[pairs.first]), encoder(training.x[pairs.second])
    label = F.cross_entropy(head(z1), training.label[pairs.first])
    label = label + F.cross_entropy(head(z2), training.label[pairs.second])
    flipped = torch.from_numpy(~pairs.same_subject).float()
    confusion = F.binary_cross_entropy_with_logits(game.adversary(z1, z2), flipped)
    torch.testing.assert_close(losses.label, label)
    torch.testing.assert_close(losses.adversarial, confusion)


def test_pairs_of_one_batch_are_the_same_losses_with_each_window_encoded_once() -> None:
    training, (encoder, head) = data(), networks()
    seen = []
    encoder.register_forward_hook(lambda module, inputs, output: seen.append(len(inputs[0])))
    game = PairGame(training, 6, generator=generator(3), partners="batch")
    losses = game.encoder_losses(encoder, head, 20, np.random.default_rng(4), adversarial=True)
    assert seen == [20]
    rng = np.random.default_rng(4)
    batch = rng.integers(60, size=20)
    pairs = PairSampler(training.label.numpy(), training.subject.numpy(), mode="balanced").within(batch, rng)
    first, second = batch[pairs.first], batch[pairs.second]
    z1, z2 = encoder(training.x[first]), encoder(training.x[second])
    label = F.cross_entropy(head(z1), training.label[first]) + F.cross_entropy(
        head(z2), training.label[second]
    )
    flipped = torch.from_numpy(training.subject.numpy()[first] != training.subject.numpy()[second]).float()
    torch.testing.assert_close(losses.label, label)
    torch.testing.assert_close(
        losses.adversarial, F.binary_cross_entropy_with_logits(game.adversary(z1, z2), flipped)
    )


def test_lsm_asks_nothing_of_pairs_of_one_person() -> None:
    training = data()
    game = PairGame(training, 6, generator=generator(3), learned=True)
    seen: list[torch.Tensor] = []
    positions = {row.numpy().tobytes(): i for i, row in enumerate(training.x)}

    class Spy(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(torch.tensor([positions[row.numpy().tobytes()] for row in x]))
            return torch.zeros(len(x), 6)

    game.encoder_losses(Spy(), networks()[1], 40, np.random.default_rng(0), adversarial=True)
    first, second = seen[0].split(40)
    assert (training.subject[first] != training.subject[second]).all()
    assert (training.label[first] == training.label[second]).sum() == 20


@pytest.mark.parametrize("method", ["afl-mlp", "afl-dnn", "sct", "lsm"])
def test_an_adversary_that_knows_nothing_has_the_uninformed_loss(method: str) -> None:
    training = data()
    make = GAMES[method]
    assert make is not None
    game = make(training, 6, generator=generator())
    for parameter in game.adversary.parameters():
        torch.nn.init.zeros_(parameter)
    loss = game.adversary_loss(torch.zeros(60, 6), 100, np.random.default_rng(0))
    assert float(loss.detach()) == pytest.approx(game.uninformed, rel=1e-5)


def test_natural_pairs_have_the_entropy_of_their_own_base_rate() -> None:
    game = PairGame(data(subjects=4), 6, generator=generator(), pairs="natural")
    assert game.uninformed == pytest.approx(-(0.25 * math.log(0.25) + 0.75 * math.log(0.75)))


def test_afl_knows_the_base_rates_of_its_people() -> None:
    training = TrainingSet(torch.zeros(4, 2, 8), torch.tensor([0, 1, 0, 1]), torch.tensor([0, 0, 0, 1]))
    game = SubjectGame(training, 6, generator=generator(), target="prior")
    assert game.prior.tolist() == [0.75, 0.25]


def test_the_conditional_adversary_knows_the_base_rates_of_every_label_and_the_entropy_they_leave() -> None:
    label, subject = torch.tensor([0, 0, 0, 0, 1, 1]), torch.tensor([0, 0, 0, 1, 1, 1])
    game = ConditionalGame(TrainingSet(torch.zeros(6, 2, 8), label, subject), 6, generator=generator())
    # with one more window for everybody
    torch.testing.assert_close(game.prior, torch.tensor([[4 / 6, 2 / 6], [1 / 4, 3 / 4]]))
    left = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert game.uninformed == pytest.approx(4 / 6 * left)


def test_in_step_2_the_conditional_adversary_learns_from_its_own_loss_alone_and_the_encoder_from_the_other() -> (
    None
):
    training = data()
    game = ConditionalGame(training, 6, generator=generator())
    encoder, head = nn.Sequential(nn.Flatten(), nn.Linear(16, 6)), nn.Linear(6, 2)
    losses = game.encoder_losses(encoder, head, 40, np.random.default_rng(0), adversarial=True)
    losses.adversarial.backward(retain_graph=True)
    assert all(p.grad is None for p in game.adversary.parameters())
    assert encoder[1].weight.grad.abs().sum() > 0
    encoder.zero_grad(set_to_none=True)
    assert losses.own is not None
    losses.own.backward()
    assert all(p.grad is not None for p in game.adversary.parameters())
    assert encoder[1].weight.grad is None


def test_the_kernel_game_penalises_the_dependence_that_is_left_in_pairs_of_one_label_half_of_one_person() -> (
    None
):
    training, (encoder, head) = data(subjects=30), networks()
    game = KernelGame(training, 6, generator=generator())
    losses = game.encoder_losses(encoder, head, 20, np.random.default_rng(4), adversarial=True)
    sampler = PairSampler(training.label.numpy(), training.subject.numpy(), mode="conditional")
    pairs = sampler.draw(10, np.random.default_rng(4))
    rows = np.concatenate([pairs.first, pairs.second])
    assert pairs.same_label.all()
    assert pairs.same_subject.sum() == 5
    z, label, subject = encoder(training.x[rows]), training.label[rows], training.subject[rows]
    torch.testing.assert_close(losses.label, F.cross_entropy(head(z), label))
    torch.testing.assert_close(losses.adversarial, hsic_given_label(z, subject, label))
    torch.testing.assert_close(losses.adversary, 1 - losses.adversarial.detach())
    with pytest.raises(NotImplementedError, match="has_step1 is False"):
        game.adversary_loss(z, 20, np.random.default_rng(0))


def test_empty_pair_sets_are_noted_and_impossible_ones_refused() -> None:
    # Each person did one activity of their own.
    lonely = TrainingSet(torch.zeros(4, 2, 8), torch.tensor([0, 0, 1, 1]), torch.tensor([0, 0, 1, 1]))
    game = PairGame(lonely, 6, generator=generator(), pairs="cells")
    assert game.notes == ("no pairs in np, pn; the other sets were drawn more often",)
    alone = TrainingSet(torch.zeros(4, 2, 8), torch.tensor([0, 0, 1, 1]), torch.zeros(4, dtype=torch.long))
    with pytest.raises(DomainError, match="finds no pair at all"):
        PairGame(alone, 6, generator=generator(), learned=True)


def test_names_of_methods() -> None:
    assert method_name("scl") == "sct"
    assert method_name("afl-dnn") == "afl-dnn"
    with pytest.raises(
        ValueError,
        match="method must be one of cnn, afl-mlp, afl-dnn, afl-grl, sct, lsm, hsic, maxent; got 'gan'",
    ):
        method_name("gan")
    with pytest.raises(ValueError, match="target must be one of flip, prior"):
        SubjectGame(data(), 6, generator=generator(), target="half")
    with pytest.raises(ValueError, match="target='prior' is for"):
        PairGame(data(), 6, generator=generator(), learned=True, target="prior")
