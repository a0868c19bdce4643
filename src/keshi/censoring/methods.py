"""The methods by name: which game each of them plays, and which options it takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from keshi._validate import one_of
from keshi.censoring.games import ConditionalGame, Game, KernelGame, PairGame, SubjectGame
from keshi.censoring.pairs import PAIR_MODES

GAMES: dict[str, Callable[..., Game] | None] = {
    "cnn": None,  # no adversary: the plain network, the paper's first baseline
    "afl-mlp": partial(SubjectGame, hidden=(800,)),
    "afl-dnn": partial(SubjectGame, hidden=(800, 200)),
    "afl-grl": partial(SubjectGame, hidden=(800, 200), target="grl"),
    "sct": partial(PairGame, learned=False),
    "lsm": partial(PairGame, learned=True),
    "hsic": KernelGame,
    "maxent": ConditionalGame,
}
OPTIONS = {
    "cnn": (),
    "afl-mlp": ("target",),
    "afl-dnn": ("target",),
    "afl-grl": (),
    "sct": ("pairs", "target", "reduction", "partners"),
    "lsm": ("pairs", "reduction", "partners"),
    "hsic": (),
    "maxent": (),
}
CHOICES = {
    "pairs": tuple(PAIR_MODES),
    "partners": ("drawn", "batch"),
    "reduction": ("sum", "mean"),
    "target": ("flip", "prior"),
}
ALIASES = {"scl": "sct"}  # the paper uses both names


def refuse_foreign_options(method: str, options: Mapping[str, object]) -> None:
    """Raise where an option does not belong to the method, before anything is trained."""
    foreign = sorted(set(options) - set(OPTIONS[method]))
    if foreign:
        takes = ", ".join(OPTIONS[method]) or "no options"
        raise ValueError(f"method {method} takes {takes}; got {', '.join(foreign)}. Leave it out.")


def check_options(options: Mapping[str, object]) -> None:
    """Raise where an option's value is none of those it may have, before anything is trained."""
    for name, value in options.items():
        one_of(name, value, CHOICES[name])  # type: ignore[arg-type]


def method_name(method: str) -> str:
    """The one name of a method, or ValueError with the list of names."""
    return one_of("method", ALIASES.get(method, method), tuple(GAMES))
