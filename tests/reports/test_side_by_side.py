import re
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from keshi.auditing.fidelity import fidelity
from keshi.errors import RecordsError
from keshi.reports import side_by_side as module
from keshi.reports.report import LARGEST_HTML, report_html, write_report
from keshi.reports.side_by_side import column_panels, common_columns, common_pairs, pair_panels, side_by_side
from keshi.reports.small_multiples import Axis, cell_map, page_colours, picture, standing_bars

HOSTILE = '<script>alert("x")</script> & "quoted"'
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def people(rows, seed):
    rng = np.random.default_rng(seed)
    age = rng.integers(18, 90, rows)
    town = rng.choice([HOSTILE, *(f"town {i}" for i in range(30))], rows, p=[0.2, *[0.8 / 30] * 30])
    pay = np.where(rng.random(rows) < 0.2, np.nan, age * 1000.0 + rng.normal(0, 5000, rows))
    day = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, rows), unit="D")
    return pd.DataFrame(
        {"age": age, HOSTILE: town, "pay": pay, "day": day, "old": np.where(age > 50, "yes", "no")}
    )


REAL, NEAR, FAR = people(600, 0), people(500, 1), people(400, 2).assign(age=20)


@pytest.fixture(scope="module")
def page():
    return side_by_side(REAL, {"near": NEAR, "far": FAR}, statement=["(1, 1e-05)."])


def panels():
    columns = common_columns(REAL, {"near": NEAR, "far": FAR})
    for column in columns:
        yield from column_panels(["near", "far"], column)
    for pair in common_pairs(columns):
        yield from pair_panels(["near", "far"], pair)


def test_distances_are_those_of_the_audit():
    columns = common_columns(REAL, {"near": NEAR, "far": FAR})
    pairs = common_pairs(columns)
    for index, table in enumerate((NEAR, FAR)):
        # the audit cuts each release alone; categories that only one release has change no distance
        expected = fidelity(REAL, table, queries=1).equal_width
        assert [c.distances[index] for c in columns] == pytest.approx(list(expected.one_way.values()))
        for pair in pairs:
            i, j = (expected.columns.index(column.name) for column in (pair.first, pair.second))
            assert pair.distances[index] == pytest.approx(expected.pairs[i, j])


def test_pairs_that_depend_most_in_the_real_table_come_first():
    pairs = common_pairs(common_columns(REAL, {"far": FAR}))
    assert {pairs[0].first.name, pairs[0].second.name} == {"age", "old"}
    assert all(a.dependence >= b.dependence for a, b in pairwise(pairs))


def test_every_picture_is_small_well_formed_named_and_in_the_pages_colours():
    drawn = list(panels())
    assert len(drawn) == (5 + 10) * 3
    for title, svg in drawn:
        root = ElementTree.fromstring(svg)
        assert (root.tag, root.attrib["role"]) == ("svg", "img"), title
        assert root.attrib["aria-label"]
        assert len(svg) < 12_000, title
        assert not re.findall(r"#[0-9a-fA-F]{3,6}\b|http|nan|inf\b", svg), title


def test_shades_follow_the_shares_on_the_scale_that_is_given():
    def opacities(strongest):
        axis = Axis(["a", "b"])
        svg = cell_map(
            np.array([[0.64, 0.0], [0.04, 0.32]]), axis, axis, strongest=strongest, note="", alt="x"
        )
        return sorted(float(found) for found in re.findall(r'fill-opacity="([\d.]+)"', svg))

    # twelve shades of the square root, rounded up: an empty cell has none
    assert opacities(0.64) == [0.25, 0.75, 1.0]
    assert opacities(1.0) == [0.25, 0.58, 0.83]


def test_a_number_down_the_side_grows_upwards_and_its_missing_cell_stays_below():
    axis, across = Axis(["low", "high", "(missing)"], ("0", "9"), 2), Axis(["c"])
    svg = cell_map(np.array([[0.0], [1.0], [0.0]]), axis, across, strongest=1.0, note="", alt="x")
    assert float(re.search(r'd="M62\.0 ([\d.]+)h112\.0', svg)[1]) == 4.0  # the high bin lies at the top


def test_bars_of_all_tables_share_one_scale():
    def height(share, top):
        svg = standing_bars([share], Axis(["a"], ("0", "1"), 1), outline=None, top=top, alt="x")
        return -float(re.search(r"v(-[\d.]+)h", svg)[1])

    assert height(0.5, 1.0) == pytest.approx(height(1.0, 1.0) / 2, abs=0.06)


def test_many_categories_become_the_largest_and_all_others():
    column = next(c for c in common_columns(REAL, {"near": NEAR}) if c.name == HOSTILE)
    drawn = column.drawn(8)
    assert len(drawn.labels) == 8
    assert drawn.labels[0] == HOSTILE
    assert drawn.labels[-1] == "24 others"
    assert drawn.shares.sum(axis=1) == pytest.approx([1, 1])


def test_the_page_holds_every_row_of_pictures_escaped_and_stays_private(page, tmp_path):
    text = report_html(page)
    assert text.count('<svg class="narrow"') == (5 + 10) * 3
    assert "<script" not in text
    assert "do not publish" in text
    assert "2020-01-01" in text
    write_report(page, tmp_path / "page.html", tmp_path / "page.json", tmp_path / "page.md")
    with pytest.raises(ValueError, match="release"):
        write_report(page, tmp_path / "release" / "page.html")


def test_a_wide_table_keeps_its_page_below_the_limit_and_says_what_is_left_out():
    rng = np.random.default_rng(0)
    wide = pd.DataFrame({f"column {i}": rng.normal(0, 1, 100) for i in range(62)})
    page = side_by_side(wide, {str(i): wide for i in range(3)})
    text = report_html(page)
    assert len(text.encode()) < LARGEST_HTML
    assert f"The {module.MOST_COLUMNS} columns of 62" in text
    drawn = len(page.sections[2].figures)
    assert 10 < drawn < module.MOST_PAIRS + 1
    assert f"{drawn} of 1891 are drawn" in text


def test_a_table_of_one_column_has_no_pairs():
    page = side_by_side(REAL[["age"]], {"near": NEAR[["age"]]})
    assert [section.title for section in page.sections] == ["All in all", "Columns one by one"]


def test_a_release_with_other_columns_is_named():
    with pytest.raises(RecordsError, match=r"near: .*lacks these columns of the reference: 'age'"):
        side_by_side(REAL, {"far": FAR, "near": NEAR.drop(columns="age")})
    with pytest.raises(RecordsError, match="at least one release"):
        side_by_side(REAL, {})


def test_a_picture_stands_by_itself_in_light_and_dark():
    rows = [("age", column_panels(["near"], common_columns(REAL, {"near": NEAR})[0]))]
    root = ElementTree.fromstring(picture(rows, alt="age, twice", legend=["outline: real"]))
    assert root.attrib["aria-label"] == "age, twice"
    style = root.find("{http://www.w3.org/2000/svg}style").text
    assert "prefers-color-scheme:dark" in style
    for colours in page_colours():
        assert {"--ink", "--card", "--real", "--made", "--sixth"} <= set(re.findall(r"--\w+", colours))


@pytest.mark.skipif(CHROMIUM is None, reason="needs a browser")
@pytest.mark.parametrize("width", [390, 1100])
def test_nothing_is_wider_than_the_screen(page, tmp_path, width):
    write_report(page, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text("utf-8")
    probe = "<script>document.title=document.documentElement.scrollWidth+' '+document.querySelectorAll('.panels')[0]"
    probe += ".children[1].getBoundingClientRect().top</script></body>"
    (tmp_path / "probe.html").write_text(text.replace("</body>", probe), "utf-8")
    shown = subprocess.run(
        [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", f"--window-size={width},900",
            f"--user-data-dir={tmp_path}", (tmp_path / "probe.html").as_uri(),
        ],
        capture_output=True, text=True, timeout=120, check=True,
    ).stdout  # fmt: skip
    assert int(re.search(r"<title>(\d+) ", shown)[1]) <= max(
        width, 500
    )  # headless windows are at least 500 wide
