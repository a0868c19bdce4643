"""A table as rows of numbers, and two small networks over them: generator and discriminator of the DP-SGD GAN.

Numbers lie between 0 and 1 by their public bounds, with a yes-or-no cell for missing ones; categories are one-hot,
drawn by Gumbel softmax (hard values, soft gradients), so that the discriminator cannot tell rows by their softness.
The label is no part of the row: both networks are told it.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional

GENERATOR_WIDTH = 128
DISCRIMINATOR_WIDTH = 32  # every weight gets noise: a small network is a gain here
TEMPERATURE = 0.5  # of Gumbel softmax


class Columns:
    """Columns of a table side by side in one row of numbers.

    Attributes:
        blocks: (name, width) in order; width 1 is a number, a wider block is one-hot. "name" of a cell for missing
            numbers is (column, "missing").
    """

    def __init__(self, columns: list[dict]) -> None:
        self.columns = columns
        self.blocks: list[tuple[object, int]] = []
        for column in columns:
            name = column["name"]
            if column["kind"] == "categorical":
                self.blocks.append((name, max(2, len(column["categories"]))))
            else:
                self.blocks.append((name, 1))
                if column["missing"]:
                    self.blocks.append(((name, "missing"), 2))
        self.widths = [width for _, width in self.blocks]

    def encode(self, table: pd.DataFrame) -> Tensor:
        """(n, width) float."""
        parts = []
        for column in self.columns:
            values = table[column["name"]]
            if column["kind"] == "categorical":
                codes = pd.Categorical(values, categories=column["categories"]).codes
                parts.append(np.eye(max(2, len(column["categories"])))[codes])
            else:
                unit = (values - column["lower"]) / ((column["upper"] - column["lower"]) or 1)
                parts.append(unit.fillna(0).clip(0, 1).to_numpy()[:, None])
                if column["missing"]:
                    parts.append(np.eye(2)[values.isna().astype(int)])
        return torch.tensor(np.hstack(parts), dtype=torch.float32)

    def decode(self, rows: Tensor) -> pd.DataFrame:
        """The table of (n, width) rows."""
        found = {}
        cells = dict(zip((name for name, _ in self.blocks), rows.split(self.widths, dim=1), strict=True))
        for column in self.columns:
            name = column["name"]
            block = cells[name].numpy()
            if column["kind"] == "categorical":
                places = block[:, : len(column["categories"])].argmax(axis=1)
                found[name] = np.array(column["categories"], dtype=object)[places]
                continue
            values = column["lower"] + block[:, 0].astype(float) * (column["upper"] - column["lower"])
            values = np.rint(values) if column["integer"] else values
            missing = cells[name, "missing"].numpy()[:, 1] > 0.5 if column["missing"] else False
            found[name] = pd.Series(np.where(missing, np.nan, values))
            if column["integer"]:
                found[name] = found[name].astype("Int64")
        return pd.DataFrame(found)


class Generator(nn.Module):
    """Latent noise and label -> a row; numbers by a sigmoid, blocks by Gumbel softmax."""

    def __init__(self, latent: int, classes: int, widths: list[int]) -> None:
        super().__init__()
        self.widths = widths
        self.body = nn.Sequential(
            nn.Linear(latent + classes, GENERATOR_WIDTH), nn.BatchNorm1d(GENERATOR_WIDTH), nn.ReLU(),
            nn.Linear(GENERATOR_WIDTH, GENERATOR_WIDTH), nn.BatchNorm1d(GENERATOR_WIDTH), nn.ReLU(),
            nn.Linear(GENERATOR_WIDTH, sum(widths)),
        )  # fmt: skip

    def forward(self, latent: Tensor, label: Tensor) -> Tensor:
        blocks = self.body(torch.cat([latent, label], dim=1)).split(self.widths, dim=1)
        return torch.cat(
            [
                block.sigmoid()
                if block.shape[1] == 1
                else functional.gumbel_softmax(block, tau=TEMPERATURE, hard=True)
                for block in blocks
            ],
            dim=1,
        )


class Discriminator(nn.Module):
    """A row and its label -> the logit of being real.

    The label weights the features (a projection discriminator: Miyato and Koyama, ICLR 2018): beside the row as a
    further input it would be learnt too slowly for the noise.
    """

    def __init__(self, classes: int, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(width, DISCRIMINATOR_WIDTH), nn.LeakyReLU(0.2),
            nn.Linear(DISCRIMINATOR_WIDTH, DISCRIMINATOR_WIDTH), nn.LeakyReLU(0.2),
        )  # fmt: skip
        self.last = nn.Linear(DISCRIMINATOR_WIDTH, 1)
        self.of_class = nn.Linear(classes, DISCRIMINATOR_WIDTH, bias=False)

    def forward(self, rows: Tensor, label: Tensor) -> Tensor:
        features = self.body(rows)
        return self.last(features)[:, 0] + (features * self.of_class(label)).sum(dim=1)
