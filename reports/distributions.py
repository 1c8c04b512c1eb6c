"""The charts of shares: against target and truth, their discrepancy, and wrong readings."""

from collections.abc import Iterator, Mapping, Sequence

from audit.storage.results import Entry, ProbeRecord, StateCount
from reports import figures, missing
from reports.canvas import Mark
from reports.charts import Chart, mark, part
from reports.glossary import title
from reports.source import Source
from reports.tables import Row, count_cell, entry_cell, number_cell, table, value_cell
from reports.words import listed, number


def about(source: Source, attribute: str) -> list[Chart]:
    """Return the figures of one attribute."""
    drawn = [shares(source, attribute), discrepancy(source, attribute)]
    split = decomposition(source, attribute)
    return [*drawn, split] if split else drawn


def shares(source: Source, attribute: str) -> Chart:
    """Shares of each class under each arm, against the target."""
    probe, target = source.probe(attribute), source.target(attribute)
    found = {
        class_: [source.one("share", arm, attribute, class_, probe) for arm in source.arms]
        for class_ in source.classes(attribute)
    }
    rows: list[Row] = [
        [class_, arm, entry_cell(entry), value_cell(target.get(class_), "share")]
        for class_, entries in found.items()
        for arm, entry in zip(source.arms, entries, strict=True)
    ]
    marks = {
        c: [mark(arm, e) for arm, e in zip(source.arms, es, strict=True)]
        for c, es in found.items()
    }
    gaps = [
        (abs(m.value - target[c]), c, m)
        for c, line in marks.items()
        for m in line
        if m.value is not None and c in target
    ]
    finding = ""
    if gaps:
        _, class_, far = max(gaps, key=lambda gap: gap[0])
        finding = (
            f" Farthest from it: {class_} under {far.label}, {number(far.value, 'share')} "
            f"against {number(target[class_], 'share')}."
        )
    return Chart(
        id=f"shares-{part(attribute)}",
        title=f"Shares of perceived {attribute}",
        finding=f"Read by {probe}; the tick is the target.{finding}",
        draw=lambda: figures.shares(marks, target),
        table=table(
            f"Shares of perceived {attribute}, read by {probe}, with {source.level} intervals",
            ["Class", "Arm", "Share", "Target"],
            rows,
        ),
    )


def discrepancy(source: Source, attribute: str, metric: str = "fd") -> Chart:
    """Distance from the target under each arm, with the band of a perfectly fair model."""
    probe = source.probe(attribute)
    found = [source.one(metric, arm, attribute, None, probe) for arm in source.arms]
    marks = [mark(arm, entry) for arm, entry in zip(source.arms, found, strict=True)]
    rows: list[Row] = [
        [arm, entry_cell(e), value_cell(e.null_high if e else None), count_cell(e.n if e else 0)]
        for arm, e in zip(source.arms, found, strict=True)
    ]
    return Chart(
        id=f"{metric.replace('_', '-')}-{part(attribute)}",
        title=f"{title(metric)} of {attribute}",
        finding=_by_chance(marks, source.level),
        draw=lambda: figures.intervals(marks, "distance from the target, lower is better"),
        table=table(
            f"{title(metric)} of {attribute}, with {source.level} intervals",
            ["Arm", "Value", "Fair model, up to", "Images"],
            rows,
        ),
    )


def _by_chance(marks: Sequence[Mark], level: str) -> str:
    known = [m for m in marks if m.value is not None and m.null is not None]
    if not known:
        return "Not measured, or without a band to compare with."
    beyond = [m.label for m in known if (m.value or 0) > (m.null or 0)]
    band = f"Outlined: where {level} of fair models lie at this sample size."
    if not beyond:
        return f"No arm measured lies beyond what a fair model shows by chance. {band}"
    return f"Beyond what a fair model shows by chance: {listed(beyond)}. {band}"


def decomposition(source: Source, attribute: str) -> Chart | None:
    """Mean squared discrepancy over prompts: what all prompts share, and what differs."""
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
        id=f"spread-{part(attribute)}",
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


def states(source: Source) -> Iterator[Chart]:
    """What became of the images of each arm, probe by probe: of the attribute read least."""
    for probe, by_attribute in missing.counted(source).items():
        attribute = max(by_attribute, key=lambda a: missing.unread(by_attribute[a]))
        yield _states(source, attribute, probe, by_attribute[attribute])


def _states(
    source: Source, attribute: str | None, probe: str | None, mine: Sequence[StateCount]
) -> Chart:
    names = sorted({s.state for s in mine}, key=lambda name: (name != "ok", name))
    by_arm = {
        arm: {n: float(sum(s.count for s in mine if (s.arm, s.state) == (arm, n))) for n in names}
        for arm in source.arms
    }
    words = {n: n.replace("_", " ") for n in names}
    bars = {arm: {words[n]: v for n, v in row.items() if v} for arm, row in by_arm.items()}
    lost = ", ".join(
        f"{sum(v for n, v in row.items() if n != 'ok'):.0f} of {sum(row.values()):.0f} under {arm}"
        for arm, row in by_arm.items()
    )
    of = f" of {attribute}" if attribute else ""
    return Chart(
        id=f"states-{part(probe)}" if probe else "states",
        title=f"What became of the images{f', read by {probe}' if probe else ''}",
        finding=f"Without a reading{of} by {probe}: {lost}. They are counted, never guessed.",
        draw=lambda: figures.stacks(bars, "images"),
        table=table(
            f"States of the images, {attribute} read by {probe}",
            ["Arm", "State", "Images", "Share"],
            [
                [
                    s.arm,
                    words[s.state],
                    count_cell(s.count),
                    number_cell(s.share, "share", s.ci_low, s.ci_high),
                ]
                for s in mine
            ],
        ),
    )


def truth(source: Source, attribute: str, planted: Mapping[str, float]) -> Chart:
    """Shares that were planted in the training data against those measured in the baseline."""
    arm, probe = source.baseline, source.probe(attribute)
    planted = {c: planted[c] for c in source.classes(attribute) if c in planted}
    found = {c: source.one("share", arm, attribute, c, probe) for c in planted}
    right = {c: source.one("share_corrected", arm, attribute, c, probe) for c in planted}
    people = {c: source.one("share_ppi", arm, attribute, c, probe) for c in planted}
    columns = [found, right, *([people] if any(people.values()) else [])]
    heads = ["Measured", "Corrected for probe errors", "With human labels"][: len(columns)]
    rows: list[Row] = [
        [c, value_cell(planted[c], "share"), *(entry_cell(column[c]) for column in columns)]
        for c in planted
    ]
    marks = {
        c: [mark("measured", found[c]), *([mark("corrected", right[c])] if right[c] else [])]
        for c in planted
    }
    held = [
        c
        for c, e in found.items()
        if e
        and e.ci_low is not None
        and e.ci_high is not None
        and e.ci_low <= planted[c] <= e.ci_high
    ]
    return Chart(
        id=f"truth-{part(attribute)}",
        title=f"Planted and measured shares of {attribute}",
        finding=f"The interval of {len(held)} of {len(planted)} classes holds the share that was "
        "planted in the training data (the tick).",
        draw=lambda: figures.shares(marks, dict(planted)),
        table=table(
            f"Planted and measured shares of {attribute}, arm {arm}",
            ["Class", "Planted", *heads],
            rows,
        ),
    )


def truths(source: Source) -> Iterator[Chart]:
    """Yield the truth of every attribute whose shares were planted in the model."""
    planted = (source.results.provenance.model_extra or {}).get("truth") or {}
    for attribute in source.attributes:
        if attribute in planted:
            yield truth(source, attribute, planted[attribute])


def confusions(source: Source) -> Iterator[Chart]:
    """Yield what every probe says of images whose class is known."""
    for record in source.results.probes:
        if chart := confusion(record):
            yield chart


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
        id=f"confusion-{part(record.name)}-{part(record.attribute)}",
        title=f"{record.name}: errors on {record.attribute}",
        finding=f"Read correctly: {', '.join(recalls)}. {record.data or ''}".strip(),
        draw=lambda: figures.confusion(whole, classes),
        table=table(
            f"Counts of {record.name} on images of known {record.attribute}",
            ["True class", *(f"read as {c}" for c in classes)],
            [
                [name, *(count_cell(c) for c in line)]
                for name, line in zip(classes, counts, strict=True)
            ],
        ),
    )
