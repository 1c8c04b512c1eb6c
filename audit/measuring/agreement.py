"""How far probes agree, and how far the answer depends on which of them is asked."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations

import numpy as np

from audit.measuring.groups import Group, Scored, number
from audit.statistics.agreement import (
    agreement,
    agreement_by_class,
    cohen,
    confusion,
    fleiss,
    krippendorff,
)
from audit.storage.results import Agreement
from audit.types import Measurement


def shared(groups: Iterable[Group]) -> Iterator[list[Group]]:
    """Yield the groups of each arm and attribute that several probes read in the same classes."""
    together: dict[tuple[str, str, tuple[str, ...]], list[Group]] = {}
    for group in groups:
        votes = group.votes
        together.setdefault((votes.arm, votes.attribute, votes.classes), []).append(group)
    yield from (some for some in together.values() if len(some) > 1)


def measure_agreement(groups: Sequence[Group]) -> Iterator[Agreement]:
    """Yield the agreement of probes that read the same attribute in one arm.

    Two by two: the plain share, Cohen's kappa, and the specific agreement of every class (kappa
    falls as shares become lopsided, hence both). All together: Krippendorff's alpha, and Fleiss'
    kappa of the images that three or more probes all read.
    """
    votes = groups[0].votes
    k = len(votes.classes)
    about = {"arm": votes.arm, "attribute": votes.attribute}

    def entry(
        statistic: str, some: Sequence[Group], value: float, n: int, **more: str
    ) -> Agreement:
        return Agreement(
            statistic=statistic,
            probes=tuple(group.votes.probe for group in some),
            value=number(value),
            n=n,
            method="images that all of them read" if n else "not measured: no image in common",
            **about,
            **more,
        )

    for pair in combinations(groups, 2):
        table = confusion(pair[0].votes.codes, pair[1].votes.codes, k)
        n = int(table.sum())
        yield entry("raw", pair, agreement(table), n)
        yield entry("cohen_kappa", pair, cohen(table), n)
        for name, value in zip(votes.classes, agreement_by_class(table), strict=True):
            yield entry("specific", pair, float(value), n, class_=name)
    codes = np.stack([group.votes.codes for group in groups], axis=1)
    several = int(((codes >= 0).sum(axis=1) > 1).sum())
    yield entry("krippendorff_alpha", groups, krippendorff(codes, k), several)
    full = codes[(codes >= 0).all(axis=1)]
    if len(groups) > 2 and len(full):
        counts = np.stack([(full == c).sum(axis=1) for c in range(k)], axis=1)
        yield entry("fleiss_kappa", groups, fleiss(counts), len(full))


def band(rows: Iterable[Measurement]) -> Iterator[Scored]:
    """Yield the smallest and largest value of each pooled distance over probes.

    Rows without a probe, without a value or about one class or prompt are passed over.
    """
    together: dict[tuple[str, str, str], list[Measurement]] = {}
    for row in rows:
        if (
            row.probe
            and row.attribute
            and row.value is not None
            and not row.class_
            and not row.prompt
        ):
            together.setdefault((row.metric, row.arm, row.attribute), []).append(row)
    for (metric, arm, attribute), some in together.items():
        if len({row.probe for row in some}) < 2:
            continue
        for what, pick in (("smallest", min), ("largest", max)):
            one = pick(some, key=lambda row: row.value or 0.0)
            yield Scored(
                Measurement(
                    metric=f"{metric}_{what}_probe",
                    arm=arm,
                    attribute=attribute,
                    value=one.value,
                    n=one.n,
                    method=f"{one.probe}, of {', '.join(str(row.probe) for row in some)}",
                    direction=one.direction,
                    ci_low=one.ci_low,
                    ci_high=one.ci_high,
                    level=one.level,
                )
            )
