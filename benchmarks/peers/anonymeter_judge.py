"""anonymeter on the files of an audit: singling out, linkability and inference, each against the hold-out.

Started with the path of a job of `auditors.py`; writes figures as JSON: risk, 95 % interval, attacks.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from anonymeter.evaluators import InferenceEvaluator, LinkabilityEvaluator, SinglingOutEvaluator

warnings.simplefilter("ignore")
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
np.random.seed(0)  # noqa: NPY002 (its attacks are drawn from there)
attacks, columns = job["attacks"], list(real.columns)
evaluators = {
    "singling out, one column": (
        SinglingOutEvaluator(ori=real, syn=made, control=held, n_attacks=attacks), {"mode": "univariate"}
    ),
    "singling out, three columns": (
        SinglingOutEvaluator(ori=real, syn=made, control=held, n_attacks=attacks, n_cols=3),
        {"mode": "multivariate"},
    ),
    "linkability": (
        LinkabilityEvaluator(
            ori=real, syn=made, control=held, n_attacks=attacks, aux_cols=(columns[0::2], columns[1::2]),
            n_neighbors=1,
        ),
        {},
    ),
    f"inference of {job['secret']}": (
        InferenceEvaluator(
            ori=real, syn=made, control=held, n_attacks=attacks, secret=job["secret"], regression=False,
            aux_cols=[name for name in columns if name != job["secret"]],
        ),
        {},
    ),
}  # fmt: skip
found = {}
for name, (evaluator, options) in evaluators.items():
    try:
        evaluator.evaluate(**options)
        risk = evaluator.risk()
        results = evaluator.results()
        found[name] = {
            "risk": risk.value, "interval": list(risk.ci), "attacks": int(results.n_attacks_ori),
            "attack_rate": results.attack_rate.value, "control_rate": results.control_rate.value,
        }  # fmt: skip
    except RuntimeError as error:
        found[name] = {"reason": str(error)[:200]}
Path(job["output"]).write_text(json.dumps(found))
