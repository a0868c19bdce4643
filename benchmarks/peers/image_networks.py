"""Generator and discriminator of the DP-SGD GAN on images: small convolutional networks, told the label.

Images are (n, channels, height, width) from -1 to 1. Neither network normalises over a batch where records pass it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

MAPS = 32  # of the generator's hidden maps, after the first doubling; twice as many before it
DISCRIMINATOR_MAPS = 16  # every weight gets noise: a small network is a gain here


class Generator(nn.Module):
    """Latent noise and label -> an image: linear, then two transposed convolutions that double the sides (DCGAN)."""

    def __init__(self, latent: int, classes: int, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.shape = shape
        _, height, width = shape
        self.quarter = -(-height // 4), -(-width // 4)
        first = 2 * MAPS * self.quarter[0] * self.quarter[1]
        self.dense = nn.Sequential(nn.Linear(latent + classes, first), nn.BatchNorm1d(first), nn.ReLU())
        self.body = nn.Sequential(
            nn.ConvTranspose2d(2 * MAPS, MAPS, 4, stride=2, padding=1), nn.BatchNorm2d(MAPS), nn.ReLU(),
            nn.ConvTranspose2d(MAPS, shape[0], 4, stride=2, padding=1), nn.Tanh(),
        )  # fmt: skip

    def forward(self, latent: Tensor, label: Tensor) -> Tensor:
        maps = self.dense(torch.cat([latent, label], dim=1)).view(-1, 2 * MAPS, *self.quarter)
        return self.body(maps)[:, :, : self.shape[1], : self.shape[2]]


class Discriminator(nn.Module):
    """An image and its label -> the logit of being real; the label weights the features, as for tables."""

    def __init__(self, classes: int, shape: tuple[int, int, int]) -> None:
        super().__init__()
        channels, height, width = shape
        sides = -(-height // 4) * -(-width // 4)
        self.body = nn.Sequential(
            nn.Conv2d(channels, DISCRIMINATOR_MAPS, 5, stride=2, padding=2), nn.LeakyReLU(0.2),
            nn.Conv2d(DISCRIMINATOR_MAPS, 2 * DISCRIMINATOR_MAPS, 5, stride=2, padding=2), nn.LeakyReLU(0.2),
            nn.Flatten(),
        )  # fmt: skip
        self.last = nn.Linear(2 * DISCRIMINATOR_MAPS * sides, 1)
        self.of_class = nn.Linear(classes, 2 * DISCRIMINATOR_MAPS * sides, bias=False)

    def forward(self, images: Tensor, label: Tensor) -> Tensor:
        features = self.body(images)
        return self.last(features)[:, 0] + (features * self.of_class(label)).sum(dim=1)
