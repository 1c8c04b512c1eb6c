"""A benchmark of a spec: what is drawn or at hand, what reads it, what is wanted of it."""

from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    PrivateAttr,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
)

from audit.spec import rules
from audit.spec.component import Component, Id, plugin
from audit.spec.fields import (
    Count,
    Encoder,
    Images,
    Many,
    Margin,
    ModelName,
    Probe,
    Prompts,
    one_of,
)
from audit.spec.prompts import slug
from audit.spec.schema import PARENT, Strict, together


class ModelSpec(Component):
    """A model to audit; what is not named here goes to the plugin's factory as an option."""

    name: str = "diffusers"
    """The model plugin: `diffusers` takes `pipeline`, `revision`, `dtype`, `scheduler`, `size`,
    `offload` and more."""
    steps: Count = 50
    """Sampling steps."""
    guidance_scale: float = Field(default=7.5, ge=0)
    """1 is no guidance; a model without prompts ignores it."""


class ArmSpec(Component):
    """A mitigation, which makes an arm of the benchmark; the arm is called by its `label`."""

    features: Annotated[str, one_of("features", "feature set")] | None = None
    """Name of the feature set that it uses."""


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
    max_failed: float = Field(default=0.01, ge=0, le=1)
    """Share of requests that may fail before the run is called incomplete."""


class Benchmark(Strict):
    """What one run measures: a model, or a folder of images, or a table of labels."""

    title: str = ""
    model: ModelName | None = None
    images: Images = None
    """A count of images to draw, with an unconditional model; a folder of images otherwise.

    All images of a folder, those of its sub-folders too, are one arm; a `manifest.csv` in it gives
    `file` and, where wanted, `arm`, `prompt` or `prompt_id`, `seed` and `index`.
    """
    labels: str | None = None
    """A table of labels, CSV or Parquet.

    A column named after each attribute holds its classes, or columns `p_<class>` probabilities;
    `arm`, `prompt` or `prompt_id`, `probe`, `seed` and `count` are read too. Others are
    left out, with a warning. In one arm, lines of equal seeds are of one image; in two arms they
    are a pair. Without seeds their order counts.
    """
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
