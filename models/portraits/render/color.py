"""Colour and blending: everything is shaded in linear light and named in 8-bit sRGB."""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]


def linear(srgb: npt.ArrayLike) -> Array:
    """Turn 8-bit sRGB values (0-255) into linear reflectances (0-1)."""
    c = np.asarray(srgb, np.float32) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4).astype(np.float32)


def encode(light: Array) -> Array:
    """Turn linear light into sRGB in [0, 1]; what lies outside is clipped."""
    c = np.clip(light, 0, 1)
    return np.where(c <= 0.0031308, 12.92 * c, 1.055 * c ** (1 / 2.4) - 0.055).astype(np.float32)


def smoothstep(start: float, stop: float, x: npt.ArrayLike) -> Array:
    """Rise smoothly from 0 at `start` to 1 at `stop`; `start > stop` makes it fall.

    >>> float(smoothstep(0, 1, 0.5)), float(smoothstep(1, 0, 0.0))
    (0.5, 1.0)
    """
    t = np.clip((np.asarray(x, np.float32) - start) / (stop - start), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def bump(x: npt.ArrayLike, width: float) -> Array:
    """A Gaussian ridge of height 1 at `x = 0`."""
    ridge = np.exp(-((np.asarray(x, np.float32) / np.float32(width)) ** 2))
    return np.asarray(ridge, np.float32)


def blend(under: Array, over: npt.ArrayLike, amount: npt.ArrayLike) -> Array:
    """Lay the colour `over` on the colours `under` (n, 3), covering `amount` (n,) in 0-1."""
    cover = np.asarray(amount, np.float32)[..., None]
    return (under + (np.asarray(over, np.float32) - under) * cover).astype(np.float32)
