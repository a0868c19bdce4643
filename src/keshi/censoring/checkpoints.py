"""The state of an interrupted training on disk: a kill loses the epoch or the rounds since the last save, nothing else.

A safetensors file each for label training and rounds holds networks, optimisers, random streams and learning curve. It
is replaced atomically and belongs to the owner of the data: unlike a saved encoder it holds the adversary. Beside them
lies the key of the noise.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from keshi._validate import positive_integer
from keshi.artifacts import store
from keshi.censoring.window_noise import KEY_BYTES, draw_key
from keshi.errors import ArtifactError

STATE = "state"  # name of the tensor that holds the JSON part as bytes
EPOCHS_FILE = "epochs.safetensors"
ROUNDS_FILE = "rounds.safetensors"
PRETRAINED_FOLDER = "pretrained"
KEY_FILE = "noise_key.json"
OTHER = (
    "was saved by a training with other options or other data. Choose another folder for checkpoint=, or remove "
    "this one."
)


@dataclass(frozen=True)
class Checkpoint:
    """Where and how often to save, and what must be the same for a saved state to be continued.

    Attributes:
        folder: for one fit; made where it is missing.
        fingerprint: of options and data, see `fingerprint`; another one is refused.
        every: rounds between two saves.
        name: of the file with the state.
    """

    folder: Path
    fingerprint: str
    every: int = 1
    name: str = ROUNDS_FILE

    def __post_init__(self) -> None:
        positive_integer("every", self.every)

    @property
    def file(self) -> Path:
        return self.folder / self.name

    @property
    def epochs(self) -> Checkpoint:
        """That of the label training before the rounds, saved after every epoch."""
        return replace(self, name=EPOCHS_FILE, every=1)

    def noise_key(self) -> bytes:
        """The secret of this training's noise, drawn the first time it is asked for and kept until the folder goes."""
        file = self.folder / KEY_FILE
        if not file.exists():
            key = draw_key()
            self.folder.mkdir(parents=True, exist_ok=True)
            saved = {"fingerprint": self.fingerprint, "key": key.hex()}
            store.write_atomically(file, store.json_to_bytes(saved), secret=True)
            return key
        saved = store.json_from_bytes(file.read_bytes(), source=str(file))
        try:
            if saved["fingerprint"] != self.fingerprint:
                raise ArtifactError(f"{file} {OTHER}")
            key = bytes.fromhex(saved["key"])
            if len(key) != KEY_BYTES:  # a shorter one could be guessed
                raise ValueError(f"{len(key)} bytes instead of {KEY_BYTES}")
            return key
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, ArtifactError):
                raise
            raise ArtifactError(f"{file} is no key of a noise ({error}); remove the folder.") from error


@dataclass(frozen=True, eq=False)
class TrainingState:
    """Everything that a training changes; restored in place."""

    networks: Mapping[str, nn.Module]
    optimizers: Mapping[str, torch.optim.Optimizer]
    streams: Mapping[str, np.random.Generator]
    dropout: torch.Generator
    curve: list
    warnings: list[str]

    def save(self, checkpoint: Checkpoint) -> None:
        """Replace the file of `checkpoint` by this state, whole or not at all."""
        arrays = {"dropout": self.dropout.get_state()}
        for name, network in self.networks.items():
            arrays |= {f"network.{name}.{key}": value for key, value in network.state_dict().items()}
        for name, optimizer in self.optimizers.items():
            for number, values in optimizer.state_dict()["state"].items():
                arrays |= {f"optimizer.{name}.{number}.{key}": value for key, value in values.items()}
        state = {
            "fingerprint": checkpoint.fingerprint,
            "streams": {name: rng.bit_generator.state for name, rng in self.streams.items()},
            "curve": [asdict(record) for record in self.curve],
            "warnings": self.warnings,
        }
        plain = {name: value.detach().numpy() for name, value in arrays.items()}
        plain[STATE] = np.frombuffer(store.json_to_bytes(state), dtype=np.uint8)
        checkpoint.folder.mkdir(parents=True, exist_ok=True)
        store.write_atomically(checkpoint.file, store.tensors_to_bytes(plain))

    def restore(self, checkpoint: Checkpoint, record: Callable[..., Any]) -> bool:
        """Take over the state saved there, if there is one; `record` makes a row of the learning curve.

        Raises:
            ArtifactError: it belongs to other options or other data, or is damaged.
        """
        if not checkpoint.file.exists():
            return False
        source = str(checkpoint.file)
        arrays = store.tensors_from_bytes(checkpoint.file.read_bytes(), source=source)
        try:
            state = store.json_from_bytes(arrays[STATE].tobytes(), source=source)
            if state["fingerprint"] != checkpoint.fingerprint:
                raise ArtifactError(f"{source} {OTHER}")
            tensors = {name: torch.from_numpy(np.array(value)) for name, value in arrays.items()}
            for name, network in self.networks.items():
                network.load_state_dict(_below(tensors, f"network.{name}."))
            for name, optimizer in self.optimizers.items():
                whole = optimizer.state_dict()
                whole["state"] = _by_number(_below(tensors, f"optimizer.{name}."))
                optimizer.load_state_dict(whole)
            for name, rng in self.streams.items():
                rng.bit_generator.state = state["streams"][name]
            self.dropout.set_state(tensors["dropout"])
            self.curve[:] = [record(**row) for row in state["curve"]]
            self.warnings[:] = state["warnings"]
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            if isinstance(error, ArtifactError):
                raise
            raise ArtifactError(f"{source} is no complete checkpoint ({error}); remove it.") from error
        return True


def fingerprint(settings: Mapping[str, Any], *arrays: np.ndarray) -> str:
    """SHA-256 of options and data: the same text means that a training would go the same way."""
    digest = hashlib.sha256(store.json_to_bytes(dict(settings)))
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _by_number(flat: Mapping[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    found: dict[int, dict[str, Tensor]] = {}
    for name, value in flat.items():
        number, key = name.split(".", 1)
        found.setdefault(int(number), {})[key] = value
    return found
