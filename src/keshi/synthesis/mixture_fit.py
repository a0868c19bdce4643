"""Fit a ProductMixture to a private embedding's marginals. Its only input is a PrivateEmbedding.

    min_theta  sum over marginals b and their cells  (n P_theta(cell) - measured count)^2 / noise_b^2

the precision-weighted form of PEARL's generator step: every residual in units of its own noise, no weights to tune. At
a sum of one per cell the mixture is as near to the measured values as the true table is expected to be; going on fits
the noise, so there it stops.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from keshi._validate import positive, positive_integer
from keshi.errors import ArtifactError
from keshi.synthesis.components import free_components, known_components, network_components
from keshi.synthesis.mixture import ProductMixture
from keshi.synthesis.mixture_targets import MarginalLayout, Targets
from keshi.synthesis.private_embedding import PrivateEmbedding
from keshi.synthesis.reconstruction import LearningPoint, Progress

LABEL_STEPS = 50  # at most so many to learn what the label says of columns, where the fit begins without that
SIGNIFICANT = 3.0  # standard deviations of the squared residual of noise alone
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
        stop_at: Squared residual per cell, in units of the noise, at which to stop.
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
        `noise_floor` where it stops, `effective_size` the number of measured cells.

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
    rate = schedule.network_learning_rate if schedule.network else schedule.learning_rate
    optimizer = torch.optim.Adam(made.parameters, lr=rate)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, schedule.steps)
    curve: list[LearningPoint] = []
    for step in range(1, schedule.steps + 1):
        probabilities = products(made.logits(), membership)
        residual = squared_residual(probabilities, group_counts / components, targets) / measured
        loss = float(residual.detach())
        done = loss < schedule.stop_at or step == schedule.steps
        if done and layout.label_is_joined and step < min(LABEL_STEPS, schedule.steps):
            done = label_is_fitted(
                probabilities.detach(), group_counts / components, targets, layout.block.n_classes
            )
        if done or step % report_every == 0:
            curve.append(LearningPoint(step, loss, schedule.stop_at, float(measured)))
            if progress is not None:
                progress(curve[-1], schedule.steps)
        if done:
            break
        optimizer.zero_grad()
        residual.backward()
        optimizer.step()
        cosine.step()
    probabilities = products(made.logits().detach(), membership)
    network = {name: tensor.cpu().numpy() for name, tensor in made.state.items()}
    return ProductMixture(values, probabilities.cpu(), group_counts.cpu(), network), tuple(curve)


def products(logits: Tensor, membership: Tensor) -> Tensor:
    """Probabilities of the cells of every column, from their logits: a softmax within each column.

    Args:
        logits: (groups, components, cells).
        membership: (cells, columns) which column a cell belongs to.
    """
    exponentials = logits.clamp(-30.0, 30.0).exp()
    return exponentials / (exponentials @ membership @ membership.T)


def squared_residual(probabilities: Tensor, units: Tensor, targets: Targets) -> Tensor:
    """Sum of squared residuals in units of the noise.

    Args:
        probabilities: (groups, components, cells).
        units: (groups,) units that each component stands for.
        targets: What was measured.
    """
    # All pairs of a group at once: the count of cells a and b is sum over components of units p_a p_b.
    pairs = torch.bmm(probabilities.transpose(1, 2), probabilities) * units[:, None, None]
    total = ((pairs - targets.within).square() * targets.within_precision).sum()
    over_all = pairs.sum(dim=0)
    total = total + ((over_all - targets.over_all).square() * targets.over_all_precision).sum()
    single = (probabilities.sum(dim=1) * units[:, None]).sum(dim=0)
    return total + ((single - targets.single).square() * targets.single_precision).sum()


def label_is_fitted(probabilities: Tensor, units: Tensor, targets: Targets, n_classes: int) -> bool:
    """Whether the pairs with the label are as near as noise alone would have them.

    Where classes share components the fit begins with columns independent of them; and where records are few the noise
    in all other pairs hides that at once. Arguments as in `squared_residual`; the label's cells are the first.
    """
    weighted = probabilities * units[:, None, None]
    pairs = torch.einsum("gmc,gmk->ck", weighted[:, :, :n_classes], probabilities[:, :, n_classes:])
    precision = targets.over_all_precision[:n_classes, n_classes:]
    measured = max(1, int((precision > 0).sum()))
    residual = (
        float(((pairs - targets.over_all[:n_classes, n_classes:]).square() * precision).sum()) / measured
    )
    return residual < 1.0 + SIGNIFICANT * (2.0 / measured) ** 0.5
