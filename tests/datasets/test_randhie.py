import tomllib

import pandas as pd
import pytest

from keshi.datasets import randhie, verified
from keshi.datasets.randhie import DOMAIN_FILE, LABEL, load_randhie, load_randhie_full
from keshi.errors import RecordsError

statsmodels = pytest.mark.skipif(
    not verified.is_installed("statsmodels"), reason="statsmodels ([demo]) is not installed"
)


@statsmodels
def test_the_extract_and_the_original_are_the_known_tables():
    table, full = load_randhie(), load_randhie_full()
    assert table.shape == (20_190, 10)
    assert full.shape == (20_190, 45)
    assert full["zper"].nunique() == 5912


@statsmodels
def test_both_files_list_the_same_person_years_in_the_same_order():
    table, full = load_randhie(subject=True), load_randhie_full()
    for name in ("mdvis", "idp", "lpi", "fmde", "physlm", "disea", "hlthg", "hlthf", "hlthp", "zper"):
        pd.testing.assert_series_equal(table[name], full[name], check_dtype=False)


@statsmodels
def test_the_domain_names_every_column_and_its_bounds_hold_the_data():
    domain, table = tomllib.loads(DOMAIN_FILE.read_text()), load_randhie()
    assert domain["format"] == "keshi-domain-1"
    assert domain["label"] == LABEL
    assert list(domain["columns"]) == list(table.columns)
    for name, column in domain["columns"].items():
        if column["type"] == "numerical":
            assert table[name].between(column["lower"], column["upper"]).all()
        else:
            assert set(table[name]) <= set(column["categories"])


@statsmodels
def test_a_classifier_learns_the_label_for_people_it_has_never_seen():
    from keshi.auditing.utility import train_on_synthetic_test_on_real

    table = load_randhie(subject=True)
    held = table["zper"] % 4 == 0
    people, new = table[~held].drop(columns="zper"), table[held].drop(columns="zper")
    made = train_on_synthetic_test_on_real(people, new, label=LABEL, classifiers=("logistic_regression",))
    assert made.mean_roc_auc > 0.75


def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(RecordsError, match=r'statsmodels.*pip install "keshi\[demo\]"'):
        load_randhie()


def test_another_file_is_refused(monkeypatch, tmp_path):
    other = tmp_path / "randhie.csv"
    other.write_text("mdvis\n1\n")
    monkeypatch.setattr(randhie, "file_of_package", lambda *parts: other)
    with pytest.raises(RecordsError, match="refused unopened"):
        load_randhie()
