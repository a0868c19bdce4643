import json
import os
import re
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from keshi.auditing.fidelity import fidelity
from keshi.auditing.utility import train_on_synthetic_test_on_real
from keshi.auditing.yardsticks import independent_columns
from keshi.reports.censoring_section import CensoringPoint, censoring_section
from keshi.reports.report import (
    STAMP,
    Figure,
    Report,
    Section,
    Table,
    plain,
    report_html,
    report_json,
    with_sections,
    write_report,
)
from keshi.reports.sections import (
    learning_curves_section,
    marginals_section,
    pairs_section,
    settings_section,
    utility_section,
)

HOSTILE = '<script>alert("x")</script> & $\\frac{1}$ \x00 "quoted" 🙂 0.123456 http://evil.example'
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def people(rows, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 1, rows)
    place = rng.choice([HOSTILE, *"abcdefghijk"], rows)
    pay = np.where(rng.random(rows) < 0.2, np.nan, x * 1e5)
    return pd.DataFrame({"x": x, HOSTILE: place, "pay": pay, "y": np.where(x > 0, "yes", "no"), "one": 1})


@pytest.fixture(scope="module")
def report():
    train, made, test = people(300, 0), people(250, 1), people(200, 2)
    lost = independent_columns(train)
    utility = [
        train_on_synthetic_test_on_real(t, test, label="y", classifiers=("logistic_regression",))
        for t in (made, train, lost)
    ]
    before = CensoringPoint("before", 0.9, 0.8, 0.84, 0.97, 0.1, "MLP")
    after = CensoringPoint("after", 0.88, 0.79, 0.2, 0.4, 0.4, "1-NN")
    return Report(
        "Synthetic against real",
        statement=["(1.00, 1e-05)-differential privacy for adding or removing one record."],
        not_protected=["Timing and memory side channels.", HOSTILE],
        sections=[
            utility_section(utility[0], ceiling=utility[1], floor=utility[2]),
            pairs_section(
                fidelity(train, made), independent=fidelity(train, lost), holdout=fidelity(train, test)
            ),
            marginals_section(fidelity(train, made)),
            learning_curves_section([{"name": "loss", "x": range(500), "y": np.linspace(3, 1, 500)}]),
            censoring_section([before, after], majority_rate=0.1, label_majority_f=0.05),
            settings_section({"epsilon": 1.0, "delta": 1e-5}, cost={"CPU seconds": 3.4}),
        ],
    )


@pytest.fixture(scope="module")
def page(report):
    return report_html(report)


class Reader(HTMLParser):
    """Collects ids, inner links, tags and visible text; notes tags that close in the wrong order."""

    VOID = frozenset({"meta", "br", "hr", "img", "link", "input", "col"})

    def __init__(self, page):
        super().__init__()
        self.ids, self.links, self.tags, self.open, self.disorder, self.text = [], [], [], [], [], ""
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.tags.append((tag, found))
        self.ids += [found["id"]] if "id" in found else []
        self.links += [found["href"]] if "href" in found else []
        self.links += [
            "#" + name for value in found.values() for name in re.findall(r"url\(#(.+?)\)", value or "")
        ]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in self.VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.disorder.append(tag)

    def handle_data(self, data):
        self.text += data


def test_the_page_is_well_formed_and_every_inner_link_leads_somewhere(page):
    reader = Reader(page)
    assert reader.disorder == []
    assert reader.open == []
    assert len(reader.ids) == len(set(reader.ids))
    assert reader.links
    assert all(link.startswith("#") and link[1:] in reader.ids for link in reader.links)


def test_the_page_fetches_nothing_and_runs_nothing(page):
    names = {tag for tag, _ in Reader(page).tags}
    assert not names & {
        "script",
        "link",
        "img",
        "iframe",
        "object",
        "embed",
        "form",
        "image",
        "foreignobject",
    }
    without_text = page.replace("http://evil.example", "")
    assert not re.search(r"https?:|//\w+\.|@import|url\((?!#)", without_text)
    assert not any(key.startswith("on") for _, found in Reader(page).tags for key in found)
    assert len(page.encode()) < 2_000_000


def test_names_and_categories_from_the_data_are_text_wherever_they_appear(page):
    assert "<script" not in page
    text = Reader(page).text
    assert '<script>alert("x")</script>' in text
    assert "0.123456" in text  # numbers inside a label are no geometry to be rounded
    assert "$\\frac" in text  # and no formula to be set


def test_the_first_screen_has_title_promise_limits_and_stamp_in_this_order(page):
    places = [
        page.index(text) for text in ('id="stamp"', "<h1>", "(1.00, 1e-05)-diff", "side channels", "<figure")
    ]
    assert places == sorted(places)
    assert page.count(STAMP) >= 2


def test_every_picture_has_words_and_every_figure_the_numbers_behind_it(page):
    reader = Reader(page)
    pictures = [found for tag, found in reader.tags if tag == "svg" and found.get("class") != "swatch"]
    assert len(pictures) > 8
    assert all(found["role"] == "img" and len(found["aria-label"]) > 15 for found in pictures)
    assert page.count("<figure") == page.count("<details") > 4
    assert all("scope" in found for tag, found in reader.tags if tag == "th")


def test_a_public_report_has_no_stamp_and_refuses_exact_statistics(report):
    public = Report("Settings", "public", sections=[settings_section({"epsilon": 1})])
    assert "do not publish" not in report_html(public)
    assert report_json(public)["stamp"] == ""
    with pytest.raises(ValueError, match=r"exact statistics.*Columns in pairs"):
        with_sections(public, *report.sections)


def test_both_files_are_written_whole_and_a_private_one_never_into_release(report, tmp_path, monkeypatch):
    (tmp_path / "release").mkdir()
    with pytest.raises(ValueError, match="private/"):
        write_report(report, tmp_path / "r.html", tmp_path / "release" / "r.json")
    assert list((tmp_path / "release").iterdir()) == []
    assert not (tmp_path / "r.html").exists()
    write_report(report, tmp_path / "r.html", tmp_path / "r.json")
    before = (tmp_path / "r.html").read_bytes()

    def full_disk(descriptor):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="no space"):
        write_report(Report("other"), tmp_path / "r.html")
    assert (tmp_path / "r.html").read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["r.html", "r.json", "release"]


def test_the_json_holds_the_same_figures_in_full(report, tmp_path):
    write_report(report, tmp_path / "r.html", tmp_path / "r.json")
    found = json.loads((tmp_path / "r.json").read_text())
    assert found["stamp"] == STAMP
    assert [s["title"] for s in found["sections"]] == [s.title for s in report.sections]
    curve = found["sections"][3]["figures"][0]["data"]["curves"][0]
    assert len(curve["x"]) == len(curve["y"]) == 500  # all points, though the page lists a dozen
    pairs = found["sections"][1]["figures"][0]["data"]["synthetic"]["pairs"]
    np.testing.assert_allclose(pairs, report.sections[1].figures[0].data["synthetic"]["pairs"])


def test_json_knows_neither_nan_nor_infinity_nor_numpy():
    value = {"a": np.float64("nan"), 1: (np.int64(3), np.array([np.inf, 1.0])), "b": np.bool_(True)}
    assert plain(value) == {"a": None, "1": [3, [None, 1.0]], "b": True}


def test_a_page_above_two_megabytes_is_refused(tmp_path):
    wide = Table(("a",), [("x" * 1000,)] * 2500)
    with pytest.raises(ValueError, match="at most 2,000,000"):
        write_report(Report("wide", sections=[Section("t", tables=[wide])]), tmp_path / "r.html")
    assert list(tmp_path.iterdir()) == []


def test_a_figure_of_ones_own_needs_an_svg_a_caption_and_words():
    figure = Figure('<svg role="img" aria-label="a dot"></svg>', "A caption", "A dot.", Table(("n",), [(1,)]))
    html = report_html(Report("own", sections=[Section("One", figures=[figure])]))
    assert "A caption" in html
    assert '<svg role="img" aria-label="a dot">' in html


def test_inconclusive_results_are_shown_as_such():
    table = people(100, 3)
    one_class = table.assign(y="yes")
    made = train_on_synthetic_test_on_real(one_class, table, label="y")
    html = report_html(Report("r", sections=[utility_section(made)]))
    assert "inconclusive" in html
    assert "holds 1 class" in html


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_colours_keep_wcag_contrast_in_light_in_dark_and_in_print(page):
    themes = re.findall(r":root \{(.*?)\}", page, flags=re.DOTALL)
    assert len(themes) == 3
    for theme in themes:
        colour = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", theme))
        for paper in ("paper", "card", "calm"):
            for ink in ("ink", "muted"):
                assert contrast(colour[ink], colour[paper]) >= 4.5, (ink, paper)
        assert contrast(colour["warn"], colour["warn-paper"]) >= 4.5
        for mark in ("real", "made", "third", "fourth", "fifth", "sixth"):
            assert contrast(colour[mark], colour["card"]) >= 4.5, mark  # real is the colour of links, too


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
def test_a_browser_opens_the_page_without_errors_and_nothing_overflows_sideways(page, tmp_path):
    probe = """<script>
      const wide = [...document.querySelectorAll("main *:not(svg *)")].filter(e =>
        !e.closest(".scroll, .for-ears") && e.getBoundingClientRect().right > innerWidth + 1)
        .map(e => e.className || e.tagName);
      const empty = [...document.querySelectorAll("figure svg:not(.swatch)")].filter(e => {
        const box = e.getBoundingClientRect(); return box.width < 100 || box.height < 60 });
      document.body.dataset.probe = JSON.stringify({
        wide, empty: empty.length, width: innerWidth, scroll: document.documentElement.scrollWidth,
        links: performance.getEntriesByType("resource").length});
    </script></body>"""
    path = tmp_path / "page.html"
    path.write_text(page.replace("</body>", probe))
    for width in (500, 1200):
        command = [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--enable-logging=stderr",
            f"--user-data-dir={tmp_path / str(width)}", f"--window-size={width},900",
            "--dump-dom", path.as_uri(),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        found = json.loads(re.search(r'data-probe="(.*?)"', done.stdout)[1].replace("&quot;", '"'))
        assert found["wide"] == []
        assert found["scroll"] <= found["width"]
        assert found["empty"] == 0
        assert found["links"] == 0
        assert "CONSOLE" not in done.stderr
