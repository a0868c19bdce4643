"""The noise of a robust release: standard normal numbers that belong to a window, the same whenever it is asked for.

They are a hash of the window and the encoder's key, so asking twice tells no more than asking once, and a result can be
repeated. Who holds the key and the very samples of a window can compute them, and so recognise its features; the key is
in the encoder, and follows from the training's seed, which should not be one that others guess. A proof needs noise
nobody can compute: certified.py.
"""

from __future__ import annotations

from hashlib import blake2b

import numpy as np

DIGEST = 64  # bytes: sixteen numbers of 32 bits
PER_DIGEST = DIGEST // 4


def window_noise(x: np.ndarray, width: int, *, key: bytes) -> np.ndarray:
    """Windows x (n, channels, length) -> (n, width) float32, standard normal and independent from window to window."""
    from scipy.special import ndtri

    rows = np.ascontiguousarray(x, dtype=np.float32).reshape(len(x), -1) + np.float32(0)  # -0 is 0
    blocks = -(-width // PER_DIGEST)
    digests = b"".join(
        blake2b(row.tobytes(), digest_size=DIGEST, key=key, salt=block.to_bytes(4, "little")).digest()
        for row in rows
        for block in range(blocks)
    )
    drawn = np.frombuffer(digests, dtype="<u4").reshape(len(rows), blocks * PER_DIGEST)[:, :width]
    normal: np.ndarray = ndtri((drawn + 0.5) / 2.0**32)
    return normal.astype(np.float32)
