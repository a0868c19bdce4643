"""Fit a ProductMixture to a private embedding's marginals. Its only input is a PrivateEmbedding.

    min_theta  sum over marginals b and their cells  (n P_theta(cell) - measured count)^2 / noise_b^2

the precision-weighted form of PEARL's generator step: every residual in units of its own noise, no weights to tune. The
true table is expected to leave a sum of one per cell, and a fit that has spent df degrees of freedom on coming near it
one less df / cells, for it follows the noise so far; going on fits the noise, so there it stops.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

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
TRUTH = 1.0  # squared residual per cell that the true table is expected to leave
FEWER = 4  # times fewer components where degrees of freedom are looked at ...
LOOK_EVERY = 5  # ... after so many steps: each look costs as much as one
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
        stop_at: Squared residual per cell, in units of the noise, at which to stop; None stops at `noise_floor`.
    """

    components: int = 2_000
    steps: int = 300
    learning_rate: float = 0.1
    network: bool = False
    network_learning_rate: float = 0.003
    spread: float = 0.5
    stop_at: float | None = None

    def __post_init__(self) -> None:
        positive_integer("components", self.components)
        positive_integer("steps", self.steps)
        positive("learning_rate", self.learning_rate)
        positive("spread", self.spread)
        if self.stop_at is not None:
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
        `noise_floor` where it stops (one until the loss is below that, then what degrees of freedom leave of it),
        `effective_size` the number of measured cells.

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
    if schedule.network:
        state = start.network if start else None
        made = network_components(independent, components, seed=seed, state=state)
    elif start is not None:
        made = known_components(start.probabilities.to(device))
    else:
        made = free_components(independent, components, spread=schedule.spread, seed=seed)
    units = group_counts / components
    floor, floor_is_known = schedule.stop_at or TRUTH, schedule.stop_at is not None
    curve: list[LearningPoint] = []
    for step, (probabilities, residual) in enumerate(
        descent(made, schedule, targets, membership, units), start=1
    ):
        loss = residual / measured
        if loss < floor and not floor_is_known:
            floor_is_known = True
            few = max(1, components // FEWER)
            floor = noise_floor(
                targets, independent, membership, group_counts / few, few, schedule, seed=seed
            )
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


def noise_floor(
    targets: Targets,
    independent: Tensor,
    membership: Tensor,
    units: Tensor,
    components: int,
    schedule: MixtureSchedule,
    *,
    seed: int,
) -> float:
    """Squared residual per cell of a fit that is as near to the truth as its degrees of freedom can bring it.

    How they grow as the residual falls hardly depends on the number of components: few do to find where both meet.

    Args:
        targets: What was measured.
        independent, membership: (groups, cells) logits to begin at; (cells, columns) which column a cell belongs to.
        units: (groups,) units that each component stands for.
        components: In each group.
        schedule: Of free components, whatever it says of a network.
        seed: Repeats it.
    """
    free = replace(schedule, network=False)
    shaken = Shaken.of(targets, seed=seed)
    fits = (
        descent(
            free_components(independent, components, spread=free.spread, seed=seed),
            free,
            counts,
            membership,
            units,
        )
        for counts in (targets, shaken.targets)
    )
    measured, share = max(1, targets.measured), 0.0
    for step, ((fitted, residual), (twin, _)) in enumerate(zip(*fits, strict=True), start=1):
        if step % LOOK_EVERY:
            continue
        share = shaken.degrees_of_freedom(fitted, twin, units) / measured
        if residual / measured < TRUTH - share or step >= free.steps:
            break
    return TRUTH - share


def descent(
    made: Components, schedule: MixtureSchedule, targets: Targets, membership: Tensor, units: Tensor
) -> Iterator[tuple[Tensor, float]]:
    """Adam's way down, without end: the probabilities before each step, and their squared residual."""
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
