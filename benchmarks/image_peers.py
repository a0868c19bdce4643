"""The DP-SGD GAN on images, as a process in its own environment: npz to npz, under caps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from capped_process import Usage, run_capped
from environments import PEERS, environment_python
from methods import ONE_THREAD
from numpy.typing import NDArray

CPU_SECONDS, MEMORY_MB = 1_800.0, 8_000.0


def dpsgd_gan_images(
    images: NDArray[np.uint8],
    labels: NDArray[np.integer],
    *,
    classes: int,
    epsilon: float,
    delta: float,
    seed: int,
    rows: int,
    work: Path,
    settings: dict[str, Any] | None = None,
) -> tuple[NDArray[np.uint8], NDArray[np.int64], Usage]:
    """Synthetic images and labels, and what they cost.

    Args:
        images, labels: (n, height, width[, channels]) and (n,) whole numbers below `classes`.
        epsilon, delta: The whole budget.
        rows: Images to make.
        work: Folder of environments and files.
        settings: Of the trainer, where they differ from the runner's for images.

    Raises:
        RuntimeError: the environment could not be made, or the run failed or reached a cap.
    """
    python = environment_python("opacus", work)
    folder = work / "images"
    folder.mkdir(parents=True, exist_ok=True)
    train, output = folder / "train.npz", folder / f"DP-SGD-GAN {epsilon:g} {seed}.npz".replace(" ", "-")
    output.unlink(missing_ok=True)
    np.savez(train, image=images, label=labels)
    job, log = output.with_suffix(".json"), output.with_suffix(".log")
    job.write_text(
        json.dumps(
            {
                "train": str(train),
                "output": str(output),
                "classes": classes,
                "epsilon": epsilon,
                "delta": delta,
                "seed": seed,
                "rows": rows,
                "settings": settings or {},
            }
        )
    )
    usage = run_capped(
        [str(python), str(PEERS / "dpsgd_gan_images_runner.py"), str(job)],
        cpu_seconds=CPU_SECONDS,
        memory_mb=MEMORY_MB,
        log=log,
        environment=ONE_THREAD,
    )
    if usage.stopped or usage.code or not output.exists():
        end = log.read_text(errors="replace").strip().splitlines()[-1:] or ["nothing was said"]
        raise RuntimeError(f"DP-SGD GAN: {usage.stopped or f'exit {usage.code}'}: {end[0][:300]}")
    with np.load(output) as found:
        return found["image"], found["label"], usage
