"""An arm against the baseline, request by request: how the numbers moved."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import stats

from audit.measuring.groups import Group, number
from audit.measuring.votes import ABSENT
from audit.statistics.changes import compare, mover
from audit.statistics.discrepancy import discrepancy, squared_discrepancy, squared_variance
from audit.statistics.intervals import Estimate, quantile, t_interval
from audit.statistics.pairs import mcnemar
from audit.statistics.shares import Shares, shares_by
from audit.storage.results import Difference, Direction
from audit.types import Floats, State

UNPAIRED = "unpaired: the arms share no seeds"
STILL = "paired: no reading differs"


@dataclass(frozen=True)
class Pair:
    """The same probe and attribute in the baseline and in another arm."""

    baseline: Group
    arm: Group

    @property
    def paired(self) -> npt.NDArray[np.bool_]:
        """[R] whether both arms drew a request from the same noise."""
        first, second = self.baseline.votes.arm, self.arm.votes.arm
        return self.arm.requests.paired(first, second)


def pairs(groups: Sequence[Group]) -> Iterator[Pair]:
    """Yield every arm with the baseline: the first arm that the same probe read."""
    baselines: dict[tuple[str, str], Group] = {}
    for group in groups:
        first = baselines.setdefault((group.votes.probe, group.votes.attribute), group)
        if first is not group:
            yield Pair(first, group)


def differences(pair: Pair) -> Iterator[Difference]:
    """Yield the change of every share, of the squared discrepancy, and of what could be read.

    Over all prompts, and of the shares for each prompt; two-sided p-values of no change, not yet
    adjusted.
    """
    if not pair.paired.any():
        yield from _unpaired(pair)
        return
    group, rows = pair.arm, pair.paired
    before, after = pair.baseline.votes.hard[rows], group.votes.hard[rows]
    prompt = group.requests.prompt[rows]
    both = ~(np.isnan(before[:, 0]) | np.isnan(after[:, 0]))
    dropped = int((~both).sum())
    found = compare(
        before,
        after,
        group.target,
        prompts=prompt,
        seeds=group.seeds[rows],
        design=group.design,
        level=group.level,
    )
    whole = found.difference
    yield from _shares(pair, stacked(whole), np.array([dropped]), [None], "paired-t")
    n, df = int(both.sum()), _df(found.difference)
    # Ends put together from two arms do not meet even where no pair differs.
    still = n > 0 and bool((before[both] == after[both]).all())
    for metric, change in (("fd_debiased", found.distance), ("fd2_debiased", found.squared)):
        value, low, high = map(float, (change.value, change.low, change.high))
        ends = (0.0, 0.0) if still else (low, high)
        method = STILL if still else "paired-mover"
        estimate = Estimate(value, np.nan, *ends, change.level, n, df, method)
        yield _difference(pair, metric, estimate, dropped, "lower")
    yield _readable(pair, rows)
    prompts = group.requests.prompts
    if len(prompts) > 1:
        each = shares_by(after - before, prompt, len(prompts))
        lost = np.bincount(prompt[~both], minlength=len(prompts))
        yield from _shares(pair, each, lost, prompts, "paired-t")


def _shares(
    pair: Pair,
    found: Shares,
    dropped: npt.NDArray[np.int64],
    prompts: Sequence[str | None],
    method: str,
) -> Iterator[Difference]:
    """Yield the change of every share, [J, K] at once."""
    level = pair.arm.level
    df = np.where(np.isinf(found.df), np.maximum(found.units - 1.0, 1.0), found.df)[:, None]
    se = np.sqrt(np.diagonal(found.cov, axis1=-2, axis2=-1))
    half = quantile(level, df) * se
    low, high = np.clip(found.p - half, -1, 1), np.clip(found.p + half, -1, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        p = np.where(se > 0, 2 * stats.t.sf(np.abs(found.p) / se, df), found.p == 0)
    p[np.isnan(se)] = np.nan
    for j, prompt in enumerate(prompts):
        n = int(found.n[j])
        for k, name in enumerate(pair.arm.votes.classes):
            yield Difference(
                **pair.arm.about,
                metric="share",
                class_=name,
                prompt=prompt,
                baseline=pair.baseline.votes.arm,
                value=number(found.p[j, k]),
                ci_low=number(low[j, k]),
                ci_high=number(high[j, k]),
                level=level,
                n=n,
                dropped=int(dropped[j]),
                p=number(p[j, k]),
                method=method if n else "not measured: no pair was read on both sides",
            )


def stacked(found: Shares) -> Shares:
    """Return the shares of one group with a leading dimension of 1."""
    return Shares(
        found.p[None],
        found.cov[None],
        np.asarray(found.n)[None],
        np.asarray(found.units)[None],
        np.asarray(found.df)[None],
        found.hard,
    )


def _readable(pair: Pair, rows: npt.NDArray[np.bool_]) -> Difference:
    """Compare how much could be read: a mitigation must not look fair by hiding faces."""
    before, after = pair.baseline.votes.states[rows], pair.arm.votes.states[rows]
    there = (before != ABSENT) & (after != ABSENT)
    b, a = (states[there] == State.OK for states in (before, after))
    n = int(there.sum())
    gained, lost = int((a & ~b).sum()), int((b & ~a).sum())
    found = shares_by((a.astype(float) - b)[:, None], np.zeros(n, np.int64), 1)[0]
    se = float(found.cov[0, 0]) ** 0.5 if n > 1 else np.nan
    estimate = t_interval(float(found.p[0]), se, max(n - 1, 1), n, pair.arm.level)
    row = _difference(
        pair, "detection_rate", replace(estimate, method="paired-t"), int((~there).sum()), "higher"
    )
    return row.model_copy(update={"p": mcnemar(gained, lost).exact if n else None})


def _unpaired(pair: Pair) -> Iterator[Difference]:
    before, after = pair.baseline.hard.pooled, pair.arm.hard.pooled
    target = pair.arm.target
    both = Shares(
        after.p - before.p,
        after.cov + before.cov,
        np.minimum(after.n, before.n),
        np.minimum(after.units, before.units),
        np.minimum(after.df, before.df),
        hard=False,
    )
    yield from _shares(pair, stacked(both), np.zeros(1, np.int64), [None], UNPAIRED)
    change = float(squared_discrepancy(after, target) - squared_discrepancy(before, target))
    variance = sum(_variance(found, target) for found in (before, after))
    estimate = t_interval(change, variance**0.5, _df(both), int(both.n), pair.arm.level)
    yield _difference(pair, "fd2_debiased", replace(estimate, method=UNPAIRED), 0, "lower")
    one, two = (discrepancy(found, target, pair.arm.level) for found in (before, after))
    # Signed, so that the centre is unbiased where an arm is fair.
    roots = [np.sign(x.squared) * np.abs(x.squared) ** 0.5 for x in (one, two)]
    ends = mover((roots[0], one.low, one.high), (roots[1], two.low, two.high))
    low, high = map(float, ends)
    change = float(two.debiased - one.debiased)
    distance = replace(estimate, value=change, se=np.nan, low=low, high=high, method=UNPAIRED)
    yield _difference(pair, "fd_debiased", distance, 0, "lower")


def _variance(found: Shares, target: Floats) -> float:
    return float(squared_variance(found.p - target, found.cov))


def _df(found: Shares) -> float:
    return float(found.df) if np.isfinite(found.df) else max(float(found.units) - 1, 1)


def _difference(
    pair: Pair, metric: str, found: Estimate, dropped: int, direction: Direction
) -> Difference:
    nothing = found.n == 0
    return Difference(
        **pair.arm.about,
        metric=metric,
        baseline=pair.baseline.votes.arm,
        value=number(found.value),
        ci_low=number(found.low),
        ci_high=number(found.high),
        level=found.level,
        n=found.n,
        dropped=dropped,
        p=two_sided(found),
        direction=direction,
        method="not measured: no pair was read on both sides" if nothing else found.method,
    )


def two_sided(found: Estimate) -> float | None:
    """Return the p-value of no change: 1 where nothing varies and nothing changed."""
    if not np.isfinite(found.value) or not np.isfinite(found.se):
        return None
    if found.se == 0:
        return 1.0 if found.value == 0 else 0.0
    return float(2 * stats.t.sf(abs(found.value) / found.se, found.df))
