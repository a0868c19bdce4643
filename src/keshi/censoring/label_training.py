"""Training for the label alone, before the rounds against an adversary; goes on from the last epoch that was saved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from keshi.censoring.checkpoints import Checkpoint, TrainingState
from keshi.censoring.encoders import ConvEncoder, DenseEncoder
from keshi.censoring.games import TrainingSet, description_of
from keshi.censoring.objectives import label_loss
from keshi.censoring.schedules import Schedule


@dataclass(frozen=True)
class EpochRecord:
    """One epoch: the mean loss over its windows, in nats."""

    loss: float


def pretrain(
    encoder: ConvEncoder | DenseEncoder,
    head: nn.Module,
    data: TrainingSet,
    *,
    schedule: Schedule,
    rng: np.random.Generator,
    progress: Callable[[str], None] | None = None,
    checkpoint: Checkpoint | None = None,
) -> list[float]:
    """Train encoder and head for the label alone (Adam); returns the mean loss of every epoch, in nats."""
    optimizer = torch.optim.Adam(
        [*encoder.parameters(), *head.parameters()], lr=schedule.pretrain_rate, fused=True
    )
    epochs: list[EpochRecord] = []
    state = TrainingState(
        networks={"encoder": encoder, "head": head},
        optimizers={"label": optimizer},
        streams={"pretraining": rng},
        dropout=encoder.generator,
        curve=epochs,
        warnings=[],
    )
    total = schedule.pretrain_epochs
    if checkpoint and state.restore(checkpoint, EpochRecord) and progress:
        progress(f"going on from the checkpoint: {len(epochs)} of {total} epochs are done")
    encoder.train()
    for epoch in range(len(epochs), total):
        order = torch.from_numpy(rng.permutation(len(data)))
        losses = 0.0
        for rows in order.split(schedule.pretrain_batch_size):
            z = encoder(data.x[rows])
            loss, kept = label_loss(head(z), data.label[rows]), description_of(head, z, data, rows)
            optimizer.zero_grad(set_to_none=True)
            (loss if kept is None else loss + kept).backward()
            optimizer.step()
            losses += float(loss.detach()) * len(rows)
        epochs.append(EpochRecord(losses / len(data)))
        if checkpoint:
            state.save(checkpoint)
        if progress:
            progress(f"label training, epoch {epoch + 1} of {total}: loss {epochs[-1].loss:.3f}")
    encoder.eval()
    return [epoch.loss for epoch in epochs]
