"""Records and protocols: the words that every other module speaks.

Images travel between modules as `uint8 [N, H, W, 3]` RGB arrays, probabilities as `float32
[N, K]`; tensors live inside models, probes, encoders and mitigations only. This module imports
numpy alone.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from torch import Tensor

Images = npt.NDArray[np.uint8]
"""[N, H, W, 3], RGB."""

Probabilities = npt.NDArray[np.float32]
"""[N, K]; a row sums to 1, or is NaN where the probe did not read the image."""

Floats = npt.NDArray[np.float64]

OBEYED = "obeyed"
"""Metric: share of readings that are as their prompt asks; no plugin, as shares are none."""

CLASSES: Mapping[str, tuple[str, ...]] = {
    "gender": ("woman", "man"),
    "age": ("young", "adult", "old"),
    "race": ("Black", "Asian", "White", "Indian"),
}
"""The attributes that every probe reads alike: young is under 35, old from 60.

A spec declares others.
"""


def of_combination(attribute: str) -> bool:
    """Say whether an attribute is several at once: `gender+race`."""
    return "+" in attribute


class State(StrEnum):
    """What became of an image, or of one probe's reading of it; counted, never dropped.

    FILTERED, BLANK, UNREADABLE and FAILED can be an image's own state and are then copied to its
    readings; the others belong to a reading.
    """

    OK = "ok"
    NO_FACE = "no_face"
    MULTI_FACE = "multi_face"
    FILTERED = "filtered"
    """A safety checker replaced the image."""
    BLANK = "blank"
    """Every pixel alike: a black or grey image."""
    UNREADABLE = "unreadable"
    ABSTAIN = "abstain"
    """The probe is unsure."""
    FAILED = "failed"
    """Drawing or reading raised or gave NaN."""


@dataclass(frozen=True)
class Component:
    """A plugin as a spec mentions it: `steer`, or `{name: steer, scale: 0.5}`."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Request:
    """One image to draw. The same for every arm, which is what pairs the arms."""

    prompt_id: str
    """Stable id of the prompt; `-` for an unconditional model."""
    prompt: str
    """Empty for an unconditional model."""
    index: int
    """Replicate of this prompt, from 0."""
    seed: int
    """Of the initial noise; a hash of scheme, base seed, prompt id and index."""
    steps: int
    guidance_scale: float
    """1 means no guidance; ignored by an unconditional model."""
    asks: tuple[str, ...] = ()
    """Classes that the prompt asks for: "a portrait of an old woman" for `old` and `woman`."""


@dataclass(frozen=True)
class Moment:
    """Where in a sampling run an edit is called."""

    step: int
    """Sampling step, 0 = the noisiest."""
    steps: int
    timestep: float
    """What the scheduler calls this step."""
    requests: Sequence[Request]
    """Row i of the activation belongs to `requests[i]`."""


Edit = Callable[["Tensor", Moment], "Tensor"]
"""Given the output of a hookpoint for the conditional rows, return what takes its place.

The tensor is [N, C, H, W] at a convolutional hookpoint and [N, tokens, C] in a transformer, with
N = len(moment.requests). An edit that records returns its argument.
"""


@dataclass(frozen=True)
class Drawing:
    """What a model drew: an image and a state for each request, in order."""

    images: Images
    states: tuple[State, ...]


@runtime_checkable
class Model(Protocol):
    """A generator of images, text-to-image or unconditional."""

    fingerprint: str
    """Digest of weights and of the options that change pixels; no device, no batch size."""
    hookpoints: Mapping[str, int]
    """Names that `hooked` accepts, with the number of channels there."""
    text_to_image: bool

    def generate(self, requests: Sequence[Request]) -> Drawing:
        """Draw one image for each request; an image depends on its own request only."""
        ...

    def hooked(self, hookpoint: str, edit: Edit) -> AbstractContextManager[None]:
        """While the block runs, pass the output of `hookpoint` through `edit`."""
        ...


@runtime_checkable
class Mitigation(Protocol):
    """What may make a model fairer. The baseline is the one that changes nothing.

    One that follows what a probe reads also has `attribute`, the name of what it follows, and
    `probe`, unless that is the one of its feature set: it should not be the only judge.
    """

    fingerprint: str

    def applied(self, model: Model) -> AbstractContextManager[Model]:
        """While the block runs, yield `model` mitigated: hooked, wrapped, or as it is.

        Raises:
            SpecError: this mitigation cannot be used with this kind of model.
        """
        ...


@dataclass(frozen=True)
class Readings:
    """What one probe reads from N images."""

    probabilities: Mapping[str, Probabilities]
    """By attribute: [N, K] in the order of the probe's classes."""
    states: Mapping[str, tuple[State, ...]]
    """By attribute: one state an image. Where it is not OK the row of probabilities is NaN."""
    faces: npt.NDArray[np.int16]
    """[N]: faces found; -1 where the probe does not look for faces."""
    values: Mapping[str, npt.NDArray[np.float32]] = field(default_factory=dict)
    """By attribute: [N] a continuous reading where there is one (age in years, Monk tone)."""


@runtime_checkable
class Probe(Protocol):
    """A classifier of perceived attributes: presentation in pixels, never identity."""

    name: str
    fingerprint: str
    classes: Mapping[str, tuple[str, ...]]
    """By attribute: the class names, in the order of the columns of probabilities."""

    def read(self, images: Images) -> Readings:
        """Read every image; the result does not depend on how images are batched."""
        ...


@runtime_checkable
class Encoder(Protocol):
    """Embeds images, and texts where it can, for FID, KID, CMMD and CLIP scores."""

    name: str
    """As it stands in metric ids: `fid@<name>`."""
    fingerprint: str
    dimensions: int
    extractor: str
    """Layer, weights, input size, resize and dtype: what a reader needs to compare two values."""

    def encode_images(self, images: Images) -> npt.NDArray[np.float32]:
        """Return [N, D] embeddings."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return [N, D] embeddings; raises SpecError where the encoder has no text side."""
        ...


@dataclass(frozen=True)
class FeatureSet:
    """The latents found for an attribute."""

    attribute: str
    classes: tuple[str, ...]
    hookpoint: str
    model: str
    """Fingerprint of the model; refused by any other."""
    sae: str
    """Fingerprint of the SAE."""
    ranking: str
    latents: Mapping[str, tuple[int, ...]]
    """By class: latent ids, strongest first."""
    effects: Mapping[str, tuple[float, ...]]
    """By class: signed effects, in the order of `latents`."""


@dataclass(frozen=True)
class Metric:
    """A metric's function with the facts that are needed to print and to compare its values."""

    name: str
    """As it stands in `results.json`; over embeddings `@<encoder>` is added to it."""
    version: int
    """Raised when the definition changes; unlike versions are not compared."""
    function: Callable[..., Any]
    """Called with the arrays named in `columns`, in that order; and, if it takes them by these
    names, with the `level` of its interval; with `units`, the ways in which images go together:
    codes [N] of their prompts and of their seeds, as far as the design of the run says so; and
    with `mean`: of values of the images [N], their mean as an `Estimate` under that design."""
    columns: tuple[str, ...]
    """What it is a function of: `shares` [..., K], `first_share` (of which only the first class
    counts), `soft_shares`, `cov` [..., K, K], `target` [K],
    `joint` (shares of combinations), `features` and `reference` [N, D], `pairs` (features of the
    baseline, row by row), `texts` [N, D]."""
    better: Literal["lower", "higher", "none"]
    range: tuple[float, float]
    interval: str
    """Method of its interval: `inversion`, `debiased`, `jackknife`, `mean`, `none`."""
    source: str
    """Who defined it, and where."""


@dataclass(frozen=True)
class Measurement:
    """One number of `results.json`, with what is needed to believe it."""

    metric: str
    """Full id: `fd_debiased`, `fid@portraits-clip`, …"""
    arm: str
    value: float | None
    """None where it could not be measured; `method` then holds the reason."""
    n: int
    method: str
    direction: str
    """`lower`, `higher` or `none`: which way is better."""
    attribute: str | None = None
    class_: str | None = None
    probe: str | None = None
    prompt: str | None = None
    """Prompt id; None = pooled over all prompts."""
    ci_low: float | None = None
    ci_high: float | None = None
    level: float | None = None
    n_effective: float | None = None
    null_low: float | None = None
    null_high: float | None = None
    """Range of a perfectly fair model at this n."""
    extractor: str | None = None
