"""SDV: GaussianCopulaSynthesizer with its defaults. It promises no privacy, so it is told no budget."""

from __future__ import annotations

import numpy as np
import pandas as pd
from job import read_job
from sdv.metadata import Metadata
from sdv.single_table import GaussianCopulaSynthesizer

job = read_job()
train = pd.read_csv(
    job.train,
    dtype=dict.fromkeys(job.categorical, str),
    keep_default_na=False,
    na_values={n: [""] for n in job.numerical},
)
columns = {
    c["name"]: {"sdtype": "categorical" if c["kind"] == "categorical" else "numerical"} for c in job.columns
}
metadata = Metadata.load_from_dict({"tables": {"table": {"columns": columns}}})
np.random.seed(job.seed)  # noqa: NPY002 (its copula draws from there)
synthesizer = GaussianCopulaSynthesizer(metadata)
synthesizer.fit({"table": train})
made = synthesizer.sample(num_rows=job.rows)
(made["table"] if isinstance(made, dict) else made).to_csv(job.output, index=False)
