"""The encoder E: windows -> z, and the label head M: z -> label, of the paper's CNN.

Sizes follow Yang et al. (IJCAI 2015, Fig. 1), who use the same window of 30 samples: 50, 40 and 20 maps and
a fully connected layer of 400. Iwasawa et al. (JSAI 2018) give three convolutions with pooling, one fully
connected layer, ReLU and dropout after each, and a linear label head, but no sizes.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from keshi.censoring.schedules import FEATURES
from keshi.errors import DomainError

MAPS = (50, 40, 20)
DENSE_WIDTH = 200
SHORTEST_VALID_WINDOW = 30  # samples; shorter windows leave nothing for the third unpadded convolution
LEVELS = 2**16  # of a dropout mask's random numbers
SHORTEST_WINDOW = 8  # samples; three halvings must leave one


class RectifiedDropout(nn.Module):
    """ReLU, and in training dropout, whose masks come from an explicit generator, so that a seed fixes every weight.

    One draw of 64 bits decides on four entries, which is eight times as fast as a draw for each; the rate is
    rounded to 1/65536. ReLU and dropout share one backward pass: an entry has a gradient where it is above 0.
    """

    def __init__(self, rate: float, generator: torch.Generator) -> None:
        super().__init__()
        self.dropped = round(rate * LEVELS)  # of LEVELS
        self.generator = generator

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.dropped == 0:
            return torch.relu(x)
        bits = torch.empty((x.numel() + 3) // 4, dtype=torch.int64)
        bits.random_(-(2**63), None, generator=self.generator)
        keep = bits.view(torch.int16)[: x.numel()] >= self.dropped - LEVELS // 2
        # as_strided: the mask lies in memory as x does, channels last
        return _RectifyAndDrop.apply(
            x, keep.as_strided(x.shape, x.stride()), LEVELS / (LEVELS - self.dropped)
        )


class _RectifyAndDrop(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, keep: Tensor, scale: float) -> Tensor:
        z = x.clamp_min(0.0).mul_(keep).mul_(scale)
        ctx.save_for_backward(z)
        ctx.scale = scale
        return z

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (z,) = ctx.saved_tensors
        return torch.ops.aten.threshold_backward(gradients[0], z, 0.0).mul_(ctx.scale), None, None


class NoisyFeatures(nn.Module):
    """Every window's features scaled to mean 0 and mean square 1; in training with Gaussian noise added.

    The scale is fixed so that features cannot outgrow the noise. Outside training the noise is left to whoever releases
    the features (encoded.py).
    """

    epsilon = 1e-5  # torch's default; a window whose features are all equal stays at 0

    def __init__(self, width: int, noise: float, generator: torch.Generator) -> None:
        super().__init__()
        self.width = width
        self.noise = noise
        self.generator = generator

    def forward(self, x: Tensor) -> Tensor:
        z = F.layer_norm(x, (self.width,), eps=self.epsilon)
        return self.added(z) if self.training else z

    def added(self, z: Tensor) -> Tensor:
        """z and fresh noise."""
        return z + self.noise * torch.empty_like(z).normal_(generator=self.generator)


class ConvEncoder(nn.Module):
    """E: windows (n, channels, length) -> z (n, features), all entries at least 0.

    Time is the second axis of a two-dimensional convolution of height 1, in channels-last order: on a CPU
    that halves the cost of the same one-dimensional convolution. Pooling comes before ReLU, which gives the same
    numbers (both keep the order) on fewer entries.

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
                layers.append(convolution)
                time = time if padding == "same" else time - kernel + 1
                if pool > 1:
                    layers.append(nn.MaxPool2d((1, pool)))
                    time //= pool
                layers.append(RectifiedDropout(dropout, generator))
                width = maps
            layers += [
                nn.Flatten(),
                nn.Linear(width * time, features),
                RectifiedDropout(dropout, generator),
            ]
            self.layers = nn.Sequential(*layers)
        draw_weights(self, generator)
        self.features = features
        self.generator = generator  # of the dropout masks from now on

    def forward(self, windows: Tensor) -> Tensor:
        x = windows.unsqueeze(2).contiguous(memory_format=torch.channels_last)
        return self.layers(x)


class DenseEncoder(nn.Module):
    """E for rows of features instead of windows: (n, channels, 1) -> z (n, features), two layers with ReLU and dropout.

    For what another encoder has made of recordings, and for plain tables.
    """

    def __init__(
        self, channels: int, *, features: int = FEATURES, dropout: float = 0.2, generator: torch.Generator
    ) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            self.layers = nn.Sequential(
                nn.Flatten(),
                nn.Linear(channels, DENSE_WIDTH),
                RectifiedDropout(dropout, generator),
                nn.Linear(DENSE_WIDTH, features),
                RectifiedDropout(dropout, generator),
            )
        draw_weights(self, generator)
        self.features = features
        self.generator = generator

    def forward(self, windows: Tensor) -> Tensor:
        return self.layers(windows)


def make_encoder(
    channels: int,
    length: int,
    *,
    features: int,
    dropout: float = 0.2,
    noise: float = 0.0,
    generator: torch.Generator,
) -> ConvEncoder | DenseEncoder:
    """The encoder for windows of `length` samples; rows of a table are windows of one sample.

    With `noise` above 0 a linear layer from the usual width to `features`, and NoisyFeatures, follow.
    """
    wide = FEATURES if noise > 0 else features
    encoder: ConvEncoder | DenseEncoder
    if length == 1:
        encoder = DenseEncoder(channels, features=wide, dropout=dropout, generator=generator)
    else:
        encoder = ConvEncoder(channels, length, features=wide, dropout=dropout, generator=generator)
    if noise > 0:
        with torch.random.fork_rng(devices=[]):
            narrow = nn.Sequential(nn.Linear(wide, features), NoisyFeatures(features, noise, generator))
        draw_weights(narrow, generator)
        encoder.layers.extend(narrow)
        encoder.features = features
    return encoder


def noisy(encoder: ConvEncoder | DenseEncoder, z: Tensor) -> Tensor:
    """Features of evaluation mode with the noise that training mode adds; unchanged where there is none."""
    last = encoder.layers[-1]
    return last.added(z) if isinstance(last, NoisyFeatures) else z


class LabelHead(nn.Module):
    """M: z (n, features) -> logits (n, labels); softmax regression.

    With `shared` above 0 it also has `describe`, a linear regression of so many descriptors (shared.py) on z.
    """

    def __init__(self, features: int, labels: int, *, shared: int = 0, generator: torch.Generator) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            self.linear = nn.Linear(features, labels)
            self.describe = nn.Linear(features, shared) if shared else None
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
