from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keshi.censoring.pairs import CELLS, PAIR_MODES, Pairs, PairSampler
from keshi.errors import DomainError

# Six windows written out: person A did run twice and sit once, person B run once, person C sit twice.
LABEL = np.array(["run", "run", "sit", "run", "sit", "sit"])
SUBJECT = np.array(["A", "A", "A", "B", "C", "C"])
BY_HAND = {
    "pp": {(0, 1), (1, 0), (4, 5), (5, 4)},
    "pn": {(0, 2), (1, 2), (2, 0), (2, 1)},
    "np": {(0, 3), (1, 3), (3, 0), (3, 1), (2, 4), (2, 5), (4, 2), (5, 2)},
    "nn": {(0, 4), (0, 5), (1, 4), (1, 5), (4, 0), (5, 0), (4, 1), (5, 1),
           (2, 3), (3, 2), (3, 4), (3, 5), (4, 3), (5, 3)},
}  # fmt: skip


def drawn(pairs: Pairs) -> set[tuple[int, int]]:
    return set(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))


def cells(pairs: Pairs) -> Counter[str]:
    letters = {True: "p", False: "n"}
    both = zip(pairs.same_subject.tolist(), pairs.same_label.tolist(), strict=True)
    return Counter(letters[s] + letters[y] for s, y in both)


def slow_cell(a: int, b: int, label: np.ndarray, subject: np.ndarray) -> str:
    return ("p" if subject[a] == subject[b] else "n") + ("p" if label[a] == label[b] else "n")


def test_every_pair_written_by_hand_is_drawn_and_no_other() -> None:
    pairs = PairSampler(LABEL, SUBJECT, mode="cells").draw(4000, np.random.default_rng(0))
    found: dict[str, set[tuple[int, int]]] = {name: set() for name in CELLS}
    for a, b in drawn(pairs):
        found[slow_cell(a, b, LABEL, SUBJECT)].add((a, b))
    assert found == BY_HAND


def test_similarity_pairs_join_both_labels() -> None:
    pairs = PairSampler(LABEL, SUBJECT, mode="balanced").draw(4000, np.random.default_rng(0))
    assert drawn(pairs) == set().union(*BY_HAND.values())
    assert cells(pairs)["pp"] + cells(pairs)["pn"] == 2000


@pytest.mark.parametrize("mode", [m for m in PAIR_MODES if m != "natural"])
def test_shares_of_the_sets_are_met_to_one_pair(mode: str) -> None:
    sampler = PairSampler(LABEL, SUBJECT, mode=mode)
    pairs = sampler.draw(101, np.random.default_rng(1))
    counts = cells(pairs)
    assert len(pairs) == 101
    for name, share in PAIR_MODES[mode].items():
        assert abs(sum(n for cell, n in counts.items() if cell.startswith(name)) - 101 * share) < 1


def test_natural_pairs_are_of_one_person_as_often_as_squared_shares_say() -> None:
    rng = np.random.default_rng(2)
    subject = rng.choice(10, 3000, p=np.arange(1, 11) / 55)
    n = 200_000
    pairs = PairSampler(rng.integers(5, size=3000), subject, mode="natural").draw(n, rng)
    expected = float(((np.bincount(subject) / 3000) ** 2).sum())
    # Binomial standard error 0.0007; a sampler wrong by a tenth is 18 of them away.
    assert abs(pairs.same_subject.mean() - expected) < 4 * np.sqrt(expected * (1 - expected) / n)


def test_partners_are_equally_likely_within_their_set() -> None:
    rng = np.random.default_rng(3)
    label, subject = rng.integers(3, size=40), rng.integers(4, size=40)
    sampler = PairSampler(label, subject, mode="cells")
    n = 80_000
    pairs = sampler.draw(4 * n, rng)
    for name in CELLS:
        partners = [
            [b for b in range(40) if b != a and slow_cell(a, b, label, subject) == name] for a in range(40)
        ]
        assert sampler.partners(name).tolist() == [len(p) for p in partners]
        anchors = [a for a in range(40) if partners[a]]
        expected = np.zeros((40, 40))
        for a in anchors:
            expected[a, partners[a]] = n / len(anchors) / len(partners[a])
        found = np.zeros((40, 40))
        in_cell = (pairs.same_subject == (name[0] == "p")) & (pairs.same_label == (name[1] == "p"))
        np.add.at(found, (pairs.first[in_cell], pairs.second[in_cell]), 1)
        assert (found[expected == 0] == 0).all()
        hit = expected > 0
        chi2 = ((found[hit] - expected[hit]) ** 2 / expected[hit]).sum()
        # Mean hit.sum(), deviation sqrt(2 hit.sum()); six deviations is a false alarm of one in a billion.
        assert chi2 < hit.sum() + 6 * np.sqrt(2 * hit.sum())


@given(
    st.integers(2, 30),
    st.integers(1, 4),
    st.integers(2, 4),
    st.sampled_from(list(PAIR_MODES)),
    st.integers(0, 999),
)
def test_a_pair_is_never_a_window_with_itself_and_always_from_its_set(
    n: int, labels: int, subjects: int, mode: str, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    label, subject = rng.integers(labels, size=n), rng.integers(subjects, size=n)
    try:
        sampler = PairSampler(label, subject, mode=mode)
    except DomainError:
        wanted = PAIR_MODES[mode]
        every = [slow_cell(a, b, label, subject) for a in range(n) for b in range(n) if a != b]
        assert not any(cell.startswith(name) for cell in every for name in wanted)
        return
    pairs = sampler.draw(64, rng)
    np.testing.assert_array_equal(pairs.same_subject, subject[pairs.first] == subject[pairs.second])
    np.testing.assert_array_equal(pairs.same_label, label[pairs.first] == label[pairs.second])
    if mode != "natural":
        assert (pairs.first != pairs.second).all()
        assert all(any(cell.startswith(name) for name in sampler.shares) for cell in cells(pairs))


def test_a_set_nobody_can_fill_is_reported_and_its_share_goes_to_the_others() -> None:
    # Everybody did one activity only, so no pair has one person and two labels.
    sampler = PairSampler(np.array([0, 0, 1, 1]), np.array([5, 5, 6, 6]), mode="cells")
    assert sampler.empty == ("pn", "np")
    assert sampler.shares == {"pp": 0.5, "nn": 0.5}
    assert set(cells(sampler.draw(50, np.random.default_rng(0)))) == {"pp", "nn"}


def test_no_pair_at_all_and_unknown_modes_are_refused() -> None:
    with pytest.raises(
        DomainError, match=r"pairs='learned' finds no pair at all among 2 windows of 1 subjects"
    ):
        PairSampler(np.array([0, 1]), np.array([3, 3]), mode="learned")
    with pytest.raises(
        ValueError, match="pairs must be one of balanced, cells, conditional, learned, natural"
    ):
        PairSampler(LABEL, SUBJECT, mode="half")


def test_the_same_seed_draws_the_same_pairs() -> None:
    sampler = PairSampler(LABEL, SUBJECT, mode="cells")
    a, b = (sampler.draw(50, np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(a.first, b.first)
    np.testing.assert_array_equal(a.second, b.second)


@pytest.mark.parametrize("mode", list(PAIR_MODES))
def test_pairs_within_a_batch_are_of_their_sets_and_use_every_window_first_once(mode: str) -> None:
    rng = np.random.default_rng(0)
    label, subject = rng.integers(3, size=400), rng.integers(4, size=400)
    rows = rng.integers(400, size=120)
    pairs = PairSampler(label, subject, mode=mode).within(rows, rng)
    # 120 windows of 12 (person, label) groups: nobody lacks a partner
    np.testing.assert_array_equal(pairs.first, np.arange(120))
    assert (pairs.first != pairs.second).all()
    a, b = rows[pairs.first], rows[pairs.second]
    np.testing.assert_array_equal(pairs.same_subject, subject[a] == subject[b])
    np.testing.assert_array_equal(pairs.same_label, label[a] == label[b])
    for name, share in PAIR_MODES[mode].items():
        assert sum(n for cell, n in cells(pairs).items() if cell.startswith(name)) == 120 * share
    if mode == "natural":  # four equally frequent people: 1/4 of the pairs, standard error 0.04
        assert abs(pairs.same_subject.mean() - 0.25) < 0.16


def test_a_window_without_a_partner_in_its_batch_is_left_out() -> None:
    sampler = PairSampler(LABEL, SUBJECT, mode="conditional")
    for seed in range(20):
        pairs = sampler.within(np.array([0, 1, 4]), np.random.default_rng(seed))  # 4 sits, nobody else does
        assert drawn(pairs) <= {(0, 1), (1, 0)}
        assert pairs.same_subject.all()
