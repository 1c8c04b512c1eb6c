"""What a mitigation changes: quality, the other attributes, and who is read otherwise."""

from collections.abc import Sequence

from audit.storage.results import Difference, Flips
from reports.glossary import title
from reports.source import Source, is_unpaired
from reports.tables import Cell, Table, count_cell, entry_cell, table
from reports.words import bounds, change, is_share, p_value, scaled, unmeasured

EQUIVALENCE = (
    "Unchanged within: whether a change as large as the margin that the spec gives is ruled out,"
    " by two one-sided t tests; a difference that was merely not found rules nothing out."
)

DROPPED = " A pair in which one side has no reading is dropped and counted."


def difference(source: Source, metric: str, arm: str, attribute: str | None) -> Cell:
    """Return the difference of an arm to the baseline, read by the probe that judges."""
    if arm == source.baseline:
        return Cell("baseline")
    probe = source.probe(attribute) if attribute else None
    wanted = (metric, arm, attribute, None, None, probe)
    for d in source.results.comparisons:
        if (d.metric, d.arm, d.attribute, d.class_, d.prompt, d.probe) == wanted:
            return change_cell(d)
    return Cell("–")


def change_cell(found: Difference) -> Cell:
    """Return the cell of a difference: its value with a sign, then its interval."""
    if found.value is None:
        return Cell(unmeasured(found.method))
    points = is_share(found.metric)
    ends = found.ci_low, found.ci_high
    interval = _points(found) if points else bounds(*ends, found.metric)
    return Cell(change(found.value, found.metric), scaled(found.value, found.metric), interval)


def _points(found: Difference) -> str:
    if found.ci_low is None or found.ci_high is None:
        return ""
    ends = (change(v, "share").removesuffix(" points") for v in (found.ci_low, found.ci_high))
    return f"[{', '.join(ends)}]"


def side_effects(source: Source) -> tuple[Table, ...]:
    """Return what each mitigation changes: distances and quality first, then single shares."""
    found = [d for d in source.results.comparisons if d.prompt is None]
    of = "paired differences, arm minus baseline, over the same requests."
    if all(map(is_unpaired, found)):
        of = "differences of two samples, arm minus baseline: the arms share no seeds."
    elif any(map(is_unpaired, found)):
        of = "differences, arm minus baseline; paired where both drew from the same seeds."
    return differences(source, found, of)


def differences(source: Source, found: Sequence[Difference], of: str) -> tuple[Table, ...]:
    """Return tables of differences: distances and quality first, then single shares.

    Args:
        source: Where they stand.
        found: In any order; rows are in that of the arms.
        of: What the differences are, as a sentence for the caption.
    """
    order = {arm: i for i, arm in enumerate(source.arms)}
    found = sorted(found, key=lambda d: order.get(d.arm, 0))
    against = len({d.baseline for d in found}) > 1
    margins = any(d.margin is not None for d in found)
    if margins:
        of = f"{of} {EQUIVALENCE}"
    parts = (
        ("Distances and quality", [d for d in found if d.class_ is None]),
        ("Shares of single classes", [d for d in found if d.class_ is not None]),
    )
    return tuple(
        table(
            f"{name}: {of}{'' if all(map(is_unpaired, part)) else DROPPED}",
            [
                "Arm",
                *(["Against"] if against else []),
                "Of",
                "Metric",
                "Difference",
                "p, adjusted",
                "Pairs",
                "Dropped",
                *(["Unchanged within"] if margins else []),
            ],
            [_difference_row(source, d, against, margins) for d in part],
            sortable=True,
        )
        for name, part in parts
        if part
    )


def _difference_row(
    source: Source, d: Difference, against: bool, margins: bool
) -> list[Cell | str]:
    about = " ".join(x for x in (d.attribute, d.class_ and f"({d.class_})") if x) or "all images"
    if d.attribute and d.probe != source.probe(d.attribute):
        about = f"{about}, read by {d.probe}"
    margin = "–"
    if d.equivalent is not None and d.margin is not None:
        shown = "shown" if d.equivalent else "not shown"
        margin = f"±{scaled(d.margin, d.metric):g}: {shown}, p {p_value(d.p_margin) or '–'}"
    return [
        d.arm,
        *([d.baseline] if against else []),
        about,
        title(d.metric),
        change_cell(d),
        Cell(p_value(d.p_adjusted) or "–", d.p_adjusted),
        count_cell(d.n),
        count_cell(d.dropped),
        *([margin] if margins else []),
    ]


def flips(source: Source) -> Table | None:
    """Return who changed: how many images moved from which class to which."""
    rows = [_flip_row(f) for f in source.results.flips if f.prompt is None]
    if not rows:
        return None
    return table(
        "Readings that differ between the baseline and an arm for the same seed; p is of no change"
        f" of the {'pooled ' if source.by_prompt else ''}shares.",
        ["Attribute", "Arm", "Probe", "Changed", "From and to", "Pairs", "p"],
        rows,
    )


def _flip_row(f: Flips) -> list[Cell | str]:
    moves = [
        (count, f"{f.classes[i]} → {f.classes[j]} {count:,}")
        for i, line in enumerate(f.counts)
        for j, count in enumerate(line)
        if i != j and count
    ]
    total = sum(count for count, _ in moves)
    told = ", ".join(words for _, words in sorted(moves, key=lambda m: -m[0])) or "nobody"
    p = f.p_adjusted if f.p_adjusted is not None else f.p
    return [
        f.attribute,
        f.arm,
        f.probe,
        count_cell(total),
        told,
        count_cell(f.n),
        Cell(p_value(p) or "–", p),
    ]


def quality(source: Source) -> Table | None:
    """Return quality and alignment of every arm."""
    metrics = dict.fromkeys(m.metric for m in source.general())
    rows = [
        [
            title(metric),
            arm,
            entry_cell(entry),
            entry.direction if entry.direction != "none" else "–",
            count_cell(entry.n),
            entry.method,
        ]
        for metric in metrics
        for arm in source.arms
        if (entry := source.one(metric, arm))
    ]
    if not rows:
        return None
    return table(
        "Image quality and fit to the prompt. The extractor is part of the name: values of "
        "different extractors do not compare.",
        ["Metric", "Arm", "Value", "Better", "Images", "Interval"],
        rows,
    )
