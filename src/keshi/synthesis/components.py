"""Components: what makes the logits of a product mixture, and is trained. Free logits, or a deep network behind them.

Either way the mixture, and so its characteristic function, is exact; only what the optimizer moves differs. All is
computed where the start lies; what is random is drawn on the CPU everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from keshi.errors import ArtifactError

LATENT, HIDDEN = 32, 256  # of the deep network


@dataclass(frozen=True, eq=False)
class Components:
    """Components of a mixture in training.

    Attributes:
        logits: Makes the (groups, components, cells) logits.
        parameters: What is trained.
        state: The tensors to go on from, of a network; free logits need none beside the mixture's probabilities.
    """

    logits: Callable[[], Tensor]
    parameters: list[Tensor]
    state: dict[str, Tensor]


def free_components(start: Tensor, components: int, *, spread: float, seed: int) -> Components:
    """Every component by itself: its logits are the parameters.

    Args:
        start: (groups, cells) logits of independent columns.
        components: In each group.
        spread: Standard deviation around them.
        seed: Of the start.
    """
    shape = (len(start), components, start.shape[1])
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(start.device)
    logits = (start[:, None] + spread * noise).requires_grad_()
    return Components(lambda: logits, [logits], {})


def known_components(probabilities: Tensor) -> Components:
    """The free components of a mixture that goes on; (groups, components, cells) probabilities."""
    logits = probabilities.clamp_min(1e-12).log().requires_grad_()
    return Components(lambda: logits, [logits], {})


def network_components(
    start: Tensor, components: int, *, seed: int, state: Mapping[str, NDArray[Any]] | None = None
) -> Components:
    """A deep network: z ++ onehot(group) -> 2 hidden layers -> logits of a product; one latent z for each component.

    The same exact characteristic function, with the paper's kind of generator behind it.

    Args:
        start: (groups, cells) logits of independent columns, which the network's are added to.
        components: In each group.
        seed: Of latents and weights.
        state: Of a network to go on with, in place of new latents and weights.

    Raises:
        ArtifactError: if the state is not that of a network of this size.
    """
    groups, cells = start.shape
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        latent = torch.randn(groups, components, LATENT)
        last = nn.Linear(HIDDEN, cells)
        inner = (nn.Linear(LATENT + groups, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU())
        body = nn.Sequential(*inner, last)
    if state is not None:
        known = {name: torch.from_numpy(array) for name, array in state.items()}
        try:
            latent = known.pop("latent").reshape(latent.shape)
            body.load_state_dict(known)
        except (KeyError, RuntimeError) as error:
            raise ArtifactError(
                f"the generator's network does not fit its embedding ({error}); train anew without --resume."
            ) from error
    own = torch.eye(groups)[:, None].expand(groups, components, groups)
    inputs = torch.cat([latent, own], dim=2).to(start.device)
    body.to(start.device)
    return Components(
        lambda: start[:, None] + body(inputs),
        list(body.parameters()),
        {"latent": latent, **{name: weight.detach() for name, weight in body.named_parameters()}},
    )
