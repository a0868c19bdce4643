import json
import re
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest

from keshi.auditing.array_audit import audit_arrays
from keshi.auditing.array_sets import ArraySet
from keshi.auditing.array_utility import LOGISTIC
from keshi.auditing.feature_audit import FeatureAudit
from keshi.auditing.gates import check_gates
from keshi.auditing.identification import Identification
from keshi.auditing.release_audit import audit_release
from keshi.auditing.use_probe import UseFigures, UseScore
from keshi.reports.array_audit import array_audit_report
from keshi.reports.audit import NO_STATEMENT, audit_report
from keshi.reports.checklist import OWNER, disclosure_checklist
from keshi.reports.feature_audit import feature_audit_report
from keshi.reports.markdown import report_markdown
from keshi.reports.report import (
    Report,
    Section,
    Table,
    report_html,
    report_json,
    with_sections,
    write_report,
)

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
HOSTILE = "<script>|*x*"
STATEMENT = {
    "sentence": "(1.00, 1e-05)-differential privacy for adding or removing one record.",
    "epsilon": 1.0, "delta": 1e-5, "unit": "adding or removing one record", "mu": 0.2, "delta_slack": 1e-9,
    "measurements": ["embedding"], "ledger": "", "assumed_public": ["bounds"],
}  # fmt: skip


def people(rows, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=rows)
    job = rng.choice(["p", "q", HOSTILE], rows, p=[0.5, 0.46, 0.04])
    return pd.DataFrame({"x": x, HOSTILE: job, "y": np.where(x > 0, "yes", "no")})


@pytest.fixture(scope="module")
def audit():
    train = people(1200, 0)
    return audit_release(
        people(1000, 1), train, holdout=people(900, 2), label="y", compare=train,
        classifiers=("logistic_regression",),
    )  # fmt: skip


@pytest.fixture(scope="module")
def report(audit):
    gates = check_gates(audit, {"risk": 0.05, "auc_gap": 0.03, "linkability": 0.0})
    return audit_report(audit, statement=STATEMENT, gates=gates)


def test_promise_and_limits_stand_first_and_every_section_is_there(report):
    page = report_html(report)
    places = [
        page.index(text) for text in ('id="stamp"', "<h1>", "(1.00, 1e-05)", "proves nothing", "At a glance")
    ]
    assert places == sorted(places)
    titles = [section.title for section in report.sections]
    for title in ("Gates", "What it gives away", "Side by side", "Small groups", "Disclosure checklist"):
        assert title in titles
    assert "<script" not in page


def test_without_a_statement_none_is_claimed(audit):
    page = report_html(audit_report(audit))
    assert NO_STATEMENT in page
    assert "differential privacy for" not in page


def test_html_json_and_markdown_hold_the_same_figures(report, tmp_path):
    write_report(report, tmp_path / "r.html", tmp_path / "r.json", tmp_path / "r.md")
    found = json.loads((tmp_path / "r.json").read_text())
    text, page = (tmp_path / "r.md").read_text(), (tmp_path / "r.html").read_text()
    for section in report.sections:
        for value, what, _ in section.highlights:
            assert value in page
            assert f"**{value}** {what}" in text
    attacks = next(one for one in found["sections"] if one["title"] == "What it gives away")
    rows = attacks["figures"][0]["table"]["rows"]
    assert len(rows) == 4 + 3
    for row in rows:
        assert f"| {row[4]} |" in text or row[4] is None
    assert found["format"] == report_json(report)["format"]


def test_markdown_cannot_be_broken_by_names_from_the_data():
    table = Table(("a|b", HOSTILE), [("line\nbreak", "`code` [x](y)")])
    text = report_markdown(Report("T <b>", sections=[Section("S", tables=[table])]))
    assert "<script" not in text
    row = text.splitlines()[-1]
    assert len(re.findall(r"(?<!\\)\|", row)) == 3
    assert "\\[x\\](y)" in row


def test_a_private_report_in_markdown_is_kept_out_of_release(report, tmp_path):
    (tmp_path / "release").mkdir()
    with pytest.raises(ValueError, match="private/"):
        write_report(report, tmp_path / "r.html", None, tmp_path / "release" / "r.md")
    assert not (tmp_path / "r.html").exists()


def test_the_checklist_has_nine_hazards_filled_in_from_the_statement_or_left_to_the_owner(audit):
    filled = {line.hazard: line for line in disclosure_checklist(audit.release.groups, STATEMENT)}
    assert len(filled) == 9
    assert filled["neighbouring relation"].answer == "adding or removing"
    assert "no ledger kept" in filled["composition"].answer
    assert filled["curator"].answer == filled["side channels"].answer == OWNER
    empty = {line.hazard: line for line in disclosure_checklist(audit.release.groups, None)}
    assert {line.answer for name, line in empty.items() if name != "bias against small groups"} == {OWNER}
    foreign = {
        line.hazard: line
        for line in disclosure_checklist(audit.release.groups, {"sentence": "trust us", "epsilon": 1})
    }
    assert foreign["randomness"].answer == foreign["floating point"].answer == OWNER


def test_without_a_holdout_the_page_says_that_privacy_is_inconclusive():
    page = report_html(audit_report(audit_release(people(300, 1), people(300, 0))))
    assert "No hold-out was given" in page
    assert "inconclusive" in page


def images_report():
    """The page of images, from few of them."""
    draw = np.random.default_rng(0)
    labels = np.repeat([0, 1], 125)
    train, made, held = (
        ArraySet((draw.integers(0, 200, (250, 5, 5)) + 50 * labels[:, None, None]).astype(np.uint8), labels)
        for _ in range(3)
    )
    found = audit_arrays(made, train, holdout=held, compare=train, classifiers=(LOGISTIC,))
    return array_audit_report(found, real=train, made=made, images=True)


def features_report():
    """The page of features, from made-up figures."""
    one = Identification(0.6, 0.5, 0.7, 0.1, 0.8, 1.2, 5, 10, 400, 0.45)
    use = UseFigures("macro-F1", UseScore(0.7, 0.6, 0.8, 0.4, 400), None, True)
    found = FeatureAudit(
        {"linear": one, "800-200": one}, 0.1, 0.2, 0.9, 10, 900, 400, 60, beside={"softmax": one},
        uses={"worn": {"features": use, "softmax": use}},
    )  # fmt: skip
    gates = check_gates(found, {"risk": 0.05})
    return feature_audit_report(found, has_trials=True, gates=gates)


def test_the_page_of_features_names_the_worst_attacker_the_floor_and_the_gate():
    page = report_html(features_report())
    assert "LEAK: attacker linear names 60.0% of the rows, 20.0% without any features." in page
    assert page.index("What was found") < page.index("At a glance")
    assert "0 of 1" in page
    for row in ("softmax only", "most frequent person of the true label", "macro-F1 of the label"):
        assert row in page
    for row in ("The same in all rows of a person, and so hidden with the person: worn.", "0.600 to 0.800"):
        assert row in page


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
def test_a_browser_opens_the_page_without_errors_and_nothing_overflows_sideways(report, tmp_path):
    # one page with the sections of all three kinds of audit: a browser takes seconds to start
    report = with_sections(report, *images_report().sections, *features_report().sections)
    probe = """<script>
      const wide = [...document.querySelectorAll("main *:not(svg *)")].filter(e =>
        !e.closest(".scroll, .for-ears") && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.tagName);
      const empty = [...document.querySelectorAll("figure svg:not(.swatch)")].filter(e => {
        const box = e.getBoundingClientRect(); return box.width < 100 || box.height < 60 });
      document.body.dataset.probe = JSON.stringify({wide, empty: empty.length,
        loaded: performance.getEntriesByType("resource").length});
    </script></body>"""
    path = tmp_path / "page.html"
    path.write_text(report_html(report).replace("</body>", probe))
    for width in (500, 1200):
        command = [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--enable-logging=stderr", f"--user-data-dir={tmp_path / str(width)}", f"--window-size={width},900",
            "--dump-dom", path.as_uri(),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        found = json.loads(re.search(r'data-probe="(.*?)"', done.stdout)[1].replace("&quot;", '"'))
        assert found == {"wide": [], "empty": 0, "loaded": 0}
        assert "CONSOLE" not in done.stderr
