from __future__ import annotations

import pytest
import torch

from keshi.censoring.optimizers import rmsprop


@pytest.mark.parametrize("smoothing", [0.99, 0.96])
def test_the_fused_form_takes_the_steps_of_rmsprop(smoothing: float) -> None:
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(40, 7, generator=generator)
    ours, reference = (torch.nn.Parameter(start.clone()) for _ in range(2))
    optimizers = (
        rmsprop([ours], 2e-3, smoothing=smoothing),
        torch.optim.RMSprop([reference], lr=2e-3, alpha=smoothing),
    )
    for step in range(300):
        # Gradients of very different sizes, zeros among them: a bias correction or another epsilon would show.
        gradient = torch.randn(start.shape, generator=generator) * 10.0 ** (step % 7 - 5)
        gradient[step % 40] = 0
        for parameter, optimizer in zip((ours, reference), optimizers, strict=True):
            parameter.grad = gradient.clone()
            optimizer.step()
    assert (start - reference).abs().max() > 0.1
    torch.testing.assert_close(ours, reference, rtol=1e-4, atol=1e-5)
