import numpy as np
import pytest

from keshi.auditing.array_utility import ARRAY_CLASSIFIERS, CNN, train_and_test
from keshi.errors import RecordsError


def images(n, seed):
    """A bright upper half or a bright lower half, in noise."""
    randomness = np.random.default_rng(seed)
    labels = randomness.integers(0, 2, n)
    x = randomness.integers(0, 60, (n, 8, 8))
    x[labels == 0, :4] += 120
    x[labels == 1, 4:] += 120
    return x.astype(np.uint8), labels


def windows(n, seed):
    """A slow or a fast sine in the first channel; means and deviations are alike."""
    randomness = np.random.default_rng(seed)
    labels = randomness.integers(0, 2, n)
    time = np.arange(16) / 16
    phase = randomness.uniform(0, 2 * np.pi, n)
    sine = np.sin(2 * np.pi * np.outer(1 + 4 * labels, time) + phase[:, None])
    return np.stack([sine, randomness.normal(size=sine.shape)], axis=2), labels


def test_every_classifier_learns_images_that_are_easy_to_tell_apart() -> None:
    scores = train_and_test(*images(300, 0), *images(200, 1), epochs=4)
    assert [score.classifier for score in scores] == list(ARRAY_CLASSIFIERS)
    assert all(score.accuracy > 0.95 for score in scores)
    assert all(score.macro_f1 == pytest.approx(score.accuracy, abs=0.02) for score in scores)


def test_the_cnn_learns_windows_by_their_frequency() -> None:
    (score,) = train_and_test(*windows(600, 0), *windows(200, 1), classifiers=(CNN,), epochs=10)
    assert score.accuracy > 0.9


def test_labels_without_meaning_are_guessed_no_better_than_chance() -> None:
    x, labels = images(300, 0)
    shuffled = np.random.default_rng(5).permutation(labels)
    for score in train_and_test(x, shuffled, *images(400, 1), epochs=2):
        assert score.accuracy < 0.75


def test_the_same_seed_gives_the_same_scores_and_leaves_the_global_generator_alone() -> None:
    import torch

    before = torch.get_rng_state()
    first, second = (
        train_and_test(*images(60, 0), *images(50, 1), classifiers=(CNN,), epochs=1) for _ in range(2)
    )
    assert first == second
    assert torch.equal(before, torch.get_rng_state())


def test_one_class_and_pictures_of_one_pixel_are_no_error() -> None:
    x, labels = images(40, 0)
    for score in train_and_test(x, np.zeros(40, int), x, labels, epochs=1):
        assert score.accuracy == pytest.approx(np.mean(labels == 0))
    train_and_test(x[:, :1, :1], labels, x[:, :1, :1], labels, epochs=1)


def test_nothing_to_train_on_and_other_shapes_are_refused() -> None:
    x, labels = images(40, 0)
    with pytest.raises(RecordsError, match="arrays of one shape"):
        train_and_test(x, labels, x[:, :4], labels)
    with pytest.raises(RecordsError, match="arrays of one shape"):
        train_and_test(x[:0], labels[:0], x, labels)
    with pytest.raises(ValueError, match="classifiers must be one of"):
        train_and_test(x, labels, x, labels, classifiers=("forest",))
