import json
from pathlib import Path

import auditors
import data_sets


def test_training_heldout_and_other_people_are_different_rows():
    split, others = auditors.split_three(data_sets.load_split("quick", None), 500)
    parts = [one.assign(part=i) for i, one in enumerate((split.train, split.test, others))]
    assert [len(one) for one in parts] == [500, 500, 500]
    assert not parts[0].drop(columns="part").equals(parts[1].drop(columns="part"))
    made = dict(auditors.releases(split, others, Path("."), quick=True, done=("all training rows",)))
    assert set(made) == {"other real people", "the same, 5 % copied"}
    copied, real = (
        one.astype(object).fillna("-").to_numpy() for one in (made["the same, 5 % copied"], split.train)
    )
    same = (copied == real).all(axis=1)
    assert same[:25].all()
    assert same[25:].mean() < 0.05


def test_the_table_names_every_release_and_says_what_failed():
    rate = {"risk": 0.1, "interval": [0.05, 0.2], "train_n": 10}
    ours = {
        "verdict": "leak",
        "risks": {"exact copies": rate, "attribute inference": rate},
        "membership": {"distance": {"auc": 0.6, "interval": [0.5, 0.7], "members": 10}},
        "mean ROC-AUC": 0.8,
        "ROC-AUC of real rows": 0.9,
        "two-way distance": 0.1,
    }
    peers = {"sdmetrics": {"failed": "time-out"}, "anonymeter": {"linkability": {"reason": "too few"}}}
    found = {"rows": 10, "attacks": 5, "releases": {"copies": {"keshi": ours, **peers}}}
    table = auditors.markdown(found)
    assert "| copies | leak | 0.100 (0.050 to 0.200) |" in table
    assert "no figure" in table
    assert "real rows reach 0.900" in table


def test_the_published_results_hold_every_system_and_the_releases_whose_truth_is_known():
    results = json.loads(auditors.RESULTS.read_text())
    verdicts = {name: one["keshi"]["verdict"] for name, one in results["releases"].items()}
    assert set(auditors.SYSTEMS) <= set(verdicts)
    assert verdicts["other real people"] == "no leak found"
    assert verdicts["all training rows"] == verdicts["the same, 5 % copied"] == "leak"
    assert auditors.RESULTS.with_suffix(".md").read_text() == auditors.markdown(results)
