"""Generators: noise and a class in, encoded records out. They know the layout of the Domain and no record."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from keshi.records.domain import Slot


class TableGenerator(nn.Module):
    """PEARL's generator for tables: two hidden layers, softmax for categories, tanh for numbers.

    z in R^10 ++ onehot(class) -> Linear 4d, BatchNorm, ReLU -> Linear 2d, BatchNorm, ReLU -> Linear d, with d the
    width of an encoded record. Liew et al., ICLR 2022, and their released code.

    Args:
        slots: Layout of the encoded record (`Domain.slots`).
        n_classes: Number of classes.
        latent: Size of z.
    """

    def __init__(self, slots: Sequence[Slot], n_classes: int, *, latent: int = 10) -> None:
        super().__init__()
        self.slots = tuple(slots)
        self.n_classes = n_classes
        self.latent = latent
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
        """Soft encoded records: probabilities in the categorical blocks.

        Args:
            noise: (n, latent) standard normal.
            classes: (n,) int64.

        Returns:
            (n, width), differentiable.
        """
        onehot = functional.one_hot(classes, self.n_classes).to(noise.dtype)
        raw = self.body(torch.cat([noise, onehot], dim=1))
        parts: list[Tensor] = []
        for slot in self.slots:
            part = raw[:, slot.start : slot.stop]
            if slot.kind == "categorical":
                parts.append(part.softmax(dim=1))
            elif slot.kind == "numerical":
                parts.append(part.tanh())
            else:  # the indicator of a missing value scales down the value before it
                missing = part.sigmoid()
                parts[-1] = parts[-1] * (1.0 - missing)
                parts.append(missing)
        return torch.cat(parts, dim=1)


def draw_records(soft: Tensor, slots: Sequence[Slot], *, randomness: torch.Generator) -> Tensor:
    """Hard records: a category drawn from every block of probabilities, a value present or missing.

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
