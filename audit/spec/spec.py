"""The spec: what to measure, as strict models, and `load`, which reads it from YAML."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PrivateAttr,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from audit.errors import unknown
from audit.spec import rules
from audit.spec.assembly import assemble
from audit.spec.component import Component, Id, plugin
from audit.spec.prompts import FORMS, Prompt, expand, slug
from audit.spec.refusals import refusals
from audit.spec.schema import PARENT, FieldError, Strict, check, together

VERSION = 1

T = TypeVar("T")
Many = Annotated[tuple[T, ...], Field(strict=False)]
"""A YAML list, kept as a tuple."""
Count = Annotated[int, Field(gt=0)]
Margin = Annotated[float, Field(gt=0)]


def _one_of(section: str, kind: str) -> AfterValidator:
    """Return a validator: the value is a name in this section of the spec."""

    def check_name(name: str, info: ValidationInfo) -> str:
        names = (info.context or {}).get(section)
        if names is not None and name not in names:
            raise FieldError(unknown(kind, name, names))
        return name

    return AfterValidator(check_name)


def _expanded(written: Any, info: ValidationInfo) -> Any:
    return expand(written, (info.context or {}).get("folder") or Path.cwd())


def _count_or_folder(written: Any) -> Any:
    if written is None or (
        isinstance(written, int) and not isinstance(written, bool) and written > 0
    ):
        return written
    if isinstance(written, str) and written and "\0" not in written:
        return written
    raise FieldError(f"expected a count above 0, or a folder, got {written!r}")


Prompts = Annotated[Many[Prompt], BeforeValidator(_expanded), WithJsonSchema(FORMS)]
ModelName = Annotated[str, _one_of("models", "model")]
Images = Annotated[int | str | None, BeforeValidator(_count_or_folder)]
Probe = Annotated[Component, plugin("probes")]
Encoder = Annotated[Component, plugin("encoders")]
Ranking = Annotated[Component, plugin("rankings")]


class ModelSpec(Component):
    """A model to audit; what is not named here goes to the plugin's factory as an option."""

    name: str = "diffusers"
    """The model plugin: `diffusers` takes `pipeline`, `revision`, `dtype`, `scheduler`, `size`."""
    steps: Count = 50
    """Sampling steps."""
    guidance_scale: float = Field(default=7.5, ge=0)
    """1 is no guidance; a model without prompts ignores it."""


class ArmSpec(Component):
    """A mitigation, which makes an arm of the benchmark; the arm is called by its `label`."""

    features: Annotated[str, _one_of("features", "feature set")] | None = None
    """Name of the feature set that it uses."""


class SAESpec(Strict):
    """The sparse autoencoder of a feature set: trained by the discovery, or given."""

    path: str | None = None
    """Folder of one that exists: of this suite, sparsify, SAELens, SAeUron or sdxl-unbox."""
    expansion: Count = 8
    """Latents for each channel of the hookpoint."""
    k: Count = 32
    """Latents active at a position."""
    tokens: Count | None = None
    """Positions that it is trained on; None lets the discovery choose."""

    @model_validator(mode="after")
    def _given_or_trained(self) -> "SAESpec":
        trained = {"expansion", "k", "tokens"} & self.model_fields_set
        if self.path is not None and trained:
            raise FieldError(f"an SAE with a path is not trained: leave out {min(trained)!r}")
        return self


class Features(Strict):
    """A feature set: which latents of a model carry an attribute."""

    model: ModelName
    attribute: str
    probe: Probe
    """Labels the discovery images; never the only judge of the result."""
    hookpoint: str = "mid_block"
    """A module of the denoiser; `auto` takes the candidate at which a plain push does most."""
    candidates: Many[str] = ()
    """For `auto`; none: the bottleneck and others spread over the model."""
    sae: SAESpec = SAESpec()
    ranking: Ranking = Component(name="integrated-gradients")
    top: Count = 30
    """Latents kept for each class."""
    images: Count = 1024
    """Drawn for the discovery, from seeds that no benchmark uses."""
    prompts: Prompts = ()
    """For a text-to-image model: what the discovery draws."""
    stability: bool = True
    """Whether to train a second SAE from another seed, and to report how far they agree."""
    seed: int = 0

    @model_validator(mode="after")
    def _candidates_of_auto(self) -> "Features":
        if self.candidates and self.hookpoint != "auto":
            raise FieldError((("candidates",), "are for `hookpoint: auto`"))
        return self


class Reference(Strict):
    """Shares of a reference population, by prompt: labour statistics, say."""

    attribute: str
    source: str
    """Where the figures are from; a URL may stand here."""
    year: int | None = None
    shares: dict[str, dict[str, float]]
    """By prompt id, then by class."""


class Gate(Strict):
    """A limit on one number; it passes, fails or is inconclusive by a one-sided bound."""

    metric: str
    attribute: str | None = None
    class_: str | None = Field(default=None, alias="class")
    probe: str | None = None
    """None: the first probe of the benchmark."""
    arm: str | None = None
    """None: every arm."""
    prompt: str | None = None
    """None: pooled over prompts."""
    max: float | None = None
    min: float | None = None


class Statistics(Strict):
    """How uncertainty is counted."""

    inference: Literal["fixed_prompts", "prompt_population"] = "fixed_prompts"
    """Whether the prompts are all there is, or a sample of what people type."""
    level: float = Field(default=0.95, gt=0.5, lt=1)
    """Of every interval."""
    resamples: int = Field(default=2000, ge=100)
    """Of every bootstrap."""
    max_failed: float = Field(default=0.01, ge=0, le=1)
    """Share of requests that may fail before the run is called incomplete."""


class Benchmark(Strict):
    """What one run measures: a model, or a folder of images, or a table of labels."""

    title: str = ""
    model: ModelName | None = None
    images: Images = None
    """A count of images to draw, with an unconditional model; a folder of images otherwise."""
    labels: str | None = None
    """A table of labels, CSV or Parquet."""
    prompts: Prompts = ()
    images_per_prompt: Count | None = None
    classes: dict[Id, Many[str]] = Field(default_factory=dict)
    """Classes of attributes beyond gender, age and race, or in place of theirs."""
    probes: Many[Probe] = ()
    """What reads the images; the first is the one that gates mean where they name none."""
    attributes: Many[Id] = ("gender", "age", "race")
    mitigations: Many[Annotated[ArmSpec, plugin("mitigations", ArmSpec)]] = (ArmSpec(name="none"),)
    """One arm each, over the same requests; the first is what the others are compared with."""
    encoders: Many[Encoder] = ()
    """For metrics over embeddings: fid, kid, cmmd, clip_t, clip_i."""
    metrics: Many[str] = ("fd",)
    target: dict[Id, dict[str, float]] = Field(default_factory=dict)
    """Shares wanted, by attribute and class; even shares where none are given."""
    target_reason: str = ""
    """Who chose the target, and why; printed in the report. Without a target, of even shares."""
    reference_images: str | None = None
    """What fid, kid and cmmd compare with: a folder of images, or a Parquet file that packs them.

    A path, or the name of an embedded set such as `portraits/reference/balanced.parquet`.
    """
    references: dict[Id, Reference] = Field(default_factory=dict)
    people: str | None = None
    """Labels that people gave to a random sample of the images, CSV or Parquet.

    Columns `sha256`, or `path`, or `prompt_id` and `index`, name an image, `arm` its arm; one
    column an attribute holds classes. Shares then also come by prediction-powered inference.
    """
    margins: dict[str, Margin] = Field(default_factory=dict)
    """By metric of single images, such as clip_t: the change between arms that counts as none.

    Whether a change lies within it is tested (TOST); no difference found shows no equivalence.
    """
    gates: Many[Gate] = ()
    seed: int = Field(default=0, ge=0)
    seed_scheme: Literal["per_prompt", "shared"] = "per_prompt"
    """Whether prompts have noise of their own, or share it image by image."""
    statistics: Statistics = Field(default=Statistics(), validate_default=True)

    _model: ModelSpec | None = PrivateAttr(default=None)

    @field_validator("statistics", mode="wrap")
    @classmethod
    def _consistent(
        cls, value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo
    ) -> Any:
        """Check the parts against each other at the last field, which sees all valid ones."""
        found = rules.benchmark(info.data, info.context or {})
        return together(handler, value, [((PARENT, *where), message) for where, message in found])

    @property
    def model_spec(self) -> ModelSpec:
        """The model that draws; only a benchmark with a `model`, out of a `Spec`, has one."""
        if self._model is None:
            raise ValueError("this benchmark draws nothing, or belongs to no spec")
        return self._model

    def classes_of(self, attribute: str) -> tuple[str, ...]:
        """Return the classes of an attribute, in order."""
        return rules.classes(attribute, vars(self))

    def target_of(self, attribute: str) -> dict[str, float]:
        """Return the share wanted of each class: the spec's target, or even shares."""
        classes = self.classes_of(attribute)
        given = self.target.get(attribute) or dict.fromkeys(classes, 1 / len(classes))
        return {name: given[name] for name in classes}

    def asked_of(self, attribute: str) -> dict[str, str]:
        """Return the class that a prompt asks for, by prompt id, for the prompts that ask."""
        classes = {slug(name): name for name in self.classes_of(attribute)}
        asked = {prompt.id: prompt.asks.get(attribute) for prompt in self.prompts}
        return {
            prompt: classes[slug(name)]
            for prompt, name in asked.items()
            if name is not None and slug(name) in classes
        }


class Spec(Strict):
    """A whole spec file."""

    version: int
    default: Many[Annotated[str, _one_of("benchmarks", "benchmark")]] = ()
    """What a bare `bias-audit run` runs."""
    models: dict[Id, Annotated[ModelSpec, plugin("models", ModelSpec)]] = Field(
        default_factory=dict
    )
    features: dict[Id, Features] = Field(default_factory=dict)
    """Feature sets: found once, cached, shared by benchmarks."""
    benchmarks: dict[Id, Benchmark] = Field(min_length=1)

    _folder: Path = PrivateAttr(default_factory=Path.cwd)
    _overrides: dict[str, Any] = PrivateAttr(default_factory=dict)

    @field_validator("version")
    @classmethod
    def _readable(cls, version: int) -> int:
        if version != VERSION:
            newer = "needs a newer bias-audit" if version > VERSION else "is not a version"
            raise FieldError(f"spec version {version} {newer}; this one reads version {VERSION}")
        return version

    @model_validator(mode="after")
    def _linked(self) -> "Spec":
        for benchmark in self.benchmarks.values():
            benchmark._model = self.models.get(benchmark.model or "")
        return self

    @property
    def folder(self) -> Path:
        """Where relative paths of this spec start."""
        return self._folder

    @property
    def overrides(self) -> Mapping[str, Any]:
        """What `--set` changed, by path."""
        return self._overrides

    def resolved(self, name: str) -> dict[str, Any]:
        """Return one benchmark and what it refers to, defaults written out: again a spec."""
        benchmark = self.benchmarks[name]
        used = {arm.features for arm in benchmark.mitigations if arm.features}
        models = {benchmark.model, *(self.features[key].model for key in used)}
        parts = Spec.model_construct(
            version=self.version,
            default=(name,),
            models={key: model for key, model in self.models.items() if key in models},
            features={key: found for key, found in self.features.items() if key in used},
            benchmarks={name: benchmark},
        )
        plain: dict[str, Any] = parts.model_dump(mode="json", by_alias=True, exclude_none=True)
        for section in ("features", "benchmarks"):
            for entry in plain[section].values():
                if not entry["prompts"]:
                    del entry["prompts"]
        return plain

    def digest(self, name: str) -> str:
        """Return the sha256 of a resolved benchmark: the same spec, anywhere, has the same."""
        plain = json.dumps(
            self.resolved(name), sort_keys=True, ensure_ascii=False, allow_nan=False
        )
        return hashlib.sha256(plain.encode()).hexdigest()


def load(
    path: str | Path = "benchmarks.yaml",
    overrides: Iterable[str] = (),
    *,
    folder: Path | None = None,
) -> Spec:
    """Read a spec.

    Args:
        path: A YAML file.
        overrides: Changes such as `portraits.images=64`, typed as YAML would.
        folder: Where relative paths start; the folder of the file if not given. Where it is, the
            spec is that of a run, which can be read after its images are gone: paths are not
            looked up.

    Raises:
        SpecError: every mistake in it, as `file:line:col: path: …`, a line each.
        RefusedError: one of them is refused for safety.
    """
    path = Path(path)
    document, changed = assemble(path, overrides)
    document.problems += refusals(document)
    sections = document.value if isinstance(document.value, Mapping) else {}
    context: dict[str, Any] = {"folder": folder or path.resolve().parent}
    if folder is None:
        context["paths_from"] = context["folder"]
    for section in ("models", "features", "benchmarks"):
        named = sections.get(section)
        context[section] = named if isinstance(named, Mapping) else {}
    spec = check(Spec, document, context)
    spec._folder, spec._overrides = context["folder"], changed
    return spec
