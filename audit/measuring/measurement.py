"""Tables of images and labels -> measurements: every number of a run, with its uncertainty.

The one entry to the parts in `audit.measuring`. Nothing here knows which metric it is: a metric
says what it is a function of, and how its interval is made.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from audit import registry
from audit.measuring.agreement import band, measure_agreement, shared
from audit.measuring.arrangement import (
    arms_of,
    design_of,
    groups_of,
    one_each,
    refuse_copies,
    texts_of,
)
from audit.measuring.battery import measure_group, measure_people, measure_together
from audit.measuring.bounds import INTERVALS
from audit.measuring.cautions import card_cautions, cautions
from audit.measuring.comparisons import differences, pairs
from audit.measuring.error_cards import ErrorCard
from audit.measuring.families import adjust
from audit.measuring.flips import flips
from audit.measuring.groups import Group, Scored
from audit.measuring.joint import joined
from audit.measuring.obedience import apart, compare_obedience, counted, measure_obedience
from audit.measuring.people import warn_people
from audit.measuring.quality import Embeddings, lay_out, measure_quality
from audit.measuring.quality_changes import compare_quality, warn_quality
from audit.measuring.records import estimands, probe_record
from audit.measuring.states import (
    count_images,
    count_readings,
    warn_duplicates,
    warn_missing,
)
from audit.measuring.votes import arrange
from audit.spec.benchmark import Benchmark
from audit.spec.metric_rules import FORM
from audit.storage.results import (
    Agreement,
    Difference,
    Estimand,
    Flips,
    ProbeRecord,
    StateCount,
    Warned,
)
from audit.types import Measurement, Metric

ALWAYS = ("fd", "fd_debiased", "fd2_debiased")
"""Metrics that are also measured prompt by prompt whether the spec lists them or not."""
COMMON = frozenset(
    {*ALWAYS, "fd_soft", "parity_gap", "parity_ratio", "tv", "kl", "entropy", "deviation_ratio"}
)
"""Metrics of shares that are measured over all prompts whether the spec lists them or not."""


@dataclass(frozen=True)
class Measured:
    """What `measure` found; the sections of `results.json` by their names."""

    arms: tuple[str, ...]
    prompts: Mapping[str, str]
    scored: tuple[Scored, ...]
    states: tuple[StateCount, ...]
    comparisons: tuple[Difference, ...]
    flips: tuple[Flips, ...]
    probes: tuple[ProbeRecord, ...]
    agreement: tuple[Agreement, ...]
    estimands: tuple[Estimand, ...]
    warnings: tuple[Warned, ...]

    @property
    def measurements(self) -> tuple[Measurement, ...]:
        """Every number, in a fixed order."""
        return tuple(one.measurement for one in self.scored)


def measure(
    images: pd.DataFrame,
    labels: pd.DataFrame,
    benchmark: Benchmark,
    *,
    embeddings: Sequence[Embeddings] = (),
    cards: Mapping[str, ErrorCard | str] | None = None,
    people: pd.DataFrame | None = None,
    margins: Mapping[str, float] | None = None,
) -> Measured:
    """Measure a run.

    Args:
        images: As in `images.parquet`; row i is of row i of the embeddings.
        labels: As in `labels.parquet`.
        benchmark: Attributes, classes, targets, metrics, references and statistics.
        embeddings: Of the images, one an encoder.
        cards: By probe: its error card, or in words why there is none.
        people: Labels that people gave to a random sample, columns arm, prompt_id, index,
            attribute and label; shares then also come by prediction-powered inference.
        margins: By metric: the change of quality that counts as none.

    Raises:
        InputError: rows contradict each other, or two arms at hand are the same images.
    """
    metrics, listed = every_metric(), listed_metrics(benchmark)
    arms = arms_of(images, labels, benchmark)
    refuse_copies(images, arms, benchmark)
    requests = arrange(images, labels, [prompt.id for prompt in benchmark.prompts], arms)
    everyone = groups_of(labels, requests, benchmark, arms)
    groups, asked = apart(everyone, benchmark)
    together = list(joined(groups))
    cards, level = cards or {}, benchmark.statistics.level
    sampled = design_of(requests, benchmark)
    layouts = [lay_out(one, images, requests, arms, sampled, level) for one in embeddings]

    told = counted(benchmark)
    scored = _of_shares(groups, together, benchmark, metrics, listed, cards, people)
    scored = [*filter(lambda one: told(one.measurement), scored), *measure_obedience(asked)]
    for layout in layouts:
        scored += measure_quality(layout, metrics, listed)
    compared = list(pairs(groups))
    changes = [change for pair in compared for change in differences(pair) if told(change)]
    changes += compare_obedience(list(pairs(asked)))
    for layout in layouts:
        changes += compare_quality(layout, metrics, listed, margins or {})
    return Measured(
        arms=tuple(arms),
        prompts=texts_of(images, requests, benchmark),
        scored=tuple(scored),
        states=(
            *count_images(images, level),
            *(count for group in everyone for count in count_readings(group)),
        ),
        comparisons=tuple(adjust(changes)),
        flips=tuple(adjust(flip for pair in compared for flip in flips(pair) if told(flip))),
        probes=tuple(probe_record(g, cards.get(g.votes.probe)) for g in one_each(everyone)),
        agreement=tuple(entry for some in shared(groups) for entry in measure_agreement(some)),
        estimands=tuple(estimands([*groups, *(group for group, _ in together)], benchmark)),
        warnings=(
            *_warn(images, everyone, groups, cards, people),
            *(warning for layout in layouts for warning in warn_quality(layout, listed)),
        ),
    )


def _of_shares(
    groups: Sequence[Group],
    together: Sequence[tuple[Group, Sequence[Group]]],
    benchmark: Benchmark,
    metrics: Sequence[Metric],
    listed: Collection[str],
    cards: Mapping[str, ErrorCard | str],
    people: pd.DataFrame | None,
) -> list[Scored]:
    """Measure all that follows from shares: single attributes, several at once, over probes."""
    wanted = COMMON | set(listed)
    chosen = [m for m in metrics if m.interval in INTERVALS and m.name in wanted]
    always = [metric for metric in chosen if metric.name in ALWAYS]
    scored: list[Scored] = []
    for group in groups:
        card = cards.get(group.votes.probe)
        scored += measure_group(group, chosen, listed, card, benchmark.references)
        if people is not None:
            scored += measure_people(group, people, chosen, listed)
    for group, parts in together:
        scored += measure_together(group, parts, always, cards.get(group.votes.probe))
    return [*scored, *band([row.measurement for row in scored])]


def _warn(
    images: pd.DataFrame,
    everyone: Sequence[Group],
    groups: Sequence[Group],
    cards: Mapping[str, ErrorCard | str],
    people: pd.DataFrame | None,
) -> Iterator[Warned]:
    """Yield what to know of images and their readings before any number is believed."""
    yield from warn_missing(everyone)
    yield from warn_duplicates(images)
    for group in groups:
        yield from cautions(group, cards.get(group.votes.probe))
    if people is not None:
        for group in groups:
            yield from warn_people(group, people)
    for group in one_each(groups):
        yield from card_cautions(group, cards.get(group.votes.probe))


def every_metric() -> list[Metric]:
    """Return every metric that is installed, in the order of their names."""
    return [registry.find("metrics", name) for name in sorted(registry.plugins("metrics"))]


def listed_metrics(benchmark: Benchmark) -> set[str]:
    """Return the metrics that a benchmark lists or sets a limit on, and those always wanted."""
    named = {*benchmark.metrics, *(gate.metric for gate in benchmark.gates)}
    return {*ALWAYS, *named, *(FORM.sub("", name) for name in named)}
