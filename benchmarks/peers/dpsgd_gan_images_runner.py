"""DP-SGD GAN on images, label-conditional: the trainer of dpsgd_gan.py with the networks of image_networks.py.

Runs without keshi: python dpsgd_gan_images_runner.py job.json, with the job as `ImageJob` has it.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from dpsgd_gan import Settings, sample, train
from image_networks import Discriminator, Generator

# Of three tried on MNIST at epsilon 1, by the accuracy of a CNN on its test images: the settings of tables gave 47 %,
# four steps of the discriminator for one of the generator (1,200 steps) 65 %, ten 69 %.
IMAGES = Settings(steps=2_000, steps_per_generator_step=10, discriminator_rate=5e-4)


@dataclass(frozen=True)
class ImageJob:
    """One run.

    Attributes:
        train, output: npz files with image (n, height, width[, channels]) of bytes and label (n,) below classes.
        classes: How many, publicly.
        epsilon, delta: The whole budget.
        seed: Of first weights and of the generator's noise; never of the privacy's.
        rows: Images to make.
        settings: Of the trainer, where they differ from IMAGES.
    """

    train: str
    output: str
    classes: int
    epsilon: float
    delta: float
    seed: int
    rows: int
    settings: dict[str, Any]


def main() -> None:
    job = ImageJob(**json.loads(Path(sys.argv[1]).read_text()))
    torch.manual_seed(job.seed)
    torch.set_num_threads(1)
    with np.load(job.train) as found:
        images, labels = found["image"], found["label"]
    pixels = images.shape[1:] if images.ndim == 4 else (*images.shape[1:], 1)
    records = torch.from_numpy(images.reshape(-1, *pixels)).permute(0, 3, 1, 2).float() / 127.5 - 1.0
    shape = tuple(records.shape[1:])
    settings = replace(IMAGES, **job.settings)
    generator = Generator(settings.latent, job.classes, shape)
    shares = train(
        generator,
        Discriminator(job.classes, shape),
        records.contiguous(),
        torch.from_numpy(labels.astype(np.int64)),
        classes=job.classes,
        epsilon=job.epsilon,
        delta=job.delta,
        settings=settings,
    )
    made, drawn = sample(generator, shares, rows=job.rows, latent=settings.latent, batch=500)
    pictures = ((made.permute(0, 2, 3, 1) + 1.0) * 127.5).round().clamp(0, 255).byte().numpy()
    np.savez(job.output, image=pictures.reshape(-1, *images.shape[1:]), label=drawn.numpy())


if __name__ == "__main__":
    main()
