"""Smooth random fields over space: blotches, strands, weave."""

import numpy as np
from numba import njit

from models.portraits.render.color import Array

CELLS = 32  # lattice period; a power of two, so that wrapping is a mask
LATTICE = np.random.default_rng(0).standard_normal((CELLS, CELLS, CELLS)).astype(np.float32)


@njit(fastmath=True, cache=True)
def _value_noise(points: Array, scale: Array, shift: Array, lattice: Array, out: Array) -> None:
    wrap = lattice.shape[0] - 1
    for i in range(points.shape[0]):
        x = points[i, 0] * scale[0] + shift[0]
        y = points[i, 1] * scale[1] + shift[1]
        z = points[i, 2] * scale[2] + shift[2]
        fx, fy, fz = np.floor(x), np.floor(y), np.floor(z)
        u, v, w = x - fx, y - fy, z - fz
        x0, y0, z0 = int(fx) & wrap, int(fy) & wrap, int(fz) & wrap
        x1, y1, z1 = (x0 + 1) & wrap, (y0 + 1) & wrap, (z0 + 1) & wrap
        a = lattice[x0, y0, z0] * (1 - w) + lattice[x0, y0, z1] * w
        b = lattice[x0, y1, z0] * (1 - w) + lattice[x0, y1, z1] * w
        c = lattice[x1, y0, z0] * (1 - w) + lattice[x1, y0, z1] * w
        d = lattice[x1, y1, z0] * (1 - w) + lattice[x1, y1, z1] * w
        out[i] = (a * (1 - v) + b * v) * (1 - u) + (c * (1 - v) + d * v) * u


class Noise:
    """Trilinear value noise, of mean 0 and standard deviation about 0.6, for one person.

    The person's seed moves the lattice, so that no two people share their blotches.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def __call__(
        self, points: Array, frequency: float | tuple[float, float, float], channel: int
    ) -> Array:
        """Field values (n,) at `points` (n, 3), with `frequency` cells a decimetre by axis.

        Another `channel` is an independent field.
        """
        # Drawn from both numbers, since a shift linear in them would let channels coincide.
        shift = np.random.default_rng([self._seed, channel]).uniform(0, CELLS, 3)
        scale = np.broadcast_to(np.asarray(frequency, np.float32), 3).astype(np.float32)
        out = np.empty(len(points), np.float32)
        _value_noise(
            np.ascontiguousarray(points, np.float32), scale, shift.astype(np.float32), LATTICE, out
        )
        return out
