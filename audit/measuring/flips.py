"""Who changed class from the baseline to another arm, request by request."""

from collections.abc import Iterator

import numpy as np

from audit.measuring.comparisons import Pair, Rows
from audit.measuring.groups import number
from audit.statistics.agreement import confusion
from audit.statistics.designs import CLUSTERED
from audit.statistics.pairs import mcnemar, stuart_maxwell
from audit.storage.results import Flips


def flips(pair: Pair) -> Iterator[Flips]:
    """Yield the table of flips over all prompts and of each, with its test, not yet adjusted.

    Flips of one prompt are of independent images. Over all prompts they are so only where the
    design says it; elsewhere the test is that of the changes of the shares, which knows the
    prompts and seeds that images have in common.
    """
    if not pair.paired:
        return
    whole = _flips(pair, np.ones_like(pair.rows), None)
    if pair.arm.design in CLUSTERED:
        p = number(pair.compared.together) if whole.n else None
        whole = whole.model_copy(update={"test": "hotelling", "p": p, "p_mid": None})
    yield whole
    prompt, prompts = pair.arm.requests.prompt, pair.arm.requests.prompts
    if len(prompts) > 1:
        for j, name in enumerate(prompts):
            yield _flips(pair, prompt == j, name)


def _flips(pair: Pair, some: Rows, prompt: str | None) -> Flips:
    before, after = (votes.codes[pair.rows & some] for votes in pair.votes)
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
        dropped=int((pair.lost & some).sum()),
        test="mcnemar-exact" if test else "stuart-maxwell",
        p=None if n == 0 else test.exact if test else stuart_maxwell(table).p,
        p_mid=test.mid_p if test and n else None,
    )
