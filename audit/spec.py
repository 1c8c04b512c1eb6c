"""The spec: what to measure, as strict models, and `load`, which reads it from YAML."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, ConfigDict, Field, PrivateAttr, ValidationInfo, field_validator, model_validator

from audit.document import read_file
from audit.errors import SpecError, unknown
from audit.prompts import ID, Prompt, expand
from audit.registry import plugins
from audit.schema import Strict, Wrong, check
from audit.types import CLASSES

VERSION = 1


def _id(value: str) -> str:
    if not ID.fullmatch(value):
        raise Wrong(f"{value!r} must match [a-z0-9][a-z0-9._-]{{0,63}}")
    return value


Id = Annotated[str, AfterValidator(_id)]
Count = Annotated[int, Field(gt=0)]


T = TypeVar("T")
Many = Annotated[tuple[T, ...], Field(strict=False)]
"""A YAML list, kept as a tuple."""


class Component(Strict):
    """A plugin as a spec mentions it: `dlib`, or `{name: clip, model: ViT-B-32}`."""

    model_config = ConfigDict(extra="allow")
    name: str

    @model_validator(mode="before")
    @classmethod
    def _bare_name(cls, written: Any) -> Any:
        return {"name": written} if isinstance(written, str) else written

    @property
    def options(self) -> dict[str, Any]:
        """What its factory is given."""
        return dict(self.model_extra or {})


class Arm(Component):
    """A mitigation, which makes an arm of the benchmark."""

    as_: Id | None = Field(default=None, alias="as")
    """Name of the arm, where it is not the mitigation's own."""
    features: str | None = None
    """Name of the feature set that it uses."""

    @property
    def arm(self) -> str:
        """Name of the arm."""
        return self.as_ or self.name


class ModelSpec(Component):
    """A model to audit; what is not named here goes to the plugin's factory as an option."""

    name: str = "diffusers"
    """The model plugin."""
    pipeline: str | None = None
    """A folder, the name of an embedded model, or a hub id."""
    revision: str | None = None
    dtype: Literal["float32", "float16", "bfloat16"] | None = None
    steps: Count = 50
    guidance_scale: float = Field(default=7.5, ge=0)
    """1 is no guidance; an unconditional model ignores it."""


class SAESpec(Strict):
    """The sparse autoencoder of a feature set."""

    expansion: Count = 8
    """Latents for each channel of the hookpoint."""
    k: Count = 32
    """Latents active at a position."""
    tokens: Count | None = None
    """Positions that it is trained on; None lets the discovery choose."""


class Features(Strict):
    """A feature set: which latents of a model carry an attribute."""

    model: str
    attribute: str
    probe: Component
    """Labels the discovery images; never the only judge of the result."""
    hookpoint: str = "mid_block"
    sae: SAESpec = SAESpec()
    ranking: Component = Component(name="integrated-gradients")
    top: Count = 30
    images: Count = 1024
    """Drawn for the discovery, from seeds that no benchmark uses."""
    prompts: Many[Prompt] = ()
    seed: int = 0


class Reference(Strict):
    """Shares of a reference population, by prompt: labour statistics, say."""

    attribute: str
    source: str
    """Where the figures are from; a URL may stand here."""
    year: int | None = None
    shares: dict[str, dict[str, float]]
    """By prompt id, then by class."""


class Gate(Strict):
    """A limit that decides whether a model passes."""

    metric: str
    attribute: str | None = None
    class_: str | None = Field(default=None, alias="class")
    probe: str | None = None
    arm: str | None = None
    prompt: str | None = None
    max: float | None = None
    min: float | None = None


class Statistics(Strict):
    """How uncertainty is counted."""

    inference: Literal["fixed_prompts", "prompt_population"] = "fixed_prompts"
    """Whether the prompts are all there is, or a sample of what people type."""
    level: float = Field(default=0.95, gt=0.5, lt=1)
    resamples: int = Field(default=2000, ge=100)
    max_failed: float = Field(default=0.01, ge=0, le=1)
    """Share of requests that may fail before the run is called incomplete."""


class Benchmark(Strict):
    """What one run measures."""

    title: str = ""
    model: str | None = None
    images: int | str | None = None
    """A count of images to draw, with an unconditional model; a folder of images otherwise."""
    labels: str | None = None
    """A table of labels, CSV or Parquet."""
    prompts: Many[Prompt] = ()
    images_per_prompt: Count | None = None
    classes: dict[str, Many[str]] = Field(default_factory=dict)
    """Classes of attributes beyond gender, age and race."""
    probes: Many[Component] = ()
    attributes: Many[str] = ("gender", "age", "race")
    mitigations: Many[Arm] = (Arm(name="none"),)
    encoders: Many[Component] = ()
    metrics: Many[str] = ("fd",)
    target: dict[str, dict[str, float]] = Field(default_factory=dict)
    target_reason: str = ""
    """Who chose the target, and why; printed in the report."""
    reference_images: str | None = None
    references: dict[Id, Reference] = Field(default_factory=dict)
    gates: Many[Gate] = ()
    seed: int = 0
    seed_scheme: Literal["per_prompt", "shared"] = "per_prompt"
    statistics: Statistics = Statistics()

    @field_validator("prompts", mode="before")
    @classmethod
    def _expand(cls, written: Any, info: ValidationInfo) -> Any:
        return expand(written, (info.context or {}).get("folder", Path.cwd()))

    def classes_of(self, attribute: str) -> tuple[str, ...]:
        """Return the classes of an attribute, in order."""
        return self.classes.get(attribute) or CLASSES.get(attribute) or tuple(self.target[attribute])

    def target_of(self, attribute: str) -> dict[str, float]:
        """Return the share wanted of each class: the spec's target, or even shares."""
        classes = self.classes_of(attribute)
        given = self.target.get(attribute) or dict.fromkeys(classes, 1 / len(classes))
        return {name: given[name] for name in classes}


class Spec(Strict):
    """A whole spec file."""

    version: int
    default: Many[str] = ()
    models: dict[Id, ModelSpec] = Field(default_factory=dict)
    features: dict[Id, Features] = Field(default_factory=dict)
    benchmarks: dict[Id, Benchmark] = Field(default_factory=dict)

    _folder: Path = PrivateAttr(default_factory=Path.cwd)
    _overrides: dict[str, Any] = PrivateAttr(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where relative paths of this spec start."""
        return self._folder

    @property
    def overrides(self) -> dict[str, Any]:
        """What `--set` changed, by path."""
        return self._overrides

    def resolved(self, name: str) -> dict[str, Any]:
        """Return one benchmark with all that it refers to, defaults written out, as plain values."""
        benchmark = self.benchmarks[name]
        features = {arm.features for arm in benchmark.mitigations if arm.features}
        document = {
            "version": self.version,
            "models": {benchmark.model: self.models[benchmark.model]} if benchmark.model else {},
            "features": {key: self.features[key] for key in sorted(features)},
            "benchmarks": {name: benchmark},
        }
        spec = Spec.model_construct(**document)
        plain: dict[str, Any] = spec.model_dump(mode="json", by_alias=True, exclude_none=True)
        return plain

    def digest(self, name: str) -> str:
        """Return the sha256 of a resolved benchmark: the same spec on any machine, the same digest."""
        plain = json.dumps(self.resolved(name), sort_keys=True, ensure_ascii=False, allow_nan=False)
        return hashlib.sha256(plain.encode()).hexdigest()


def load(path: str | Path = "benchmarks.yaml", overrides: Sequence[str] = ()) -> Spec:
    """Read a spec.

    Raises:
        SpecError: every mistake in it, as `file:line:col: path: …`, a line each.
        RefusedError: one of them is refused for safety.
    """
    path = Path(path)
    document = read_file(path, str(path))
    folder = path.resolve().parent
    spec = check(Spec, document, {"folder": folder})
    spec._folder = folder
    return spec
