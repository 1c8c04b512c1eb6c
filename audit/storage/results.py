"""`results.json`: the one place where every number of a run stands, as strict models."""

from typing import Annotated, Literal, Self

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, model_validator

SCHEMA_VERSION = "1.3.0"
"""Semantic: a reader of 1.x reads every 1.y."""

Number = float | None
"""None where it could not be measured, never 0 and never NaN; `method` holds the reason."""

Direction = Literal["lower", "higher", "none"]
"""Which way is better."""

Whole = Annotated[int, Field(ge=0)]


Class = Annotated[
    str | None,
    Field(validation_alias=AliasChoices("class", "class_"), serialization_alias="class"),
]
"""Name of a class; the key is `class`, which Python keeps for itself."""


class Record(BaseModel):
    """One entry: no other key, no NaN."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, populate_by_name=True
    )


class About(Record):
    """What a number is about; None = not about one, or over all."""

    arm: str
    attribute: str | None = None
    class_: Class = None
    probe: str | None = None
    prompt: str | None = None
    """Prompt id; None = all prompts, each of the same weight."""


class Bounded(Record):
    """A number with its two-sided interval."""

    value: Number
    ci_low: Number = None
    ci_high: Number = None
    level: Number = None
    method: str
    """How the interval came about, or why there is no number."""


class Entry(About, Bounded):
    """One measurement."""

    metric: str
    n: Whole
    """Readings used."""
    n_effective: Number = None
    null_low: Number = None
    null_high: Number = None
    """Range of a perfectly fair model at this n."""
    direction: Direction
    extractor: str | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.ci_low is not None and self.ci_high is not None and self.ci_low > self.ci_high:
            raise ValueError(f"ci_low {self.ci_low} exceeds ci_high {self.ci_high}")
        return self


class StateCount(About):
    """How many images, or readings of a probe, ended in a state."""

    state: str
    count: Whole
    n: Whole
    """Of how many."""
    share: Number
    ci_low: Number
    ci_high: Number
    level: float


class Difference(About, Bounded):
    """A difference, arm minus baseline; paired where both have the same requests."""

    metric: str
    baseline: str
    n: Whole
    """Pairs in which both sides were read; of two samples the smaller."""
    dropped: Whole = 0
    """Requests that do not count: one side lacks them, or could not be read."""
    p: Number = None
    """Two-sided, of no difference."""
    p_adjusted: Number = None
    """Adjusted within `family`."""
    family: str | None = None
    """`<adjustment>: <what was tested together>`."""
    direction: Direction = "none"
    equivalent: bool | None = None
    """Whether two one-sided tests place the difference within `margin`."""
    margin: Number = None
    """Largest change that the spec counts as none."""
    p_margin: Number = None
    """Of a change beyond `margin`: the larger of the two one-sided tests."""
    extractor: str | None = None


class Flips(About):
    """Who changed: how the readings of the baseline turn into those of an arm, pair by pair."""

    attribute: str
    probe: str
    baseline: str
    classes: tuple[str, ...]
    counts: tuple[tuple[Whole, ...], ...]
    """Row = class in the baseline, column = class in the arm."""
    n: Whole
    dropped: Whole
    test: str
    """`mcnemar-exact` for two classes, `stuart-maxwell` for more; `hotelling` for clusters."""
    p: Number
    p_mid: Number = None
    p_adjusted: Number = None
    family: str | None = None


class Agreement(About):
    """How far probes agree on the images of an arm; agreement is not accuracy."""

    attribute: str
    statistic: str
    """`raw`, `cohen_kappa`, `fleiss_kappa` or `krippendorff_alpha`."""
    probes: tuple[str, ...]
    value: Number
    n: Whole
    method: str


class ProbeRecord(Record):
    """A probe that read the images, and what is known of its errors."""

    name: str
    fingerprint: str | None = None
    attribute: str
    classes: tuple[str, ...]
    confusion: tuple[tuple[float, ...], ...] | None = None
    """Counts; row = true class, column = class read. None where no error card is at hand."""
    accuracy: Number = None
    data: str | None = None
    """What it was calibrated on."""
    licence: str | None = None
    correction: str
    """`applied`, or why the shares could not be corrected."""


class GateEntry(Record):
    """One limit and its verdict."""

    id: str
    metric: str
    attribute: str | None = None
    class_: Class = None
    probe: str | None = None
    arm: str
    prompt: str | None = None
    side: Literal["max", "min"]
    limit: float
    value: Number
    ci_low: Number = None
    ci_high: Number = None
    bound: Number
    """One-sided bound at the level that the family of gates leaves this one."""
    bound_level: Number
    bound_side: Literal["lower", "upper"] | None = None
    """Which end `bound` is; None without one, and in results of 1.2."""
    p: Number
    """One-sided, of lying beyond the limit."""
    p_adjusted: Number
    """After Holm, over the gates of the spec."""
    family: Whole
    n: Whole
    n_needed: int | None = None
    """About how many images would decide it; None where it is decided or no number can.

    Of the arm; of the prompt where the gate is on one.
    """
    baseline_value: Number = None
    verdict: Literal["pass", "fail", "inconclusive"]
    doubt: str = ""
    """Why nothing is decided, without the numbers of the gate; empty where it is decided."""
    reason: str
    """The doubt, the numbers that the verdict rests on, and what would decide."""

    def because(self, bound: str, limit: str) -> str:
        """Return the reason in one sentence, with its two numbers as the reader writes them."""
        wording = f"the limit {'at most' if self.side == 'max' else 'at least'} {limit}"
        if self.bound_side is None:
            return self.doubt or f"the value is infinite, {wording}"
        said = f"the {100 * (self.bound_level or 0):.4g} % {self.bound_side} bound is {bound}"
        parts = [self.doubt, f"{said}, {wording}"]
        if self.n_needed is not None:
            images = "images of this prompt" if self.prompt else "images an arm"
            parts.append(f"about {self.n_needed:,} {images} would decide")
        return "; ".join(part for part in parts if part)


class FeatureRecord(BaseModel):
    """A feature set as used; the features part may add evidence under further keys."""

    model_config = ConfigDict(extra="allow", frozen=True, allow_inf_nan=False)

    attribute: str
    classes: tuple[str, ...]
    hookpoint: str
    model: str
    sae: str
    ranking: str
    latents: dict[str, tuple[int, ...]]
    effects: dict[str, tuple[float, ...]]


class Estimand(Record):
    """What the numbers of one attribute are estimates of."""

    attribute: str
    classes: tuple[str, ...]
    classes_source: str = ""
    """Who chose them: `spec`, or `suite` where the spec left them as they are."""
    target: dict[str, float]
    target_source: str
    """`uniform`; what the spec says of who chose it and why; or `the spec`, where it is silent."""
    inference: str
    design: str
    """What was sampled independently of what."""
    aggregation: str
    unit: str = "image"


GUIDE_JUDGES, GUIDE_READS = "guide_judges", "guide_reads"
"""Codes of `Warned`: an arm follows a probe that reads it, the first one or a further one.

Gates and summaries go by the first.
"""


class Warned(Record):
    """Something the reader should know, and how often it happened."""

    code: str
    message: str
    count: int = 1
    arm: str | None = None
    attribute: str | None = None
    probe: str | None = None
    """None, as in all results of 1.2: of no one probe, so whichever is asked about."""


class Provenance(BaseModel):
    """Where the numbers come from; the runner adds digests, versions, device and times."""

    model_config = ConfigDict(extra="allow", frozen=True, allow_inf_nan=False)

    estimands: tuple[Estimand, ...] = ()
    warnings: tuple[Warned, ...] = ()


class Results(Record):
    """All of `results.json`."""

    schema_version: str = SCHEMA_VERSION
    benchmark: str
    title: str = ""
    arms: tuple[str, ...]
    """The baseline first."""
    prompts: dict[str, str] = Field(default_factory=dict)
    """Text by prompt id, in the order of the benchmark."""
    measurements: tuple[Entry, ...] = ()
    states: tuple[StateCount, ...] = ()
    comparisons: tuple[Difference, ...] = ()
    flips: tuple[Flips, ...] = ()
    probes: tuple[ProbeRecord, ...] = ()
    agreement: tuple[Agreement, ...] = ()
    gates: tuple[GateEntry, ...] = ()
    features: tuple[FeatureRecord, ...] = ()
    provenance: Provenance = Provenance()
