"""Adjustment of p-values: Holm over what is claimed, Benjamini-Hochberg over what is explored."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

import numpy as np

from audit.statistics.multiplicity import benjamini_hochberg, holm
from audit.storage.results import Difference, Flips

Row = TypeVar("Row", Difference, Flips)


def adjust(rows: Iterable[Row]) -> list[Row]:
    """Adjust the p-values of an arm's rows, family by family, and name the family in each row.

    Rows over all prompts are claims: Holm over the attributes, probes and classes of one metric
    and arm. Rows of single prompts are explored: Benjamini-Hochberg over all of them.
    """
    rows = list(rows)
    families: dict[tuple[str, str, bool], list[int]] = {}
    for i, row in enumerate(rows):
        if row.p is not None:
            metric = row.metric if isinstance(row, Difference) else "flips"
            families.setdefault((row.arm, metric, row.prompt is None), []).append(i)
    for (_, metric, pooled), members in families.items():
        _adjust(rows, members, "holm" if pooled else "benjamini-hochberg", metric)
    return rows


def _adjust(rows: list[Row], members: Sequence[int], rule: str, metric: str) -> None:
    p = np.array([rows[i].p for i in members], float)
    adjusted = holm(p) if rule == "holm" else benjamini_hochberg(p)
    family = f"{rule}: {len(members)} tests of {metric}"
    for i, value in zip(members, adjusted, strict=True):
        rows[i] = rows[i].model_copy(update={"p_adjusted": float(value), "family": family})
