"""What all people share of a window beyond its label: how strongly and how fast it moves, for that person.

Features that keep this serve labels nobody has trained for, and tell little of the person: within each label and person
the descriptors are shifted and scaled to the label's own mean and spread, so by mean and variance of one of them nobody
can be told. No paper is followed here.
"""

from __future__ import annotations

import numpy as np

from keshi._validate import same_length

COMPONENTS = 12  # principal components kept
FEWEST = 6  # windows of a person and label to take mean and spread from; fewer are left as they are
FLOOR = 1e-2  # added to a band's amplitude, in standard deviations of the channel, before the logarithm


def shared_descriptors(x: np.ndarray, label: np.ndarray, person: np.ndarray) -> np.ndarray:
    """Scaled windows x (n, channels, length), codes (n,) -> (n, at most 12) float32; the first has variance 1.

    Args:
        person: codes of the person, or of the joint values of all attributes to erase.
    """
    same_length(x=x, label=label, person=person)
    raw = _descriptors(x)
    spread = raw.std(axis=0)
    raw = (raw - raw.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    relative = raw.copy()
    for one in np.unique(label):
        of_label = label == one
        mean, std = raw[of_label].mean(axis=0), raw[of_label].std(axis=0)
        for somebody in np.unique(person[of_label]):
            cell = of_label & (person == somebody)
            if cell.sum() >= FEWEST:
                own = raw[cell]
                relative[cell] = (own - own.mean(axis=0)) / (own.std(axis=0) + 1e-3) * std + mean
    relative -= relative.mean(axis=0)
    # components of the covariance: cheaper than of the rows
    values, vectors = np.linalg.eigh(relative.T @ relative / len(relative))
    order = np.argsort(values)[::-1][:COMPONENTS]
    found = relative @ vectors[:, order] / np.sqrt(max(values[order[0]], 1e-12))
    return found.astype(np.float32)


def _descriptors(x: np.ndarray) -> np.ndarray:
    """Mean of every channel, and the logarithm of its amplitude in octave bands of frequency."""
    mean = x.mean(axis=2, dtype=np.float64)
    if x.shape[2] == 1:
        return mean
    amplitude = np.abs(np.fft.rfft(x - mean[:, :, None], axis=2)) * (2 / x.shape[2])
    borders = 2 ** np.arange(1 + int(np.log2(amplitude.shape[2] - 1)))
    bands = np.split(amplitude, borders, axis=2)[1:]  # the first is the mean, which is 0 by now
    levels = [np.log(np.sqrt((band**2).mean(axis=2)) + FLOOR) for band in bands]
    return np.concatenate([*levels, mean], axis=1)
