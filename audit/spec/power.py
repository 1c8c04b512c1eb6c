"""What a benchmark can show, before anything is drawn: effects it detects, gates it decides."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from audit.spec import metric_rules
from audit.spec.benchmark import Benchmark, Gate
from audit.statistics.designs import CLUSTERED, design
from audit.statistics.power import (
    detectable,
    fair_quantile,
    images_for_width,
    images_to_pass,
    images_to_pass_mean,
    images_to_pass_worst,
)

POWER = 0.8
HALF_WIDTH = 0.05
"""Half-width of an interval that the plan names a number of images for."""
DISCREPANCIES = frozenset({"fd", "fd_soft", "fd_debiased"})
"""Metrics that the formulas are of."""


@dataclass(frozen=True)
class Reach:
    """What so many images can show of one attribute."""

    attribute: str
    classes: int
    images: int
    """An arm, over all prompts."""
    images_per_prompt: int
    units: int
    """Independent ones among them: images, or the prompts or seeds that images go together by."""
    detectable: float
    """Smallest discrepancy from even shares seen at 80 %, over all prompts, at best: were images
    of one prompt or seed as independent as others."""
    detectable_at_worst: float
    """The same were images of one prompt or seed all alike."""
    detectable_per_prompt: float
    """The same in a single prompt."""
    null: float
    """95 % quantile of the plug-in discrepancy of a fair model, over all prompts."""
    null_per_prompt: float
    images_for_width: int
    """That give a share near a half an interval of ± 0.05."""


@dataclass(frozen=True)
class GateReach:
    """Whether a gate can decide at all."""

    gate: str
    limit: float
    images: int
    """Planned, for what the gate reads: all prompts, or of each one."""
    needed: int | None
    """For a fair model to pass at 80 %; None where no formula is known."""
    prompts: int = 1
    """That must each keep the limit, and share the chance to miss it (Bonferroni)."""
    more: str = ""
    """Why it takes more than `needed`, nobody knows how many; empty where it does not."""

    @property
    def decides(self) -> bool:
        """Whether the images planned are enough, as far as is known."""
        return self.needed is None or self.images >= self.needed


def reach(benchmark: Benchmark, *, missing: float = 0.0) -> tuple[Reach, ...]:
    """Return what a benchmark can show, by attribute; nothing where it draws no images.

    Args:
        benchmark: Its images, prompts, attributes and level.
        missing: Share of images that the probes will not read.
    """
    if not benchmark.model:
        return ()
    counted = (name for name in benchmark.attributes if _prompts(benchmark, name))
    return tuple(_reach(name, benchmark, missing) for name in counted)


def gates(benchmark: Benchmark, *, missing: float = 0.0) -> tuple[GateReach, ...]:
    """Return for every gate whether the images planned can decide it.

    The level is that of the whole family: of m limited numbers each is given a part of the error.
    """
    if not benchmark.model:
        return ()
    return tuple(_gate(gate, benchmark, missing) for gate in benchmark.gates)


def warnings(benchmark: Benchmark) -> Iterator[str]:
    """Yield a sentence for every gate that the images planned cannot decide."""
    for found in gates(benchmark):
        if not found.decides:
            each, shared = "", ""
            if found.prompts > 1:
                each = " of each prompt"
                shared = f", the chance to miss shared by {found.prompts} prompts (Bonferroni)"
            more = f" and more, since {found.more}" if found.more else ""
            yield (
                f"gate {found.gate} reads {found.images:,} images{each}, and a fair model passes "
                f"the limit {found.limit:g} at 80 % with {found.needed:,}{more}{shared}: expect "
                "`inconclusive`"
            )


def _reach(attribute: str, benchmark: Benchmark, missing: float) -> Reach:
    k = len(benchmark.classes_of(attribute))
    whole, each = _images(benchmark, attribute, missing)
    alpha = 1 - benchmark.statistics.level
    units, _ = _units(attribute, benchmark, whole, each)
    return Reach(
        attribute=attribute,
        classes=k,
        images=whole,
        images_per_prompt=each,
        units=units,
        detectable=detectable(max(whole, 1), k, alpha=alpha, power=POWER),
        detectable_at_worst=detectable(max(units, 1), k, alpha=alpha, power=POWER),
        detectable_per_prompt=detectable(max(each, 1), k, alpha=alpha, power=POWER),
        null=fair_quantile(max(whole, 1), k, benchmark.statistics.level),
        null_per_prompt=fair_quantile(max(each, 1), k, benchmark.statistics.level),
        images_for_width=images_for_width(HALF_WIDTH, benchmark.statistics.level),
    )


def _prompts(benchmark: Benchmark, attribute: str | None) -> int:
    """Return how many prompts count in shares of an attribute: those that ask for no class."""
    asked = benchmark.asked_of(attribute) if attribute else ()
    return len(benchmark.prompts) - len(asked) if benchmark.prompts else 1


def _images(benchmark: Benchmark, attribute: str | None, missing: float) -> tuple[int, int]:
    """Return the images of an arm that count for an attribute, and those of each prompt."""
    prompts = _prompts(benchmark, attribute)
    drawn = benchmark.images_per_prompt if benchmark.prompts else benchmark.images
    each = int(drawn or 0) * (1 - missing)
    return int(each * prompts), int(each)


def _units(attribute: str | None, benchmark: Benchmark, whole: int, each: int) -> tuple[int, str]:
    """Return how many units are independent, and by what images go together, if by anything."""
    prompts = _prompts(benchmark, attribute)
    shared = benchmark.seed_scheme == "shared"
    kind = design(benchmark.statistics.inference, prompts=prompts, shared_seeds=shared)
    if kind not in CLUSTERED:
        return whole, ""
    if kind == "crossed":
        return min(prompts, each), "prompt or seed"
    return (prompts, "prompt") if kind == "prompts" else (each, "seed")


def _gate(gate: Gate, benchmark: Benchmark, missing: float) -> GateReach:
    whole, each = _images(benchmark, gate.attribute, missing)
    metric, form = metric_rules.split(gate.metric)
    limit = gate.max if gate.max is not None else gate.min or 0.0
    prompts = _prompts(benchmark, gate.attribute)
    single = gate.prompt is not None or form == "worst"
    units, together = (whole, "") if single else _units(gate.attribute, benchmark, whole, each)
    df = max(units - 1, 1) if together else np.inf
    needed, more = None, []
    if prompts and metric in DISCREPANCIES and form != "ppi" and gate.max and gate.attribute:
        k = len(benchmark.classes_of(gate.attribute))
        level = 1 - (1 - benchmark.statistics.level) / _tested_together(benchmark)
        if form == "macro":
            needed = prompts * images_to_pass_mean(
                limit, k, prompts, level=level, power=POWER, df=df
            )
        elif form == "worst":
            needed = images_to_pass_worst(limit, k, prompts, level=level, power=POWER)
        else:
            needed = images_to_pass(limit, k, level=level, power=POWER, df=df)
        more += ["the probe errs"] if form == "corrected" else []
        more += [f"images of one {together} go together"] if together else []
    name = " ".join(part for part in (gate.metric, gate.attribute, gate.class_, gate.arm) if part)
    sharing = prompts if form == "worst" else 1
    reads = each if single else whole
    return GateReach(name, limit, reads, needed, sharing, " and ".join(more))


def _tested_together(benchmark: Benchmark) -> int:
    """Return how many numbers the gates are on; one without an arm is on one of every arm."""
    return sum(1 if gate.arm else len(benchmark.mitigations) for gate in benchmark.gates)
