"""SmartNoise Synth: MST, AIM and DP-CTGAN with public bins and categories, so that preprocessing costs no epsilon.

Its transformers learn categories from the rows they are fitted on; they are fitted on rows made of the public
categories instead. Bins come back as their midpoints, which is what the library does.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import snsynth.aim
import snsynth.mst  # noqa: F401
from job import read_job
from snsynth import Synthesizer
from snsynth.transform import (
    BinTransformer,
    ChainTransformer,
    LabelTransformer,
    MinMaxTransformer,
    OneHotEncoder,
    TableTransformer,
)

job = read_job()
IS_GAN = job.algorithm == "dpctgan"


def transformer(column: dict) -> object:
    if column["kind"] == "categorical":
        label = LabelTransformer(nullable=False)
        return ChainTransformer([label, OneHotEncoder()]) if IS_GAN else label
    bounds = {"lower": float(column["lower"]), "upper": float(column["upper"]), "nullable": column["missing"]}
    return MinMaxTransformer(**bounds) if IS_GAN else BinTransformer(bins=job.bins, **bounds)


train = pd.read_csv(
    job.train,
    dtype=dict.fromkeys(job.categorical, str),
    keep_default_na=False,
    na_values={n: [""] for n in job.numerical},
)
names = [column["name"] for column in job.columns]
train = train[names].astype(dict.fromkeys(job.numerical, float))
longest = max([2, *(len(categories) for categories in job.categorical.values())])
public = pd.DataFrame(
    {
        c["name"]: np.resize(np.array(c["categories"], dtype=object), longest)
        if c["kind"] == "categorical"
        else np.resize([float(c["lower"]), float(c["upper"])], longest)
        for c in job.columns
    }
)
table = TableTransformer([transformer(column) for column in job.columns])
table.fit(public)
np.random.seed(job.seed)  # noqa: NPY002 (its sampling draws from there; its noise takes no seed)
synthesizer = Synthesizer.create(
    job.algorithm, epsilon=job.epsilon, **({} if IS_GAN else {"delta": job.delta})
)
if IS_GAN:
    synthesizer.delta = job.delta
synthesizer.fit(train, transformer=table, preprocessor_eps=0.0)
synthesizer.sample(job.rows).to_csv(job.output, index=False)
