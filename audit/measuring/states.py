"""What became of every image and reading, and what the missing ones could hide at worst."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from audit.measuring.groups import Group, Scored, number
from audit.measuring.votes import ABSENT
from audit.statistics.intervals import wilson
from audit.statistics.missing import worst_case
from audit.storage.results import StateCount, Warned
from audit.types import Measurement, State

LARGEST_MISSING = 0.20
"""Share of images without a reading above which a run is warned of, and no gate passes."""
LARGEST_DIFFERENCE = 0.05
"""Difference of that share between an arm and the baseline above which arms do not compare.

An arm that is read less than the baseline by more passes no gate either.
"""


def count_images(images: pd.DataFrame, level: float) -> Iterator[StateCount]:
    """Yield the states of the images of every arm, and of every prompt where there are several."""
    several = images["prompt_id"].nunique() > 1
    for arm, rows in images.groupby("arm", sort=False):
        yield from _counts(rows["status"].to_numpy(str), level, arm=str(arm))
        if several:
            for prompt, some in rows.groupby("prompt_id", sort=False):
                states = some["status"].to_numpy(str)
                yield from _counts(states, level, arm=str(arm), prompt=str(prompt))


def count_readings(group: Group) -> Iterator[StateCount]:
    """Yield the states of the readings of one arm, probe and attribute, and of each prompt."""
    states, requests = group.votes.states, group.requests
    yield from _counts(states, group.level, **group.about)
    if len(requests.prompts) > 1:
        for j, prompt in enumerate(requests.prompts):
            some = states[requests.prompt == j]
            yield from _counts(some, group.level, prompt=prompt, **group.about)


def bound_missing(group: Group) -> Iterator[Scored]:
    """Yield the smallest and largest shares, and discrepancies, that missing readings allow.

    Every prompt weighs the same, as in the shares themselves, which lie between.
    """
    states, requests = group.votes.states, group.requests
    seen = states == State.OK
    lost = (states != ABSENT) & ~seen
    if not lost.any():
        return
    counts = np.zeros((len(requests.prompts), len(group.votes.classes)), np.int64)
    np.add.at(counts, (requests.prompt[seen], group.votes.codes[seen]), 1)
    missing = np.bincount(requests.prompt[lost], minlength=len(requests.prompts))
    bounds = worst_case(counts, missing, group.target)
    n = int(seen.sum() + lost.sum())
    method = f"worst case over {lost.sum()} of {n} images without a reading"

    def row(metric: str, value: float, direction: str, name: str | None = None) -> Scored:
        return Scored(
            Measurement(
                metric=metric,
                value=number(value),
                n=n,
                method=method,
                direction=direction,
                class_=name,
                **group.about,
            )
        )

    for k, name in enumerate(group.votes.classes):
        yield row("share_missing_low", float(bounds.low[k]), "none", name)
        yield row("share_missing_high", float(bounds.high[k]), "none", name)
    yield row("fd_missing_low", bounds.distance_low, "lower")
    yield row("fd_missing_high", bounds.distance_high, "lower")


def warn_missing(groups: Sequence[Group]) -> Iterator[Warned]:
    """Say where much is missing, and where an arm misses more or less than the baseline."""
    baseline: dict[tuple[str, str], float] = {}
    for group in groups:
        votes = group.votes
        there = votes.states != ABSENT
        if not there.any():
            continue
        rate = float((votes.states[there] != State.OK).mean())
        first = baseline.setdefault((votes.probe, votes.attribute), rate)
        what = f"{votes.probe} did not read {votes.attribute} from {rate:.0%} of the images"
        if rate > LARGEST_MISSING:
            yield Warned(code="missing", message=f"{what}: see the worst case", arm=votes.arm)
        if abs(rate - first) > LARGEST_DIFFERENCE:
            message = f"{what}, but {first:.0%} of the baseline's: that alone may move shares"
            yield Warned(code="missing_differs", message=message, arm=votes.arm)


def warn_duplicates(images: pd.DataFrame) -> Iterator[Warned]:
    """Say where an arm holds the same file more than once: it then counts more than once."""
    if "sha256" not in images:
        return
    for arm, rows in images.groupby("arm", sort=False):
        files = rows["sha256"].dropna()
        again = int(files.duplicated().sum())
        if again:
            message = f"{again} of {len(files)} images are copies of another of the same arm"
            yield Warned(code="duplicates", message=message, count=again, arm=str(arm))


def _counts(states: npt.NDArray[np.str_], level: float, **about: str) -> Iterator[StateCount]:
    there = states[states != ABSENT]
    n = len(there)
    names, counts = np.unique(there, return_counts=True)
    found = {str(State.OK): 0} | dict(zip(map(str, names), map(int, counts), strict=True))
    ordered = [(state.value, found[state.value]) for state in State if state.value in found]
    shares = np.array([count for _, count in ordered]) / max(n, 1)
    interval = wilson(shares, max(n, 1), level)
    for i, (state, count) in enumerate(ordered):
        yield StateCount(
            state=state,
            count=count,
            n=n,
            share=float(shares[i]) if n else None,
            ci_low=float(interval.low[i]) if n else None,
            ci_high=float(interval.high[i]) if n else None,
            level=level,
            **about,
        )
