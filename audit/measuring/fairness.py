"""Shares, and their distances from the target: over all prompts, and of each prompt."""

from collections.abc import Collection, Iterator, Sequence

import numpy as np

from audit.measuring.bounds import one_sided
from audit.measuring.groups import (
    INFINITE,
    NOTHING_READ,
    ONE_READING,
    Estimates,
    Group,
    Scored,
    number,
)
from audit.measuring.over_prompts import over_prompts
from audit.statistics.intervals import Interval, exact_interval, share_interval
from audit.statistics.multiplicity import benjamini_hochberg
from audit.statistics.shares import Shares
from audit.types import Measurement, Metric


def measure_shares(group: Group, *, by_prompt: bool = True) -> Iterator[Scored]:
    """Yield the share of every class, over all prompts and of each, with Wilson intervals."""
    level = group.level
    if group.soft is not None:
        interval = share_interval(group.soft.pooled, level)
        yield from _share_rows(group, "share_soft", group.soft.pooled, interval, None)
    pooled, prompts = group.hard.pooled, group.hard.by_prompt
    yield from _share_rows(group, "share", pooled, share_interval(pooled, level), None)
    if by_prompt and len(group.requests.prompts) > 1:
        each = share_interval(prompts, level)
        for j, prompt in enumerate(group.requests.prompts):
            one = Interval(each.low[j], each.high[j], level, each.method)
            yield from _share_rows(group, "share", prompts[j], one, prompt)


def measure_distances(
    group: Group, metrics: Sequence[Metric], listed: Collection[str]
) -> Iterator[Scored]:
    """Yield every metric of shares over all prompts, and those listed for each prompt too."""
    prompts = group.requests.prompts
    for metric in metrics:
        found = group.soft if "soft_shares" in metric.columns else group.hard
        if found is None:
            continue
        yield from _rows(group, metric, found, [None])
        if metric.name in listed and len(prompts) > 1:
            rows = list(_rows(group, metric, found, prompts))
            yield from rows
            yield from over_prompts(group, metric, found, [row.measurement for row in rows])


def measure_null(group: Group, metric: Metric) -> Iterator[Scored]:
    """Yield how likely a fair model would look at least as unfair: pooled, and by prompt.

    Prompts also get the value after Benjamini and Hochberg, since their table is explored.
    """
    found = group.hard
    whole = float(found.measured(metric, by_prompt=False).p_null)
    yield Scored(_p_row(group, f"{metric.name}_p_null", whole, int(found.pooled.n), None))
    if len(group.requests.prompts) > 1:
        each = found.measured(metric, by_prompt=True).p_null
        for name, values in (("p_null", each), ("p_bh", benjamini_hochberg(each))):
            for j, prompt in enumerate(group.requests.prompts):
                n = int(found.by_prompt.n[j])
                yield Scored(_p_row(group, f"{metric.name}_{name}", float(values[j]), n, prompt))


def _p_row(group: Group, name: str, value: float, n: int, prompt: str | None) -> Measurement:
    return Measurement(
        metric=name,
        value=number(value),
        n=n,
        method=NOTHING_READ if n == 0 else ONE_READING if n == 1 else "against a fair model",
        direction="none",
        prompt=prompt,
        **group.about,
    )


def _share_rows(
    group: Group, metric: str, found: Shares, interval: Interval, prompt: str | None
) -> Iterator[Scored]:
    n, n_effective = int(found.n), number(found.n_effective)
    for k, name in enumerate(group.votes.classes):

        def bounds(level: float, k: int = k) -> tuple[float, float]:
            # Exact, since a gate hangs on it: the end of a two-sided interval at 90 % is a
            # one-sided bound at 95 %.
            one = exact_interval(found, 2 * level - 1)
            return float(one.low[k]), float(one.high[k])

        row = Measurement(
            metric=metric,
            value=number(found.p[k]),
            n=n,
            method=interval.method if n else NOTHING_READ,
            direction="none",
            class_=name,
            prompt=prompt,
            ci_low=number(interval.low[k]),
            ci_high=number(interval.high[k]),
            level=group.level,
            n_effective=n_effective,
            **group.about,
        )
        yield Scored(row, bounds if n else None)


def _rows(
    group: Group, metric: Metric, found: Estimates, prompts: Sequence[str | None]
) -> Iterator[Scored]:
    """Yield a metric of each prompt; of all together where the only prompt is None."""
    by_prompt = prompts != [None]
    tests = found.measured(metric, by_prompt=by_prompt)
    names = ("value", "low", "high", "null_low", "null_high")
    columns = [np.atleast_1d(getattr(tests, name)) for name in names]
    for j, (prompt, *column) in enumerate(zip(prompts, *columns, strict=True)):
        shares = found.by_prompt[j] if by_prompt else found.pooled
        value, low, high, null_low, null_high = map(number, column)
        if value is None:
            low = high = None
        row = Measurement(
            metric=metric.name,
            value=value,
            n=int(shares.n),
            method=_method(float(column[0]), int(shares.n), tests.method),
            direction=metric.better,
            prompt=prompt,
            ci_low=low,
            ci_high=high,
            level=group.level,
            n_effective=number(shares.n_effective),
            null_low=null_low,
            null_high=null_high,
            **group.about,
        )
        yield Scored(row, one_sided(metric, shares, group.target))


def _method(value: float, n: int, interval: str) -> str:
    if n == 0:
        return NOTHING_READ
    if np.isinf(value):
        return INFINITE
    if n == 1:
        return f"not measured: {ONE_READING}" if np.isnan(value) else f"no interval: {ONE_READING}"
    return interval
