"""Effective degrees of freedom: of fits whose own are known, and where a fit stops."""

import numpy as np
import pandas as pd
import pytest
import torch

from keshi import Categorical, Domain, Numerical
from keshi.synthesis.degrees_of_freedom import SHAKE, Shaken
from keshi.synthesis.mixture_fit import fit_mixture
from keshi.synthesis.mixture_residual import Targets
from keshi.synthesis.presets import KeshiPreset
from keshi.synthesis.synthesizer import PearlSynthesizer

CELLS, UNITS = 40, torch.tensor([1000.0])


def singles():
    """Forty counts with noise of four sizes, and four that nobody measured."""
    precision = torch.tensor([1.0, 0.25, 0.04, 0.01]).repeat(10)
    nothing = torch.zeros(1, CELLS + 4, CELLS + 4)
    counts = torch.cat([torch.arange(CELLS) * 10.0, torch.zeros(4)])
    return Targets(nothing, nothing, nothing[0], nothing[0], counts, torch.cat([precision, torch.zeros(4)]))


def fit(targets, parameters):
    """Probabilities that follow the first `parameters` counts to the letter and no other."""
    follows = torch.arange(CELLS + 4) < parameters
    return torch.where(follows, targets.single, 10.0)[None, None] / UNITS


@pytest.mark.parametrize("parameters", [0, 7, CELLS])
def test_a_fit_that_follows_so_many_counts_has_as_many_degrees_of_freedom(parameters):
    targets = singles()
    shaken = Shaken.of(targets, seed=0)
    found = shaken.degrees_of_freedom(fit(targets, parameters), fit(shaken.targets, parameters), UNITS)
    assert found == pytest.approx(parameters, rel=1e-3)


def test_counts_are_shaken_in_proportion_to_their_noise_and_both_ways():
    targets = singles()
    move = Shaken.of(targets, seed=0).moves[2]
    assert move[:CELLS].square() * targets.single_precision[:CELLS] == pytest.approx(SHAKE**2)
    assert 10 < int((move > 0).sum()) < 30
    assert not move[CELLS:].any()
    assert torch.equal(move, Shaken.of(targets, seed=0).moves[2])
    assert not torch.equal(move, Shaken.of(targets, seed=1).moves[2])


def test_a_fit_stops_below_one_by_its_own_degrees_of_freedom():
    """One per cell is what the truth leaves; a fit that stops there has not yet learnt what it could."""
    random = np.random.default_rng(0)
    height = random.integers(0, 60, 4_000)
    table = pd.DataFrame({f"c{i}": height // 5 + random.integers(0, 4, len(height)) for i in range(5)})
    table["tall"] = np.where(height > 40, "yes", "no")
    domain = Domain(
        {name: Numerical(0, 15, integer=True) for name in table if name != "tall"}
        | {"tall": Categorical(("no", "yes"))},
        label="tall",
    )
    synthesizer = PearlSynthesizer(domain=domain, epsilon=1.0, seed=1).fit(table)
    curve = synthesizer.generator_.learning_curve
    assert curve[0].noise_floor == 1.0  # far off: not looked at yet
    assert curve[-1].loss < curve[-1].noise_floor < 0.99
    assert curve[-1].noise_floor > 0.7
    assert curve[-1].step < KeshiPreset().schedule.steps
    again = fit_mixture(synthesizer.embedding_, KeshiPreset().schedule, start=synthesizer.generator_.network)[
        1
    ]
    assert again[-1].step == 1  # where it is there already it has nothing to do
