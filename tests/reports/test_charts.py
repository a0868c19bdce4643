import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from keshi.reports import charts
from keshi.reports.charts import number, shortened
from keshi.reports.svg import INK


def every_chart():
    labels = [f"value {i}" for i in range(30)]
    shares = np.full(30, 1 / 30)
    return {
        "categories": charts.histogram(labels, shares, shares, alt="categories"),
        "bins": charts.histogram(["a", "b", "?"], [0.5, 0.3, 0.2], [1, 0, 0], edges=[0, 1, 2], alt="bins"),
        "constant": charts.histogram(["a", "?"], [1, 0], [1, 0], edges=[3, 3], alt="constant"),
        "heat": charts.pair_heat_map(
            labels, np.random.default_rng(0).random((30, 30)), largest=1, alt="heat"
        ),
        "none": charts.pair_heat_map(["a", "b"], np.zeros((2, 2)), largest=0, alt="nothing to see"),
        "yardsticks": charts.ranges_between_yardsticks(
            ["a", "b"], [0.8, None], [0.5, None], [0.9, 0.9], axis_label="AUC", alt="yardsticks"
        ),
        "lines": charts.lines(
            [{"name": "a", "x": np.arange(9999), "y": np.arange(9999)}], x_label="x", y_label="y", alt="lines"
        ),
        "gaps": charts.lines(
            [{"name": "a", "x": [1, 2, 3], "y": [1, np.nan, 2]}],
            x_label="x",
            y_label="y",
            alt="gaps",
            log_y=True,
        ),
        "trade": charts.trade_off(
            ["a", "b"], [0.9, 0.1], [0.8, 0.7], floor=0.1, x_label="x", y_label="y", alt="trade"
        ),
        "changes": charts.changes(
            ["r", "s"], {"a": [1, 0.2], "b": [None, 0.4]}, floors=[None, 0.1], axis_label="x", alt="changes"
        ),
    }


@pytest.fixture(scope="module")
def drawn():
    return every_chart()


def test_each_chart_is_one_small_well_formed_svg_in_the_pages_colours(drawn):
    for name, svg in drawn.items():
        root = ElementTree.fromstring(svg)
        assert (root.tag, root.attrib["role"]) == ("svg", "img"), name
        assert root.attrib["aria-label"], name
        assert len(svg) < 75_000, name
        assert not any(colour in svg for colour in INK.values()), name
        colours = set(re.findall(r"#[0-9a-fA-F]{6}", svg))
        assert not colours, f"{name} has colours of its own that dark mode cannot change: {colours}"
        assert "http" not in svg
        assert "DejaVu" not in svg


def test_ids_of_two_charts_on_one_page_never_collide(drawn):
    again = charts.pair_heat_map(["a", "b"], np.zeros((2, 2)), largest=0, alt="nothing to see")
    ids = [i for svg in (*drawn.values(), again) for i in re.findall(r' id="([^"]+)"', svg)]
    assert ids
    assert len(ids) == len(set(ids))


def test_long_curves_are_thinned_to_what_a_screen_shows(drawn):
    assert len(drawn["lines"]) < 12_000


def test_nothing_of_matplotlibs_global_state_is_touched():
    import matplotlib

    before = dict(matplotlib.rcParams)
    charts.trade_off(["a"], [0.5], [0.5], floor=None, x_label="x", y_label="y", alt="one point")
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.12345, "0.123"), (0, "0"), (12345.6, "12,346"), (1.0, "1.00"),
        (0.00051, "0.0005"), (-0.5, "-0.500"),
        (1e-9, "1.00e-09"), (None, "–"), (float("nan"), "–"), (float("inf"), "–"),
    ],
)  # fmt: skip
def test_numbers_have_three_significant_figures(value, text):
    assert number(value) == text


def test_labels_are_cut_with_an_ellipsis_and_lose_control_characters():
    assert shortened("Married-civ-spouse", 10) == "Married-c…"
    assert shortened("a\x00b", 10) == "a b"
