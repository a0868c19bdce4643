"""How well labels are predicted: macro F1, the figure of the paper's label axis."""

from __future__ import annotations

import numpy as np

from keshi._validate import same_length


def macro_f1(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Mean over the labels that occur in `truth` (n,) of their F1; NaN where there are no rows.

    F1 = 2 tp / (2 tp + fp + fn). Labels that are only predicted count as errors of the others.
    """
    same_length(truth=truth, predicted=predicted)
    truth, predicted = np.asarray(truth), np.asarray(predicted)
    if len(truth) == 0:
        return float("nan")
    scores = []
    for label in np.unique(truth):
        is_true, is_said = truth == label, predicted == label
        scores.append(2 * np.sum(is_true & is_said) / (is_true.sum() + is_said.sum()))
    return float(np.mean(scores))
