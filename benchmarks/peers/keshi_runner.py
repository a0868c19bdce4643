"""keshi itself: any preset by its name, csv to csv, through PearlSynthesizer."""

from __future__ import annotations

import torch  # noqa: F401  (start-up: PearlSynthesizer imports it while it fits)
from dp_accounting import gaussian_mechanism  # noqa: F401
from job import read_job
from opendp import prelude  # noqa: F401
from scipy import special, stats  # noqa: F401

from keshi.records.domain import Domain
from keshi.synthesis.presets import PRESETS, with_steps
from keshi.synthesis.synthesizer import PearlSynthesizer

job = read_job()
preset = PRESETS[job.algorithm]
preset = with_steps(preset, job.settings.get("steps"))
synthesizer = PearlSynthesizer(
    domain=Domain.read(job.domain),
    epsilon=job.epsilon,
    delta=job.delta,
    preset=preset,
    relation=job.settings.get("relation", "add-or-remove"),
    seed=job.seed,
    threads=1,
)
synthesizer.fit(job.train).sample(job.rows).to_csv(job.output, index=False)
