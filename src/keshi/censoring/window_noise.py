"""The noise of a robust release: standard normal numbers that belong to a window, the same whenever it is asked for.

They are a hash of the window and the encoder's key, so asking twice tells no more than asking once. The key comes from
the operating system, once a training; no seed reaches it. It is in the encoder: who holds that and a window's samples,
or can guess them all (a row of a table with few values), can compute its noise, and so recognise its features. A proof
needs noise that nobody can compute: certified.py.
"""

from __future__ import annotations

import math
import secrets
from hashlib import blake2b

import numpy as np

DIGEST = 64  # bytes: sixteen numbers of 32 bits
PER_DIGEST = DIGEST // 4
KEY_BYTES = 16


def draw_key() -> bytes:
    """The secret of one training's noise: from the operating system, like all noise here."""
    return secrets.token_bytes(KEY_BYTES)


def key_of_round(key: bytes, number: int) -> bytes:
    """The key of the encoder after round `number` of the training with `key`; 0 is before the first.

    With one key for all of them, the difference of two encoders' features of a window would be free of noise.
    """
    return blake2b(
        number.to_bytes(8, "little"), digest_size=KEY_BYTES, key=key, person=b"keshi round"
    ).digest()


def window_noise(x: np.ndarray, width: int, *, key: bytes) -> np.ndarray:
    """Windows x (n, channels, length) -> (n, width) float32, standard normal and independent from window to window."""
    from scipy.special import ndtri

    if len(key) != KEY_BYTES:  # an empty one would make it a hash that everybody can compute
        raise ValueError(f"the key of the noise must have {KEY_BYTES} bytes, got {len(key)}.")
    size = math.prod(x.shape[1:])  # not -1, which no windows at all cannot tell
    rows = np.ascontiguousarray(x, dtype=np.float32).reshape(len(x), size) + np.float32(0)  # -0 is 0
    blocks = -(-width // PER_DIGEST)
    digests = b"".join(
        blake2b(row.tobytes(), digest_size=DIGEST, key=key, salt=block.to_bytes(4, "little")).digest()
        for row in rows
        for block in range(blocks)
    )
    drawn = np.frombuffer(digests, dtype="<u4").reshape(len(rows), blocks * PER_DIGEST)[:, :width]
    normal: np.ndarray = ndtri((drawn + 0.5) / 2.0**32)
    return normal.astype(np.float32)
