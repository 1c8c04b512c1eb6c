"""The charts of fairness against quality, and which arms no other arm beats in both."""

from collections.abc import Iterator, Sequence

from audit.storage.results import Entry
from reports import figures
from reports.charts import Chart, mark, part
from reports.glossary import base, title
from reports.source import Source
from reports.tables import entry_cell, table
from reports.words import listed

QUALITY = ("fid", "clip_t", "clip_i")
ARROWS = {"lower": "lower is better", "higher": "higher is better", "none": ""}


def trade_offs(source: Source) -> Iterator[Chart]:
    """Fairness against quality and alignment, for attributes that features or gates are about."""
    metrics = dict.fromkeys(m.metric for m in source.general() if base(m.metric) in QUALITY)
    for attribute in source.subjects:
        probe, fairness = source.probe(attribute), _fairness(source, attribute)
        for metric in metrics:
            pairs = [
                (arm, source.one(fairness, arm, attribute, None, probe), source.one(metric, arm))
                for arm in source.arms
            ]
            full = [
                p
                for p in pairs
                if p[1] and p[2] and p[1].value is not None and p[2].value is not None
            ]
            if len(full) > 1:
                yield _trade_off(attribute, fairness, metric, pairs)


def _fairness(source: Source, attribute: str) -> str:
    """Return the metric of fairness: over prompts where there are some, for pooling hides."""
    probe, over = source.probe(attribute), "fd_debiased_macro"
    known = any(source.one(over, arm, attribute, None, probe) for arm in source.arms)
    return over if len(source.by_prompt) > 1 and known else "fd"


def _trade_off(
    attribute: str,
    fairness: str,
    metric: str,
    pairs: Sequence[tuple[str, Entry | None, Entry | None]],
) -> Chart:
    higher = any(y and y.direction == "higher" for _, _, y in pairs)
    marks = [(mark(arm, x), mark(arm, y)) for arm, x, y in pairs]
    flags = pareto([(x.value, y.value) for x, y in marks], higher=higher)
    best = [x.label for (x, _), flag in zip(marks, flags, strict=True) if flag]
    way = ARROWS["higher" if higher else "lower"]
    points = [(x, y, flag) for (x, y), flag in zip(marks, flags, strict=True)]
    return Chart(
        id=f"trade-{part(attribute)}-{part(metric)}",
        title=f"{attribute.capitalize()} fairness against {title(metric)}",
        finding=f"No arm is better in both than {listed(best)} (filled marks).",
        draw=lambda: figures.trade_off(
            points, f"{title(fairness)}, lower is better", f"{title(metric)}, {way}"
        ),
        table=table(
            f"{title(fairness)}, of {attribute}, and {title(metric)}",
            ["Arm", title(fairness), title(metric), "Pareto set"],
            [
                [arm, entry_cell(x), entry_cell(y), "yes" if flag else "no"]
                for (arm, x, y), flag in zip(pairs, flags, strict=True)
            ],
        ),
    )


def pareto(
    points: Sequence[tuple[float | None, float | None]], *, higher: bool
) -> tuple[bool, ...]:
    """Say of each point whether no other is at least as good in both and better in one.

    >>> pareto([(0.3, 2.0), (0.1, 2.5), (0.2, 2.6), (None, 1.0)], higher=False)
    (True, True, False, False)
    """
    sign = -1 if higher else 1
    known = [(x, sign * y) for x, y in points if x is not None and y is not None]

    def beaten(point: tuple[float, float]) -> bool:
        return any(a <= point[0] and b <= point[1] and (a, b) != point for a, b in known)

    return tuple(x is not None and y is not None and not beaten((x, sign * y)) for x, y in points)
