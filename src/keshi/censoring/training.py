"""The alternating loop: step 1 trains the adversary on a frozen encoder, step 2 the encoder against it.

Iwasawa et al. (JSAI 2018): pre-training for the label, then 30 rounds of 200,000 samples a step, batches of
100, RMSprop 2.5e-5 for both players. The text says that E stays updated in step 1, against its own sentence;
here E is frozen there, so its features are computed once a round.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from keshi._validate import positive_integer
from keshi.censoring.checkpoints import Checkpoint, TrainingState
from keshi.censoring.encoders import ConvEncoder, DenseEncoder, encode_in_batches, noisy
from keshi.censoring.games import Game, TrainingSet
from keshi.censoring.objectives import entropy, label_loss
from keshi.censoring.optimizers import rmsprop
from keshi.censoring.schedules import SCHEDULES, Schedule

__all__ = ["SCHEDULES", "Schedule", "TrainingStreams", "play", "use_threads"]

# An adversary this many times worse than one that knows nothing is being fooled, not blinded: with eq. 1 its
# loss then grows without end, while the label is lost and a fresh attacker still succeeds.
FOOLED_BEYOND = 3.0
FOOLED_MEMORY = 0.9  # of the running mean over batches: one odd batch must not end a step
# Below this share of its uninformed loss gained, an adversary has learned nothing an encoder could unlearn.
WEAK_EDGE = 0.02
# Below this share of its uninformed loss gained, the label is lost: the plain network gains most of it.
LABEL_EDGE = 0.1


@dataclass(frozen=True)
class RoundRecord:
    """One round of the learning curve; losses in nats, means over the step (adversary: its last tenth)."""

    round: int
    label_loss: float
    adversarial_loss: float
    adversary_loss: float  # at the end of step 1; a diagnostic of training, never a measure of privacy
    adversary_uninformed: float  # the same loss of an adversary that knows base rates only
    encoder_iterations: int  # of step 2; fewer than planned where the guard ended it
    seconds: float
    measures: dict[str, float] = field(default_factory=dict)  # whatever on_round measured


@dataclass(frozen=True)
class TrainingOutcome:
    """The learning curve, what the user should be warned of, and whether the last rounds were undone."""

    curve: tuple[RoundRecord, ...]
    warnings: tuple[str, ...]
    diverged: bool


class TrainingStreams:
    """Independent random streams of one seed, so that leaving a part out does not shift the others.

    None is for the noise of what is released: that comes from the operating system, see window_noise.py.
    """

    NAMES = ("weights", "adversary", "dropout", "pretraining", "step1", "step2")

    def __init__(self, seed: int) -> None:
        self._seeds = dict(zip(self.NAMES, np.random.SeedSequence(seed).spawn(len(self.NAMES)), strict=True))

    def seed(self, name: str) -> int:
        """The seed a torch generator of this stream begins with."""
        return int(self._seeds[name].generate_state(1, np.uint64)[0] >> 1)  # torch takes 63 bits

    def torch(self, name: str) -> torch.Generator:
        """A fresh torch generator at the beginning of the stream."""
        return torch.Generator().manual_seed(self.seed(name))

    def numpy(self, name: str) -> np.random.Generator:
        """A fresh numpy generator at the beginning of the stream."""
        return np.random.default_rng(self._seeds[name])


@contextmanager
def use_threads(threads: int) -> Iterator[None]:
    """Run with a stated number of torch threads, then restore: sums of floats depend on it."""
    before = torch.get_num_threads()
    torch.set_num_threads(positive_integer("threads", threads))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def train_adversary(
    game: Game,
    z: Tensor,
    optimizer: torch.optim.Optimizer,
    *,
    iterations: int,
    batch_size: int,
    rng: np.random.Generator,
) -> float:
    """Step 1: train the adversary on cached features; returns its mean loss over the last tenth, in nats."""
    game.adversary.requires_grad_(True).train()
    tail: list[float] = []
    for iteration in range(iterations):
        loss = game.adversary_loss(z, batch_size, rng)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        if iteration >= iterations * 0.9 - 1:
            tail.append(float(loss.detach()))
    return float(np.mean(tail))


def train_encoder(
    game: Game,
    encoder: nn.Module,
    head: nn.Module,
    optimizer: torch.optim.Optimizer,
    *,
    strength: float,
    iterations: int,
    batch_size: int,
    rng: np.random.Generator,
    fooled_at: float = math.inf,
    adversary_optimizer: torch.optim.Optimizer | None = None,
) -> tuple[float, float, float, int]:
    """Step 2: train encoder and head against the frozen adversary, or at once with it (gradient reversal).

    In a simultaneous game the adversary's gradient is scaled by the strength too, which RMSprop takes out again.
    Ends early where the adversary's running loss exceeds `fooled_at` nats, so that it can be trained again,
    or where a loss is no longer a number.

    Returns:
        Means of label loss, adversarial term and the adversary's loss in nats (NaN if one was no number), and
        iterations done.
    """
    together = game.simultaneous and adversary_optimizer is not None and strength > 0
    game.adversary.requires_grad_(together).train(together)
    encoder.train()
    label = adversarial = adversary = 0.0
    fooled = game.uninformed
    done = 0
    while done < iterations:
        losses = game.encoder_losses(encoder, head, batch_size, rng, adversarial=strength > 0)
        total = losses.label + strength * losses.adversarial if strength > 0 else losses.label
        if losses.own is not None:
            total = total + losses.own
        optimizer.zero_grad(set_to_none=True)
        if together and adversary_optimizer is not None:
            adversary_optimizer.zero_grad(set_to_none=True)
        total.backward()
        optimizer.step()
        if together and adversary_optimizer is not None:
            adversary_optimizer.step()
        done += 1
        label += float(losses.label.detach())
        adversarial += float(losses.adversarial.detach())
        adversary += float(losses.adversary)
        fooled = FOOLED_MEMORY * fooled + (1 - FOOLED_MEMORY) * float(losses.adversary)
        if not math.isfinite(label + adversarial) or (strength > 0 and fooled > fooled_at):
            break
    encoder.eval()
    return label / done, adversarial / done, adversary / done, done


def play(
    game: Game,
    encoder: ConvEncoder | DenseEncoder,
    head: nn.Module,
    data: TrainingSet,
    *,
    strength: float,
    schedule: Schedule,
    streams: TrainingStreams,
    guard: bool = True,
    on_round: Callable[[int], dict[str, float]] | None = None,
    progress: Callable[[str], None] | None = None,
    checkpoint: Checkpoint | None = None,
) -> TrainingOutcome:
    """Alternate steps 1 and 2 for `schedule.rounds` rounds; encoder and head are changed in place.

    At strength 0 no adversary is trained or asked, which leaves continued training for the label on the
    same batches: the control that every censored encoder must be compared with.

    Args:
        guard: end step 2 early once the adversary is FOOLED_BEYOND; without it, eq. 1 to the letter.
        on_round: called after every round with its number; what it returns is kept in the learning curve.
        progress: called with one line of text after every round.
        checkpoint: continue from the state saved there, if there is one, and save it every so many rounds.
    """
    adversary_optimizer = rmsprop(
        game.adversary.parameters(), schedule.adversary_rate, smoothing=schedule.smoothing
    )
    encoder_optimizer = rmsprop(
        [*encoder.parameters(), *head.parameters()], schedule.encoder_rate, smoothing=schedule.smoothing
    )
    step1, step2 = streams.numpy("step1"), streams.numpy("step2")
    sizes = {"iterations": schedule.iterations, "batch_size": schedule.batch_size}
    learns = game.has_step1 or game.simultaneous  # a kernel is no adversary
    curve: list[RoundRecord] = []
    warnings = list(game.notes)
    diverged = False
    state = TrainingState(
        networks={"encoder": encoder, "head": head, "adversary": game.adversary},
        optimizers={"encoder": encoder_optimizer, "adversary": adversary_optimizer},
        streams={"step1": step1, "step2": step2},
        dropout=encoder.generator,
        curve=curve,
        warnings=warnings,
    )
    if checkpoint and state.restore(checkpoint, RoundRecord) and progress:
        progress(f"going on from the checkpoint: {len(curve)} of {schedule.rounds} rounds are done")
    for number in range(len(curve) + 1, schedule.rounds + 1):
        began = time.perf_counter()
        before = _copy_state(encoder, head)
        adversary_loss = game.uninformed
        if schedule.decay:
            set_rate(encoder_optimizer, schedule.encoder_rate * falling(number - 1, schedule.rounds))
        if strength > 0 and game.has_step1:
            z = noisy(encoder, encode_in_batches(encoder, data.x))
            adversary_loss = train_adversary(game, z, adversary_optimizer, rng=step1, **sizes)
        label, adversarial, during, done = train_encoder(
            game,
            encoder,
            head,
            encoder_optimizer,
            strength=strength,
            rng=step2,
            fooled_at=FOOLED_BEYOND * game.uninformed if guard else math.inf,
            adversary_optimizer=adversary_optimizer,
            **sizes,
        )
        if strength > 0 and not game.has_step1:
            adversary_loss = during
        if not math.isfinite(label + adversarial):
            diverged = True
            _restore_state(before, encoder, head)
            warnings.append(
                f"round {number} diverged (a loss is no longer a number); training stopped and the state "
                "before that round was kept. Use a smaller strength or target='prior'."
            )
            break
        record = RoundRecord(
            number,
            label,
            adversarial,
            adversary_loss,
            game.uninformed,
            done,
            time.perf_counter() - began,
            on_round(number) if on_round else {},
        )
        curve.append(record)
        if checkpoint and number % checkpoint.every == 0:
            state.save(checkpoint)
        if progress:
            progress(_line(record, schedule.rounds, "adversary" if learns else "1 - HSIC"))
    cut = [record.round for record in curve if record.encoder_iterations < schedule.iterations]
    if cut:
        warnings.append(
            f"step 2 was ended early in {len(cut)} of {len(curve)} rounds: the encoder fooled its adversary "
            f"beyond {FOOLED_BEYOND:g} times the loss of knowing nothing, which hides nobody from a fresh "
            "attacker and would destroy the label. A smaller strength or target='prior' avoids it."
        )
    if strength > 0 and curve and (lost := label_lost(encoder, head, data)) is not None:
        warnings.append(lost)
    if strength > 0 and curve and learns:
        edge = max(1 - record.adversary_loss / record.adversary_uninformed for record in curve)
        if edge < WEAK_EDGE:
            warnings.append(
                f"the adversary stayed weak: it never gained more than {max(edge, 0):.1%} over knowing "
                "nothing, so its failure is no evidence that anybody is hidden; compare with strength 0."
            )
    return TrainingOutcome(tuple(curve), tuple(warnings), diverged)


def label_lost(encoder: ConvEncoder | DenseEncoder, head: nn.Module, data: TrainingSet) -> str | None:
    """The warning that the features collapsed, by how well the head reads the training windows' label off them."""
    with torch.no_grad():
        z = noisy(encoder, encode_in_batches(encoder, data.x))
        loss = float(label_loss(head(z), data.label))
    uninformed = entropy(torch.bincount(data.label))
    if not loss > (1 - LABEL_EDGE) * uninformed:
        return None
    return (
        f"the features collapsed: the label is hardly read off them, with a loss of {loss:.3f} nats (knowing nothing "
        f"{uninformed:.3f}), and whoever may be hidden, little is kept. Use a smaller strength, or train longer for "
        "the label first."
    )


def falling(number: int, rounds: int) -> float:
    """Half a cosine from 1 in round 0 towards 0 after the last."""
    return (1 + math.cos(math.pi * number / rounds)) / 2


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate


def _line(record: RoundRecord, rounds: int, rival: str) -> str:
    extra = "".join(f", {name.replace('_', ' ')} {value:.3f}" for name, value in record.measures.items())
    return (
        f"round {record.round} of {rounds}: label loss {record.label_loss:.3f}, {rival} "
        f"{record.adversary_loss:.3f} (knowing nothing {record.adversary_uninformed:.3f}){extra}"
    )


def _copy_state(*modules: nn.Module) -> list[dict[str, Tensor]]:
    return [{name: value.clone() for name, value in module.state_dict().items()} for module in modules]


def _restore_state(states: list[dict[str, Tensor]], *modules: nn.Module) -> None:
    for state, module in zip(states, modules, strict=True):
        module.load_state_dict(state)
