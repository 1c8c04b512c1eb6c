"""What a reader must know before believing a number: sentences, each with a code."""

from collections.abc import Iterator

import numpy as np
from scipy import stats

from audit.measuring.corrected import confusion_of, refusal
from audit.measuring.error_cards import Confusion, ErrorCard
from audit.measuring.groups import Group
from audit.measuring.transfer import warn_transfer
from audit.statistics.correction import correct
from audit.statistics.discrepancy import distance
from audit.statistics.multiplicity import holm
from audit.storage.results import Warned

UNEQUAL = 0.05
"""Holm-adjusted p below which errors are said to differ between groups of people."""
SPREAD = 1.96
"""Standard errors by which stereotype must exceed the imbalance of the whole to be warned of."""


def cautions(group: Group, card: ErrorCard | str | None) -> Iterator[Warned]:
    """Yield the warnings about the numbers of one arm, probe and attribute."""
    found = group.hard.pooled
    if found.n < 2:
        return
    yield from _pooling(group)
    yield from _soft(group)
    confusion = confusion_of(group, card)
    if isinstance(confusion, str) or refusal(group, card) is not None:
        return
    yield from _correction(group, confusion)
    yield from warn_transfer(group, confusion)


def card_cautions(group: Group, card: ErrorCard | str | None) -> Iterator[Warned]:
    """Yield a warning where a probe errs unlike on unlike people: one card then fits no mix."""
    confusion = confusion_of(group, card)
    if isinstance(confusion, str):
        return
    unlike = [where for where, p in unequal_errors(confusion).items() if p < UNEQUAL]
    if unlike:
        votes = group.votes
        message = (
            f"how often {votes.probe} misreads {votes.attribute} differs by group "
            f"({'; '.join(unlike)}): corrected shares hold for a mix like that of the card only"
        )
        yield Warned(code="errors_differ_by_group", message=message)


def unequal_errors(confusion: Confusion) -> dict[str, float]:
    """Test whether errors are alike in all groups: `attribute, true class` -> Holm-adjusted p."""
    tests = {}
    for attribute, tables in confusion.groups.items():
        for k, name in enumerate(confusion.classes):
            rows = np.array([table[k] for table in tables.values()])
            rows = rows[rows.sum(axis=1) > 0][:, rows.sum(axis=0) > 0]
            if min(rows.shape, default=0) > 1:
                tests[f"{attribute}, {name}"] = float(stats.chi2_contingency(rows).pvalue)
    return dict(zip(tests, map(float, holm(list(tests.values()))), strict=True))


def _pooling(group: Group) -> Iterator[Warned]:
    """Prompts at opposite ends can look even together."""
    if len(group.requests.prompts) < 2:
        return
    split = group.hard.split
    if split.spread - max(split.pooled, 0) > SPREAD * split.macro_se:
        message = (
            f"{group.votes.attribute} by {group.votes.probe} differs by prompt more than it is "
            "off the target as a whole: read it prompt by prompt"
        )
        yield Warned(code="pooling_hides", message=message, arm=group.votes.arm)


def _soft(group: Group) -> Iterator[Warned]:
    """Labels and probabilities of a calibrated probe tell the same story, within half an interval.

    Which has a width where all labels are alike and their covariance has none.
    """
    if group.soft is None:
        return
    labels = group.hard.pooled_discrepancy
    hard, soft = float(labels.plugin), float(distance(group.soft.pooled.p, group.target))
    if abs(hard - soft) > float(labels.high - labels.low) / 2:
        message = (
            f"{group.votes.attribute} by {group.votes.probe}: fd of labels is {hard:.3f}, of "
            f"probabilities {soft:.3f}: the probe is not calibrated on these images"
        )
        yield Warned(code="soft_differs", message=message, arm=group.votes.arm)


def _correction(group: Group, confusion: Confusion) -> Iterator[Warned]:
    votes, raw = group.votes, group.hard.pooled.p
    found = correct(group.hard.pooled, confusion.calibration, level=group.level)
    moved, effect = abs(found.shares.p - raw).max(), abs(raw - group.target).max()
    if moved > effect:
        message = (
            f"{votes.attribute} by {votes.probe}: the correction for its errors, {moved:.3f}, "
            f"exceeds the distance from the target, {effect:.3f}: the probe decides the answer"
        )
        yield Warned(code="correction_exceeds_effect", message=message, arm=votes.arm)
