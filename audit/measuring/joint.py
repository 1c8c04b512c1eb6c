"""Several attributes at once: shares of combinations, and how far attributes hang together."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations, product

import numpy as np
import numpy.typing as npt

from audit.measuring.groups import REST, Group, Scored, number
from audit.metrics.joint import joint_target, joint_votes, mutual_information, pool, small_cells
from audit.types import Measurement


def joined(groups: Sequence[Group]) -> Iterator[tuple[Group, Sequence[Group]]]:
    """Yield every pair of attributes of each arm and probe as one group, and all of them as one.

    Combinations of which fewer than five images are expected are put together in the class
    `rest`; a group with no other class is not worth a number and is left out. The arms that are
    left have the same classes, those that the one with the fewest readings can speak of.
    """
    whole = [(_join(parts), parts) for parts in _sets(groups)]
    worth = [(group, parts) for group, parts in whole if not _small(group, _read(group)).all()]
    fewest: dict[tuple[str, str], int] = {}
    for group, _ in worth:
        n = _read(group)
        fewest[_about(group)] = min(n, fewest.get(_about(group), n))
    for group, parts in worth:
        yield _pooled(group, _small(group, fewest[_about(group)])), parts


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


def _sets(groups: Sequence[Group]) -> Iterator[tuple[Group, ...]]:
    together: dict[tuple[str, str], list[Group]] = {}
    for group in groups:
        together.setdefault((group.votes.arm, group.votes.probe), []).append(group)
    for some in together.values():
        yield from combinations(some, 2)
        if len(some) > 2:
            yield tuple(some)


def _join(parts: Sequence[Group]) -> Group:
    """Return a group with a class for every combination."""
    votes = [part.votes for part in parts]
    together = replace(
        votes[0],
        attribute="+".join(vote.attribute for vote in votes),
        classes=tuple(map("+".join, product(*(vote.classes for vote in votes)))),
        hard=joint_votes([vote.hard for vote in votes]),
        soft=None,
    )
    return replace(parts[0], votes=together, target=joint_target([part.target for part in parts]))


def _about(group: Group) -> tuple[str, str]:
    return group.votes.probe, group.votes.attribute


def _read(group: Group) -> int:
    return int((~np.isnan(group.votes.hard[:, 0])).sum())


def _small(group: Group, n: int) -> npt.NDArray[np.bool_]:
    return small_cells(n, group.target)


def _pooled(group: Group, small: npt.NDArray[np.bool_]) -> Group:
    kept = tuple(name for name, few in zip(group.votes.classes, small, strict=True) if not few)
    classes = (*kept, REST) if small.any() else kept
    votes = replace(group.votes, classes=classes, hard=pool(group.votes.hard, small))
    return replace(group, votes=votes, target=pool(group.target, small))
