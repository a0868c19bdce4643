"""A named extractor of features for distances between images, or windows: trained on the real records at hand.

Inception, which published distances use, needs a download and photographs; these features need neither. Distances on
them compare only within one data set, one seed and one set of training records, so a report gives `name` with them.

There are two extractors, on purpose: this one sees shapes wherever they stand in the image and is what experiments
report, as the protocol asks for a CNN; that of array_features needs no torch, so that `keshi audit` runs without it,
and finds something where no class is known. Their figures never stand in one table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from keshi._validate import same_length

if TYPE_CHECKING:
    from torch import Tensor, nn

FEATURES = 128
ROWS = 20_000  # that it is trained on at most
EPOCHS = 3
BATCH = 128
LEARNING_RATE = 2e-3


@dataclass(frozen=True, eq=False)
class FeatureExtractor:
    """The layer before the last of a small CNN that tells the real classes apart.

    Attributes:
        name: What a report calls it.
        body: (n, channels, ...) -> (n, FEATURES).
        image: Whether records are images, channels last where they have any; else windows.
        center, scale: What is subtracted from a record and what it is divided by.
    """

    name: str
    body: nn.Module
    image: bool
    center: float
    scale: float

    def __call__(self, records: NDArray[np.generic]) -> NDArray[np.float64]:
        """(n, FEATURES) of (n, height, width[, channels]) images or (n, length, channels) windows."""
        import torch

        with torch.inference_mode():
            parts = [self.body(self.inputs(records[i : i + 1_000])) for i in range(0, len(records), 1_000)]
        found: NDArray[np.float64] = torch.cat(parts).double().numpy()
        return found

    def inputs(self, records: NDArray[np.generic]) -> Tensor:
        """Channels first, scaled as the training records were."""
        import torch

        x = (records.astype(np.float32) - np.float32(self.center)) / np.float32(self.scale)
        x = x[:, None] if self.image and x.ndim == 3 else np.moveaxis(x, -1, 1)
        return torch.from_numpy(np.ascontiguousarray(x))


def train_extractor(
    real: NDArray[np.generic], labels: Sequence[object] | NDArray[np.generic], *, seed: int = 0
) -> FeatureExtractor:
    """Train an extractor on real records; never on those that are to be judged.

    Args:
        real: Images, or windows of floats, as for `array_utility.train_and_test`.
        labels: One each.
        seed: Repeats the choice of rows and the training.
    """
    import torch
    from torch import nn
    from torch.nn import functional

    same_length(real=real, labels=labels)
    rows = np.random.default_rng(seed).permutation(len(real))[:ROWS]
    own = real[rows]
    classes, codes = np.unique([str(label) for label in np.asarray(labels)[rows]], return_inverse=True)
    image = real.ndim == 4 or real.dtype.kind in "iu"
    scale = float(own.std()) or 1.0
    flat = not image
    conv = nn.Conv1d if flat else nn.Conv2d
    channels = 1 if image and real.ndim == 3 else real.shape[-1]
    sides = real.shape[1:2] if flat else real.shape[1:3]
    size = 32 * int(np.prod([(side + 3) // 4 for side in sides]))  # halved twice, rounding up
    order = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        body = nn.Sequential(
            conv(channels, 16, 5, stride=2, padding=2),
            nn.ReLU(),
            conv(16, 32, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(size, FEATURES),
            nn.ReLU(),
        )
        head = nn.Linear(FEATURES, len(classes))
        name = f"CNN of {FEATURES} features, trained on {len(own):,} real records, seed {seed}"
        extractor = FeatureExtractor(name, body, image, float(own.mean()), scale)
        optimizer = torch.optim.Adam([*body.parameters(), *head.parameters()], lr=LEARNING_RATE)
        targets = torch.from_numpy(codes.astype(np.int64))
        for _ in range(EPOCHS):
            for batch in torch.randperm(len(own), generator=order).split(BATCH):
                loss = functional.cross_entropy(
                    head(body(extractor.inputs(own[batch.numpy()]))), targets[batch]
                )
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    body.eval()
    return extractor
