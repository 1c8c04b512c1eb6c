"""How hair and clothes of the MakeHuman library follow a body."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audit.errors import InputError
from models.portraits.render.color import Array
from models.portraits.render.mesh import Index


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

    def anchors_used(self) -> Index:
        """The body vertices that this depends on."""
        spans = np.array([span[:2] for span in self.spans], np.int32)
        return np.concatenate([self.anchors.ravel(), spans.ravel()])

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
