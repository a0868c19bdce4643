from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from keshi.censoring.encoders import ConvEncoder, LabelHead, RectifiedDropout, encode_in_batches
from keshi.errors import DomainError


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_encoder_for_usc_had_has_the_published_sizes() -> None:
    encoder = ConvEncoder(6, 30, generator=generator())
    assert sum(p.numel() for p in encoder.parameters()) == 22_410  # 50, 40, 20 maps of 5, 5, 3; 400 features
    assert encoder(torch.zeros(3, 6, 30)).shape == (3, 400)


@pytest.mark.parametrize("length", [8, 10, 29, 30, 31, 64, 200])
def test_windows_of_any_sensible_length_are_encoded(length: int) -> None:
    assert ConvEncoder(2, length, features=16, generator=generator())(torch.zeros(2, 2, length)).shape == (
        2,
        16,
    )


def test_the_two_dimensional_convolutions_equal_one_dimensional_ones() -> None:
    encoder = ConvEncoder(3, 30, features=12, generator=generator()).eval()
    x = torch.randn(5, 3, 30, generator=generator(1))
    w = [p.detach() for p in encoder.parameters()]
    z = F.max_pool1d(F.relu(F.conv1d(x, w[0].squeeze(2), w[1])), 2)
    z = F.max_pool1d(F.relu(F.conv1d(z, w[2].squeeze(2), w[3])), 3)
    z = F.relu(F.conv1d(z, w[4].squeeze(2), w[5]))
    z = F.relu(F.linear(z.flatten(1), w[6], w[7]))
    torch.testing.assert_close(encoder(x), z)


def test_windows_that_are_too_short_are_refused() -> None:
    with pytest.raises(DomainError, match="windows of at least 8 samples, got 7"):
        ConvEncoder(2, 7, generator=generator())
    with pytest.raises(DomainError, match="'valid' padding needs windows of at least 30 samples, got 20"):
        ConvEncoder(2, 20, padding="valid", generator=generator())


def test_a_seed_fixes_weights_and_masks_and_leaves_the_global_random_state_alone() -> None:
    before = torch.random.get_rng_state()
    x = torch.randn(4, 2, 30, generator=generator(9))
    outputs = [ConvEncoder(2, 30, generator=generator(3))(x) for _ in range(2)]
    heads = [LabelHead(400, 3, generator=generator(3)).linear.weight for _ in range(2)]
    assert torch.equal(*outputs)
    assert torch.equal(*heads)
    assert not torch.equal(outputs[0], ConvEncoder(2, 30, generator=generator(4))(x))
    assert torch.equal(before, torch.random.get_rng_state())


def test_dropout_keeps_the_mean_and_drops_its_rate() -> None:
    n = 100_000
    dropped = RectifiedDropout(0.2, generator())(torch.ones(n))
    # Standard error of the share 0.0013; of the mean 0.0016.
    assert abs(float((dropped == 0).float().mean()) - 0.2) < 0.006
    assert abs(float(dropped.mean()) - 1) < 0.008
    assert torch.equal(RectifiedDropout(0.2, generator()).eval()(torch.ones(5)), torch.ones(5))


def test_rectified_dropout_has_the_values_and_gradients_of_relu_and_its_own_mask() -> None:
    x = torch.randn(6, 5, 1, 7, generator=generator(1)).to(memory_format=torch.channels_last).requires_grad_()
    z = RectifiedDropout(0.4, generator())(x)
    kept = (z > 0) / (1 - round(0.4 * 65536) / 65536)
    torch.testing.assert_close(z, kept * F.relu(x), rtol=1e-6, atol=0)
    assert 0 < (z > 0).sum() < (x > 0).sum()
    weight = torch.randn(x.shape, generator=generator(2))
    (found,) = torch.autograd.grad((weight * z).sum(), x)
    torch.testing.assert_close(found, weight * kept, rtol=1e-6, atol=0)


def test_encoding_in_batches_needs_no_dropout_no_gradient_and_restores_the_mode() -> None:
    encoder = ConvEncoder(2, 30, generator=generator()).train()
    x = torch.randn(10, 2, 30, generator=generator(1))
    z = encode_in_batches(encoder, x, batch=3)
    assert encoder.training
    assert not z.requires_grad
    torch.testing.assert_close(z, encoder.eval()(x).detach())
