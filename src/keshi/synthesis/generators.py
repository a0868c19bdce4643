"""Generators: noise and a class in, encoded records out. They know the layout of the Domain and no record.

One image column gets the paper's convolutional network, one column of windows the same in one dimension, everything
else the paper's network for tables. All have one form, `RecordGenerator`, so that nobody else needs to know which.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from keshi.records.column_kinds import Image, Window
from keshi.records.domain import Domain, Slot


class RecordGenerator(nn.Module):
    """Any generator of encoded records.

    Attributes:
        slots: Layout of the encoded record (`Domain.slots`).
        n_classes: Number of classes.
        latent: Size of z.
        widest: Entries of an encoded record beyond which training it would not fit an ordinary computer's memory.
    """

    widest: ClassVar[int]

    def __init__(self, slots: Sequence[Slot], n_classes: int, *, latent: int) -> None:
        super().__init__()
        self.slots = tuple(slots)
        self.n_classes = n_classes
        self.latent = latent

    def forward(self, noise: Tensor, classes: Tensor) -> Tensor:
        """Soft encoded records: probabilities in the categorical blocks.

        Args:
            noise: (n, latent) standard normal.
            classes: (n,) int64.

        Returns:
            (n, width), differentiable.
        """
        raise NotImplementedError

    def draw(self, classes: Tensor, width: int, *, randomness: torch.Generator) -> NDArray[np.float64]:
        """(n, width) hard encoded records of the classes asked for."""
        noise = torch.randn(len(classes), self.latent, generator=randomness)
        with torch.inference_mode():
            hard = draw_records(self(noise, classes), self.slots, randomness=randomness)
        return hard.numpy()

    def settings(self) -> dict[str, Any]:
        """What beside the tensors makes the generator again, as JSON."""
        return {"kind": "network", "n_classes": self.n_classes, "latent": self.latent}

    def tensors(self) -> dict[str, NDArray[Any]]:
        """All weights."""
        return {name: tensor.numpy() for name, tensor in self.state_dict().items()}

    def _input(self, noise: Tensor, classes: Tensor) -> Tensor:
        """z ++ onehot(class)."""
        return torch.cat([noise, functional.one_hot(classes, self.n_classes).to(noise.dtype)], dim=1)


def generator_type(domain: Domain) -> type[RecordGenerator]:
    """The kind of generator that records of a domain get: by what stands beside the label."""
    others = [column for name, column in domain.columns.items() if name != domain.label]
    if len(others) == 1 and isinstance(others[0], Image):
        return ImageGenerator
    if len(others) == 1 and isinstance(others[0], Window):
        return WindowGenerator
    return TableGenerator


def generator_for(domain: Domain, *, latent: int | None = None) -> RecordGenerator:
    """A new generator of a domain's records, with weights from torch's global randomness.

    Args:
        domain: Of the records.
        latent: Size of z; None takes that of the paper, or of its nearest equivalent.
    """
    options = {} if latent is None else {"latent": latent}
    kind = generator_type(domain)
    if kind is TableGenerator:
        return TableGenerator(domain.slots, domain.n_classes, **options)
    column = domain.columns[domain.slots[0].column]
    if kind is ImageGenerator:
        assert isinstance(column, Image)
        return ImageGenerator(column, domain.slots, domain.n_classes, **options)
    assert isinstance(column, Window)
    return WindowGenerator(column, domain.slots, domain.n_classes, **options)


class TableGenerator(RecordGenerator):
    """PEARL's generator for tables: two hidden layers, softmax for categories, tanh for numbers.

    z in R^10 ++ onehot(class) -> Linear 4d, BatchNorm, ReLU -> Linear 2d, BatchNorm, ReLU -> Linear d, with d the
    width of an encoded record. Liew et al., ICLR 2022, and their released code.

    Args:
        slots: Layout of the encoded record (`Domain.slots`).
        n_classes: Number of classes.
        latent: Size of z.
    """

    widest = 4_096  # its layers grow with the square of the width: these are 2.7 GB of training

    def __init__(self, slots: Sequence[Slot], n_classes: int, *, latent: int = 10) -> None:
        super().__init__(slots, n_classes, latent=latent)
        width = self.slots[-1].stop
        self.body = nn.Sequential(
            nn.Linear(latent + n_classes, 4 * width),
            nn.BatchNorm1d(4 * width),
            nn.ReLU(),
            nn.Linear(4 * width, 2 * width),
            nn.BatchNorm1d(2 * width),
            nn.ReLU(),
            nn.Linear(2 * width, width),
        )

    def forward(self, noise: Tensor, classes: Tensor) -> Tensor:
        raw = self.body(self._input(noise, classes))
        parts: list[Tensor] = []
        for slot in self.slots:
            part = raw[:, slot.start : slot.stop]
            if slot.kind == "categorical":
                parts.append(part.softmax(dim=1))
            elif slot.kind in ("numerical", "array"):
                parts.append(part.tanh())
            else:  # the indicator of a missing value scales down the value before it
                missing = part.sigmoid()
                parts[-1] = parts[-1] * (1.0 - missing)
                parts.append(missing)
        return torch.cat(parts, dim=1)


class ImageGenerator(RecordGenerator):
    """PEARL's generator for images.

    z in R^5 ++ onehot(class) -> Linear 200, BatchNorm, ReLU -> Linear 16 (H/4) (W/4), BatchNorm -> bilinear x2 -> conv
    16->8 5x5, ReLU -> bilinear x2 -> conv 8->channels 5x5 -> sigmoid, scaled to [-1, 1]. Liew et al., ICLR 2022, and
    their released code, for 28 x 28; sides that four does not divide are made longer and cut.

    Args:
        image: Declaration of the column.
        slots, n_classes, latent: As for every generator.
    """

    widest = 32_768  # 104 x 104 in colour; k frequencies of that width are what takes memory, not the network

    def __init__(self, image: Image, slots: Sequence[Slot], n_classes: int, *, latent: int = 5) -> None:
        super().__init__(slots, n_classes, latent=latent)
        self.image = image
        self.quarter = (-(-image.height // 4), -(-image.width // 4))
        self.body = _dense(latent + n_classes, 16 * self.quarter[0] * self.quarter[1])
        self.coarse = nn.Conv2d(16, 8, 5, padding=2)
        self.fine = nn.Conv2d(8, image.channels, 5, padding=2)

    def forward(self, noise: Tensor, classes: Tensor) -> Tensor:
        maps = self.body(self._input(noise, classes)).view(-1, 16, *self.quarter)
        maps = self.coarse(_twice(maps, "bilinear")).relu()
        maps = self.fine(_twice(maps, "bilinear")).sigmoid() * 2.0 - 1.0
        cut = maps[:, :, : self.image.height, : self.image.width]
        return cut.permute(0, 2, 3, 1).flatten(1)  # channels last, as in the records


class WindowGenerator(RecordGenerator):
    """The image generator's equivalent in one dimension: time in place of height and width.

    z in R^10 ++ onehot(class) -> Linear 200, BatchNorm, ReLU -> Linear 32 (L/4), BatchNorm -> linear x2 -> conv 32->16
    of 5 samples, ReLU -> linear x2 -> conv 16->channels of 5 samples -> tanh. Ours; the paper has no series.

    Args:
        window: Declaration of the column.
        slots, n_classes, latent: As for every generator.
    """

    widest = ImageGenerator.widest

    def __init__(self, window: Window, slots: Sequence[Slot], n_classes: int, *, latent: int = 10) -> None:
        super().__init__(slots, n_classes, latent=latent)
        self.window = window
        self.quarter = -(-window.length // 4)
        self.body = _dense(latent + n_classes, 32 * self.quarter)
        self.coarse = nn.Conv1d(32, 16, 5, padding=2)
        self.fine = nn.Conv1d(16, window.channels, 5, padding=2)

    def forward(self, noise: Tensor, classes: Tensor) -> Tensor:
        series = self.body(self._input(noise, classes)).view(-1, 32, self.quarter)
        series = self.coarse(_twice(series, "linear")).relu()
        series = self.fine(_twice(series, "linear")).tanh()
        return (
            series[:, :, : self.window.length].transpose(1, 2).flatten(1)
        )  # channels last, as in the records


def _dense(size: int, features: int) -> nn.Sequential:
    """Linear 200, BatchNorm, ReLU, Linear, BatchNorm: what stands before the convolutions."""
    first = (nn.Linear(size, 200), nn.BatchNorm1d(200), nn.ReLU())
    return nn.Sequential(*first, nn.Linear(200, features), nn.BatchNorm1d(features))


def _twice(maps: Tensor, mode: str) -> Tensor:
    return functional.interpolate(maps, scale_factor=2, mode=mode, align_corners=False)


def draw_records(soft: Tensor, slots: Sequence[Slot], *, randomness: torch.Generator) -> Tensor:
    """Hard records: a category drawn from every block of probabilities, a value present or missing, an array as it is.

    Published records are always hard: soft one-hot rows are no records, and score 0.02 AUC worse.
    """
    hard = soft.clone()
    for slot in slots:
        if slot.kind == "categorical":
            drawn = torch.multinomial(soft[:, slot.start : slot.stop], 1, generator=randomness).squeeze(1)
            hard[:, slot.start : slot.stop] = functional.one_hot(drawn, slot.stop - slot.start).to(soft.dtype)
        elif slot.kind == "missing":
            probability = soft[:, slot.start]
            missing = torch.rand(len(soft), generator=randomness) < probability
            # The soft value was scaled by the probability that it is present: undo that.
            value = soft[:, slot.start - 1] / (1.0 - probability).clamp_min(1e-6)
            hard[:, slot.start - 1] = torch.where(missing, torch.zeros_like(value), value.clamp(-1.0, 1.0))
            hard[:, slot.start] = missing.to(soft.dtype)
    return hard
