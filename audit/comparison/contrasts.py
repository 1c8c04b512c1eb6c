"""Two arms, of one run or of two: paired differences where requests are shared, or why not."""

from dataclasses import dataclass

from audit.comparison.quality import quality_changes
from audit.comparison.sides import Side, misfits, rows_of, unshared
from audit.errors import InputError
from audit.measuring.arrangement import groups_of
from audit.measuring.comparisons import differences, pairs
from audit.measuring.families import adjust
from audit.measuring.flips import flips
from audit.measuring.votes import arrange
from audit.storage.results import Difference, Flips


@dataclass(frozen=True)
class Contrast:
    """The second side against the first."""

    first: str
    second: str
    differences: tuple[Difference, ...]
    flips: tuple[Flips, ...]
    blocked: tuple[str, ...]
    """What was not compared, and why."""


def contrast(first: Side, second: Side, *, allow_mismatch: bool = False) -> Contrast:
    """Compare two arms.

    Args:
        first: What is compared with.
        second: What is compared.
        allow_mismatch: Report what does not fit as blocked, rather than refuse.

    Raises:
        InputError: classes, targets, prompts or probes of the two differ, or nothing is common to
            them; names the field.
    """
    if first.name == second.name:
        raise InputError(f"{first.name}: is compared with itself; name two arms or two runs")
    unlike = list(misfits(first, second))
    if unlike and not allow_mismatch:
        raise InputError(f"{first.name} and {second.name} do not compare: {'; '.join(unlike)}")
    benchmark = first.benchmark
    names = (first.name, second.name)
    images = rows_of((first, second), "images")
    labels = rows_of((first, second), "labels")
    requests = arrange(images, labels, [prompt.id for prompt in benchmark.prompts], names)
    compared = list(pairs(groups_of(labels, requests, benchmark, names)))
    if not compared:
        raise InputError(f"{first.name} and {second.name}: no probe read one attribute in both")
    changes = [change for pair in compared for change in differences(pair)]
    quality, blocked = quality_changes(first, second)
    return Contrast(
        first=first.name,
        second=second.name,
        differences=tuple(adjust([*changes, *quality])),
        flips=tuple(adjust(flip for pair in compared for flip in flips(pair))),
        blocked=(*unlike, *unshared(first, second), *blocked),
    )
