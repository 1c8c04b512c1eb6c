"""An arm against the baseline, request by request: how the numbers moved."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypedDict

import numpy as np
import numpy.typing as npt
from scipy import stats

from audit.measuring.groups import Group, number
from audit.measuring.votes import ABSENT, Matches, Votes
from audit.statistics.changes import Change, Compared, compare, compare_each, compare_unpaired
from audit.statistics.designs import Design
from audit.statistics.intervals import Estimate, Interval
from audit.statistics.macro_changes import changes_of, macro_changes
from audit.statistics.shares import Shares, one_hot
from audit.storage.results import Difference, Direction
from audit.types import Floats, State

SAME = "paired: the same images"
NO_PAIR = "not measured: no pair was read on both sides"

Rows = npt.NDArray[np.bool_]


class Drawn(TypedDict):
    """What the statistics of pairs want to know of how they were drawn."""

    prompts: npt.NDArray[np.int64]
    seeds: npt.NDArray[np.int64]
    design: Design
    level: float


@dataclass(frozen=True)
class Pair:
    """The same probe and attribute in the baseline and in another arm."""

    baseline: Group
    arm: Group

    @property
    def votes(self) -> tuple[Votes, Votes]:
        """Those of the baseline, and of the arm."""
        return self.baseline.votes, self.arm.votes

    @cached_property
    def matches(self) -> Matches:
        """Which requests both arms have from the same noise."""
        there = np.stack([votes.states != ABSENT for votes in self.votes])
        arms = (self.baseline.votes.arm, self.arm.votes.arm)
        return Matches.of(self.arm.requests, arms, there)

    @cached_property
    def there(self) -> Rows:
        """[2, R] whether the baseline, and whether the arm, has a request."""
        return self.matches.there

    @cached_property
    def rows(self) -> Rows:
        """[R] the requests that are compared pair by pair; none where too few have a partner."""
        return self.matches.rows

    @cached_property
    def paired(self) -> bool:
        """Whether the arms are compared pair by pair, not as two samples."""
        return bool(self.rows.any())

    @cached_property
    def lost(self) -> Rows:
        """[R] the requests of either arm that do not count: without a partner, or not read."""
        read = np.array([~np.isnan(votes.hard[:, 0]) for votes in self.votes])
        used = self.rows & read.all(axis=0) if self.paired else (read == self.there).all(axis=0)
        return np.asarray(self.there.any(axis=0) & ~used)

    @cached_property
    def same(self) -> bool:
        """Whether the pairs are the same images, read alike: nothing could differ."""
        before, after = self.votes
        files = self.arm.requests.same(before.arm, after.arm)
        return self.paired and bool((files & (before.codes == after.codes))[self.rows].all())

    @cached_property
    def compared(self) -> Compared:
        """The shares of both arms, and how they changed."""
        target, level = self.arm.target, self.arm.level
        if self.paired:
            before, after = self.votes
            return self.compare(before.hard, after.hard, target)
        return compare_unpaired(self.baseline.hard.pooled, self.arm.hard.pooled, target, level)

    @cached_property
    def over_prompts(self) -> tuple[Change, Change]:
        """The change of the discrepancy over several prompts, and of its square."""
        if not self.paired:
            splits = self.baseline.hard.split, self.arm.hard.split
            return changes_of(*splits, self.arm.target, level=self.arm.level)
        before, after = (votes.hard[self.rows] for votes in self.votes)
        return macro_changes(before, after, self.arm.target, **self._drawn)

    def compare(self, before: Floats, after: Floats, target: Floats) -> Compared:
        """Compare votes [R, K] on the requests that are paired."""
        return compare(before[self.rows], after[self.rows], target, **self._drawn)

    @property
    def _drawn(self) -> Drawn:
        """How the paired requests were drawn."""
        group, rows = self.arm, self.rows
        return {
            "prompts": group.requests.prompt[rows],
            "seeds": group.seeds[rows],
            "design": group.design,
            "level": group.level,
        }


def pairs(groups: Sequence[Group]) -> Iterator[Pair]:
    """Yield every arm with the baseline: the first arm that the same probe read."""
    baselines: dict[tuple[str, str], Group] = {}
    for group in groups:
        first = baselines.setdefault((group.votes.probe, group.votes.attribute), group)
        if first is not group:
            yield Pair(first, group)


def differences(pair: Pair) -> Iterator[Difference]:
    """Yield the change of every share, of the squared discrepancy, and of what could be read.

    Over all prompts, of several also on average, and of the shares for each prompt where arms are
    paired; two-sided p-values of no change, not yet adjusted.
    """
    found, n, lost = pair.compared, int(pair.compared.difference.n), int(pair.lost.sum())
    yield from _shares(pair, found.difference, found.interval, found.p, pair.lost)
    method = "paired-mover" if pair.paired else pair.matches.why_not
    prompt, prompts = pair.arm.requests.prompt, pair.arm.requests.prompts
    changes = {"": (found.distance, found.squared)}
    if len(prompts) > 1:
        changes["_macro"] = pair.over_prompts
    for form, both in changes.items():
        for metric, change in zip(("fd_debiased", "fd2_debiased"), both, strict=True):
            yield _difference(pair, metric + form, change, n, lost, method, "lower")
    if not pair.paired:
        return
    yield _readable(pair)
    if len(prompts) > 1:
        moves = (pair.arm.votes.hard - pair.baseline.votes.hard)[pair.rows]
        each, interval, p = compare_each(moves, prompt[pair.rows], len(prompts), pair.arm.level)
        for j, name in enumerate(prompts):
            ends = replace(interval, low=interval.low[j], high=interval.high[j])
            yield from _shares(pair, each[j], ends, p[j], pair.lost & (prompt == j), name)


def _shares(
    pair: Pair, found: Shares, interval: Interval, p: Floats, lost: Rows, prompt: str | None = None
) -> Iterator[Difference]:
    """Yield the change of every share, over all prompts or of one."""
    method = interval.method if pair.paired else pair.matches.why_not
    for k, name in enumerate(pair.arm.votes.classes):
        change = Change(found.p[k], interval.low[k], interval.high[k], interval.level)
        row = _difference(pair, "share", change, int(found.n), int(lost.sum()), method)
        yield row.model_copy(update={"class_": name, "prompt": prompt, "p": _p(p[k], row)})


def _readable(pair: Pair) -> Difference:
    """Compare how much could be read: a mitigation must not look fair by hiding faces."""
    before, after = (
        one_hot((votes.states != State.OK).astype(np.int64), 2) for votes in pair.votes
    )
    found = pair.compare(before, after, np.array([1.0, 0.0]))
    interval = found.interval
    change = Change(found.difference.p[0], interval.low[0], interval.high[0], interval.level)
    n, lost = int(found.difference.n), int((pair.there.any(axis=0) & ~pair.rows).sum())
    row = _difference(pair, "detection_rate", change, n, lost, interval.method, "higher")
    return row.model_copy(update={"p": _p(found.p[0], row)})


def _p(found: Floats, row: Difference) -> float | None:
    return number(found) if row.n else None


def _difference(
    pair: Pair,
    metric: str,
    change: Change,
    n: int,
    dropped: int,
    method: str,
    direction: Direction = "none",
) -> Difference:
    same = pair.same and n > 0
    low, high = (0.0, 0.0) if same else (number(change.low), number(change.high))
    return Difference(
        **pair.arm.about,
        metric=metric,
        baseline=pair.baseline.votes.arm,
        value=number(change.value),
        ci_low=low,
        ci_high=high,
        level=change.level,
        n=n,
        dropped=dropped,
        direction=direction,
        method=NO_PAIR if n == 0 else SAME if same else method,
    )


def two_sided(found: Estimate) -> float | None:
    """Return the p-value of no change: 1 where nothing varies and nothing changed."""
    if not np.isfinite(found.value) or not np.isfinite(found.se):
        return None
    if found.se == 0:
        return 1.0 if found.value == 0 else 0.0
    return float(2 * stats.t.sf(abs(found.value) / found.se, found.df))
