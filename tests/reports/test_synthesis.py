import pytest

from keshi.reports.synthesis import training_section

CURVE = [{"step": step, "loss": 2.0, "noise_floor": 1.0, "effective_size": 40.0 - step} for step in (10, 20)]


@pytest.mark.parametrize(
    ("preset", "said"),
    [
        ("paper", "critic's weights looked at 30 frequencies at first and 20 at the end"),
        ("dp-merf", "distance from the private embedding"),
        ("keshi", "from 20 measured counts, each in units of its noise"),
    ],
)
def test_the_training_is_told_as_the_preset_trains(preset, said):
    text = training_section(CURVE, preset=preset).text
    assert said in text
    assert ("critic" in text) == (preset == "paper")
