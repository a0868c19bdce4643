"""dpmm (SAS): MST, AIM and PrivBayes on Private-PGM with PrivTree binning of numbers.

Its defaults spend epsilon on the model and a tenth of it on the bins besides; here both together are the budget.
Missing numbers are left to it: it adds an indicator column.
"""

from __future__ import annotations

import pandas as pd
from dpmm.pipelines.aim import AIMPipeline
from dpmm.pipelines.mst import MSTPipeline
from dpmm.pipelines.priv_bayes import PrivBayesPipeline
from job import Refused, read_job

PIPELINES = {"mst": MSTPipeline, "aim": AIMPipeline, "privbayes": PrivBayesPipeline}
BINNING_SHARE = 0.1  # of epsilon; the defaults have 0.1 beside 1
MOST_COLUMNS = 32  # says its README

job = read_job()
train = pd.read_csv(
    job.train,
    dtype=dict.fromkeys(job.categorical, str),
    keep_default_na=False,
    na_values={n: [""] for n in job.numerical},
)
domain = {name: {"categories": categories} for name, categories in job.categorical.items()}
domain |= {name: {"lower": c["lower"], "upper": c["upper"]} for name, c in job.numerical.items()}
pipeline = PIPELINES[job.algorithm](
    epsilon=job.epsilon * (1 - BINNING_SHARE), delta=job.delta, proc_epsilon=job.epsilon * BINNING_SHARE
)
try:
    pipeline.fit(train, domain, random_state=job.seed)
except (ValueError, AssertionError) as error:
    if len(job.columns) > MOST_COLUMNS:
        raise Refused(f"{len(job.columns)} columns, at most {MOST_COLUMNS} are supported: {error}") from error
    raise
pipeline.generate(n_records=job.rows, random_state=job.seed).to_csv(job.output, index=False)
