from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from keshi.censoring.encoders import ConvEncoder, LabelHead, encode_in_batches
from keshi.censoring.games import Game, TrainingSet
from keshi.censoring.label_training import pretrain
from keshi.censoring.methods import GAMES
from keshi.censoring.objectives import hsic_given_label
from keshi.censoring.optimizers import rmsprop
from keshi.censoring.pairs import PairSampler
from keshi.censoring.training import (
    Schedule,
    TrainingStreams,
    play,
    train_adversary,
    train_encoder,
    use_threads,
)

METHODS = ["afl-mlp", "afl-dnn", "sct", "lsm"]
SHORT = Schedule(
    pretrain_epochs=1, rounds=2, iterations=6, batch_size=16, encoder_rate=1e-3, adversary_rate=1e-3
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def data(n: int = 120) -> TrainingSet:
    label, subject = torch.arange(n) % 2, torch.arange(n) // 2 % 3
    x = torch.randn(n, 2, 8, generator=generator(5))
    x[:, 0] += label[:, None] * 2.0
    x[:, 1] += subject[:, None] * 2.0
    return TrainingSet(x, label, subject)


def networks(dropout: float = 0.2) -> tuple[ConvEncoder, LabelHead]:
    encoder = ConvEncoder(2, 8, features=10, dropout=dropout, generator=generator(1))
    return encoder, LabelHead(10, 2, generator=generator(2))


def game_of(method: str, training: TrainingSet, **options: str) -> Game:
    make = GAMES[method]
    assert make is not None
    return make(training, 10, generator=generator(3), **options)


def digest(*modules: nn.Module) -> str:
    state = hashlib.sha256()
    for module in modules:
        for value in module.state_dict().values():
            state.update(value.numpy().tobytes())
    return state.hexdigest()


@pytest.mark.parametrize("method", METHODS)
def test_step_1_changes_the_adversary_and_not_one_bit_of_the_encoder(method: str) -> None:
    training, (encoder, head) = data(), networks()
    game = game_of(method, training)
    frozen, moving = digest(encoder, head), digest(game.adversary)
    z = encode_in_batches(encoder, training.x)
    optimizer = torch.optim.RMSprop(game.adversary.parameters(), lr=1e-3)
    train_adversary(game, z, optimizer, iterations=3, batch_size=16, rng=np.random.default_rng(0))
    assert digest(encoder, head) == frozen
    assert digest(game.adversary) != moving


@pytest.mark.parametrize("method", METHODS)
def test_step_2_changes_encoder_and_head_and_not_one_bit_of_the_adversary(method: str) -> None:
    training, (encoder, head) = data(), networks()
    game = game_of(method, training)
    frozen, moving, moving_head = digest(game.adversary), digest(encoder), digest(head)
    optimizer = torch.optim.RMSprop([*encoder.parameters(), *head.parameters()], lr=1e-3)
    train_encoder(
        game,
        encoder,
        head,
        optimizer,
        strength=1.0,
        iterations=3,
        batch_size=16,
        rng=np.random.default_rng(0),
    )
    assert digest(game.adversary) == frozen
    assert digest(encoder) != moving
    assert digest(head) != moving_head
    assert all(p.grad is None for p in game.adversary.parameters())


def test_a_kernel_has_nothing_to_learn_and_takes_the_person_out_of_the_features() -> None:
    training, (encoder, head) = data(), networks(dropout=0.0)
    game = game_of("hsic", training)
    before = hsic_given_label(encoder(training.x), training.subject, training.label)
    schedule = replace(SHORT, iterations=40, batch_size=32)
    outcome = play(game, encoder, head, training, strength=5.0, schedule=schedule, streams=TrainingStreams(0))
    after = hsic_given_label(encoder(training.x), training.subject, training.label)
    assert before.item() > 0.3
    assert after.item() < 0.1
    assert outcome.curve[-1].encoder_iterations == 40
    assert outcome.curve[0].adversary_loss < outcome.curve[1].adversary_loss <= 1.1
    assert not any("adversary" in warning for warning in outcome.warnings)


def test_step_1_learns_who_it_is() -> None:
    training = data()
    for method, rate in (("afl-dnn", 1e-3), ("sct", 1e-3)):
        game = game_of(method, training)
        optimizer = torch.optim.RMSprop(game.adversary.parameters(), lr=rate)
        # The person written into z: no encoder stands between.
        z = F.one_hot(training.subject, 10).float()
        loss = train_adversary(game, z, optimizer, iterations=80, batch_size=64, rng=np.random.default_rng(0))
        assert loss < 0.3 * game.uninformed


def test_strength_0_equals_continued_training_on_the_same_pairs() -> None:
    training = data()
    streams = TrainingStreams(0)
    encoder, head = networks(dropout=0.0)
    play(game_of("sct", training), encoder, head, training, strength=0.0, schedule=SHORT, streams=streams)

    plain_encoder, plain_head = networks(dropout=0.0)
    optimizer = rmsprop([*plain_encoder.parameters(), *plain_head.parameters()], 1e-3)
    sampler = PairSampler(training.label.numpy(), training.subject.numpy(), mode="balanced")
    rng = streams.numpy("step2")
    for _ in range(SHORT.rounds * SHORT.iterations):
        pairs = sampler.draw(SHORT.batch_size, rng)
        rows = torch.from_numpy(np.concatenate([pairs.first, pairs.second]))
        logits = plain_head(plain_encoder(training.x[rows]))
        half = SHORT.batch_size
        loss = F.cross_entropy(logits[:half], training.label[rows[:half]])
        loss = loss + F.cross_entropy(logits[half:], training.label[rows[half:]])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert digest(encoder, head) == digest(plain_encoder, plain_head)


def test_a_strength_above_0_makes_a_difference() -> None:
    results = set()
    for strength in (0.0, 1.0, 2.0):
        training, (encoder, head) = data(), networks()
        play(game_of("sct", training), encoder, head, training, strength=strength, schedule=SHORT,
             streams=TrainingStreams(0))  # fmt: skip
        results.add(digest(encoder))
    assert len(results) == 3


def test_every_round_gives_a_record_with_its_measures_and_a_line() -> None:
    training, (encoder, head) = data(), networks()
    lines: list[str] = []
    outcome = play(
        game_of("afl-dnn", training), encoder, head, training, strength=0.5, schedule=SHORT,
        streams=TrainingStreams(0), on_round=lambda number: {"f1_known": number / 10}, progress=lines.append,
    )  # fmt: skip
    assert [r.round for r in outcome.curve] == [1, 2]
    assert [r.measures["f1_known"] for r in outcome.curve] == [0.1, 0.2]
    assert all(r.encoder_iterations == 6 for r in outcome.curve)
    assert outcome.curve[0].adversary_uninformed == pytest.approx(np.log(3))
    assert lines[1].startswith("round 2 of 2: label loss ")
    assert "f1 known 0.200" in lines[1]


def test_an_adversary_that_is_fooled_ends_step_2_early_and_is_reported() -> None:
    training = data()
    long = replace(SHORT, rounds=1, iterations=120)
    kept, to_the_letter = (
        play(game_of("afl-dnn", training), *networks(), training, strength=5.0, schedule=long,
             streams=TrainingStreams(0), guard=guard)
        for guard in (True, False)
    )  # fmt: skip
    assert kept.curve[0].encoder_iterations < 120
    assert any("step 2 was ended early in 1 of 1 rounds" in warning for warning in kept.warnings)
    assert to_the_letter.curve[0].encoder_iterations == 120
    # Equation 1 is unbounded below: left alone, the adversary's loss grows far beyond knowing nothing.
    assert -to_the_letter.curve[0].adversarial_loss > 3 * to_the_letter.curve[0].adversary_uninformed
    assert -kept.curve[0].adversarial_loss < -to_the_letter.curve[0].adversarial_loss / 3


def test_a_loss_that_is_no_number_restores_the_state_before_its_round() -> None:
    training, (encoder, head) = data(), networks()
    states: list[str] = []

    def poison(number: int) -> dict[str, float]:
        states.append(digest(encoder, head))
        training.x[:] = float("nan")
        return {}

    outcome = play(
        game_of("sct", training), encoder, head, training, strength=1.0, schedule=SHORT,
        streams=TrainingStreams(0), on_round=poison,
    )  # fmt: skip
    assert outcome.diverged
    assert len(outcome.curve) == 1
    assert digest(encoder, head) == states[0]
    assert "round 2 diverged" in outcome.warnings[0]


def test_a_weak_adversary_is_said_to_be_no_evidence() -> None:
    training = data()
    slow = replace(SHORT, adversary_rate=1e-9)
    outcome = play(
        game_of("sct", training),
        *networks(),
        training,
        strength=1.0,
        schedule=slow,
        streams=TrainingStreams(0),
    )
    assert any("the adversary stayed weak" in warning for warning in outcome.warnings)


def test_pretraining_learns_the_label_and_reports_every_epoch() -> None:
    training, (encoder, head) = data(), networks()
    lines: list[str] = []
    schedule = replace(SHORT, pretrain_epochs=25, pretrain_rate=1e-2)
    losses = pretrain(
        encoder, head, training, schedule=schedule, rng=np.random.default_rng(0), progress=lines.append
    )
    assert len(losses) == len(lines) == 25
    assert losses[-1] < 0.4 * losses[0]
    accuracy = (head(encode_in_batches(encoder, training.x)).argmax(1) == training.label).float().mean()
    assert accuracy > 0.95


def test_streams_are_independent_and_repeatable() -> None:
    streams = TrainingStreams(7)
    assert len({streams.seed(name) for name in streams.NAMES}) == len(streams.NAMES)
    assert streams.seed("step1") == TrainingStreams(7).seed("step1") != TrainingStreams(8).seed("step1")
    assert (
        streams.numpy("step1").random() == streams.numpy("step1").random() != streams.numpy("step2").random()
    )


def test_threads_are_set_and_restored() -> None:
    before = torch.get_num_threads()
    with use_threads(1):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before
    with pytest.raises(ValueError, match="threads must be a whole number of at least 1"), use_threads(0):
        pass


def test_a_schedule_refuses_lengths_and_rates_below_one_step() -> None:
    with pytest.raises(ValueError, match="iterations must be a whole number"):
        Schedule(iterations=0)
    with pytest.raises(ValueError, match="encoder_rate must be a finite number above 0"):
        Schedule(encoder_rate=0.0)
    with pytest.raises(ValueError, match="rounds must be a whole number of at least 0, got -3"):
        Schedule(rounds=-3)
    with pytest.raises(ValueError, match=r"rounds must be a whole number of at least 0, got 1\.5"):
        Schedule(rounds=1.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="dropout must lie between 0 and 1, got 2"):
        Schedule(dropout=2)
    with pytest.raises(ValueError, match="dropout must lie below 1"):
        Schedule(dropout=1.0)


def noisy_descent(schedule: Schedule, *, coordinates: int = 4_000) -> torch.Tensor:
    """Weights (coordinates,) from 1 towards 0 by gradients whose noise falls with the batch, as a mean's does."""
    generator = torch.Generator().manual_seed(0)
    weights = torch.nn.Parameter(torch.ones(coordinates))
    optimizer = rmsprop([weights], schedule.encoder_rate, smoothing=schedule.smoothing)
    for _ in range(schedule.iterations):
        noise = torch.randn(coordinates, generator=generator) * 100 / schedule.batch_size**0.5
        weights.grad = weights.detach() + noise
        optimizer.step()
    return weights.detach()


def test_a_larger_batch_by_the_square_root_rule_follows_the_same_path() -> None:
    paper = Schedule(iterations=2_000, batch_size=100, encoder_rate=5e-3)
    larger = paper.in_batches_of(400)
    assert larger.iterations * larger.batch_size == paper.iterations * paper.batch_size
    slow, fast = noisy_descent(paper), noisy_descent(larger)
    unscaled = noisy_descent(replace(larger, encoder_rate=paper.encoder_rate))
    assert 0.2 < float(slow.mean()) < 0.8
    assert float(fast.mean()) == pytest.approx(float(slow.mean()), abs=0.03)
    assert float(fast.std()) == pytest.approx(float(slow.std()), rel=0.1)
    assert float(unscaled.mean()) > float(slow.mean()) + 0.1


def test_a_batch_too_large_for_the_square_root_rule_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 10000"):
        Schedule().in_batches_of(20_000)


@pytest.mark.parametrize(("strength", "collapsed"), [(1.0, False), (1e4, True)])
def test_a_label_that_the_adversarial_term_has_ruined_is_said_to_be_lost(
    strength: float, collapsed: bool
) -> None:
    training, (encoder, head) = data(), networks(dropout=0.0)
    schedule = replace(SHORT, iterations=30, encoder_rate=5e-3)
    game = game_of("sct", training)
    outcome = play(
        game, encoder, head, training, strength=strength, schedule=schedule, streams=TrainingStreams(0)
    )
    found = any("the features collapsed: the label is hardly read" in warning for warning in outcome.warnings)
    assert found is collapsed
