"""Adversarial reconstruction: min over the generator, max over the critic. Its only input is a PrivateEmbedding.

    min_theta max_s  sum_j alpha_j(s) sum_c |phi~_c(t_j) - phi_{G,c}(t_j)|^2

PEARL (Liew et al., ICLR 2022), section 4. No record and no budget is needed here; rerun it at will.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from keshi._validate import positive, positive_integer
from keshi.synthesis.characteristic import CharacteristicFeatures, characteristic_function
from keshi.synthesis.critic import Critic
from keshi.synthesis.features import SpreadStatistic
from keshi.synthesis.generators import RecordGenerator, generator_for
from keshi.synthesis.private_embedding import PrivateEmbedding

LARGEST_BATCH = 4_096  # the paper takes 10 % of n; memory must not grow with n


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train. Defaults: the released code on Adult.

    Attributes:
        steps: Generator steps.
        learning_rate: Of Adam, for the generator.
        batch_share: Generated records a step, as a share of the (noisy) number of records, at most LARGEST_BATCH.
        batch: Generated records a step, in place of that share.
        critic_every: A critic step after so many generator steps; 0 leaves the critic out (that is DP-MERF).
        critic_learning_rate: Of Adam, for the critic.
    """

    steps: int = 8_000
    learning_rate: float = 0.01
    batch_share: float = 0.1
    batch: int | None = None
    critic_every: int = 10
    critic_learning_rate: float = 0.01

    def __post_init__(self) -> None:
        positive_integer("steps", self.steps)
        positive("learning_rate", self.learning_rate)
        positive("batch_share", self.batch_share)
        if self.batch is not None:
            positive_integer("batch", self.batch)
        positive("critic_learning_rate", self.critic_learning_rate)
        if self.critic_every != 0:
            positive_integer("critic_every", self.critic_every)


@dataclass(frozen=True)
class LearningPoint:
    """Where the training stands: the loss, what noise alone would give, and how many frequencies still count."""

    step: int
    loss: float
    noise_floor: float
    effective_size: float


Progress = Callable[[LearningPoint, int], None]
"""Called with the latest point and the number of steps in all."""


def discrepancies(target: Tensor, real: Tensor, imaginary: Tensor) -> Tensor:
    """delta_j = sum_c |phi~_c(t_j) - phi_{G,c}(t_j)|^2.

    Args:
        target: (classes, k, 2) the sanitised characteristic function.
        real, imaginary: (classes, k) the generator's.

    Returns:
        (k,)
    """
    return ((target[..., 0] - real).square() + (target[..., 1] - imaginary).square()).sum(dim=0)


def train_generator(
    embedding: PrivateEmbedding,
    schedule: Schedule,
    *,
    start: RecordGenerator | None = None,
    seed: int = 0,
    threads: int | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
    report_every: int = 50,
) -> tuple[RecordGenerator, tuple[LearningPoint, ...]]:
    """Train a generator against an embedding. On the CPU the same seed and threads give the same bytes.

    Args:
        embedding: Its characteristic function, class counts and length-scale are all that is looked at.
        schedule: How long and how fast.
        start: Whose weights to go on with; the critic begins anew.
        seed: Repeats the training.
        threads: Threads of torch; None leaves its setting.
        device: Of torch, where the steps are computed; noise and first weights are drawn on the CPU everywhere.
        progress: Called every `report_every` steps.

    Returns:
        The generator, on the CPU and in evaluation mode, and the learning curve.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    randomness = torch.Generator().manual_seed(seed)
    measured = embedding.measurement(CharacteristicFeatures)
    block: CharacteristicFeatures = measured.features(CharacteristicFeatures)
    frequencies = torch.tensor(2.0 * math.pi * block.frequencies, dtype=torch.float32, device=device)
    count = embedding.count
    target = torch.tensor(
        block.shaped(measured.values(CharacteristicFeatures)) / count, dtype=torch.float32, device=device
    )  # phi~, of norm 1 for one record
    noise_floor = 2.0 * block.n_classes * (measured.noise_std(CharacteristicFeatures) / count) ** 2
    weights = embedding.class_counts / count
    size = schedule.batch or min(LARGEST_BATCH, max(2, int(schedule.batch_share * count)))
    classes = _stratified_classes(weights, size).to(device)
    # Each generated record stands for its class's weight, shared among the generated records of that class.
    shares = functional.one_hot(classes, block.n_classes).float()
    shares = shares / shares.sum(dim=0).clamp_min(1.0) * torch.tensor(weights, dtype=torch.float32).to(device)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # the layers draw their first weights from the global generator
        generator = generator_for(embedding.domain)
    if start is not None:
        generator.load_state_dict(start.state_dict())
    generator.to(device)
    critic = Critic(
        frequencies,
        squared_length_scale=squared_length_scale(embedding),
        learning_rate=schedule.critic_learning_rate,
    )
    alpha = critic.weights()
    optimizer = torch.optim.Adam(generator.parameters(), lr=schedule.learning_rate)
    curve: list[LearningPoint] = []
    for step in range(1, schedule.steps + 1):
        noise = torch.randn(len(classes), generator.latent, generator=randomness).to(device)
        cosine, sine = characteristic_function(generator(noise, classes), frequencies)
        delta = discrepancies(target, shares.T @ cosine, shares.T @ sine)
        loss = alpha @ delta
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if schedule.critic_every and step % schedule.critic_every == 0:
            critic.ascend(delta.detach())
            alpha = critic.weights()
        if step % report_every == 0 or step == schedule.steps:
            curve.append(LearningPoint(step, float(loss.detach()), noise_floor, critic.effective_size))
            if progress is not None:
                progress(curve[-1], schedule.steps)
    return generator.cpu().eval(), tuple(curve)


def squared_length_scale(embedding: PrivateEmbedding) -> float:
    """s2, from the embedding's own first measurement."""
    measured = embedding.measurement(SpreadStatistic)
    statistic: SpreadStatistic = measured.features(SpreadStatistic)
    return statistic.squared_length_scale(
        measured.values(SpreadStatistic), noise_std=measured.noise_std(SpreadStatistic)
    )


def _stratified_classes(weights: np.ndarray, size: int) -> Tensor:
    """(about size,) classes in proportion to their weights, at least two generated records of every class."""
    counts = np.maximum(2, np.rint(weights * size)).astype(np.int64)
    return torch.repeat_interleave(torch.arange(len(weights)), torch.tensor(counts))
