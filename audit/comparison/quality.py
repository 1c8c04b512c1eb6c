"""Quality of one side against that of another, from the numbers that their runs hold."""

from collections.abc import Iterator

from audit import registry
from audit.comparison.sides import Side
from audit.statistics.changes import mover
from audit.storage.results import Difference, Entry


def quality_changes(first: Side, second: Side) -> tuple[list[Difference], list[str]]:
    """Subtract what both sides measured over embeddings; block what was made in unlike ways."""
    one, two = _measured(first), _measured(second)
    paired, blocked = _paired_quality(first, second), unlike(first, second)
    found: list[Difference] = []
    for metric in sorted(one.keys() & two.keys() - blocked.keys()):
        if metric in paired:
            found.append(paired[metric])
        else:
            found += _change(first, second, one[metric], two[metric])
    families = {m.partition("@")[0] for m in one} & {m.partition("@")[0] for m in two}
    foreign = families - {metric.partition("@")[0] for metric in one.keys() & two.keys()}
    both = one.keys() & two.keys()
    said = [f"{metric}: {reason}" for metric, reason in blocked.items() if metric in both]
    return found, [*said, *(f"{f}: measured with unlike extractors" for f in sorted(foreign))]


def unlike(first: Side, second: Side) -> dict[str, str]:
    """Return by metric why values of two runs do not compare, where they do not."""
    one, two = (
        {m.metric: m.extractor for m in side.run.results.measurements if "@" in m.metric}
        for side in (first, second)
    )
    found = {}
    for metric in sorted(one.keys() & two.keys()):
        made = (one[metric], two[metric])
        reason = "extractors {!r} and {!r}".format(*made) if made[0] != made[1] else ""
        reason = reason or _other_references(metric, first, second)
        if reason:
            found[metric] = reason
    return found


def _measured(side: Side) -> dict[str, Entry]:
    """Return the quality of one side by metric."""
    return {
        m.metric: m
        for m in side.run.results.measurements
        if m.arm == side.arm and "@" in m.metric and m.attribute is None and m.prompt is None
    }


def _paired_quality(first: Side, second: Side) -> dict[str, Difference]:
    """Return by metric what a run itself subtracted image by image, which no table can redo."""
    if first.run.folder != second.run.folder:
        return {}
    return {
        d.metric: d.model_copy(update={"arm": second.name, "baseline": first.name})
        for d in second.run.results.comparisons
        if (d.arm, d.baseline, d.attribute, d.prompt) == (second.arm, first.arm, None, None)
    }


def _other_references(metric: str, first: Side, second: Side) -> str:
    """Say that two distances are from unlike sets of images, if so."""
    family = metric.partition("@")[0]
    if family not in registry.plugins("metrics"):
        return ""
    one, two = (side.benchmark.reference_images for side in (first, second))
    aimed = "reference" in registry.find("metrics", family).columns
    if not aimed:
        return ""
    if one != two:
        return f"reference images {one!r} and {two!r}"
    made = [
        side.run.manifest.get("made_of", {}).get("reference_images") for side in (first, second)
    ]
    changed = None not in made and made[0] != made[1]
    return f"reference images {one!r} are not the same files" if changed else ""


def _change(first: Side, second: Side, a: Entry, b: Entry) -> Iterator[Difference]:
    """Subtract, with the interval that two independent ones give."""
    if a.value is None or b.value is None:
        return
    low, high = None, None
    ends = (a.ci_low, a.ci_high, b.ci_low, b.ci_high)
    if None not in ends:
        a_low, a_high, b_low, b_high = (float(end) for end in ends if end is not None)
        low, high = map(float, mover((a.value, a_low, a_high), (b.value, b_low, b_high)))
    yield Difference(
        metric=a.metric,
        arm=second.name,
        baseline=first.name,
        value=b.value - a.value,
        ci_low=low,
        ci_high=high,
        level=a.level if low is not None else None,
        n=min(a.n, b.n),
        direction=a.direction,
        method="difference of two intervals" if low is not None else "no interval",
        extractor=a.extractor,
    )
