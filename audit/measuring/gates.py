"""Limits -> pass, fail or inconclusive, on one-sided bounds, with Holm over all gates of a spec.

A gate never decides on the value itself: a model exactly on the limit would pass half of the time.
It passes where even the bound on the bad side keeps the limit, fails where even the bound on the
good side breaks it, and is inconclusive in between.
"""

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from audit.measuring.bounds import Bounds
from audit.measuring.groups import INFINITE, Scored
from audit.measuring.measurement import Measured
from audit.measuring.states import LARGEST_DIFFERENCE, LARGEST_MISSING
from audit.measuring.verdicts import Claim, Side, entry
from audit.spec.benchmark import Benchmark, Gate
from audit.statistics.multiplicity import holm
from audit.storage.results import GateEntry, StateCount
from audit.types import Measurement, State

SMALLEST_P = 1e-5
STEPS = 12


def decide(
    benchmark: Benchmark, measured: Measured, *, partial: str = ""
) -> tuple[GateEntry, ...]:
    """Decide on every gate of a benchmark; one without an arm is decided for each arm.

    Args:
        benchmark: Its gates, probes and level.
        measured: The numbers, with the bounds behind them.
        partial: Why nothing may pass, where the run is not whole.
    """
    claims = [c for gate in benchmark.gates for c in _claims(gate, benchmark, measured, partial)]
    return settle(claims, 1 - benchmark.statistics.level)


def settle(claims: Sequence[Claim], alpha: float) -> tuple[GateEntry, ...]:
    """Decide on claims together, after Holm: any is decided wrongly with chance `alpha`."""
    p = np.array([claim.p for claim in claims], float)
    adjusted, family = holm(p), int(np.isfinite(p).sum())
    ranks = np.argsort(np.argsort(np.where(np.isnan(p), np.inf, p), kind="stable"), kind="stable")
    return tuple(
        entry(claim, float(q), family, alpha, 1 - alpha / max(family - int(rank), 1))
        for claim, q, rank in zip(claims, adjusted, ranks, strict=True)
    )


def _claims(gate: Gate, benchmark: Benchmark, measured: Measured, partial: str) -> Iterator[Claim]:
    side: Side = "max" if gate.max is not None else "min"
    limit = gate.max if gate.max is not None else gate.min
    if limit is None:
        return
    for arm in [gate.arm] if gate.arm else measured.arms:
        found = [one for one in measured.scored if _meant(gate, arm, one.measurement, benchmark)]
        for one in found:
            spoilt = partial or unread(one.measurement, measured.states, measured.arms[0])
            before = _baseline(one.measurement, measured)
            yield claim(gate, arm, one, side, limit, spoilt=spoilt, baseline=before)
        if not found:
            reason = "there is no such number"
            yield Claim(gate, arm, None, gate.probe, side, limit, "fail", math.nan, reason)


def _meant(gate: Gate, arm: str, row: Measurement, benchmark: Benchmark) -> bool:
    """Say whether a gate is about a measurement; a bare `fid` means every extractor's."""
    first = benchmark.probes[0].label if benchmark.probes else row.probe
    probe = gate.probe or first
    return (
        gate.metric in (row.metric, row.metric.partition("@")[0])
        and (row.arm, row.attribute, row.prompt) == (arm, gate.attribute, gate.prompt)
        and gate.class_ in (row.class_, None)
        and row.probe in (probe, None)
    )


def claim(
    gate: Gate,
    arm: str,
    scored: Scored,
    side: Side,
    limit: float,
    *,
    spoilt: str = "",
    baseline: float | None = None,
) -> Claim:
    """Return what a number says of a limit, with its p-value.

    Args:
        gate: The limit as it was written.
        arm: The number is about.
        scored: The number, with the bounds behind it.
        side: On which of its sides the limit stands.
        limit: Of the number.
        spoilt: Why a pass would not count; empty where it would.
        baseline: Value of the baseline, to be told beside it.
    """
    row = scored.measurement
    about = (gate, arm, scored, row.probe, side, limit)
    if row.method == INFINITE:
        return Claim(*about, "fail" if side == "max" else "pass", 0.0, baseline=baseline)
    if row.value is None or scored.bounds is None:
        return Claim(*about, "fail", math.nan, row.method, baseline)
    keeps = row.value <= limit if side == "max" else row.value >= limit
    p = _p(scored.bounds, limit, below=keeps == (side == "max"))
    return Claim(*about, "pass" if keeps else "fail", p, spoilt if keeps else "", baseline)


def _p(bounds: Bounds, limit: float, *, below: bool) -> float:
    """Return the smallest error at which a bound is on the one side of the limit."""

    def says(p: float) -> bool:
        lower, upper = bounds(1 - p)
        return upper <= limit if below else lower > limit

    low, high = math.log(SMALLEST_P), math.log(0.5)
    if not says(0.4999):
        return 0.5
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if says(math.exp(middle)) else (middle, high)
    return math.exp(high)


def unread(row: Measurement, states: Sequence[StateCount], baseline: str) -> str:
    """Say that too much is missing for a pass, if so.

    Args:
        row: The number that a gate is on.
        states: Of every reading.
        baseline: An arm. To be read much less than it spoils a pass too: who is hidden is not
            counted, and a share may be even by omission.
    """
    missing, before = _missing(row, row.arm, states), _missing(row, baseline, states)
    if missing is None:
        return ""
    of = "its least read prompt" if _of_worst(row) else row.prompt and f"prompt {row.prompt!r}"
    said = f"{missing:.0%} of the images{f' of {of}' if of else ''} were not read"
    if missing > LARGEST_MISSING:
        return said
    if before is not None and missing - before > LARGEST_DIFFERENCE:
        return f"{said}, but {before:.0%} of the baseline's"
    return ""


def _missing(row: Measurement, arm: str, states: Iterable[StateCount]) -> float | None:
    """Return the share of images not read: of a number's own prompt, or over all prompts.

    The worst prompt is worse than every other, so that all must be read: the least read counts.
    """
    about = (arm, row.probe, row.attribute, State.OK)
    rates = {
        count.prompt: 1 - count.share
        for count in states
        if (count.arm, count.probe, count.attribute, count.state) == about
        and count.share is not None
    }
    return max(rates.values(), default=None) if _of_worst(row) else rates.get(row.prompt)


def _of_worst(row: Measurement) -> bool:
    return row.metric.partition("@")[0].endswith("_worst")


def _baseline(row: Measurement, measured: Measured) -> float | None:
    about = (row.metric, row.attribute, row.class_, row.probe, row.prompt)
    for m in measured.measurements:
        same = (m.metric, m.attribute, m.class_, m.probe, m.prompt) == about
        if same and m.arm == measured.arms[0]:
            return m.value
    return None
