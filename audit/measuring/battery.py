"""All that is measured of the shares of one arm, probe and attribute."""

from collections.abc import Collection, Iterator, Mapping, Sequence

import pandas as pd

from audit.measuring.corrected import measure_by_group, measure_corrected, measure_powered
from audit.measuring.error_cards import ErrorCard
from audit.measuring.fairness import measure_distances, measure_null, measure_shares
from audit.measuring.groups import Group, Scored
from audit.measuring.joint import measure_dependence
from audit.measuring.over_prompts import split_over_prompts
from audit.measuring.references import measure_reference
from audit.measuring.states import bound_missing
from audit.measuring.votes import cast
from audit.spec.benchmark import Reference
from audit.types import Metric


def measure_group(
    group: Group,
    metrics: Sequence[Metric],
    listed: Collection[str],
    card: ErrorCard | str | None,
    references: Mapping[str, Reference],
) -> Iterator[Scored]:
    """Yield shares, distances, corrections, null and references of one attribute.

    Args:
        group: One arm, probe and attribute.
        metrics: Of shares.
        listed: Names of those that are also measured by prompt, corrected and tested.
        card: Error card of the probe, or why there is none.
        references: Populations to compare with, by name.
    """
    yield from measure_shares(group)
    yield from bound_missing(group)
    yield from measure_distances(group, metrics, listed)
    yield from measure_corrected(group, card, metrics, listed)
    for metric in metrics:
        if metric.name in listed and metric.interval == "inversion":
            yield from measure_null(group, metric)
            yield from measure_by_group(group, card, metric)
    if len(group.requests.prompts) > 1:
        yield from split_over_prompts(group)
    for name, reference in references.items():
        if reference.attribute == group.votes.attribute:
            source = ", ".join(str(part) for part in (reference.source, reference.year) if part)
            yield from measure_reference(group, name, reference.shares, source)


def measure_together(
    group: Group, parts: Sequence[Group], metrics: Sequence[Metric], card: ErrorCard | str | None
) -> Iterator[Scored]:
    """Yield shares and the listed distances of combinations of attributes, over all prompts."""
    yield from measure_shares(group, by_prompt=False)
    yield from measure_distances(group, metrics, ())
    yield from measure_corrected(group, card, metrics, [metric.name for metric in metrics])
    yield from measure_dependence(group, parts)


def measure_people(
    group: Group, people: pd.DataFrame, metrics: Sequence[Metric], listed: Collection[str]
) -> Iterator[Scored]:
    """Yield shares by prediction-powered inference where people labelled some of the images."""
    votes = group.votes
    own = people[(people["arm"] == votes.arm) & (people["attribute"] == votes.attribute)]
    if len(own) == 0:
        return
    rows = own.assign(probe="people", status="ok")
    (truth,) = cast(rows, group.requests, {votes.attribute: votes.classes})
    yield from measure_powered(group, truth.hard, metrics, listed)
