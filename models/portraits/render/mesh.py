"""Meshes: reading Wavefront files, smoothing them by Catmull-Clark, dressing a body in them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.spatial import cKDTree

from audit.errors import InputError
from models.portraits.render.color import Array

Index = npt.NDArray[np.int32]


def read_obj(path: Path) -> tuple[Array, Index]:
    """Read vertices (n, 3) and quads (m, 4) of a Wavefront file; a triangle repeats its last corner."""
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


def subdivide(quads: Index, n: int) -> tuple[sp.csr_matrix, Index]:
    """One step of Catmull-Clark (1978) as a matrix from the `n` old vertices to the new ones.

    Old vertices come first, then one vertex for each edge, then one for each face. Open edges
    follow the cubic B-spline rule.
    """
    degenerate = quads[:, 2] == quads[:, 3]
    sides = np.where(degenerate, 3, 4)
    face = np.repeat(np.arange(len(quads)), sides)
    slot = np.concatenate([np.arange(side) for side in sides])
    here = quads[face, slot]
    after = quads[face, (slot + 1) % sides[face]]
    ends = np.sort(np.stack([here, after], 1), axis=1)
    edges, edge = np.unique(ends, axis=0, return_inverse=True)
    edge = edge.reshape(-1)
    n_faces, n_edges = len(quads), len(edges)

    def matrix(rows, columns, values, shape):  # type: ignore[no-untyped-def]
        return sp.csr_matrix((np.broadcast_to(values, len(rows)), (rows, columns)), shape)

    faces = matrix(face, here, (1 / sides)[face], (n_faces, n))
    middle = matrix(np.repeat(np.arange(n_edges), 2), edges.ravel(), 0.5, (n_edges, n))
    n_sides = np.bincount(edge, minlength=n_edges)
    closed = n_sides == 2
    beside = matrix(edge, face, 0.5, (n_edges, n_faces)) @ faces
    edge_points = sp.diags(np.where(closed, 0.5, 1.0)) @ middle + sp.diags(closed * 0.5) @ beside

    valence = np.maximum(np.bincount(here, minlength=n), 1)
    around = matrix(here, face, 1.0, (n, n_faces))
    spokes = matrix(edges.ravel(), np.repeat(np.arange(n_edges), 2), 1.0, (n, n_edges))
    n_spokes = np.maximum(np.bincount(edges.ravel(), minlength=n), 1)
    n_open = np.bincount(edges[~closed].ravel(), minlength=n)
    inner = (n_open == 0) & (np.bincount(here, minlength=n) >= 3)
    smooth = sp.diags(1 / valence**2) @ around @ faces
    smooth = (
        smooth
        + sp.diags(2 / (valence * n_spokes)) @ spokes @ middle
        + sp.diags((valence - 3) / valence)
    )
    rim = sp.diags(np.where(n_open == 2, 0.25, 0.0)) @ (
        spokes @ sp.diags((~closed) * 1.0) @ middle
    )
    rim = rim + sp.diags(np.where(n_open == 2, 0.5, 1.0))
    old = sp.diags(inner * 1.0) @ smooth + sp.diags(~inner * 1.0) @ rim

    edge_of = {
        (f, s): e for f, s, e in zip(face.tolist(), slot.tolist(), edge.tolist(), strict=True)
    }
    before = np.array(
        [edge_of[f, (s - 1) % sides[f]] for f, s in zip(face.tolist(), slot.tolist(), strict=True)]
    )
    finer = np.stack([here, n + edge, n + n_edges + face, n + before], 1).astype(np.int32)
    return sp.vstack([old, edge_points, faces]).tocsr(), finer


def refine(quads: Index, n: int, levels: int) -> tuple[sp.csr_matrix, Index]:
    """`levels` steps of `subdivide` in one matrix of float32."""
    total = sp.identity(n, format="csr")
    for _ in range(levels):
        step, quads = subdivide(quads, total.shape[0])
        total = step @ total
    return total.tocsr().astype(np.float32), quads


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


@dataclass(frozen=True)
class Fit:
    """How a garment follows the body: three anchors and an offset for each of its vertices."""

    anchors: Index
    weights: Array
    offsets: Array
    spans: tuple[tuple[int, int, float], ...]
    """For x, y, z: two body vertices and their distance on the body it was modelled on."""

    def __call__(self, body: Array) -> Array:
        """Vertices of the garment (n, 3) on the body vertices `body`."""
        scale = [abs(body[a, k] - body[b, k]) / rest for k, (a, b, rest) in enumerate(self.spans)]
        held = np.einsum("nak,na->nk", body[self.anchors], self.weights)
        return np.asarray(held + self.offsets * np.array(scale, np.float32), np.float32)

    def rows(self, keep: Index) -> "Fit":
        """The fit of some of the vertices."""
        return Fit(self.anchors[keep], self.weights[keep], self.offsets[keep], self.spans)


def read_fit(path: Path) -> Fit:
    """Read the anchors of a garment from MakeHuman's `.mhclo` file."""
    rows: list[list[float]] = []
    spans: dict[str, tuple[int, int, float]] = {}
    reading = False
    for number, line in enumerate(path.read_text().splitlines(), 1):
        key, *words = line.split("#")[0].split() or [""]
        if key == "delete_verts":
            break
        try:
            if key in ("x_scale", "y_scale", "z_scale"):
                spans[key] = (int(words[0]), int(words[1]), float(words[2]))
            elif key == "verts":
                reading = True
            elif reading and len(words) == 8:
                rows.append([float(key), *map(float, words)])
            elif reading and key.isdigit() and not words:
                rows.append([float(key)] * 3 + [1, 0, 0, 0, 0, 0])
        except ValueError as error:
            raise InputError(f"{path}:{number}: expected numbers, found {line!r}") from error
    if not rows or len(spans) < 3:
        raise InputError(f"{path}: expected x_scale, y_scale, z_scale and a list of vertices")
    table = np.array(rows, np.float32)
    return Fit(
        table[:, :3].astype(np.int32),
        table[:, 3:6].copy(),
        table[:, 6:].copy(),
        (spans["x_scale"], spans["y_scale"], spans["z_scale"]),
    )
