"""Who changed class from the baseline to another arm, request by request."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from audit.measuring.comparisons import Pair
from audit.statistics.agreement import confusion
from audit.statistics.pairs import mcnemar, stuart_maxwell
from audit.storage.results import Flips


def flips(pair: Pair) -> Iterator[Flips]:
    """Yield the table of flips over all prompts and of each, with its test, not yet adjusted."""
    group, rows = pair.arm, pair.paired
    if not rows.any():
        return
    before, after = pair.baseline.votes.codes[rows], group.votes.codes[rows]
    prompt, prompts = group.requests.prompt[rows], group.requests.prompts
    yield _flips(pair, before, after, None)
    if len(prompts) > 1:
        order = prompt.argsort(kind="stable")
        ends = np.searchsorted(prompt[order], np.arange(len(prompts) + 1))
        for j, name in enumerate(prompts):
            some = order[ends[j] : ends[j + 1]]
            yield _flips(pair, before[some], after[some], name)


def _flips(
    pair: Pair, before: npt.NDArray[np.int64], after: npt.NDArray[np.int64], prompt: str | None
) -> Flips:
    classes = pair.arm.votes.classes
    table = confusion(before, after, len(classes))
    n = int(table.sum())
    two = len(classes) == 2
    test = mcnemar(int(table[1, 0]), int(table[0, 1])) if two else None
    return Flips(
        **pair.arm.about,
        prompt=prompt,
        baseline=pair.baseline.votes.arm,
        classes=classes,
        counts=tuple(tuple(map(int, row)) for row in table),
        n=n,
        dropped=len(before) - n,
        test="mcnemar-exact" if test else "stuart-maxwell",
        p=None if n == 0 else test.exact if test else stuart_maxwell(table).p,
        p_mid=test.mid_p if test and n else None,
    )
