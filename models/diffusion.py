"""Any diffusers pipeline as a model: a folder, an embedded pipeline, or a repository of the hub.

This module finds and checks what `models.loading` loads and `models.pipeline` draws with; it
imports no torch.
"""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit.errors import InputError, RefusedError, ResourceError, SpecError, unknown
from audit.storage.weights import PICKLED, fingerprint, sha256
from audit.types import Drawing, Edit, Request

if TYPE_CHECKING:
    from models.pipeline import PipelineModel

EMBEDDED = Path(__file__).parent
SCHEME = 1
"""Enters every fingerprint; raised when this code draws other pixels from the same request."""
DTYPES = ("float32", "float16", "bfloat16")
OFFLOADS = ("model", "sequential")
INDEX = "model_index.json"
TRUTH = "truth.json"
_VARIANT = re.compile(r"[^.]+\.(?P<variant>[^.]+?)(-\d+-of-\d+)?\.safetensors")
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


def diffusion(
    *,
    pipeline: str,
    revision: str | None = None,
    variant: str | None = None,
    dtype: str = "float32",
    scheduler: str | None = None,
    size: int | list[int] | None = None,
    negative_prompt: str | None = None,
    offload: str | None = None,
    device: str = "cpu",
) -> "DiffusionModel":
    """Any diffusers pipeline: a folder, a hub id, or embedded, such as portraits/unconditional.

    Weights are read from safetensors alone, and remote code is never run.

    Args:
        pipeline: A folder with a `model_index.json`; the name of an embedded pipeline, such as
            `portraits/unconditional`; or a hub id, which is downloaded once and then cached.
        revision: Branch, tag or commit of a hub id; a commit is best, since branches move.
        variant: Which weight files to take, such as `fp16`.
        dtype: `float32`, `float16` or `bfloat16`; the half precisions need a GPU.
        scheduler: Class of diffusers that takes the place of the pipeline's own scheduler.
        size: Side of square images in pixels, or `[height, width]`; the pipeline's own if not
            given.
        negative_prompt: What guidance leads away from; text-to-image only.
        offload: For a GPU that does not hold the whole pipeline: what is moved there only while
            it is needed, a `model` at a time (little slower), or layer by layer (`sequential`:
            least memory, many times slower). Like the device no part of the fingerprint.
        device: Where to draw. It is not part of the fingerprint.

    Raises:
        SpecError: an option is wrong, or `pipeline` is no folder, embedded pipeline or hub id.
        InputError: a file of the pipeline is corrupt.
        ResourceError: the hub, or its cache while offline, does not have the pipeline.
        RefusedError: the weights are pickled, or the pipeline brings code of its own.
    """
    if dtype not in DTYPES:
        raise SpecError(unknown("dtype", dtype, DTYPES))
    if dtype != "float32" and device == "cpu":
        raise SpecError(f"dtype {dtype} needs a GPU; on this device draw in float32")
    if offload is not None and offload not in OFFLOADS:
        raise SpecError(unknown("offload", offload, OFFLOADS))
    if offload is not None and device == "cpu":
        raise SpecError(f"offload {offload} saves the memory of a GPU; on the CPU leave it out")
    folder = find(pipeline, revision=revision, variant=variant)
    check(folder)
    chosen = {
        "variant": variant,
        "dtype": dtype,
        "scheduler": scheduler,
        "size": _size(size),
        "negative_prompt": negative_prompt,
    }
    return DiffusionModel(folder, chosen, device, offload)


class DiffusionModel:
    """A pipeline that is loaded when it is first needed: a finished run never loads it."""

    def __init__(
        self, folder: Path, chosen: Mapping[str, Any], device: str, offload: str | None
    ) -> None:
        self.folder = folder
        self.chosen = chosen
        self.device = device
        self.offload = offload
        taken = _digests(folder, chosen["variant"])
        self.fingerprint = fingerprint(SCHEME, taken, sorted(chosen.items()))

    @cached_property
    def pipeline(self) -> "PipelineModel":
        """The loaded pipeline.

        Raises:
            SpecError: an option does not fit this pipeline.
            InputError: the components do not fit together.
            ResourceError: there is no such device, or the pipeline does not fit into memory.
        """
        from models.loading import load  # heavy: torch and diffusers
        from models.pipeline import PipelineModel

        given = {name: self.chosen[name] for name in ("size", "negative_prompt")}
        loaded = {name: self.chosen[name] for name in ("variant", "dtype", "scheduler")}
        pipe = load(self.folder, device=self.device, offload=self.offload, **loaded)
        return PipelineModel(pipe, **given)

    @property
    def text_to_image(self) -> bool:
        """Whether the pipeline takes prompts."""
        return self.pipeline.text_to_image

    @property
    def hookpoints(self) -> Mapping[str, int]:
        """Blocks of the denoiser with their channels; the first is the default."""
        return self.pipeline.hookpoints

    def truth(self, prompts: Collection[str]) -> dict[str, dict[str, float]]:
        """Return the shares planted in the training set, by attribute and class, over `prompts`.

        Read from the file `truth.json` that whoever trained the model may lay beside its index:
        prompt, or "" where the model takes none -> attribute -> class -> share. Every prompt
        weighs the same. Empty for most models, and where the truth of any prompt is not known.
        """
        path = self.folder / TRUTH
        planted = json.loads(path.read_text("utf-8")) if path.is_file() else {}
        known = [planted[prompt] for prompt in prompts if prompt in planted]
        if len(known) < len(prompts) or not known:
            return {}
        return {
            attribute: {c: sum(one[attribute][c] for one in known) / len(known) for c in shares}
            for attribute, shares in known[0].items()
        }

    def generate(self, requests: Sequence[Request]) -> Drawing:
        """Draw one image for each request, in order; out of memory is left to the caller."""
        return self.pipeline.generate(requests)

    def hooked(self, hookpoint: str, edit: Edit) -> AbstractContextManager[None]:
        """While the block runs, pass the output of `hookpoint` through `edit`."""
        return self.pipeline.hooked(hookpoint, edit)


def _size(given: int | list[int] | None) -> int | list[int] | None:
    """Return a size as the fingerprint knows it: squares by their side, however they are given."""
    if given is None:
        return None
    sides = [given, given] if isinstance(given, int) else given
    if len(sides) != 2 or min(sides) < 1:
        raise SpecError(f"size: expected a side or [height, width] in pixels, got {given!r}")
    return sides[0] if sides[0] == sides[1] else sides


def find(pipeline: str, *, revision: str | None = None, variant: str | None = None) -> Path:
    """Return the folder of a pipeline; only a hub id can reach for the network.

    Raises:
        SpecError: this is no folder, no embedded pipeline and no hub id.
        ResourceError: the hub, or its cache while offline, does not have it.
        RefusedError: it is a URL, or has pickled weights only.
    """
    if "://" in pipeline:
        raise RefusedError(f"pipeline {pipeline!r}: URLs are not read; give a folder or a hub id")
    for folder in (EMBEDDED / pipeline, Path(pipeline).expanduser()):
        if (folder / INDEX).is_file():
            return folder
    if Path(pipeline).expanduser().is_dir():
        raise InputError(f"{pipeline}: not a diffusers pipeline, it has no {INDEX}")
    if not _HUB_ID.fullmatch(pipeline):
        raise SpecError(
            f"pipeline {pipeline!r}: no such folder, embedded pipeline or hub id"
            f" (embedded: {', '.join(embedded()) or 'none'})"
        )
    return _download(pipeline, revision, variant)


def embedded() -> list[str]:
    """Return the names of the pipelines that come with the package."""
    return sorted(str(i.parent.relative_to(EMBEDDED)) for i in EMBEDDED.glob(f"*/*/{INDEX}"))


def check(folder: Path) -> None:
    """Refuse a folder that brings code or pickles, or whose weight files are damaged.

    Raises:
        InputError: the index or a weight file cannot be read.
        RefusedError: a component is code of the pipeline's own, or has pickled weights only.
    """
    from safetensors import SafetensorError, safe_open

    try:
        index: dict[str, Any] = json.loads((folder / INDEX).read_text("utf-8"))
    except ValueError as error:
        raise InputError(f"{folder / INDEX}: not JSON: {error}") from error
    if not isinstance(index.get("_class_name"), str) or any(folder.rglob("*.py")):
        raise RefusedError(f"{folder}: the pipeline brings code of its own, which is never run")
    for name, component in index.items():
        if name.startswith("_") or not isinstance(component, list) or component[0] is None:
            continue
        files = sorted(path for path in (folder / name).glob("*") if path.is_file())
        weights = [path for path in files if path.suffix == ".safetensors"]
        if not weights and any(path.suffix in PICKLED for path in files):
            raise RefusedError(
                f"{folder / name}: pickled weights can run code and are never read;"
                " convert them with save_pretrained(safe_serialization=True)"
            )
        for path in weights:
            try:
                with safe_open(path, "np"):
                    pass
            except SafetensorError as error:
                raise InputError(f"{path}: damaged weights: {error}") from error


def _digests(folder: Path, variant: str | None) -> list[tuple[str, str]]:
    """Return the sha256 of every file that the pipeline is loaded from, by name.

    What lies beside them draws nothing: other variants, whole checkpoints, cards, `truth.json`.
    """
    index: dict[str, Any] = json.loads((folder / INDEX).read_text("utf-8"))
    files = [folder / INDEX]
    for name, component in sorted(index.items()):
        if isinstance(component, list) and component[0] is not None:
            files += _taken(folder / name, variant)
    return [(path.relative_to(folder).as_posix(), sha256(path)) for path in files]


def _taken(component: Path, variant: str | None) -> list[Path]:
    """Return the files of a component: its settings, and its weights of one variant.

    As diffusers chooses: the variant asked for where the component has it, else the plain one.
    Where neither is told from the names, all weights count.
    """
    files = sorted(path for path in component.rglob("*") if path.is_file())
    weights = [path for path in files if path.suffix == ".safetensors"]
    named = {tag: [path for path in weights if _tag(path) == tag] for tag in (variant, None)}
    settings = [
        path
        for path in files
        if path.suffix in (".json", ".txt", ".model")
        # It says which shard holds a tensor, which the shards say themselves.
        and ".safetensors.index." not in path.name
    ]
    return settings + (named[variant] or named[None] or weights)


def _tag(weights: Path) -> str | None:
    """Return the variant that a weight file is of: `model.fp16-00001-of-00002.safetensors`."""
    tagged = _VARIANT.fullmatch(weights.name)
    return tagged["variant"] if tagged else None


def _download(pipeline: str, revision: str | None, variant: str | None) -> Path:
    """Return the cached snapshot of a repository, fetched if it is not there yet."""
    from diffusers import DiffusionPipeline
    from diffusers.utils import logging
    from huggingface_hub import errors

    logging.set_verbosity_error()
    name = f"{pipeline}@{revision}" if revision else pipeline
    try:
        return Path(
            DiffusionPipeline.download(
                pipeline,
                revision=revision,
                variant=variant,
                use_safetensors=True,
                trust_remote_code=False,
            )
        )
    except errors.GatedRepoError as error:
        raise ResourceError(
            f"{name} is gated: accept its terms at https://huggingface.co/{pipeline} and log in"
            " with `hf auth login`"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise ResourceError(f"{name}: the hub has no such revision") from error
    except errors.RepositoryNotFoundError as error:
        raise ResourceError(f"{name}: the hub has no such repository, or it is private") from error
    except (errors.HfHubHTTPError, errors.OfflineModeIsEnabled, OSError, ValueError) as error:
        if "safetensors" in str(error):
            raise RefusedError(
                f"{name}: there are no safetensors weights, and pickled ones are never read"
            ) from error
        raise ResourceError(
            f"{name} is not in the cache and cannot be fetched from the hub; download it where"
            f" there is a network with `hf download {pipeline}`"
        ) from error
