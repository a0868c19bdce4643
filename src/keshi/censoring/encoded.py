"""CensoredEncoder: the frozen result, which is all that may be released of a training run.

It holds weights, scaling and label names; no adversary, no subject, no count of people or windows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from keshi._validate import nonnegative
from keshi.artifacts import store
from keshi.censoring.encoders import ConvEncoder, DenseEncoder, LabelHead, encode_in_batches, make_encoder
from keshi.censoring.input_checks import real_numbers, refuse_missing, refuse_overflow, scale
from keshi.censoring.window_noise import KEY_BYTES, window_noise
from keshi.errors import ArtifactError, DomainError
from keshi.records.windows import Standardizer

KIND = "censored-encoder"
WEIGHTS_FILE = "encoder.safetensors"
KEY = "noise.key"  # among its tensors, of which `keshi inspect` shows the shape alone
NO_GUARANTEE = (
    "No worst-case guarantee: a censored encoder is judged only by the leakage measured with freshly trained "
    "attackers; a stronger attacker may learn more, and the weights themselves carry no privacy guarantee."
)


@dataclass(frozen=True, eq=False)
class CensoredEncoder:
    """Windows -> z -> label, frozen.

    Attributes:
        weights: name -> array, of the encoder ("encoder.") and the label head ("head.").
        scaler: the per-channel scaling that comes first.
        labels: what the logits stand for, in order.
        channels, length: of the windows it takes.
        settings: how it was made (method, strength, preset, ...); JSON values only.
        label_dtype: numpy's name of the labels' number type, such as "|i1"; None for text and truth values.
        noise: standard deviation of the noise that every window's features get, see window_noise.py; 0 is none.
        noise_key: of that noise, 16 bytes; whoever has it and a window's samples can compute the window's noise.
    """

    weights: Mapping[str, np.ndarray]
    scaler: Standardizer
    labels: tuple
    channels: int
    length: int
    settings: Mapping[str, Any]
    label_dtype: str | None = None
    noise: float = 0.0
    noise_key: bytes = field(default=b"", repr=False)

    @classmethod
    def of(
        cls,
        encoder: nn.Module,
        head: nn.Module,
        *,
        scaler: Standardizer,
        labels: tuple,
        channels: int,
        length: int,
        settings: Mapping[str, Any],
        label_dtype: str | None = None,
        noise: float = 0.0,
        noise_key: bytes = b"",
    ) -> CensoredEncoder:
        """A frozen copy of two networks as they are now."""
        weights = {
            f"{part}.{name}": value.detach().numpy().copy()
            for part, module in (("encoder", encoder), ("head", head))
            for name, value in module.state_dict().items()
        }
        return cls(weights, scaler, labels, channels, length, dict(settings), label_dtype, noise, noise_key)

    @property
    def features(self) -> int:
        """Width of z."""
        return self.weights["head.linear.weight"].shape[1]

    def transform(self, x: np.ndarray) -> np.ndarray:
        """Windows x (n, channels, length) in their own units -> z (n, features) float32, with their noise."""
        return self._encoded(x).numpy()

    def without_noise(self, x: np.ndarray) -> np.ndarray:
        """z as it is before the noise: for audits, never for release."""
        return self._encoded(x, noisy=False).numpy()

    def drawn_noise(self, x: np.ndarray) -> np.ndarray:
        """The standard normal numbers (n, features) that belong to windows x; `transform` adds `noise` times these."""
        return window_noise(x, self.features, key=self.noise_key)

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """Probability of every label (n, labels), in the order of `labels`."""
        probabilities = self._probabilities(self._encoded(x))
        refuse_overflow(np.asarray(x), probabilities)
        return probabilities

    def predict(self, x: np.ndarray) -> np.ndarray:
        """The most probable label of every window (n,), in the dtype of the training labels."""
        return self._named(self.predict_proba(x))

    def predict_from_features(self, z: np.ndarray) -> np.ndarray:
        """The most probable label (n,) of features z (n, features), such as those that got noise after `transform`."""
        return self._named(self._probabilities(torch.from_numpy(np.ascontiguousarray(z, dtype=np.float32))))

    def _probabilities(self, z: torch.Tensor) -> np.ndarray:
        with torch.no_grad():
            return torch.softmax(self._networks[1](z), dim=1).numpy()

    def _named(self, probabilities: np.ndarray) -> np.ndarray:
        return np.array(self.labels, dtype=self.label_dtype)[probabilities.argmax(axis=1)]

    def save(self, path: str | Path, *, files: Mapping[str, bytes] | None = None) -> None:
        """Write a folder of kind "censored-encoder"; `files` are further files to keep beside the weights."""
        arrays = dict(self.weights)
        arrays["scaler.mean"], arrays["scaler.std"] = self.scaler.mean, self.scaler.std
        if self.noise > 0:
            arrays[KEY] = np.frombuffer(self.noise_key, dtype=np.uint8)
        store.save(
            path,
            kind=KIND,
            settings={
                "labels": list(self.labels),
                "label_dtype": self.label_dtype,
                "channels": self.channels,
                "length": self.length,
                "guarantee": NO_GUARANTEE,
                **({"noise": self.noise} if self.noise > 0 else {}),
                "training": dict(self.settings),
            },
            files={WEIGHTS_FILE: store.tensors_to_bytes(arrays), **(files or {})},
        )

    @classmethod
    def load(cls, path: str | Path) -> CensoredEncoder:
        """Read what `save` wrote.

        Raises:
            ArtifactError: the folder is not a censored encoder, or its weights do not fit its settings.
        """
        artifact = store.load(path, kind=KIND)
        try:
            settings = artifact.settings
            arrays = store.tensors_from_bytes(artifact.files[WEIGHTS_FILE], source=f"{path}: {WEIGHTS_FILE}")
            scaler = Standardizer(arrays.pop("scaler.mean"), arrays.pop("scaler.std"))
            noise = nonnegative("noise", float(settings.get("noise", 0.0)))
            loaded = cls(
                weights=arrays,
                scaler=scaler,
                labels=tuple(settings["labels"]),
                channels=int(settings["channels"]),
                length=int(settings["length"]),
                settings=dict(settings["training"]),
                label_dtype=_number_type(settings.get("label_dtype")),
                noise=noise,
                noise_key=_key(arrays.pop(KEY)) if noise > 0 else b"",
            )
            np.array(loaded.labels, dtype=loaded.label_dtype)
            _ = loaded._networks  # refuse weights that do not fit now, not at the first use
        except (KeyError, TypeError, ValueError, RuntimeError, OverflowError) as error:
            if isinstance(error, ArtifactError):
                raise
            raise ArtifactError(
                f"{path} is no complete censored encoder ({type(error).__name__}: {error}). Save it again."
            ) from error
        return loaded

    @cached_property
    def _networks(self) -> tuple[ConvEncoder | DenseEncoder, LabelHead]:
        unused = torch.Generator().manual_seed(0)  # every weight is replaced below
        encoder = make_encoder(
            self.channels, self.length, features=self.features, noise=self.noise, generator=unused
        )
        shared = len(self.weights.get("head.describe.bias", ()))
        head = LabelHead(self.features, len(self.labels), shared=shared, generator=unused)
        load_weights(self, encoder, head)
        return encoder.eval().requires_grad_(False), head.eval().requires_grad_(False)

    def _encoded(self, x: np.ndarray, *, noisy: bool = True) -> torch.Tensor:
        x = real_numbers(x)
        if x.shape[1:] != (self.channels, self.length):
            raise DomainError(
                f"this encoder takes windows (n, {self.channels} channels, {self.length} samples), got an "
                f"array of shape {x.shape}."
            )
        refuse_missing(x)
        z = encode_in_batches(
            self._networks[0], torch.from_numpy(np.ascontiguousarray(scale(self.scaler, x)))
        )
        refuse_overflow(x, z.numpy())
        if noisy and self.noise > 0:
            z += self.noise * torch.from_numpy(self.drawn_noise(x))
        return z


def _key(saved: np.ndarray) -> bytes:
    if saved.dtype != np.uint8 or saved.shape != (KEY_BYTES,):
        raise ValueError(f"the key of its noise must be {KEY_BYTES} bytes, got {saved.dtype} {saved.shape}")
    return saved.tobytes()


def _number_type(name: str | None) -> str | None:
    if name is not None and np.dtype(name).kind not in "iuf":
        raise ValueError(f"label_dtype must be a type of numbers, got {name!r}")
    return name


def load_weights(source: CensoredEncoder, encoder: nn.Module, head: nn.Module) -> None:
    """Copy the weights of a frozen encoder into two networks of the same sizes."""
    for part, module in (("encoder.", encoder), ("head.", head)):
        state = {
            name.removeprefix(part): torch.from_numpy(np.array(value))
            for name, value in source.weights.items()
            if name.startswith(part)
        }
        module.load_state_dict(state)
