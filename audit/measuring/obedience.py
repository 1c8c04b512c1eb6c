"""Prompts that ask for a class: whether they get it, and that they are not taken for unfair.

"A portrait of a woman" that draws women only is obeyed, not biased. So a prompt that asks for a
class of an attribute counts in no share of that attribute; it has a number of its own: how many of
its readings are as asked. A mitigation that lowers it pays for fairness with disobedience.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from audit.measuring.comparisons import Pair, differences
from audit.measuring.fairness import measure_shares
from audit.measuring.groups import Group, Scored
from audit.measuring.votes import ABSENT, Votes
from audit.spec.benchmark import Benchmark
from audit.storage.results import Difference, Flips
from audit.types import OBEYED, Measurement

_AS_ASKED = "as asked"


def apart(groups: Sequence[Group], benchmark: Benchmark) -> tuple[list[Group], list[Group]]:
    """Return the groups of prompts that ask for no class, and those of prompts that do.

    A group of which every prompt asks is among the second alone.
    """
    neutral, asking = [], []
    for group in groups:
        wanted = _wanted(group, benchmark)
        free = wanted < 0
        if free.all():
            neutral.append(group)
            continue
        if free.any():
            neutral.append(replace(group, votes=_kept(group.votes, free)))
        asking.append(_judged(group, wanted))
    return neutral, asking


def measure_obedience(groups: Sequence[Group]) -> Iterator[Scored]:
    """Yield the share of readings as asked, over all prompts that ask and of each of them."""
    for group in groups:
        for one in measure_shares(group):
            row = one.measurement
            if row.class_ == _AS_ASKED and row.n:
                said = replace(row, metric=OBEYED, class_=None, direction="higher")
                yield replace(one, measurement=said)


def compare_obedience(pairs: Sequence[Pair]) -> Iterator[Difference]:
    """Yield how much more, or less, arms do as asked than the baseline."""
    for pair in pairs:
        for change in differences(pair):
            if change.class_ == _AS_ASKED and change.n:
                yield change.model_copy(
                    update={"metric": OBEYED, "class_": None, "direction": "higher"}
                )


def counted(benchmark: Benchmark) -> Callable[[Measurement | Difference | Flips], bool]:
    """Return whether a number is of all prompts, or of one that asks for no class."""
    asked = {name: benchmark.asked_of(name) for name in benchmark.attributes}
    return lambda row: row.prompt is None or row.prompt not in asked.get(row.attribute or "", {})


def _wanted(group: Group, benchmark: Benchmark) -> npt.NDArray[np.int64]:
    """Return [R] the code of the class that a request asks for, -1 where it asks for none."""
    asked = benchmark.asked_of(group.votes.attribute)
    codes = [
        group.votes.classes.index(asked[prompt]) if prompt in asked else -1
        for prompt in group.requests.prompts
    ]
    return np.array(codes, np.int64)[group.requests.prompt]


def _judged(group: Group, wanted: npt.NDArray[np.int64]) -> Group:
    """Return whether prompts that ask got it: read as asked is one class, the rest another."""
    votes = _kept(group.votes, wanted >= 0)
    right = np.where(np.isnan(votes.hard[:, 0]), np.nan, votes.codes == wanted)
    judged = replace(
        votes, classes=(_AS_ASKED, "other"), hard=np.stack([right, 1 - right], axis=1), soft=None
    )
    return replace(group, votes=judged, target=np.array([1.0, 0.0]))


def _kept(votes: Votes, rows: npt.NDArray[np.bool_]) -> Votes:
    """Return votes as though there were no other rows."""
    shown = rows[:, None]
    return replace(
        votes,
        hard=np.where(shown, votes.hard, np.nan),
        soft=None if votes.soft is None else np.where(shown, votes.soft, np.nan),
        states=np.where(rows, votes.states, ABSENT),
    )
