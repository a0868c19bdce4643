"""The encoder E: windows -> z, and the label head M: z -> label, of the paper's CNN.

Sizes follow Yang et al. (IJCAI 2015, Fig. 1), who use the same window of 30 samples: 50, 40 and 20 maps and
a fully connected layer of 400. Iwasawa et al. (JSAI 2018) give three convolutions with pooling, one fully
connected layer, ReLU and dropout after each, and a linear label head, but no sizes.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from keshi.errors import DomainError

MAPS = (50, 40, 20)
FEATURES = 400
SHORTEST_VALID_WINDOW = 30  # samples; shorter windows leave nothing for the third unpadded convolution
SHORTEST_WINDOW = 8  # samples; three halvings must leave one


class SeededDropout(nn.Module):
    """Dropout whose masks come from an explicit generator, so that a seed fixes every weight."""

    def __init__(self, rate: float, generator: torch.Generator) -> None:
        super().__init__()
        self.rate = rate
        self.generator = generator

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        keep = torch.empty_like(x).bernoulli_(1 - self.rate, generator=self.generator)
        return x * keep.div_(1 - self.rate)


class ConvEncoder(nn.Module):
    """E: windows (n, channels, length) -> z (n, features), all entries at least 0.

    Time is the second axis of a two-dimensional convolution of height 1, in channels-last order: on a CPU
    that halves the cost of the same one-dimensional convolution.

    Args:
        channels, length: of a window.
        features: width of z.
        dropout: rate after every convolution and after the fully connected layer.
        padding: "valid" (Yang et al.; length of at least 30) or "same" (length of at least 8).
        generator: draws the first weights and the dropout masks.
    """

    def __init__(
        self,
        channels: int,
        length: int,
        *,
        features: int = FEATURES,
        dropout: float = 0.2,
        padding: str | None = None,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        padding = padding or ("valid" if length >= SHORTEST_VALID_WINDOW else "same")
        shortest = SHORTEST_VALID_WINDOW if padding == "valid" else SHORTEST_WINDOW
        if length < shortest:
            raise DomainError(
                f"the encoder with {padding!r} padding needs windows of at least {shortest} samples, "
                f"got {length}."
            )
        kernels, pools = ((5, 5, 3), (2, 3, 1)) if padding == "valid" else ((5, 5, 5), (2, 2, 2))
        layers: list[nn.Module] = []
        width, time = channels, length
        with torch.random.fork_rng(devices=[]):  # layers draw weights when built; they are drawn again below
            for maps, kernel, pool in zip(MAPS, kernels, pools, strict=True):
                convolution = nn.Conv2d(width, maps, (1, kernel), padding="same" if padding == "same" else 0)
                layers += [convolution, nn.ReLU()]
                time = time if padding == "same" else time - kernel + 1
                if pool > 1:
                    layers.append(nn.MaxPool2d((1, pool)))
                    time //= pool
                layers.append(SeededDropout(dropout, generator))
                width = maps
            layers += [
                nn.Flatten(),
                nn.Linear(width * time, features),
                nn.ReLU(),
                SeededDropout(dropout, generator),
            ]
            self.layers = nn.Sequential(*layers)
        draw_weights(self, generator)
        self.features = features

    def forward(self, windows: Tensor) -> Tensor:
        x = windows.unsqueeze(2).contiguous(memory_format=torch.channels_last)
        return self.layers(x)


class LabelHead(nn.Module):
    """M: z (n, features) -> logits (n, labels); softmax regression."""

    def __init__(self, features: int, labels: int, *, generator: torch.Generator) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            self.linear = nn.Linear(features, labels)
        draw_weights(self, generator)

    def forward(self, z: Tensor) -> Tensor:
        return self.linear(z)


def draw_weights(module: nn.Module, generator: torch.Generator) -> None:
    """Draw all weights again, uniform within 1/sqrt(inputs) as torch does, but from `generator`."""
    for layer in module.modules():
        if isinstance(layer, (nn.Linear, nn.Conv2d)):
            bound = 1 / math.sqrt(layer.weight[0].numel())
            with torch.no_grad():
                layer.weight.uniform_(-bound, bound, generator=generator)
                if layer.bias is not None:
                    layer.bias.uniform_(-bound, bound, generator=generator)


@torch.no_grad()
def encode_in_batches(encoder: nn.Module, windows: Tensor, *, batch: int = 2048) -> Tensor:
    """z (n, features) of all windows, in evaluation mode (no dropout); the mode is restored."""
    was_training = encoder.training
    encoder.eval()
    parts = [encoder(part) for part in windows.split(batch)]
    encoder.train(was_training)
    return torch.cat(parts)
