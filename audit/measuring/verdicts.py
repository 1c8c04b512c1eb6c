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
    bound, end = _bound(claim, level)
    blocked = not sure and claim.p <= 1 - level
    needed = None
    in_doubt = verdict == "inconclusive" and not blocked and not (sure and claim.reason)
    if in_doubt and row and bound is not None:
        needed = images_needed(row, bound, claim.limit, level)
    found = GateEntry(
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
        bound=bound,
        bound_side=end,
        bound_level=level if bound is not None else None,
        p=claim.p if np.isfinite(claim.p) else None,
        p_adjusted=adjusted if np.isfinite(adjusted) else None,
        family=family,
        n=row.n if row else 0,
        n_needed=needed,
        baseline_value=claim.baseline,
        verdict=verdict,
        doubt=_doubt(claim, bound, blocked=blocked) if verdict == "inconclusive" else "",
        reason="",
    )
    said = found.because("" if bound is None else f"{bound:.4g}", f"{claim.limit:g}")
    return found.model_copy(update={"reason": said})


def _bound(claim: Claim, level: float) -> tuple[float | None, Literal["lower", "upper"] | None]:
    """Return the bound that decides on a claim, and which one it is; None where it has none."""
    if not (claim.scored and claim.scored.bounds and np.isfinite(claim.p)):
        return None, None
    lower, upper = claim.scored.bounds(level)
    above = (claim.verdict == "pass") == (claim.side == "max")
    bound = number(upper if above else lower)
    return bound, None if bound is None else "upper" if above else "lower"


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


def _doubt(claim: Claim, bound: float | None, *, blocked: bool) -> str:
    """Say what stands against a decision.

    A gate is blocked where its bound would decide, were not a surer one undecided: Holm goes from
    the surest on and stops at the first that is open.
    """
    if bound is None:
        return f"no decision: {claim.reason or 'no bound can be given at this number of images'}"
    if claim.reason:
        return f"no pass: {claim.reason}"
    if blocked:
        return "undecided since a surer gate tested together with it is undecided"
    return "cannot tell at this number of images"
