from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from keshi.privacy.unit import PrivacyUnit
from keshi.records.column_kinds import Categorical, Numerical
from keshi.records.domain import Domain
from keshi.records.encoded import EncodedBatch
from keshi.synthesis.embedding import embed
from keshi.synthesis.presets import PaperPreset
from keshi.synthesis.private_embedding import PrivateEmbedding
from keshi.synthesis.reconstruction import Schedule, discrepancies, train_generator

DOMAIN = Domain({"c": Categorical(("a", "b")), "n": Numerical(0, 1), "y": Categorical((0, 1))}, label="y")


def embedded(n: int = 5_000, *, domain: Domain = DOMAIN, epsilon: float = 20.0) -> PrivateEmbedding:
    random = np.random.default_rng(0)
    vectors = np.zeros((n, 3))
    vectors[np.arange(n), (random.random(n) < 0.9).astype(int)] = 1
    vectors[:, 2] = np.rint(random.uniform(0.4, 0.6, n) * 2**20) / 2**20
    batch = EncodedBatch(vectors, random.integers(0, domain.n_classes, n))
    return embed(lambda: [batch], domain, PaperPreset(frequencies=30), epsilon=epsilon, delta=1e-5,
                 unit=PrivacyUnit(relation="replace-one"))  # fmt: skip


@pytest.fixture(scope="module")
def embedding() -> PrivateEmbedding:
    return embedded()


def weights_of(network) -> bytes:
    return b"".join(tensor.numpy().tobytes() for tensor in network.state_dict().values())


def test_discrepancies_are_the_double_sum_over_classes_and_parts() -> None:
    random = np.random.default_rng(0)
    target, real, imaginary = (
        random.normal(size=(3, 5, 2)),
        random.normal(size=(3, 5)),
        random.normal(size=(3, 5)),
    )
    found = discrepancies(torch.tensor(target), torch.tensor(real), torch.tensor(imaginary))
    for j in range(5):
        expected = 0.0
        for c in range(3):
            expected += (target[c, j, 0] - real[c, j]) ** 2 + (target[c, j, 1] - imaginary[c, j]) ** 2
        assert float(found[j]) == pytest.approx(expected)


def test_a_step_is_computed_on_the_device_asked_for(embedding) -> None:
    # A tensor left on the CPU would refuse to be multiplied; on a device without numbers the first that is read fails.
    with pytest.raises(RuntimeError, match=r"item\(\) cannot be called on meta"):
        train_generator(embedding, Schedule(steps=2, critic_every=1), report_every=3, device="meta")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_trains_as_the_cpu_does(embedding) -> None:
    (_, curve), (there, far) = (
        train_generator(embedding, Schedule(steps=30), device=device) for device in ("cpu", "cuda")
    )
    assert far[-1].loss == pytest.approx(curve[-1].loss, rel=0.01)
    assert {tensor.device.type for tensor in there.state_dict().values()} == {"cpu"}


def test_training_lowers_the_loss_and_finds_the_margins(embedding) -> None:
    network, curve = train_generator(embedding, Schedule(steps=300), report_every=10)
    assert [point.step for point in curve] == list(range(10, 301, 10))
    assert curve[-1].loss < 0.2 * curve[0].loss
    assert curve[-1].noise_floor > 0
    with torch.inference_mode():
        rows = network(torch.randn(2_000, 10), torch.arange(2_000) % 2)
    assert abs(float(rows[:, 1].mean()) - 0.9) < 0.1
    assert abs(float(rows[:, 2].mean()) - 0.5) < 0.15


def test_the_same_seed_repeats_the_bytes_and_another_does_not(embedding) -> None:
    def train(seed):
        return train_generator(embedding, Schedule(steps=15), seed=seed, threads=1)

    first, curve = train(1)
    torch.rand(3)  # whatever else was drawn in the process
    again, same = train(1)
    other, _ = train(2)
    assert weights_of(first) == weights_of(again)
    assert curve == same
    assert weights_of(first) != weights_of(other)


def test_training_leaves_the_global_generator_of_torch_alone(embedding) -> None:
    torch.manual_seed(5)
    expected = torch.rand(4)
    torch.manual_seed(5)
    train_generator(embedding, Schedule(steps=2))
    assert torch.equal(torch.rand(4), expected)


def test_without_the_critic_all_frequencies_count_to_the_end(embedding) -> None:
    _, merf = train_generator(embedding, Schedule(steps=100, critic_every=0))
    _, pearl = train_generator(embedding, Schedule(steps=100, critic_every=1, critic_learning_rate=0.5))
    assert all(point.effective_size == pytest.approx(30) for point in merf)
    assert pearl[-1].effective_size < 29


@pytest.mark.parametrize("n", [1, 2, 7])
def test_the_tiniest_tables_train_without_a_nan(n: int) -> None:
    domain = Domain(dict(list(DOMAIN.columns.items())[:2]))
    for one in (domain, DOMAIN):
        network, curve = train_generator(embedded(n, domain=one, epsilon=1.0), Schedule(steps=3))
        assert math.isfinite(curve[-1].loss)
        assert all(torch.isfinite(tensor).all() for tensor in network.state_dict().values())


@pytest.mark.parametrize(
    "wrong",
    [{"steps": 0}, {"steps": 1.5}, {"learning_rate": 0}, {"learning_rate": math.nan}, {"batch_share": -1},
     {"critic_every": -1}, {"critic_learning_rate": 0}],
)  # fmt: skip
def test_a_schedule_that_cannot_be_is_refused_by_name(wrong) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Schedule(**wrong)
