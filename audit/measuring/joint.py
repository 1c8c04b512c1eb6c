"""Several attributes at once: shares of combinations, and how far attributes hang together."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations, product

import numpy as np

from audit.measuring.groups import Group, Scored, number
from audit.metrics.joint import joint_target, joint_votes, mutual_information, pool, small_cells
from audit.types import Measurement

REST = "rest"
"""Combinations of which too few are expected to speak of each alone."""


def joined(groups: Sequence[Group]) -> Iterator[tuple[Group, Sequence[Group]]]:
    """Yield every pair of attributes of each arm and probe as one group, and all of them as one.

    Combinations of which fewer than five images are expected are put together in the class
    `rest`; a group with no other class is not worth a number and is left out.
    """
    together: dict[tuple[str, str], list[Group]] = {}
    for group in groups:
        together.setdefault((group.votes.arm, group.votes.probe), []).append(group)
    for some in together.values():
        sets: list[tuple[Group, ...]] = list(combinations(some, 2))
        if len(some) > 2:
            sets.append(tuple(some))
        for parts in sets:
            found = _join(parts)
            if found is not None:
                yield found, parts


def measure_dependence(group: Group, parts: Sequence[Group]) -> Iterator[Scored]:
    """Yield the mutual information of two attributes, in nats; 0 means independent."""
    if len(parts) != 2:
        return
    first, second = (part.votes.hard for part in parts)
    both = joint_votes([first, second])
    seen = both[~np.isnan(both[:, 0])]
    n = len(seen)
    table = seen.mean(axis=0).reshape(first.shape[1], -1) if n else None
    floor = (first.shape[1] - 1) * (second.shape[1] - 1) / (2 * n) if n else np.nan
    row = Measurement(
        metric="mutual_information",
        value=None if table is None else number(mutual_information(table)),
        n=n,
        method=f"plug-in; independent attributes give about {floor:.4f} at this n"
        if n
        else "not measured: no image has both readings",
        direction="lower",
        **group.about,
    )
    yield Scored(row)


def _join(parts: Sequence[Group]) -> Group | None:
    votes = [part.votes for part in parts]
    hard = joint_votes([vote.hard for vote in votes])
    target = joint_target([part.target for part in parts])
    n = int((~np.isnan(hard[:, 0])).sum())
    small = small_cells(n, target)
    names = np.array(["+".join(names) for names in product(*(vote.classes for vote in votes))])
    kept = tuple(map(str, names[~small]))
    if not kept:
        return None
    first = votes[0]
    together = replace(
        first,
        attribute="+".join(vote.attribute for vote in votes),
        classes=(*kept, REST) if small.any() else kept,
        hard=pool(hard, small),
        soft=None,
    )
    return replace(parts[0], votes=together, target=pool(target, small))
