import numpy as np

from keshi.auditing.image_distances import frechet_distance
from keshi.auditing.image_features import FEATURES, train_extractor


def images(n, seed):
    """A bright upper half or a bright lower half, in noise."""
    randomness = np.random.default_rng(seed)
    labels = randomness.integers(0, 2, n)
    x = randomness.integers(0, 60, (n, 9, 7))
    x[labels == 0, :4] += 120
    x[labels == 1, 4:] += 120
    return x.astype(np.uint8), labels


def test_other_real_images_are_nearer_than_images_with_their_halves_exchanged_or_blurred() -> None:
    extractor = train_extractor(*images(600, 0))
    real, other = extractor(images(400, 1)[0]), extractor(images(400, 2)[0])
    assert real.shape == (400, FEATURES)
    assert "600 real records" in extractor.name
    flat = images(400, 3)[0] // 2 + 30
    assert frechet_distance(real, other) < 0.2 * frechet_distance(real, extractor(flat))


def test_the_same_seed_gives_the_same_features_and_windows_and_colours_have_features_too() -> None:
    x, labels = images(100, 0)
    for records in (x, np.repeat(x[..., None], 3, axis=3), x.astype(np.float32)):
        first, second = train_extractor(records, labels)(records), train_extractor(records, labels)(records)
        assert np.array_equal(first, second)
        assert np.isfinite(first).all()
