"""What a gate comes to: its entry in `results.json`, with the reason in one sentence."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from audit.measuring.groups import Scored, number
from audit.spec.benchmark import Gate
from audit.statistics.intervals import quantile
from audit.storage.results import GateEntry
from audit.types import Measurement

POWER = 0.8
"""Chance of a decision at which the number of images is given."""

Side = Literal["max", "min"]
Verdict = Literal["pass", "fail", "inconclusive"]


@dataclass(frozen=True)
class Claim:
    """A gate on one number, before multiplicity."""

    gate: Gate
    arm: str
    scored: Scored | None
    probe: str | None
    side: Side
    limit: float
    verdict: Literal["pass", "fail"]
    """What the number says if it can be relied on."""
    p: float
    """One-sided, of the limit being kept where the claim says broken, or the reverse; NaN where
    no test can be made."""
    reason: str = ""
    """Why no test can be made, or why a pass does not count."""
    baseline: float | None = None
    """Value of the baseline."""


def entry(claim: Claim, adjusted: float, family: int, alpha: float, level: float) -> GateEntry:
    """Return the entry of a gate.

    Args:
        claim: What the number says, with its p-value.
        adjusted: The same p-value after Holm; NaN where there is none.
        family: How many gates were tested together.
        alpha: Error that the family is allowed.
        level: One-sided level that this leaves the gate.
    """
    row = claim.scored.measurement if claim.scored else None
    sure = adjusted <= alpha
    verdict: Verdict = claim.verdict if sure else "inconclusive"
    if verdict == "pass" and claim.reason:
        verdict = "inconclusive"
    bound = None
    if claim.scored and claim.scored.bounds and np.isfinite(claim.p):
        lower, upper = claim.scored.bounds(level)
        bound = upper if (claim.verdict == "pass") == (claim.side == "max") else lower
    blocked = not sure and claim.p <= 1 - level
    needed = None
    in_doubt = verdict == "inconclusive" and not blocked and not (sure and claim.reason)
    if in_doubt and row and bound is not None:
        needed = images_needed(row, bound, claim.limit, level)
    return GateEntry(
        id=_id(claim),
        metric=row.metric if row else claim.gate.metric,
        attribute=claim.gate.attribute,
        class_=row.class_ if row else claim.gate.class_,
        probe=claim.probe,
        arm=claim.arm,
        prompt=claim.gate.prompt,
        side=claim.side,
        limit=claim.limit,
        value=row.value if row else None,
        ci_low=row.ci_low if row else None,
        ci_high=row.ci_high if row else None,
        bound=None if bound is None else number(bound),
        bound_level=level if bound is not None else None,
        p=claim.p if np.isfinite(claim.p) else None,
        p_adjusted=adjusted if np.isfinite(adjusted) else None,
        family=family,
        n=row.n if row else 0,
        n_needed=needed,
        baseline_value=claim.baseline,
        verdict=verdict,
        reason=_reason(claim, verdict, bound, level, needed, blocked=blocked),
    )


def images_needed(row: Measurement, bound: float, limit: float, level: float) -> int | None:
    """Return about how many images decide with 80 % chance, were the value the truth.

    Of an arm; of one of its prompts where the measurement is of that prompt.

    The distance from value to bound shrinks with the root of n; None where the value lies on the
    limit, which no number decides.
    """
    distance = abs(limit - (row.value or 0.0))
    z, more = float(quantile(2 * level - 1)), float(quantile(2 * POWER - 1))
    if distance == 0 or row.n == 0:
        return None
    needed = row.n * (abs(bound - (row.value or 0.0)) * (z + more) / z / distance) ** 2
    return math.ceil(needed) if needed < 1e9 else None


def _id(claim: Claim) -> str:
    gate, row = claim.gate, claim.scored.measurement if claim.scored else None
    metric, name = (row.metric, row.class_) if row else (gate.metric, gate.class_)
    parts = (metric, gate.attribute, name, claim.probe, claim.arm, gate.prompt, claim.side)
    return "-".join(part for part in parts if part)


def _reason(
    claim: Claim,
    verdict: str,
    bound: float | None,
    level: float,
    needed: int | None,
    *,
    blocked: bool,
) -> str:
    """Say in one sentence why.

    A gate is blocked where its bound would decide, were not a surer one undecided: Holm goes from
    the surest on and stops at the first that is open.
    """
    wording = "at most" if claim.side == "max" else "at least"
    if bound is None or np.isinf(bound):
        if verdict == "fail":
            return f"the value is infinite and the limit is {wording} {claim.limit:g}"
        return f"no decision: {claim.reason}"
    end = "upper" if (claim.verdict == "pass") == (claim.side == "max") else "lower"
    said = (
        f"the {100 * level:.4g} % {end} bound is {bound:.4g}, the limit {wording} {claim.limit:g}"
    )
    if verdict == "inconclusive" and claim.reason:
        return f"no pass: {claim.reason}; {said}"
    if verdict == "inconclusive" and blocked:
        return f"undecided since a surer gate tested together with it is undecided; {said}"
    if verdict == "inconclusive":
        images = "images of this prompt" if claim.gate.prompt else "images an arm"
        about = f"; about {needed:,} {images} would decide" if needed else ""
        return f"cannot tell at this number of images: {said}{about}"
    return said
