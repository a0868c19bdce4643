"""A small label-conditional GAN whose discriminator is trained with DP-SGD (opacus); for records of any shape.

Only the discriminator sees records, and only through clipped gradients with noise; the generator learns from the
discriminator, which costs nothing (post-processing). Class shares come from noisy counts, a small part of the same
budget. The networks are the caller's: generator(latent, one_hot_label) -> records, and without batch normalisation
discriminator(records, one_hot_label) -> (n,) logits. Runs in an environment with opacus and without keshi.

Noise per step falls with the number of steps, for a given budget, so there are few of them; the networks are small for
the same reason. With more steps of the discriminator for one of the generator (Bie, Kamath, Zhang, "Private GANs,
Revisited", 2023) its gradients outgrow the clipping norm on tables, and the noise wins; images gain by them.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

import torch
from opacus.accountants import PRVAccountant
from opacus.grad_sample import GradSampleModule
from opacus.optimizers import DPOptimizer
from torch import Tensor, nn
from torch.nn import functional

COUNT_SHARE = 25  # class counts cost a 25th of mu^2: five times the noise that the whole budget would need


@dataclass(frozen=True)
class Settings:
    """What does not depend on the records.

    Attributes:
        batch: Expected number of records in a step of the discriminator (Poisson sampling).
        steps: Of the discriminator.
        steps_per_generator_step: Of the discriminator, for one of the generator.
        clip: L2 norm that the gradient of a record is cut to.
        discriminator_rate, generator_rate: Learning rates of Adam, with betas (0.5, 0.99).
        latent: Width of the generator's noise.
        averaging: Share of the old in the running mean of the generator's weights, which is what is sampled from.
    """

    batch: int = 512
    steps: int = 900
    steps_per_generator_step: int = 1
    clip: float = 1.0
    discriminator_rate: float = 7e-4
    generator_rate: float = 2e-3
    latent: int = 64
    averaging: float = 0.97


@dataclass(frozen=True)
class Noise:
    """Standard deviations: of the class counts, and of the summed gradients in units of the clipping norm."""

    counts: float
    gradients: float


def least(spent, epsilon: float) -> float:
    """The smallest noise (to 1 %, rounded up) at which `spent(noise)` is at most epsilon."""
    low, high = 0.3, 0.6
    while spent(high) > epsilon:
        low, high = high, 2 * high
    while high > 1.01 * low:
        middle = (low * high) ** 0.5
        low, high = (middle, high) if spent(middle) > epsilon else (low, middle)
    return high


def calibrated(*, epsilon: float, delta: float, sampling_rate: float, steps: int) -> Noise:
    """Noise by opacus' accountant: counts and gradients together (epsilon, delta), adding or removing one record."""

    def spent(*mechanisms: tuple[float, float, int]) -> float:
        accountant = PRVAccountant()
        accountant.history = list(mechanisms)
        return accountant.get_epsilon(delta, eps_error=epsilon / 100)

    counts = COUNT_SHARE**0.5 * least(lambda noise: spent((noise, 1.0, 1)), epsilon)
    return Noise(counts, least(lambda noise: spent((counts, 1.0, 1), (noise, sampling_rate, steps)), epsilon))


def from_the_system() -> torch.Generator:
    """Randomness that nobody can repeat, for what protects the records."""
    return torch.Generator().manual_seed(secrets.randbits(63))


def noisy_shares(labels: Tensor, classes: int, noise: float) -> Tensor:
    """Shares of the classes, (classes,), from counts with noise; a class below its noise keeps one record."""
    counts = torch.bincount(labels, minlength=classes).double()
    noisy = counts + noise * torch.randn(classes, dtype=torch.double, generator=from_the_system())
    return (noisy.clamp(min=1) / noisy.clamp(min=1).sum()).float()


def train(
    generator: nn.Module,
    discriminator: nn.Module,
    records: Tensor,
    labels: Tensor,
    *,
    classes: int,
    epsilon: float,
    delta: float,
    settings: Settings,
) -> Tensor:
    """Train the generator in place; returns the noisy shares of the classes, (classes,).

    The number of records is taken as public, as opacus does. torch's own seed repeats the initial networks and the
    generator's noise; sampling and noise of DP-SGD come from the system.

    Args:
        generator, discriminator: See the module.
        records: (n, ...) as the generator makes them.
        labels: (n,) whole numbers below `classes`.
        classes: How many, publicly.
        epsilon, delta: The whole budget.
        settings: The rest.
    """
    n = len(records)
    rate = min(1.0, settings.batch / n)
    batch = max(1, round(rate * n))
    noise = calibrated(epsilon=epsilon, delta=delta, sampling_rate=rate, steps=settings.steps)
    shares = noisy_shares(labels, classes, noise.counts)
    secret = from_the_system()
    watched = GradSampleModule(discriminator, loss_reduction="sum")
    adam = {"betas": (0.5, 0.99)}
    learner = DPOptimizer(
        torch.optim.Adam(watched.parameters(), lr=settings.discriminator_rate, **adam),
        noise_multiplier=noise.gradients,
        max_grad_norm=settings.clip,
        expected_batch_size=batch,
        generator=secret,
    )
    mean = torch.optim.swa_utils.AveragedModel(
        generator,
        multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(settings.averaging),
        use_buffers=True,
    )
    maker = torch.optim.Adam(generator.parameters(), lr=settings.generator_rate, **adam)

    def made() -> tuple[Tensor, Tensor]:
        drawn = functional.one_hot(torch.multinomial(shares, batch, replacement=True), classes).float()
        return generator(torch.randn(batch, settings.latent), drawn), drawn

    generator.train()
    for step in range(1, settings.steps + 1):
        chosen = torch.rand(n, generator=secret) < rate
        with torch.no_grad():
            fake, fake_labels = made()
        # One pass over both: every record is a sample of its own and is clipped as such. As many are made in every
        # step, whatever was sampled, so one real record more or less changes the sum by `clip` at most.
        real_labels = functional.one_hot(labels[chosen], classes).float()
        logits = watched(torch.cat([records[chosen], fake]), torch.cat([real_labels, fake_labels]))
        is_real = torch.arange(len(logits)) < len(real_labels)
        learner.zero_grad()
        functional.binary_cross_entropy_with_logits(logits, is_real.float(), reduction="sum").backward()
        learner.step()
        if step % settings.steps_per_generator_step == 0:
            watched.disable_hooks()
            maker.zero_grad()
            (-functional.logsigmoid(watched(*made()))).mean().backward()
            maker.step()
            mean.update_parameters(generator)
            watched.enable_hooks()
    generator.load_state_dict(mean.module.state_dict())
    return shares


@torch.no_grad()
def sample(
    generator: nn.Module, shares: Tensor, *, rows: int, latent: int, batch: int = 4096
) -> tuple[Tensor, Tensor]:
    """Records (rows, ...) and their labels (rows,), from a trained generator."""
    generator.eval()
    labels = torch.multinomial(shares, rows, replacement=True)
    one_hot = functional.one_hot(labels, len(shares)).float()
    parts = [generator(torch.randn(len(part), latent), part) for part in one_hot.split(batch)]
    return torch.cat(parts), labels
