"""Catmull-Clark subdivision as one sparse matrix, computed once and applied to every body."""

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from models.portraits.render.mesh import Index


def refine(quads: Index, n: int, levels: int) -> tuple[sp.csr_matrix, Index]:
    """`levels` steps of `subdivide` in one matrix of float32."""
    total = sp.identity(n, format="csr")
    for _ in range(levels):
        step, quads = subdivide(quads, total.shape[0])
        total = step @ total
    return total.tocsr().astype(np.float32), quads


def subdivide(quads: Index, n: int) -> tuple[sp.csr_matrix, Index]:
    """One step of Catmull and Clark (1978): a matrix from the `n` old vertices to the new ones.

    Old vertices come first, then one vertex for each edge, then one for each face. Open edges
    follow the cubic B-spline rule.
    """
    sides = np.where(quads[:, 2] == quads[:, 3], 3, 4)
    face = np.repeat(np.arange(len(quads)), sides)
    start = np.repeat(np.cumsum(sides) - sides, sides)  # first corner of the corner's face
    slot = np.arange(len(face)) - start
    here, after = quads[face, slot], quads[face, (slot + 1) % sides[face]]
    edges, edge = np.unique(np.sort(np.stack([here, after], 1)), axis=0, return_inverse=True)
    edge = edge.reshape(-1)
    n_faces, n_edges = len(quads), len(edges)

    faces = _sparse(face, here, (1 / sides)[face], (n_faces, n))
    ends = np.repeat(np.arange(n_edges), 2)
    middle = _sparse(ends, edges.ravel(), 0.5, (n_edges, n))
    closed = np.bincount(edge, minlength=n_edges) == 2
    beside = _sparse(edge, face, 0.5, (n_edges, n_faces)) @ faces
    edge_points = sp.diags(np.where(closed, 0.5, 1.0)) @ middle + sp.diags(closed * 0.5) @ beside

    touching = np.bincount(here, minlength=n)
    valence = np.maximum(touching, 1)
    around = _sparse(here, face, 1.0, (n, n_faces))
    spokes = _sparse(edges.ravel(), ends, 1.0, (n, n_edges))
    n_spokes = np.maximum(np.bincount(edges.ravel(), minlength=n), 1)
    inside = sp.diags(1 / valence**2) @ around @ faces
    inside = inside + sp.diags(2 / (valence * n_spokes)) @ spokes @ middle
    inside = inside + sp.diags((valence - 3) / valence)
    n_open = np.bincount(edges[~closed].ravel(), minlength=n)
    rim = sp.diags(np.where(n_open == 2, 0.25, 0.0)) @ (spokes @ sp.diags(~closed * 1.0) @ middle)
    rim = rim + sp.diags(np.where(n_open == 2, 0.5, 1.0))  # corners stay where they are
    is_inside = (n_open == 0) & (touching >= 3)
    old = sp.diags(is_inside * 1.0) @ inside + sp.diags(~is_inside * 1.0) @ rim

    before = edge[start + (slot - 1) % sides[face]]
    finer = np.stack([here, n + edge, n + n_edges + face, n + before], 1).astype(np.int32)
    return sp.vstack([old, edge_points, faces]).tocsr(), finer


def _sparse(
    rows: npt.NDArray[np.intp],
    columns: npt.NDArray[np.integer],
    values: npt.ArrayLike,
    shape: tuple[int, int],
) -> sp.csr_matrix:
    return sp.csr_matrix((np.broadcast_to(np.asarray(values), len(rows)), (rows, columns)), shape)
