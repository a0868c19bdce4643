"""sdmetrics on the files of an audit: its quality and diagnostic scores, and its three privacy metrics.

Started with the path of a job of `auditors.py`; prints nothing and writes figures as JSON. One is good everywhere.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from sdmetrics.reports import DiagnosticReport, QualityReport
from sdmetrics.single_table import DCRBaselineProtection, DCROverfittingProtection, DisclosureProtection

SAMPLE = 1_000  # rows whose nearest neighbours its two distances search

job = json.loads(Path(sys.argv[1]).read_text())
numbers = [c["name"] for c in job["columns"] if c["kind"] == "numerical"]
texts = [c["name"] for c in job["columns"] if c["kind"] == "categorical"]
real, held, made = (
    pd.read_csv(
        job[name],
        dtype=dict.fromkeys(texts, str),
        keep_default_na=False,
        na_values={n: [""] for n in numbers},
    )
    for name in ("train", "holdout", "synthetic")
)
columns = {
    c["name"]: {"sdtype": "categorical" if c["kind"] == "categorical" else "numerical"}
    for c in job["columns"]
}
metadata = {"tables": {"table": {"columns": columns}}}
np.random.seed(0)  # noqa: NPY002 (its subsamples are drawn from there)
quality, diagnostic = QualityReport(), DiagnosticReport()
for report in (quality, diagnostic):
    report.generate({"table": real}, {"table": made}, metadata, verbose=False)
sample = {"num_rows_subsample": min(SAMPLE, len(real), len(made)), "num_iterations": 1}
alone = {"metadata": metadata, "table_name": "table"}
overfitting = DCROverfittingProtection.compute_breakdown(
    real_training_data={"table": real}, synthetic_data={"table": made}, real_validation_data=held,
    **alone, **sample,
)  # fmt: skip
baseline = DCRBaselineProtection.compute_breakdown(
    real_data={"table": real}, synthetic_data={"table": made}, **alone, **sample
)
disclosure = DisclosureProtection.compute(
    real_data=real,
    synthetic_data=made,
    known_column_names=job["known"],
    sensitive_column_names=[job["secret"]],
)
found = {
    "quality": quality.get_score(),
    "diagnostic": diagnostic.get_score(),
    "DCR overfitting protection": overfitting["score"],
    "synthetic rows nearer to training, %": overfitting["synthetic_data_percentages"]["closer_to_training"],
    "DCR baseline protection": baseline["score"],
    "disclosure protection": float(disclosure),
}
Path(job["output"]).write_text(json.dumps(found))
