"""The tables of the benchmark: read from a folder of public data sets, split, and cut to their public Domain.

Every method gets the same two csv files and the same Domain. Missing categories are written as "(missing)", missing
numbers as an empty field; numbers beyond the public bounds are moved to the nearest bound before anything else happens,
in the training and in the test part, so that all methods are asked for the same table.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from keshi.datasets import adult
from keshi.errors import RecordsError
from keshi.records.column_kinds import Categorical, Numerical, category_key
from keshi.records.domain import Domain

DOMAINS = Path(__file__).with_name("domains")
MISSING = "(missing)"
TEST_SHARE = 5  # one row of five is a test row
KDD_ROWS = 100_000


@dataclass(frozen=True)
class TableSplit:
    """A data set as all methods see it: training and test rows, columns in the order of the domain."""

    name: str
    train: pd.DataFrame
    test: pd.DataFrame
    domain: Domain


def hash_order(name: str, rows: int) -> np.ndarray:
    """(rows,) uint64: a fixed pseudo-random number for every row position, the same on every machine for ever."""
    digests = (hashlib.sha256(f"{name}:{row}".encode()).digest()[:8] for row in range(rows))
    return np.frombuffer(b"".join(digests), dtype=">u8").astype(np.uint64)


def hash_split(name: str, table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """About 80 % and 20 % of the rows, by a fixed hash of the row's position."""
    is_test = hash_order(name, len(table)) % np.uint64(TEST_SHARE) == 0
    return table[~is_test], table[is_test]


def load_adult(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame, Domain]:
    """UCI Adult in its official split; label: income above 50K."""
    both = adult.load_adult(folder / "adult")
    return both.train, both.test, Domain.read(adult.DOMAIN_FILE)


def load_acs(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame, Domain]:
    """NIST ACS excerpt, Massachusetts 2019; label: group quarters, owned or rented home (OWN_RENT)."""
    table = pd.read_csv(folder / "acs-ma" / "ma2019.csv", na_values="N", dtype={"PUMA": str})
    return *hash_split("acs-ma", table), Domain.read(DOMAINS / "acs-ma.toml")


def load_credit(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame, Domain]:
    """UCI default of credit card clients, without the row number; label: default next month."""
    table = pd.read_csv(folder / "credit-default" / "default_of_credit_card_clients.csv.gz")
    return *hash_split("credit-default", table), Domain.read(DOMAINS / "credit-default.toml")


def load_kdd(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame, Domain]:
    """KDD Cup 99, 10 % file: each distinct row once, then 100,000 of them by hash; label: normal or attack."""
    domain = Domain.read(DOMAINS / "kdd99.toml")
    names = list(domain.columns)
    table = pd.read_csv(
        folder / "kdd99" / "kddcup.data_10_percent.gz", header=None, names=names
    ).drop_duplicates()
    chosen = np.sort(np.argsort(hash_order("kdd99 sample", len(table)), kind="stable")[:KDD_ROWS])
    table = table.iloc[chosen].reset_index(drop=True)
    table["label"] = np.where(table["label"] == "normal.", "normal", "attack")
    return *hash_split("kdd99", table), domain


def load_cover(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame, Domain]:
    """Covertype as an outlier table (class 4 against class 2), ten numbers; label y = 1 is the rare class."""
    domain = Domain.read(DOMAINS / "cover.toml")
    with np.load(folder / "imbalanced" / "10_cover.npz", allow_pickle=False) as arrays:
        table = pd.DataFrame(arrays["X"], columns=[name for name in domain.columns if name != "y"])
        table["y"] = arrays["y"].astype(int)
    return *hash_split("cover", table), domain


def load_quick(folder: Path | None) -> tuple[pd.DataFrame, pd.DataFrame, Domain]:
    """A small generated table with a number, a code, a missing category and a label: needs no data folder."""
    random = np.random.default_rng(0)
    rows = 2_500
    age = np.clip(random.normal(45, 15, rows), 18, 90).round()
    town = random.choice(np.array(["a", "b", "c"], dtype=object), rows, p=[0.5, 0.3, 0.2])
    town[random.random(rows) < 0.1] = None
    income = np.where(random.random(rows) < 0.3, 0.0, random.gamma(2, 10, rows) * (1 + (town == "a")))
    score = age / 30 + income / 20 + random.normal(0, 1, rows)
    table = pd.DataFrame({"age": age, "town": town, "income": income})
    table["label"] = np.where(score > np.quantile(score, 0.7), "yes", "no")
    columns = {
        "age": Numerical(18, 90, integer=True),
        "town": Categorical(("a", "b", "c"), missing=True),
        "income": Numerical(0, 150),
        "label": Categorical(("no", "yes")),
    }
    return *hash_split("quick", table), Domain(columns, label="label")


Loader = Callable[[Any], tuple[pd.DataFrame, pd.DataFrame, Domain]]
DATA_SETS: dict[str, Loader] = {
    "adult": load_adult,
    "acs-ma": load_acs,
    "credit-default": load_credit,
    "kdd99": load_kdd,
    "cover": load_cover,
}


def load_split(name: str, folder: Path | None) -> TableSplit:
    """One data set, cut to its Domain, with categories as texts."""
    train, test, domain = (load_quick if name == "quick" else DATA_SETS[name])(folder)
    domain = as_texts(domain)
    return TableSplit(name, conform(train, domain), conform(test, domain), domain)


def as_texts(domain: Domain) -> Domain:
    """The same Domain with every category as the text by which it is matched, so that csv files say the same."""
    columns = {
        name: replace(column, categories=tuple(map(category_key, column.categories)), dtype=None)
        if isinstance(column, Categorical)
        else column
        for name, column in domain.columns.items()
    }
    return replace(domain, columns=columns, missing_values=(MISSING,), ignore=())


def conform(table: pd.DataFrame, domain: Domain) -> pd.DataFrame:
    """The columns of the domain in its order: categories as texts, numbers between the bounds and whole where declared.

    It is applied to the real rows and to every method's output alike, so that no method is judged by how it spells
    a code or by a fraction in a column of whole numbers.
    """
    columns = {}
    for name, column in domain.columns.items():
        if isinstance(column, Categorical):
            texts = table[name].astype(object).map(category_key, na_action="ignore")
            texts = texts.where(texts.notna() & ~texts.isin(["", MISSING]), None)
            unlisted = set(texts.dropna()) - set(column.categories)
            if unlisted or (texts.isna().any() and not column.missing):
                raise RecordsError(
                    f"column {name!r} holds {sorted(unlisted) or 'missing values'} outside its domain."
                )
            columns[name] = texts.to_numpy(dtype=object)
        else:
            assert isinstance(column, Numerical)  # no data set here has moments
            numbers = pd.to_numeric(table[name]).to_numpy(dtype=np.float64, na_value=np.nan)
            numbers = np.clip(numbers, column.lower, column.upper)
            columns[name] = np.rint(numbers) if column.integer else numbers
    return pd.DataFrame(columns)


def write_csv(table: pd.DataFrame, domain: Domain, path: Path) -> None:
    """Whole numbers without a point, missing categories as MISSING, missing numbers as an empty field."""
    written = table.copy()
    for name, column in domain.columns.items():
        if isinstance(column, Categorical):
            written[name] = written[name].fillna(MISSING)
        elif isinstance(column, Numerical) and column.integer:
            written[name] = written[name].astype("Int64")
    written.to_csv(path, index=False)


def read_csv(path: Path, domain: Domain) -> pd.DataFrame:
    """A table that a method wrote."""
    texts = {name: str for name, column in domain.columns.items() if isinstance(column, Categorical)}
    empty = {name: ["", "nan", "NaN", "<NA>", "None", "null"] for name in domain.columns if name not in texts}
    return conform(pd.read_csv(path, dtype=texts, keep_default_na=False, na_values=empty), domain)
