import numpy as np
import pandas as pd
import pytest
import torch
from data_sets import load_split
from methods import public_columns
from table_networks import Columns, Discriminator, Generator
from torch.nn import functional

COLUMNS = [
    {"name": "n", "kind": "numerical", "lower": -5, "upper": 15, "integer": True, "missing": True},
    {"name": "c", "kind": "categorical", "categories": ["a", "b", "(missing)"]},
    {"name": "x", "kind": "numerical", "lower": 0.0, "upper": 1.0, "integer": False, "missing": False},
    {"name": "one", "kind": "categorical", "categories": ["only"]},
]


def test_a_table_comes_back_from_its_rows():
    table = pd.DataFrame(
        {"n": [-5, np.nan, 15], "c": ["b", "(missing)", "a"], "x": [0.25, 1.0, 0.0], "one": "only"}
    )
    columns = Columns(COLUMNS)
    rows = columns.encode(table)
    assert rows.shape == (3, sum(columns.widths))
    assert rows.min() >= 0
    assert rows.max() <= 1
    back = columns.decode(rows)
    assert back["n"].isna().tolist() == [False, True, False]
    assert back["n"].dropna().tolist() == [-5, 15]
    pd.testing.assert_frame_equal(back[["c", "x", "one"]], table[["c", "x", "one"]])


def test_the_quick_table_comes_back_too():
    split = load_split("quick", None)
    columns = Columns(public_columns(split.domain))
    table = split.train.fillna({"town": "(missing)"}).reset_index(drop=True)
    back = columns.decode(columns.encode(table))
    assert back["town"].tolist() == table["town"].tolist()
    assert back["age"].tolist() == table["age"].tolist()
    assert back["income"].to_numpy() == pytest.approx(table["income"].to_numpy(), abs=1e-4)


def test_generated_rows_are_hard_as_real_ones_are_and_still_have_gradients():
    torch.manual_seed(0)
    columns = Columns(COLUMNS)
    generator, discriminator = Generator(8, 2, columns.widths), Discriminator(2, sum(columns.widths))
    label = functional.one_hot(torch.arange(64) % 2, 2).float()
    rows = generator(torch.randn(64, 8), label)
    numbers = [name in ("n", "x") for name, _ in columns.blocks]
    for block, is_number in zip(rows.split(columns.widths, dim=1), numbers, strict=True):
        if is_number:
            assert ((block >= 0) & (block <= 1)).all()
        else:
            assert torch.equal(block.sort(dim=1).values[:, -1], torch.ones(64))
            assert torch.allclose(block.sum(dim=1), torch.ones(64))
    discriminator(rows, label).sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in generator.parameters())
    # the label reaches both: the same noise gives other rows, the same row another logit
    assert not torch.equal(discriminator(rows, label), discriminator(rows, 1 - label))
