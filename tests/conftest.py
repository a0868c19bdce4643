"""What holds for all tests: every run draws the same noise and the same examples.

The noise of a release comes from the operating system and no seed reaches it, so that a test of what a release is
worth would fail in one run of many, for no change of the code. Here it is drawn from the name of the test or of the
fixture that asks for it. Tests of the noise itself are marked `real_noise` and get what users get, and so do commands
in processes of their own. KESHI_REAL_NOISE=1 gives it to all tests: to see how far each is from its bounds.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from hashlib import blake2b
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import settings

from keshi.censoring import window_noise
from keshi.privacy import contribution, mechanisms

REAL_NOISE = os.environ.get("KESHI_REAL_NOISE") == "1"

# A shared machine may pause in the middle of an example: how long one took says nothing.
settings.register_profile("keshi", deadline=None, derandomize=not REAL_NOISE)
settings.load_profile("keshi")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "real_noise: the noise comes from the operating system, as for users")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        if item.get_closest_marker("real_noise") is None:
            _pin_noise(patch, item.nodeid)
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef, request: pytest.FixtureRequest) -> Iterator[None]:
    """One that many tests share draws by its own name, whichever of them comes first."""
    with pytest.MonkeyPatch.context() as patch:
        if fixturedef.scope != "function" and request.node.get_closest_marker("real_noise") is None:
            _pin_noise(patch, f"{fixturedef.baseid} {fixturedef.argname} {getattr(request, 'param', '')}")
        return (yield)


def _pin_noise(patch: pytest.MonkeyPatch, name: str) -> None:
    if REAL_NOISE:
        return
    randomness = np.random.default_rng(list(blake2b(name.encode(), digest_size=16).digest()))

    def draw(sums: np.ndarray, scale: int) -> np.ndarray:
        return sums + np.rint(randomness.normal(0.0, scale, len(sums))).astype(np.int64)

    patch.setattr(mechanisms, "discrete_gaussian", draw)
    for module in (contribution, window_noise):
        patch.setattr(module, "secrets", SimpleNamespace(token_bytes=randomness.bytes))
