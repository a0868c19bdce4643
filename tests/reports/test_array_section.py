import re

import numpy as np

from keshi.auditing.array_utility import ArrayUtility
from keshi.reports.array_section import (
    array_utility_section,
    class_means_section,
    pictures_section,
    traces_section,
)
from keshi.reports.report import Report, report_html, report_json


def page(*sections):
    report = Report(title="t", statement=["s"], sections=sections)
    report_json(report)
    return report_html(report)


def test_pictures_of_both_sides_stand_in_the_page_itself():
    randomness = np.random.default_rng(0)
    for shape in ((4, 5), (4, 5, 3), (4, 5, 2)):
        bounds = np.zeros(shape), np.full(shape, 255.0)
        real = {"a": randomness.integers(0, 255, (3, *shape)), "b": randomness.integers(0, 255, (20, *shape))}
        made = {"b": randomness.integers(0, 255, (2, *shape))}
        html = page(pictures_section("image", real, made, bounds=bounds))
        assert html.count("data:image/png;base64,") == 2
        assert not re.search(r'(href|src)="(?!data:|#)', html)


def test_the_spectrum_of_a_sine_has_its_peak_at_its_frequency():
    time = np.arange(100) / 50
    sine = np.sin(2 * np.pi * 5 * time)[None, :, None].repeat(3, axis=0)
    section = traces_section("x", {"a": sine}, {"a": sine, "only synthetic": sine}, rate=50.0)
    titles = [panel.title for panel in section.figures[0].panels]
    assert titles == ["class a, channel 1: mean", "class a, channel 1: spectrum"]
    assert "Hz" in section.figures[0].panels[1].svg
    assert section.exact
    page(section)


def test_the_legend_names_the_colours_that_traces_are_drawn_in():
    windows = np.zeros((2, 8, 1))
    figure = traces_section("x", {"a": windows}, {"a": windows + 1.0}).figures[0]
    height = {}
    for path in re.findall(r"<path [^>]*>", figure.panels[0].svg):
        found = re.search(r"var\(--(real|made)\)", path)
        if found:
            height[found[1]] = float(re.search(r'd="M\s*[\d.]+\s+([\d.]+)', path)[1])
    assert height["made"] < height["real"]  # an SVG counts from the top, and the synthetic level is higher
    assert {(name, colour) for name, colour, _ in figure.legend} == {("synthetic", "made"), ("real", "real")}


def test_a_class_that_is_missing_on_one_side_has_a_dash_and_no_figure():
    section = class_means_section("x", [("a", 5, 0.1, 0.05), ("b", 1, float("nan"), float("nan"))])
    assert section.highlights[0][0] == "0.100"
    page(section, class_means_section("x", []))


def test_accuracies_stand_beside_those_of_real_records():
    made, real = [ArrayUtility("CNN", 0.8, 0.7, 100)], [ArrayUtility("CNN", 0.9, 0.9, 100)]
    assert array_utility_section(made, real).highlights == [
        ("0.800", "accuracy of CNN", "0.900 trained on real records")
    ]
