"""Meshes of quads: reading them, compacting them, finding their open edges."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from audit.errors import InputError
from models.portraits.render.color import Array

Index = npt.NDArray[np.int32]


def read_obj(path: Path) -> tuple[Array, Index]:
    """Read vertices (n, 3) and quads (m, 4) of a Wavefront file.

    A triangle repeats its last corner.

    Raises:
        InputError: the file holds no face.
    """
    vertices, quads = [], []
    for line in path.read_text().splitlines():
        key, *words = line.split() or [""]
        if key == "v":
            vertices.append([float(word) for word in words[:3]])
        elif key == "f":
            corners = list(dict.fromkeys(int(word.split("/")[0]) - 1 for word in words))
            if len(corners) > 2:
                quads.append((corners + corners[-1:])[:4])
    if not quads:
        raise InputError(
            f"{path}: no faces found; expected a Wavefront mesh of quads or triangles"
        )
    return np.array(vertices, np.float32), np.array(quads, np.int32)


def triangulate(quads: Index) -> Index:
    """Split quads into triangles, dropping those of zero area."""
    halves = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    proper = (
        (halves[:, 0] != halves[:, 1])
        & (halves[:, 1] != halves[:, 2])
        & (halves[:, 2] != halves[:, 0])
    )
    return np.ascontiguousarray(halves[proper])


def compact(quads: Index) -> tuple[Index, Index]:
    """The vertices that `quads` use, and the quads renumbered to them."""
    used, local = np.unique(quads, return_inverse=True)
    return used.astype(np.int32), local.reshape(quads.shape).astype(np.int32)


def distance_to_rim(vertices: Array, quads: Index) -> Array:
    """Distance (n,) of every vertex to the nearest open edge, seams closed by position."""
    _, merged = np.unique(np.round(vertices, 4), axis=0, return_inverse=True)
    merged = merged.reshape(-1)
    ends = np.sort(
        np.stack([merged[quads], merged[np.roll(quads, -1, 1)]], -1).reshape(-1, 2), axis=1
    )
    ends = ends[ends[:, 0] != ends[:, 1]]
    edges, count = np.unique(ends, axis=0, return_counts=True)
    on_rim = np.isin(merged, edges[count == 1])
    if not on_rim.any():
        return np.full(len(vertices), np.inf, np.float32)
    return np.asarray(cKDTree(vertices[on_rim]).query(vertices)[0], np.float32)
