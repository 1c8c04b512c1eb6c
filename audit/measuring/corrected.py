"""Shares and distances freed of what the errors of the probe do to them."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from functools import cache

import numpy as np

from audit.measuring.bounds import Bounds, measured, one_sided
from audit.measuring.error_cards import Confusion, ErrorCard
from audit.measuring.groups import NOTHING_READ, REST, Group, Scored, number
from audit.metrics.evaluation import exact
from audit.statistics.correction import Calibration, correct, towards_collapse
from audit.statistics.discrepancy import maximum
from audit.statistics.intervals import Interval, share_interval
from audit.statistics.powered import labelled, prediction_powered
from audit.statistics.shares import Shares
from audit.types import Floats, Measurement, Metric

NO_PRODUCT = "the tables of single attributes would do only if no error hung on another attribute"
"""Why shares of combinations are corrected by a table of the very combinations or not at all.

A probe that misreads the sex of the old more often than that of the young moves images between
cells as no product of two tables does, and the cells are looked at for just that.
"""


def refusal(group: Group, card: ErrorCard | str | None) -> str | None:
    """Say why the shares of a group cannot be corrected; None where they can."""
    confusion = confusion_of(group, card)
    if isinstance(confusion, str):
        return confusion
    if group.hard.pooled.n == 0:
        return NOTHING_READ
    return "; ".join(confusion.calibration.refusals()) or None


def confusion_of(group: Group, card: ErrorCard | str | None) -> Confusion | str:
    """Return the table of a group's probe and attribute, or in words why there is none."""
    votes = group.votes
    if not isinstance(card, ErrorCard):
        return card or f"no error card of probe {votes.probe!r}"
    found = card.of(votes.attribute)
    several = "+" in votes.attribute
    if found is None:
        nothing = f"the error card of probe {votes.probe!r} says nothing of {votes.attribute}"
        return f"{nothing}: {NO_PRODUCT}" if several else nothing
    if several and REST in votes.classes:
        return f"too few images of some combinations: no table says how their {REST} is misread"
    other = f"the error card of probe {votes.probe!r} has other classes of {votes.attribute}"
    return found.ordered(votes.classes) or other


def measure_corrected(
    group: Group, card: ErrorCard | str | None, metrics: Sequence[Metric], listed: Collection[str]
) -> Iterator[Scored]:
    """Yield `share_corrected` and every listed metric of corrected shares, `<metric>_corrected`.

    Refused corrections yield rows without a value, whose method is the reason.
    """
    chosen = [m for m in metrics if m.name in listed and "soft_shares" not in m.columns]
    why_not = refusal(group, card)
    confusion = confusion_of(group, card)
    if why_not is not None or isinstance(confusion, str):
        yield from _refused(group, "corrected", chosen, f"not corrected: {why_not}")
        return
    table, raw = confusion.calibration, group.hard.pooled
    found = correct(raw, table, level=group.level)
    method = " ".join([found.method, *found.warnings])

    def ends(level: float) -> Interval:
        return correct(raw, table, level=level).interval

    @cache  # every metric asks for the same levels
    def towards(level: float) -> Floats:
        return towards_collapse(found, table, group.target, level)

    yield from _shares(group, "corrected", found.shares, found.interval, method, ends)
    yield from _distances(group, "corrected", found.shares, chosen, method, found.inverse, towards)


def measure_powered(
    group: Group, truth: Floats, metrics: Sequence[Metric], listed: Collection[str]
) -> Iterator[Scored]:
    """Yield shares by prediction-powered inference, `share_ppi`, and `<metric>_ppi` of them.

    Args:
        group: What the probe read.
        truth: [R, K] votes of people on a random sample; NaN rows elsewhere.
        metrics: Of shares.
        listed: Names of those that are wanted.
    """
    chosen = [m for m in metrics if m.name in listed and "soft_shares" not in m.columns]
    read, k = group.votes.hard, len(group.votes.classes)
    n = int(labelled(read, truth).sum())
    if n <= k:
        reason = f"people labelled {n} of the images that were read, {k + 1} are needed"
        yield from _refused(group, "ppi", chosen, f"not corrected: {reason}")
        return
    found = prediction_powered(
        read, truth, prompts=group.requests.prompt, seeds=group.seeds, design=group.design
    )
    method = f"prediction-powered, {n} images labelled by people"

    def ends(level: float) -> Interval:
        return share_interval(found, level)

    yield from _shares(group, "ppi", found, ends(group.level), method, ends)
    yield from _distances(group, "ppi", found, chosen, method)


def measure_by_group(
    group: Group, card: ErrorCard | str | None, metric: Metric
) -> Iterator[Scored]:
    """Yield the smallest and largest value that the errors of any one group of people would give.

    A card is a mix of groups on which a probe may err unlike; where the images audited are another
    mix, the truth lies within these, as far as each group's table can be trusted.
    """
    confusion = confusion_of(group, card)
    if isinstance(confusion, str) or group.hard.pooled.n == 0:
        return
    values = {}
    for attribute, tables in confusion.groups.items():
        for name, counts in tables.items():
            one = Calibration(np.array(counts, np.int64))
            if not one.refusals():
                found = correct(group.hard.pooled, one, level=group.level).shares
                value = measured(metric, found, group.target, group.level).value
                values[f"{attribute} {name}"] = float(value)
    if len(values) < 2:
        return
    for what, pick in (("low", min), ("high", max)):
        name = pick(values, key=values.__getitem__)
        row = Measurement(
            metric=f"{metric.name}_corrected_{what}",
            value=number(values[name]),
            n=int(group.hard.pooled.n),
            method=f"by the errors on {name}, of {len(values)} groups",
            direction=metric.better,
            **group.about,
        )
        yield Scored(row)


def _shares(
    group: Group,
    what: str,
    found: Shares,
    interval: Interval,
    method: str,
    ends: Callable[[float], Interval],
) -> Iterator[Scored]:
    for k, name in enumerate(group.votes.classes):

        def bounds(level: float, k: int = k) -> tuple[float, float]:
            one = ends(2 * level - 1)
            return float(one.low[k]), float(one.high[k])

        row = Measurement(
            metric=f"share_{what}",
            value=number(found.p[k]),
            n=int(found.n),
            method=method,
            direction="none",
            class_=name,
            ci_low=number(interval.low[k]),
            ci_high=number(interval.high[k]),
            level=group.level,
            n_effective=number(found.n_effective),
            **group.about,
        )
        yield Scored(row, bounds)


def _distances(
    group: Group,
    what: str,
    found: Shares,
    metrics: Sequence[Metric],
    method: str,
    inverse: Floats | None = None,
    towards: Callable[[float], Floats] | None = None,
) -> Iterator[Scored]:
    """Yield metrics of corrected shares.

    Possible shares are nearer to the middle than the inverse was, so that their square is too
    small already, and taking its noise off would make it smaller still: the debiased square is
    that of the inverse where there is one. Bounds on the bad side reach as far as places `towards`
    collapse, level by level, are not ruled out.
    """
    for metric in metrics:
        tests = measured(metric, found, group.target, group.level)
        if metric.interval == "debiased" and inverse is not None:
            value = metric.function(inverse, found.cov, group.target)
            # A square keeps what is impossible, to be right on average; a root does not.
            most = maximum(group.target) if metric.range[0] == 0 else np.inf
            tests = replace(tests, value=np.minimum(value, most))
        ends = float(tests.low), float(tests.high)
        bounds = one_sided(metric, found, group.target)
        if towards is not None and "first_share" not in metric.columns:
            ends = _reaching(metric, ends, towards(0.5 + group.level / 2), group.target)
            bounds = bounds and _as_far(metric, bounds, towards, group.target)
        row = Measurement(
            metric=f"{metric.name}_{what}",
            value=number(tests.value),
            n=int(found.n),
            method=f"{method}, {tests.method}",
            direction=metric.better,
            ci_low=number(ends[0]),
            ci_high=number(ends[1]),
            level=group.level,
            n_effective=number(found.n_effective),
            null_low=number(tests.null_low),
            null_high=number(tests.null_high),
            **group.about,
        )
        yield Scored(row, bounds)


def _as_far(
    metric: Metric, bounds: Bounds, towards: Callable[[float], Floats], target: Floats
) -> Bounds:
    return lambda level: _reaching(metric, bounds(level), towards(level), target)


def _reaching(
    metric: Metric, ends: tuple[float, float], places: Floats, target: Floats
) -> tuple[float, float]:
    """Return the ends of an interval moved, on the bad side, to the worst of places [P, K]."""
    low, high = ends
    with np.errstate(divide="ignore", invalid="ignore"):
        values = exact(metric, places, target)
    if metric.better == "higher":
        return min(low, float(values.min())), high
    return low, max(high, float(values.max()))


def _refused(group: Group, what: str, metrics: Sequence[Metric], reason: str) -> Iterator[Scored]:
    n = int(group.hard.pooled.n)
    for name in group.votes.classes:
        row = Measurement(
            metric=f"share_{what}",
            value=None,
            n=n,
            method=reason,
            direction="none",
            class_=name,
            **group.about,
        )
        yield Scored(row)
    for metric in metrics:
        row = Measurement(
            metric=f"{metric.name}_{what}",
            value=None,
            n=n,
            method=reason,
            direction=metric.better,
            **group.about,
        )
        yield Scored(row)
