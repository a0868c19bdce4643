"""Fit a ProductMixture to a private embedding's marginals. Its only input is a PrivateEmbedding.

    min_theta  sum over marginals b and their cells  (n P_theta(cell) - measured count)^2 / noise_b^2

the precision-weighted form of PEARL's generator step: every residual in units of its own noise, no weights to tune. The
true table is expected to leave a sum of one per cell, and a fit that has spent df degrees of freedom on coming near it
one less df / cells, for it follows the noise so far; going on fits the noise, so there it stops.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from keshi._validate import positive, positive_integer
from keshi.errors import ArtifactError
from keshi.synthesis.components import Components, free_components, known_components, network_components
from keshi.synthesis.degrees_of_freedom import Shaken
from keshi.synthesis.mixture import ProductMixture
from keshi.synthesis.mixture_residual import Targets, label_is_fitted, squared_residual
from keshi.synthesis.mixture_targets import MarginalLayout
from keshi.synthesis.private_embedding import PrivateEmbedding
from keshi.synthesis.reconstruction import LearningPoint, Progress

LABEL_STEPS = 50  # at most so many to learn what the label says of columns, where the fit begins without that
LARGEST_STEP = 4e9  # components x cells^2: a step of more would take seconds; then there are fewer components


@dataclass(frozen=True)
class MixtureSchedule:
    """How long and how fast to fit.

    Attributes:
        components: Products in the mixture, over all groups of classes.
        steps: Adam steps at most, on a cosine schedule.
        learning_rate: Of Adam, for the logits.
        network: Whether a deep network makes the logits from a latent z, in place of logits that are free.
        network_learning_rate: Of Adam, for the network's weights.
        spread: Standard deviation of the logits at the start, around those of independent columns.
        stop_at: Squared residual per cell, in units of the noise, at which to stop, but for what the fit's degrees of
            freedom take off.
    """

    components: int = 2_000
    steps: int = 300
    learning_rate: float = 0.1
    network: bool = False
    network_learning_rate: float = 0.003
    spread: float = 0.5
    stop_at: float = 1.0

    def __post_init__(self) -> None:
        positive_integer("components", self.components)
        positive_integer("steps", self.steps)
        positive("learning_rate", self.learning_rate)
        positive("spread", self.spread)
        positive("stop_at", self.stop_at)


def fit_mixture(
    embedding: PrivateEmbedding,
    schedule: MixtureSchedule,
    *,
    start: ProductMixture | None = None,
    seed: int = 0,
    threads: int | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
    report_every: int = 10,
) -> tuple[ProductMixture, tuple[LearningPoint, ...]]:
    """Fit a mixture against an embedding. On the CPU the same seed and threads give the same bytes.

    Args:
        embedding: Its marginals, of both measurements, are all that is looked at.
        schedule: How long and how fast.
        start: A mixture of the same embedding and kind to go on with; None begins at independent columns.
        seed: Repeats the fit.
        threads: Threads of torch; None leaves its setting.
        device: Of torch, where the steps are computed.
        progress: Called every `report_every` steps.

    Returns:
        The mixture, on the CPU, and the learning curve: `loss` is the squared residual per cell in units of the noise,
        `noise_floor` where it stops (as far as is known: what degrees of freedom take off is not looked at before it
        may matter), `effective_size` the number of measured cells.

    Raises:
        ArtifactError: if the embedding's marginals are not those of preset keshi, or those of `start`.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        layout = MarginalLayout(embedding)
        targets, independent, membership = layout.targets(), layout.independent_logits(), layout.membership()
        values = layout.values()
    except (IndexError, KeyError, ValueError) as error:  # of a plan that nobody makes, in an altered folder
        if isinstance(error, ArtifactError):
            raise
        raise ArtifactError(
            f"the embedding's marginals are not those of preset keshi ({error!r}). Restore it from a copy; the noise "
            "cannot be drawn again."
        ) from error
    measured = max(1, targets.measured)
    targets, independent, membership = targets.to(device), independent.to(device), membership.to(device)
    cells = layout.size
    group_counts = torch.tensor(layout.group_counts, dtype=torch.float32, device=device)
    affordable = int(LARGEST_STEP / cells**2)
    components = max(1, min(schedule.components, max(16, affordable)) // len(group_counts))
    if start is not None:
        if start.probabilities.shape[::2] != independent.shape:
            raise ArtifactError(
                f"the generator to go on with has {tuple(start.probabilities.shape[::2])} groups of classes and "
                f"cells, and its embedding {tuple(independent.shape)}: one of them was altered. Train anew without "
                "--resume."
            )
        components = start.probabilities.shape[1]
    units = group_counts / components

    def begin() -> Components:
        if schedule.network:
            state = start.network if start else None
            return network_components(independent, components, seed=seed, state=state)
        if start is not None:
            return known_components(start.probabilities.to(device))
        return free_components(independent, components, spread=schedule.spread, seed=seed)

    made, shaken, behind = begin(), Shaken.of(targets, seed=seed), 0
    fits = descent(lambda: made, schedule, targets, membership, units)
    twins = descent(begin, schedule, shaken.targets, membership, units)  # idle until they matter
    curve: list[LearningPoint] = []
    for step, (probabilities, residual) in enumerate(fits, start=1):
        loss, floor = residual / measured, schedule.stop_at
        if loss < floor:
            twin, _ = next(islice(twins, step - behind - 1, None))
            floor -= shaken.degrees_of_freedom(probabilities, twin, units) / measured
            behind = step
        done = loss < floor or step == schedule.steps
        if done and layout.label_is_joined and step < min(LABEL_STEPS, schedule.steps):
            done = label_is_fitted(probabilities, units, targets, layout.block.n_classes)
        if done or step % report_every == 0:
            curve.append(LearningPoint(step, loss, floor, float(measured)))
            if progress is not None:
                progress(curve[-1], schedule.steps)
        if done:
            break
    network = {name: tensor.cpu().numpy() for name, tensor in made.state.items()}
    return ProductMixture(values, probabilities.cpu(), group_counts.cpu(), network), tuple(curve)


def descent(
    begin: Callable[[], Components],
    schedule: MixtureSchedule,
    targets: Targets,
    membership: Tensor,
    units: Tensor,
) -> Iterator[tuple[Tensor, float]]:
    """Adam's way down, without end: the probabilities before each step, and their squared residual."""
    made = begin()
    measured = max(1, targets.measured)
    rate = schedule.network_learning_rate if schedule.network else schedule.learning_rate
    optimizer = torch.optim.Adam(made.parameters, lr=rate)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, schedule.steps)
    while True:
        probabilities = products(made.logits(), membership)
        residual = squared_residual(probabilities, units, targets)
        yield probabilities.detach(), float(residual.detach())
        optimizer.zero_grad()
        (residual / measured).backward()
        optimizer.step()
        cosine.step()


def products(logits: Tensor, membership: Tensor) -> Tensor:
    """Probabilities of the cells of every column, from their logits: a softmax within each column.

    Args:
        logits: (groups, components, cells).
        membership: (cells, columns) which column a cell belongs to.
    """
    exponentials = logits.clamp(-30.0, 30.0).exp()
    return exponentials / (exponentials @ membership @ membership.T)
