"""The adversaries: who is it (AFL), and are these two the same person (SCT, LSM).

Iwasawa et al. (JSAI 2018): D has one hidden layer of 800 (AFL-MLP) or 800-200 (AFL-DNN); Dsim has 800-200.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from keshi.censoring.encoders import draw_weights


class SubjectClassifier(nn.Module):
    """D: z (n, features) -> logits (n, subjects)."""

    def __init__(
        self,
        features: int,
        subjects: int,
        *,
        hidden: tuple[int, ...] = (800, 200),
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.layers = _perceptron((features, *hidden, subjects), generator)

    def forward(self, z: Tensor) -> Tensor:
        return self.layers(z)


class SimilarityDiscriminator(nn.Module):
    """Dsim: a pair z1, z2 (n, features each) -> logit (n,) of q(g = 1 | z'), "the same person".

    z' = [z1 ; z2] is the concatenation along features, as in the paper; it is not symmetric.
    """

    def __init__(
        self, features: int, *, hidden: tuple[int, ...] = (800, 200), generator: torch.Generator
    ) -> None:
        super().__init__()
        self.layers = _perceptron((2 * features, *hidden, 1), generator)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        return self.layers(torch.cat([first, second], dim=1)).squeeze(1)


def _perceptron(widths: tuple[int, ...], generator: torch.Generator) -> nn.Sequential:
    layers: list[nn.Module] = []
    with torch.random.fork_rng(devices=[]):
        for inputs, outputs in itertools.pairwise(widths):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    network = nn.Sequential(*layers[:-1])  # no ReLU after the last layer
    draw_weights(network, generator)
    return network
