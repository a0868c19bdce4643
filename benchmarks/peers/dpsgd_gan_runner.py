"""DP-SGD GAN on tables, label-conditional: the trainer of dpsgd_gan.py with the networks of table_networks.py."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from dpsgd_gan import Settings, sample, train
from job import read_job
from table_networks import Columns, Discriminator, Generator


def main() -> None:
    job = read_job()
    torch.manual_seed(job.seed)
    torch.set_num_threads(1)
    table = pd.read_csv(
        job.train,
        dtype=dict.fromkeys(job.categorical, str),
        keep_default_na=False,
        na_values={n: [""] for n in job.numerical},
    )
    classes = job.categorical[job.label]
    columns = Columns([column for column in job.columns if column["name"] != job.label])
    settings = Settings(**job.settings)
    generator = Generator(settings.latent, len(classes), columns.widths)
    shares = train(
        generator,
        Discriminator(len(classes), sum(columns.widths)),
        columns.encode(table),
        torch.tensor(pd.Categorical(table[job.label], categories=classes).codes, dtype=torch.long),
        classes=len(classes),
        epsilon=job.epsilon,
        delta=job.delta,
        settings=settings,
    )
    rows, labels = sample(generator, shares, rows=job.rows, latent=settings.latent)
    made = columns.decode(rows)
    made[job.label] = np.array(classes, dtype=object)[labels.numpy()]
    made[[column["name"] for column in job.columns]].to_csv(job.output, index=False)


if __name__ == "__main__":
    main()
