from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch

from keshi.records.column_kinds import Categorical, Numerical
from keshi.records.domain import Domain
from keshi.records.tables import TableEncoder
from keshi.synthesis.generators import TableGenerator, draw_records

DOMAIN = Domain(
    {"c": Categorical(("a", "b", "c")), "n": Numerical(0, 1, missing=True), "m": Numerical(0, 1),
     "y": Categorical((0, 1))}, label="y",
)  # fmt: skip


def soft(n: int = 50) -> torch.Tensor:
    torch.manual_seed(0)
    network = TableGenerator(DOMAIN.slots, 2).eval()
    return network(torch.randn(n, 10), torch.arange(n) % 2).detach()


def test_layers_have_the_widths_of_the_paper() -> None:
    network = TableGenerator(DOMAIN.slots, 2)
    linear = [m for m in network.body if isinstance(m, torch.nn.Linear)]
    d = DOMAIN.width
    assert [(m.in_features, m.out_features) for m in linear] == [(12, 4 * d), (4 * d, 2 * d), (2 * d, d)]


def test_soft_records_are_probabilities_and_bounded_values() -> None:
    rows = soft()
    assert rows.shape == (50, DOMAIN.width)
    torch.testing.assert_close(rows[:, :3].sum(dim=1), torch.ones(50))
    assert (rows[:, :3] >= 0).all()
    assert (rows.abs() <= 1).all()
    assert ((rows[:, 4] >= 0) & (rows[:, 3].abs() <= 1 - rows[:, 4] + 1e-6)).all()


def test_hard_records_survive_the_encoder_unchanged() -> None:
    hard = draw_records(soft(), DOMAIN.slots, randomness=torch.Generator().manual_seed(0)).numpy()
    classes = np.arange(50) % 2
    encoder = TableEncoder(DOMAIN)
    table = encoder.decode(hard, classes)
    again = encoder.encode(table)
    np.testing.assert_allclose(again.vectors, hard, atol=2e-6)
    assert (again.classes == classes).all()
    assert isinstance(table, pd.DataFrame)
    assert table["n"].isna().any()
    assert table["n"].notna().any()


@pytest.mark.parametrize("column", [0, 1, 2])
def test_categories_are_drawn_as_often_as_they_are_probable(column: int) -> None:
    n, probabilities = 100_000, torch.tensor([0.6, 0.3, 0.1])
    rows = torch.zeros(n, DOMAIN.width)
    rows[:, :3] = probabilities
    drawn = draw_records(rows, DOMAIN.slots, randomness=torch.Generator().manual_seed(0))
    p = float(probabilities[column])
    assert abs(float(drawn[:, column].mean()) - p) < 5 * math.sqrt(p * (1 - p) / n)  # a 10 % error is over 30


def test_a_missing_value_is_zero_and_a_present_one_gets_its_size_back() -> None:
    n = 20_000
    rows = torch.zeros(n, DOMAIN.width)
    rows[:, 0], rows[:, 3], rows[:, 4] = 1.0, 0.5 * 0.75, 0.25  # a value of 0.5 that is missing in a quarter
    drawn = draw_records(rows, DOMAIN.slots, randomness=torch.Generator().manual_seed(0))
    missing = drawn[:, 4] == 1
    assert abs(float(missing.float().mean()) - 0.25) < 5 * math.sqrt(0.25 * 0.75 / n)
    assert (drawn[missing, 3] == 0).all()
    torch.testing.assert_close(drawn[~missing, 3], torch.full((int((~missing).sum()),), 0.5))
