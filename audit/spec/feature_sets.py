"""Feature sets of a spec: which latents carry an attribute, and how they are looked for."""

from typing import Literal

from pydantic import model_validator

from audit.spec.component import Component
from audit.spec.fields import Count, Many, ModelName, Probe, Prompts, Ranking
from audit.spec.schema import FieldError, Strict

AUTO = "auto"
"""In place of a hookpoint: the one at which a plain push does most."""


class SAESpec(Strict):
    """The sparse autoencoder of a feature set: trained by the discovery, or given."""

    path: str | None = None
    """Folder of one that exists: of this suite, sparsify, SAELens, SAeUron or sdxl-unbox."""
    expansion: Count = 8
    """Latents for each channel of the hookpoint."""
    k: Count = 32
    """Latents active at a position."""
    selection: Literal["topk", "batch-topk"] = "topk"
    """`batch-topk`: k at a position on average, more where more goes on."""
    tokens: Count | None = None
    """Positions that it is trained on; None lets the discovery choose."""

    @model_validator(mode="after")
    def _given_or_trained(self) -> "SAESpec":
        trained = {"expansion", "k", "selection", "tokens"} & self.model_fields_set
        if self.path is not None and trained:
            raise FieldError(f"an SAE with a path is not trained: leave out {min(trained)!r}")
        return self


class Features(Strict):
    """A feature set: which latents of a model carry an attribute."""

    model: ModelName
    attribute: str
    probe: Probe
    """Labels the discovery images; never the only judge of the result."""
    hookpoint: str | None = None
    """A module of the denoiser; `auto` takes the candidate at which a plain push does most.

    None: the model's own default, the middle block of a U-Net or of a transformer.
    """
    candidates: Many[str] = ()
    """For `auto`; none: the bottleneck and others spread over the model."""
    sae: SAESpec = SAESpec()
    ranking: Ranking = Component(name="integrated-gradients")
    baseline: Literal["zero", "counter-class"] = "zero"
    """What a ranking compares an image's codes with: zeros, or an image of another class."""
    adjust_for: Many[str] = ()
    """Other attributes that the probe reads and the classes must not differ in.

    Where the women drawn are younger than the men, youth is no part of what is found for them.
    """
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
        if self.candidates and self.hookpoint != AUTO:
            raise FieldError((("candidates",), "are for `hookpoint: auto`"))
        return self


class Placed(Features):
    """A feature set at a hookpoint of its model, or at `auto` until one is chosen."""

    hookpoint: str
