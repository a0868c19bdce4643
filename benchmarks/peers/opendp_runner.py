"""OpenDP with mbi: MST and AIM as contingency tables over public keys and cuts.

All keys are public, so the whole budget is zero-concentrated: the largest rho whose conversion, by OpenDP itself,
stays within (epsilon, delta). Cuts hold the public bounds too: values at a lower bound (a zero) are a bin of their own,
because OpenDP's outermost bins reach only one unit beyond the first and the last cut. A missing number lies below all.
"""

from __future__ import annotations

import numpy as np
import opendp.prelude as dp
import polars as pl
from job import read_job
from opendp.extras.mbi import AIM, MST

job = read_job()
dp.enable_features("contrib", "idealized-numerics", "honest-but-curious")


def rho_within(epsilon: float, delta: float) -> float:
    space = dp.atom_domain(T=float, nan=False), dp.absolute_distance(T=float)

    def spent(scale: float) -> float:
        gaussian = dp.c.make_zCDP_to_approxDP(dp.m.make_gaussian(*space, scale=scale))
        return gaussian.map(1.0).epsilon(delta)

    scale = dp.binary_search(lambda s: spent(s) <= epsilon, bounds=(0.05, 1e4))
    return 1 / (2 * scale**2)


def cuts_of(column: dict) -> list[float]:
    edges = np.linspace(column["lower"], column["upper"], job.bins + 1)
    edges = np.unique(np.floor(edges)) if column["integer"] else edges
    below = [column["lower"] - 1] if column["missing"] else []
    edges = [*below, *edges.tolist()]
    return [int(edge) for edge in edges] if column["integer"] else edges


types = {
    c["name"]: pl.String if c["kind"] == "categorical" else (pl.Int64 if c["integer"] else pl.Float64)
    for c in job.columns
}
frame = pl.read_csv(job.train, schema_overrides=types, null_values=dict.fromkeys(job.numerical, ""))
frame = frame.select(
    pl.col(c["name"]).fill_null(c["lower"] - 2 if c["integer"] else float(c["lower"] - 2))
    if c.get("missing")
    else c["name"]
    for c in job.columns
)
rho = rho_within(job.epsilon, job.delta)
context = dp.Context.compositor(
    data=frame.lazy(),
    privacy_unit=dp.unit_of(contributions=1),
    privacy_loss=dp.loss_of(rho=rho),
    split_evenly_over=1,
)
algorithm = {"mst": MST, "aim": AIM}[job.algorithm]()
table = (
    context.query()
    .contingency_table(
        keys=job.categorical,
        cuts={name: cuts_of(c) for name, c in job.numerical.items()},
        algorithm=algorithm,
    )
    .release()
)
np.random.seed(job.seed)  # noqa: NPY002 (its sampling draws from there; its noise takes no seed)
random = np.random.default_rng(job.seed)
made = table.synthesize(rows=job.rows)
made = made.with_columns(
    pl.when(pl.col(name) <= c["lower"] - 1).then(None).otherwise(pl.col(name)).alias(name)
    for name, c in job.numerical.items()
    if c["missing"]
)
for name in (
    job.categorical
):  # it adds a key "null" to every column, and noise gives it rows: redraw them from the others
    values = made[name].to_numpy()
    is_null = made[name].is_null().to_numpy()
    if is_null.any() and not is_null.all():
        values = np.where(is_null, random.choice(values[~is_null], len(values)), values)
        made = made.with_columns(pl.Series(name, values.astype(str)))
made.select([c["name"] for c in job.columns]).write_csv(job.output)
