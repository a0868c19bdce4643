"""What is to be erased: one attribute of the people or several, classes or measurements such as age and height.

A measurement is cut into groups of equal size. For pairs (SCT, LSM) "the same person" then reads "the same group", and
for AFL the adversary names the group; nothing finer than a group is asked of the adversary.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from keshi.censoring.games import EncoderLosses, Game, TrainingSet
from keshi.censoring.shared import shared_descriptors
from keshi.errors import DomainError

GROUPS = 5  # of a measurement
MOST_CLASSES = 20  # more different numbers with fractions are a measurement


def as_columns(subject: Any) -> dict[str, Any]:
    """Attributes by name: a column alone is called "subject"; a mapping or a data frame has several."""
    if isinstance(subject, Mapping):
        columns = {str(name): column for name, column in subject.items()}
        if len(columns) < len(subject):  # one of them would not be erased
            raise DomainError(f"attributes need names that differ as text, got {list(subject)}.")
        return columns
    if hasattr(subject, "columns"):  # a data frame of any library
        return {str(name): np.asarray(subject[name]) for name in subject.columns}
    return {"subject": subject}


def codes_of(values: np.ndarray) -> np.ndarray:
    """Codes from 0 (n,): of the classes, or of the groups where the values are measurements."""
    found, codes = np.unique(values, return_inverse=True)
    # numbers of people are often floats, after a merge or out of a csv: in groups most of them would not be erased
    if values.dtype.kind != "f" or len(found) <= MOST_CLASSES or (found % 1 == 0).all():
        return codes
    borders = np.quantile(values, np.linspace(0, 1, GROUPS + 1)[1:-1])
    # a value that is frequent may fill a group of its own: codes stay without gaps
    borders = np.unique(borders)
    # where most have the smallest value no border lies below it: then it is a group, and all above it another
    side: Literal["left", "right"] = "left" if borders.max() == values.min() else "right"
    return np.unique(np.searchsorted(borders, values, side=side), return_inverse=True)[1]


def training_set(x: Tensor, label: Tensor, codes: Mapping[str, np.ndarray], *, weight: float) -> TrainingSet:
    """Scaled windows and label codes, with descriptors to keep where their weight is above 0; no subject yet."""
    nobody = torch.zeros_like(label)
    if weight == 0:
        return TrainingSet(x, label, nobody)
    joint = nobody.numpy()
    for code in codes.values():
        joint = np.unique(joint * (int(code.max()) + 1) + code, return_inverse=True)[1]
    kept = shared_descriptors(x.numpy(), label.numpy(), joint) * np.float32(weight**0.5)
    return TrainingSet(x, label, nobody, torch.from_numpy(kept))


def game_over(
    codes: Mapping[str, np.ndarray],
    data: TrainingSet,
    make_game: Callable[..., Game] | None,
    *,
    features: int,
    generator: torch.Generator,
    **options: str,
) -> Game | None:
    """The game to erase the attributes with these codes (n,) from `data`, whose subject is not looked at.

    None where there is nothing to erase, or no method to do it.

    Raises:
        DomainError: the adversary's question has one answer only, so that nobody could learn from it.
    """
    games = {
        name: make_game(
            replace(data, subject=torch.from_numpy(code)), features, generator=generator, **options
        )
        for name, code in codes.items()
        if make_game is not None
    }
    game = JointGame(games) if len(games) > 1 else next(iter(games.values()), None)
    if game is not None and game.uninformed == 0:
        raise DomainError(
            f"there is nothing to erase beside the label in these {len(data)} windows: either all windows of a label "
            "are of one subject, whom the label itself names, or no subject has two windows. Record more people with "
            "each label, or more of everybody; method='cnn' trains without an adversary."
        )
    return game


class JointGame:
    """One game per attribute, played at once: adversaries side by side, adversarial terms added.

    Each game draws its own batch, so the encoder's cost grows with the number of attributes; the label's loss is the
    mean over the games.
    """

    def __init__(self, games: Mapping[str, Game]) -> None:
        self.games = list(games.values())
        self.adversary: nn.Module = nn.ModuleList([game.adversary for game in self.games])
        self.uninformed = sum(game.uninformed for game in self.games)
        self.notes = tuple(f"{name}: {note}" for name, game in games.items() for note in game.notes)
        self.simultaneous = all(game.simultaneous for game in self.games)
        self.has_step1 = all(game.has_step1 for game in self.games)

    def adversary_loss(self, z: Tensor, count: int, rng: np.random.Generator) -> Tensor:
        return torch.stack([game.adversary_loss(z, count, rng) for game in self.games]).sum()

    def encoder_losses(
        self, encoder: nn.Module, head: nn.Module, count: int, rng: np.random.Generator, *, adversarial: bool
    ) -> EncoderLosses:
        losses = [
            game.encoder_losses(encoder, head, count, rng, adversarial=adversarial) for game in self.games
        ]
        own = [one.own for one in losses if one.own is not None]
        return EncoderLosses(
            torch.stack([one.label for one in losses]).mean(),
            torch.stack([one.adversarial for one in losses]).sum(),
            torch.stack([one.adversary for one in losses]).sum(),
            torch.stack(own).sum() if own else None,
        )
