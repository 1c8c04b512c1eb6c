"""Any open_clip model from safetensors: images and texts as unit vectors of one space."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from audit.errors import InputError, ResourceError, SpecError, unknown
from audit.images.batches import in_batches
from audit.storage.weights import PICKLED, embedded, fingerprint, locate
from audit.types import Images

BATCH = 16
CONFIG = "open_clip_config.json"
WEIGHTS = "open_clip_model.safetensors"
EMBEDDED = "portraits/clip"


@dataclass(frozen=True)
class Source:
    """Where open_clip finds a model."""

    name: str
    """What open_clip calls it: `local-dir:…`, or an architecture that it knows."""
    weights: Path
    fingerprint: str


def resolve(model: str, weights: str = "", revision: str = "") -> Source:
    """Find a model; the hub is asked only for a hub id.

    Args:
        model: `portraits/clip`, the embedded one; a folder with `open_clip_config.json` and
            `open_clip_model.safetensors`; an architecture of open_clip, with `weights`; or a hub
            id whose repository holds those two files.
        weights: A safetensors file for an architecture.
        revision: Branch, tag or commit of a hub id.
    """
    if weights:
        return _architecture(model, weights)
    if model == EMBEDDED:
        return _folder(embedded(model), "reinstall bias-audit, which ships it")
    if Path(model).expanduser().is_dir():
        return _folder(Path(model).expanduser(), f"put {WEIGHTS} there")
    if model.count("/") == 1 and not model.startswith((".", "/", "~")):
        return _folder(_fetched(model, revision or None), f"the repository must hold {WEIGHTS}")
    raise SpecError(
        f"no CLIP model {model!r}: neither a folder nor a hub id such as "
        "timm/vit_base_patch32_clip_224.openai; an architecture of open_clip needs `weights`"
    )


def _architecture(model: str, weights: str) -> Source:
    import open_clip

    known = open_clip.list_models()
    if model not in known:
        raise SpecError(unknown("architecture of open_clip", model, known))
    remedy = f"fetch the safetensors weights of {model} and set `weights` to their path"
    path, digest = locate(weights, formats={".safetensors"}, remedy=remedy)
    return Source(model, path, fingerprint(model, digest))


def _folder(folder: Path, remedy: str) -> Source:
    pickled = [path for path in folder.glob("*") if path.suffix in PICKLED]
    safe = folder / WEIGHTS
    path, digest = locate(
        pickled[0] if pickled and not safe.is_file() else safe,
        formats={".safetensors"},
        remedy=remedy,
    )
    try:
        json.loads((folder / CONFIG).read_text())["model_cfg"]
    except (OSError, ValueError, KeyError, TypeError) as fault:
        raise InputError(f"{folder / CONFIG} does not describe a CLIP model: {fault}") from fault
    sidecars = (file for file in folder.iterdir() if file.suffix in {".json", ".txt"})
    texts = [(file.name, file.read_bytes()) for file in sorted(sidecars)]  # tokenizer and all
    return Source(f"local-dir:{folder}", path, fingerprint(digest, texts))


def _fetched(repository: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(
                repository, revision=revision, allow_patterns=["*.json", "*.txt", WEIGHTS]
            )
        )
    except (OSError, ValueError) as fault:
        reason = str(fault).strip().splitlines()[0]
        raise ResourceError(
            f"{repository}: could not be fetched from the hub ({reason}); fetch {CONFIG} and "
            f"{WEIGHTS} into a folder and name the folder instead"
        ) from fault


class ImageText:
    """An open_clip model, loaded at its first use; vectors have unit length."""

    def __init__(self, source: Source, device: str) -> None:
        self.source = source
        self.device = device

    @cached_property
    def _loaded(self) -> tuple[Any, Any, Any]:
        import open_clip
        import torch

        given = {} if ":" in self.source.name else {"pretrained": str(self.source.weights)}
        with torch.random.fork_rng(devices=[]):  # weights are drawn before they are loaded
            model, transform = open_clip.create_model_from_pretrained(
                self.source.name, device=self.device, **given
            )
        return model.eval(), transform, open_clip.get_tokenizer(self.source.name)

    @property
    def scale(self) -> float:
        """What cosines are multiplied by before a softmax, as the model learned it."""
        return float(self._loaded[0].logit_scale.detach().exp())

    @cached_property
    def size(self) -> tuple[int, int]:
        """Height and width of the input in pixels."""
        height, width = np.broadcast_to(self._loaded[0].visual.image_size, 2)
        return int(height), int(width)

    @cached_property
    def dimensions(self) -> int:
        """Length of a vector."""
        return int(self.texts([""]).shape[1])

    def images(self, images: Images) -> npt.NDArray[np.float32]:
        """Return [N, D] from images [N, H, W, 3], resized as the model was trained (Pillow)."""
        model, transform, _ = self._loaded
        inputs = np.empty((len(images), 3, *self.size), np.float32)
        for row, image in enumerate(images):
            inputs[row] = transform(Image.fromarray(image)).numpy()
        return self._embed(model.encode_image, inputs)

    def texts(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return [N, D]; what exceeds the context of the model is cut off."""
        model, _, tokenizer = self._loaded
        return self._embed(model.encode_text, tokenizer(list(texts)).numpy())

    def _embed(self, encode: Any, inputs: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        import torch

        @torch.inference_mode()
        def run(batch: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
            vectors = encode(torch.from_numpy(batch).to(self.device), normalize=True)
            rows: npt.NDArray[np.float32] = vectors.float().cpu().numpy()
            return rows

        return in_batches(run, inputs, BATCH)
