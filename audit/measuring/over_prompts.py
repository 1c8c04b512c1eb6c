"""Metrics over many prompts: their mean, how it splits, and the worst of them."""

from collections.abc import Iterator, Sequence

import numpy as np

from audit.measuring.bounds import lowered, of_worst, raised
from audit.measuring.groups import Estimates, Group, Scored, number
from audit.statistics.intervals import quantile
from audit.types import Floats, Measurement, Metric

ALONE = "one prompt or seed does not show how they differ"


def over_prompts(
    group: Group, metric: Metric, found: Estimates, rows: Sequence[Measurement]
) -> Iterator[Scored]:
    """Yield the mean of a metric over prompts, and the worst prompt."""
    known = [row for row in rows if row.value is not None]
    if metric.interval == "debiased":
        yield _mean_of_squares(group, metric, found)
    else:
        value = float(np.mean([row.value for row in known])) if known else None
        plain = f"plain mean of {len(known)} prompts: more prompts do not lower its floor"
        method = plain if known else "not measured: no prompt has a reading"
        yield Scored(_row(group, metric, "macro", value, found, method))
    if known:
        pick = min if metric.better == "higher" else max
        worst = pick(known, key=lambda row: row.value or 0.0)
        method = f"prompt {worst.prompt}, the worst of {len(known)}"
        row = _row(group, metric, "worst", worst.value, found, method, _worst_ends(metric, known))
        yield Scored(row, of_worst(metric, found.by_prompt, group.target))


def _worst_ends(metric: Metric, known: Sequence[Measurement]) -> tuple[float, float]:
    """Return the interval of the worst prompt from those of all; see `bounds.of_worst`."""
    rows = [(m.value, m.ci_low, m.ci_high) for m in known if m.ci_low is not None]
    if not rows:
        return np.nan, np.nan
    value, low, high = np.array(rows, float).T
    tail = (1 - (known[0].level or np.nan)) / 2
    shared = 1 - tail / len(rows)
    if metric.better == "higher":
        return float(low.min()), float(raised(metric, value, high, 1 - tail, shared).min())
    return float(lowered(metric, value, low, 1 - tail, shared).max()), float(high.max())


def _mean_of_squares(group: Group, metric: Metric, found: Estimates) -> Scored:
    """Average the debiased squares and map once: roots must not be averaged."""
    split = found.split
    if np.isnan(split.macro):
        none = "not measured: no prompt has two readings"
        return Scored(_row(group, metric, "macro", None, found, none))

    def bounds(level: float) -> tuple[float, float]:
        half = float(quantile(2 * level - 1, split.df)) * split.macro_se
        ends = (max(split.macro + sign * half, 0.0) for sign in (-1, 1))
        low, high = (_at_square(metric, end, group.target) for end in ends)
        return low, high

    few = int((found.by_prompt.n >= 2).sum())
    value = _at_square(metric, split.macro, group.target)
    if np.isnan(split.macro_se):
        return Scored(_row(group, metric, "macro", value, found, f"no interval: {ALONE}"))
    law = "normal" if np.isinf(split.df) else "t"
    method = f"{law}, of the mean of debiased squares of {few} prompts"
    ends = bounds(0.5 + group.level / 2)
    return Scored(_row(group, metric, "macro", value, found, method, ends), bounds)


def _at_square(metric: Metric, square: float, target: Floats) -> float:
    """Return the metric of shares whose debiased square is `square`."""
    cov = np.eye(len(target)) * (-square / len(target))
    return float(metric.function(target, cov, target))


def split_over_prompts(group: Group) -> Iterator[Scored]:
    """Yield how the mean squared discrepancy splits into imbalance of the whole and stereotype."""
    found, split = group.hard, group.hard.split
    reason = "no prompt has two readings" if np.isnan(split.macro) else ALONE
    for name, value in (("fd2_aggregate", split.pooled), ("fd2_spread", split.spread)):
        yield Scored(
            Measurement(
                metric=name,
                value=number(value),
                n=int(found.pooled.n),
                method="part of fd2_debiased_macro, debiased"
                if np.isfinite(value)
                else f"not measured: {reason}",
                direction="lower",
                **group.about,
            )
        )


def _row(
    group: Group,
    metric: Metric,
    what: str,
    value: float | None,
    found: Estimates,
    method: str,
    interval: tuple[float, float] = (np.nan, np.nan),
) -> Measurement:
    low, high = interval
    return Measurement(
        metric=f"{metric.name}_{what}",
        value=value if value is None else number(value),
        n=int(found.pooled.n),
        method=method,
        direction=metric.better,
        ci_low=number(low),
        ci_high=number(high),
        level=group.level,
        **group.about,
    )
