"""DP independent columns: noisy histograms of all columns in one Gaussian release, every column drawn by itself.

The cheapest release with a guarantee. One record adds one to a cell of each of d histograms: L2 sensitivity sqrt(d).
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from dp_accounting import gaussian_mechanism  # noqa: F401  (start-up: imported lazily below)
from job import read_job
from opendp import prelude  # noqa: F401

from keshi.privacy.accounting import mu_from_epsilon, slack_share
from keshi.privacy.ledger import PrivacyLedger
from keshi.privacy.mechanisms import COUNT, Block, release
from keshi.privacy.unit import PrivacyUnit

job = read_job()
train = pd.read_csv(
    job.train,
    dtype=dict.fromkeys(job.categorical, str),
    keep_default_na=False,
    na_values={n: [""] for n in job.numerical},
)
histograms, edges = [], {}
for column in job.columns:
    values = train[column["name"]]
    if column["kind"] == "categorical":
        cells = pd.Categorical(values, categories=column["categories"]).codes
        size = len(column["categories"])
    else:
        edges[column["name"]] = np.linspace(column["lower"], column["upper"], job.bins + 1)
        inside = np.searchsorted(edges[column["name"]][1:-1], values, side="left")
        cells, size = np.where(values.isna(), job.bins, inside), job.bins + 1  # the last cell: missing
    histograms.append(np.bincount(cells, minlength=size))
delta = job.delta * (1 - slack_share(job.epsilon))
noisy = release(
    np.concatenate(histograms) * COUNT,
    [Block("histograms", sum(map(len, histograms)), math.sqrt(len(histograms)) * COUNT, 1.0)],
    mu=mu_from_epsilon(job.epsilon, delta),
    ledger=PrivacyLedger.in_memory(epsilon=job.epsilon, delta=job.delta),
    run="benchmark",
    index=0,
    what="histograms",
    plan_hash="independent columns",
    unit=PrivacyUnit("add-or-remove"),
)
random = np.random.default_rng(job.seed)
made = {}
for column, counts in zip(
    job.columns, np.split(noisy, np.cumsum([len(h) for h in histograms])[:-1]), strict=True
):
    shares = np.maximum(counts, 0).astype(float)
    if column["kind"] == "numerical" and not column["missing"]:
        shares[-1] = 0
    cells = random.choice(len(shares), job.rows, p=shares / shares.sum() if shares.sum() else None)
    if column["kind"] == "categorical":
        made[column["name"]] = np.array(column["categories"], dtype=object)[cells]
    else:
        low = np.append(edges[column["name"]][:-1], np.nan)[cells]
        width = (column["upper"] - column["lower"]) / job.bins
        made[column["name"]] = low + width * random.random(job.rows)
pd.DataFrame(made).to_csv(job.output, index=False)
