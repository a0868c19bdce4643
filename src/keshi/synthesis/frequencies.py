"""Which frequencies of the characteristic function to measure: public proposal distributions. Never sees a record."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from keshi._validate import positive, positive_integer

# Frequencies are whole multiples of 2^-16 turns, so that the phase of a record is an exact float64 sum of products.
FREQUENCY_BITS = 16


def draw_gaussian_frequencies(
    k: int, width: int, *, squared_length_scale: float, seed: int
) -> NDArray[np.float64]:
    """(k, width) frequencies from omega_0 = N(0, I / s2), in turns on the public grid.

    PEARL (Liew et al., ICLR 2022), section 4; s2 is a squared length-scale in the units of the encoded vectors.
    A seed may be the user's: frequencies are public.
    """
    positive_integer("k", k)
    positive("squared_length_scale", squared_length_scale)
    radians = np.random.default_rng(seed).normal(0.0, 1.0 / math.sqrt(squared_length_scale), (k, width))
    return np.rint(radians / (2 * math.pi) * 2**FREQUENCY_BITS) / 2**FREQUENCY_BITS
