"""Figures of a run, each with the sentence that says what it shows and the table of its numbers."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from audit.results import Entry, ProbeRecord
from reports import figures
from reports.figures import Curve, Mark
from reports.glossary import base, title
from reports.source import Source
from reports.svg import svg
from reports.tables import Cell, Table, entry_cell, table, value_cell
from reports.words import number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

QUALITY = ("fid", "clip_t", "clip_i")
ARROWS = {"lower": "lower is better", "higher": "higher is better", "none": ""}


@dataclass(frozen=True)
class Chart:
    """A figure, what is to be seen in it, and its numbers as a table."""

    id: str
    title: str
    finding: str
    """One sentence, read out in place of the picture."""
    draw: Callable[[], "Figure"]
    """Makes the matplotlib figure; a notebook may change it further."""
    table: Table

    @property
    def figure(self) -> "Figure":
        """The matplotlib figure, drawn anew."""
        return self.draw()

    @property
    def svg(self) -> Markup:
        """The figure as an accessible `<svg>` element."""
        return svg(self.draw(), self.id, self.title, self.finding)

    def _repr_html_(self) -> str:
        head = Markup("<figure><figcaption><strong>{}</strong> {}</figcaption>").format(
            self.title, self.finding
        )
        return str(head + self.svg + Markup("</figure>"))


def shares(source: Source, attribute: str, probe: str | None = None) -> Chart:
    """Shares of each class under each arm, against the target."""
    probe = probe or source.probe(attribute)
    target = source.target(attribute)
    found = {
        class_: [source.one("share", arm, attribute, class_, probe) for arm in source.arms]
        for class_ in source.classes(attribute)
    }
    rows = [
        [class_, arm, entry_cell(entry), value_cell(target.get(class_), "share")]
        for class_, entries in found.items()
        for arm, entry in zip(source.arms, entries, strict=True)
    ]
    marks = {c: [_mark(arm, e) for arm, e in zip(source.arms, es, strict=True)] for c, es in found.items()}
    gaps = [
        (abs(m.value - target[c]), c, m)
        for c, line in marks.items()
        for m in line
        if m.value is not None and c in target
    ]
    finding = ""
    if gaps:
        _, class_, mark = max(gaps, key=lambda gap: gap[0])
        finding = (
            f" Farthest from it: {class_} under {mark.label}, {number(mark.value, 'share')} "
            f"against {number(target[class_], 'share')}."
        )
    return Chart(
        id=f"shares-{_slug(source, attribute, probe)}",
        title=f"Shares of perceived {attribute}",
        finding=f"Read by {probe}; the tick is the target.{finding}",
        draw=lambda: figures.shares(marks, target),
        table=table(
            f"Shares of perceived {attribute}, read by {probe}, with 95 % intervals",
            ["Class", "Arm", "Share", "Target"],
            rows,
        ),
    )


def discrepancy(source: Source, attribute: str, metric: str = "fd") -> Chart:
    """Distance from the target under each arm, with the band of a perfectly fair model."""
    probe = source.probe(attribute)
    found = [source.one(metric, arm, attribute, None, probe) for arm in source.arms]
    marks = [_mark(arm, entry) for arm, entry in zip(source.arms, found, strict=True)]
    beyond = [
        m.label for m in marks if m.value is not None and m.null is not None and m.value > m.null
    ]
    finding = (
        f"Beyond what a fair model shows by chance: {', '.join(beyond)}."
        if beyond
        else "No arm lies beyond what a fair model shows by chance."
    )
    rows = [
        [arm, entry_cell(e), value_cell(e.null_high if e else None), value_cell(float(e.n) if e else 0)]
        for arm, e in zip(source.arms, found, strict=True)
    ]
    return Chart(
        id=f"{metric.replace('_', '-')}-{_slug(source, attribute)}",
        title=f"{title(metric)} of {attribute}",
        finding=f"{finding} Grey: 95 % of fair models at this sample size.",
        draw=lambda: figures.intervals(marks, "distance from the target, lower is better"),
        table=table(
            f"{title(metric)} of {attribute}, with 95 % intervals",
            ["Arm", "Value", "Fair model, up to", "Images"],
            [[r[0], r[1], r[2], _count(r[3])] for r in rows],
        ),
    )


def decomposition(source: Source, attribute: str) -> Chart | None:
    """Mean squared discrepancy over prompts, split into what all prompts share and what differs."""
    probe = source.probe(attribute)
    parts: dict[str, dict[str, Entry]] = {}
    for arm in source.arms:
        for metric, words in (
            ("fd2_aggregate", "the same in all prompts"),
            ("fd2_spread", "stereotype: differs by prompt"),
        ):
            entry = source.one(metric, arm, attribute, None, probe)
            if entry is not None and entry.value is not None:
                parts.setdefault(arm, {})[words] = entry
    if not parts:
        return None
    bars = {a: {w: max(0.0, e.value or 0.0) for w, e in p.items()} for a, p in parts.items()}
    return Chart(
        id=f"spread-{_slug(source, attribute)}",
        title=f"Where the discrepancy of {attribute} lies",
        finding="A pooled share can look even while single prompts lie at opposite ends: "
        "the second part is what pooling hides.",
        draw=lambda: figures.stacks(bars, "mean squared distance from the target"),
        table=table(
            f"Debiased squared discrepancy of {attribute}, split",
            ["Arm", "Part", "Value"],
            [[arm, words, entry_cell(e)] for arm, p in parts.items() for words, e in p.items()],
        ),
    )


def states(source: Source) -> Chart | None:
    """What became of the images of each arm, for the first attribute and its first probe."""
    attribute = next(iter(source.attributes), None)
    probe = source.probe(attribute) if attribute else None
    mine = [
        s
        for s in source.results.states
        if s.prompt is None and s.class_ is None and (s.attribute, s.probe) == (attribute, probe)
    ]
    if not mine:
        return None
    names = sorted({s.state for s in mine}, key=lambda name: (name != "ok", name))
    by_arm = {
        arm: {n: float(sum(s.count for s in mine if (s.arm, s.state) == (arm, n))) for n in names}
        for arm in source.arms
    }
    words = {n: n.replace("_", " ") for n in names}
    bars = {arm: {words[n]: v for n, v in row.items() if v} for arm, row in by_arm.items()}
    missing = ", ".join(
        f"{sum(v for n, v in row.items() if n != 'ok'):.0f} of {sum(row.values()):.0f} under {arm}"
        for arm, row in by_arm.items()
    )
    return Chart(
        id="states",
        title="What became of the images",
        finding=f"Without a reading by {probe}: {missing}. They are counted, never guessed.",
        draw=lambda: figures.stacks(bars, "images"),
        table=table(
            f"States of the images, {attribute} read by {probe}",
            ["Arm", "State", "Images", "Share"],
            [
                [s.arm, words[s.state], _count(Cell("", float(s.count))), _share(s.share, s.ci_low, s.ci_high)]
                for s in mine
            ],
        ),
    )


def truth(source: Source, attribute: str, planted: Mapping[str, float]) -> Chart:
    """Shares that were planted in the training data against those measured in the baseline."""
    arm, probe = source.baseline, source.probe(attribute)
    found = {c: source.one("share", arm, attribute, c, probe) for c in planted}
    right = {c: source.one("share_corrected", arm, attribute, c, probe) for c in planted}
    marks = {
        c: [_mark("measured", found[c]), *([_mark("corrected", right[c])] if right[c] else [])]
        for c in planted
    }
    held = [
        c
        for c, e in found.items()
        if e and e.ci_low is not None and e.ci_high is not None and e.ci_low <= planted[c] <= e.ci_high
    ]
    return Chart(
        id=f"truth-{_slug(source, attribute)}",
        title=f"Planted and measured shares of {attribute}",
        finding=f"The interval of {len(held)} of {len(planted)} classes holds the share that was "
        "planted in the training data (the tick).",
        draw=lambda: figures.shares(marks, dict(planted)),
        table=table(
            f"Planted and measured shares of {attribute}, arm {arm}",
            ["Class", "Planted", "Measured", "Corrected for probe errors"],
            [[c, value_cell(planted[c], "share"), entry_cell(found[c]), entry_cell(right[c])] for c in planted],
        ),
    )


def trade_offs(source: Source) -> Iterator[Chart]:
    """Fairness against quality and alignment, for the attributes that features or gates are about."""
    metrics = dict.fromkeys(m.metric for m in source.general() if base(m.metric) in QUALITY)
    meant = {f.attribute for f in source.results.features}
    meant |= {g.attribute for g in source.results.gates if g.attribute}
    for attribute in (a for a in source.attributes if a in meant or not meant):
        probe = source.probe(attribute)
        for metric in metrics:
            pairs = [
                (arm, source.one("fd", arm, attribute, None, probe), source.one(metric, arm))
                for arm in source.arms
            ]
            full = [p for p in pairs if p[1] and p[2] and p[1].value is not None and p[2].value is not None]
            if len(full) > 1:
                yield _trade_off(source, attribute, metric, pairs)


def _trade_off(
    source: Source, attribute: str, metric: str, pairs: Sequence[tuple[str, Entry | None, Entry | None]]
) -> Chart:
    higher = any(y and y.direction == "higher" for _, _, y in pairs)
    marks = [(_mark(arm, x), _mark(arm, y)) for arm, x, y in pairs]
    flags = pareto([(x.value, y.value) for x, y in marks], higher=higher)
    best = [x.label for (x, _), flag in zip(marks, flags, strict=True) if flag]
    way = ARROWS["higher" if higher else "lower"]
    points = [(x, y, flag) for (x, y), flag in zip(marks, flags, strict=True)]
    return Chart(
        id=f"trade-{_slug(source, attribute)}-{list(dict.fromkeys(m.metric for m in source.general())).index(metric)}",
        title=f"{attribute.capitalize()} fairness against {title(metric)}",
        finding=f"No arm is better in both than {_and(best)} (filled marks).",
        draw=lambda: figures.trade_off(
            points, "fairness discrepancy, lower is better", f"{title(metric)}, {way}"
        ),
        table=table(
            f"Fairness discrepancy of {attribute} and {title(metric)}",
            ["Arm", "Fairness discrepancy", title(metric), "Pareto set"],
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

    return tuple(
        x is not None and y is not None and not beaten((x, sign * y)) for x, y in points
    )


def confusion(record: ProbeRecord) -> Chart | None:
    """What a probe says of images whose class is known."""
    if record.confusion is None:
        return None
    counts, classes = record.confusion, record.classes
    recalls = [
        f"{number(line[i] / sum(line), 'share') if sum(line) else 'no'} of {name}"
        for i, (name, line) in enumerate(zip(classes, counts, strict=True))
    ]
    whole = [[round(c) for c in line] for line in counts]
    return Chart(
        id=f"confusion-{_id(record.name)}-{_id(record.attribute)}",
        title=f"{record.name}: errors on {record.attribute}",
        finding=f"Read correctly: {', '.join(recalls)}. {record.data or ''}".strip(),
        draw=lambda: figures.confusion(whole, classes),
        table=table(
            f"Counts of {record.name} on images of known {record.attribute}",
            ["True class", *(f"read as {c}" for c in classes)],
            [
                [name, *(_count(Cell("", float(c))) for c in line)]
                for name, line in zip(classes, counts, strict=True)
            ],
        ),
    )


def lines(
    identifier: str, heading: str, finding: str, units: tuple[str, str, str], drawn: Sequence[Curve],
    mark: float | None = None,
) -> Chart:
    """Curves over an axis: a profile over steps, or a dose-response.

    Args:
        identifier: id of the figure in the page.
        heading: its title.
        finding: what is to be seen.
        units: names of the x axis, of the y axis, and of the metric whose format the table uses.
        drawn: the curves.
        mark: a vertical reference.
    """
    rows = [
        [
            curve.label,
            value_cell(float(x)),
            _banded(curve, i, units[2]),
        ]
        for curve in drawn
        for i, x in enumerate(curve.x)
    ]
    return Chart(
        id=identifier,
        title=heading,
        finding=finding,
        draw=lambda: figures.curves(drawn, units[0], units[1], mark=mark),
        table=table(heading, ["Curve", units[0].capitalize(), units[1].capitalize()], rows),
    )


def _banded(curve: Curve, i: int, metric: str) -> Cell:
    from reports.words import bounds

    low, high = (side[i] if side is not None else None for side in (curve.low, curve.high))
    return Cell(number(curve.y[i], metric), curve.y[i], bounds(low, high, metric))


def _mark(label: str, entry: Entry | None) -> Mark:
    if entry is None:
        return Mark(label, None)
    return Mark(label, entry.value, entry.ci_low, entry.ci_high, entry.null_high)


def _count(cell: Cell | str) -> Cell:
    value = cell.value if isinstance(cell, Cell) else None
    return Cell("–" if value is None else f"{value:,.0f}", value)


def _share(value: float | None, low: float | None, high: float | None) -> Cell:
    from reports.words import bounds

    return Cell(number(value, "share"), value, bounds(low, high, "share"))


def _and(names: Sequence[str]) -> str:
    from reports.words import listed

    return listed(names)


def _id(text: str) -> str:
    """Return text as a part of an id: hashed where it is not plain already."""
    import hashlib
    import re

    if re.fullmatch(r"[A-Za-z0-9-]{1,40}", text):
        return text
    return f"x{hashlib.sha256(text.encode()).hexdigest()[:10]}"


def _slug(source: Source, attribute: str, probe: str | None = None) -> str:
    return _id(attribute) + (f"-{_id(probe)}" if probe and probe != source.probe(attribute) else "")
