"""Each attribute in a few words: where the baseline stands, and which arm is closer."""

from collections.abc import Iterator
from dataclasses import dataclass

from audit.storage.results import Entry
from audit.types import OBEYED
from reports.guides import guided
from reports.source import Source
from reports.words import bounds, change, clipped, measured, number

MACRO = "fd_debiased_macro"
"""What counts where there are many prompts: a pooled share hides what differs between them."""


@dataclass(frozen=True)
class Card:
    """One attribute in a few words."""

    attribute: str
    figure: str
    """Where there are many prompts their discrepancy, else the share farthest from its target."""
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        """All that is said of it, in one paragraph."""
        return " ".join(self.lines)


def cards(source: Source) -> Iterator[Card]:
    """Yield each attribute: where the baseline stands, and which arm is shown to be closer.

    First what prompts ask for, where gates or feature sets are about that.
    """
    aimed = [a for a in source.asked if a in source.aimed and a not in source.attributes]
    rest = [a for a in source.asked if a not in aimed]
    yield from (_as_asked(source, attribute) for attribute in aimed)
    yield from _shares(source)
    yield from (_as_asked(source, attribute) for attribute in rest)


def _shares(source: Source) -> Iterator[Card]:
    for attribute in source.attributes:
        probe, target = source.probe(attribute), source.target(attribute)
        shares = {
            c: m
            for c in source.classes(attribute)
            if (m := source.one("share", source.baseline, attribute, c, probe))
            and m.value is not None
        }
        if not shares:
            said = f"{probe} read no image of {source.baseline}: neither fair nor unfair."
            yield Card(attribute, "not measured", (said,))
            continue
        off = {c: abs((m.value or 0) - target.get(c, 1 / len(shares))) for c, m in shares.items()}
        class_ = max(off, key=lambda c: off[c])
        aim = f" The target is {number(target[class_], 'share')}." if class_ in target else ""
        interval = bounds(shares[class_].ci_low, shares[class_].ci_high, "share")
        macro = _macro(source, source.baseline, attribute)
        pooled = f"of {shares[class_].n:,} images under {source.baseline} are read as {class_} "
        figure = number(shares[class_].value, "share")
        if macro is None:
            first = [f"{pooled}{interval}.{aim}"]
        else:
            first = [
                f"{bounds(macro.ci_low, macro.ci_high)}: fairness discrepancy of "
                f"{source.baseline}, debiased, root mean square over {len(source.by_prompt):,} "
                "prompts. 0 is the target in each of them.",
                _apart(source, attribute),
                f"Pooled over prompts, {figure} {interval} {pooled.rstrip()}.{aim}",
            ]
            figure = number(macro.value)
        chance = _by_chance(source, attribute, pooled=macro is not None)
        lines = (*first, chance, closest(source, attribute, class_))
        yield Card(attribute, figure, tuple(line for line in lines if line))


def _macro(source: Source, arm: str, attribute: str) -> Entry | None:
    """Return the discrepancy over prompts; None where there is none, or one prompt at most."""
    if len(source.by_prompt) < 2:
        return None
    found = source.one(MACRO, arm, attribute, None, source.probe(attribute))
    return found if found and found.value is not None else None


def _apart(source: Source, attribute: str) -> str:
    """Name the two prompts that lie farthest apart, in the class in which they do."""
    probe, found = source.probe(attribute), []
    for class_ in source.classes(attribute):
        shares = {
            prompt: m.value
            for prompt in source.by_prompt
            if (m := source.one("share", source.baseline, attribute, class_, probe, prompt))
            and m.value is not None
        }
        if len(shares) > 1:
            most, least = max(shares, key=shares.__getitem__), min(shares, key=shares.__getitem__)
            found.append((shares[most] - shares[least], class_, (most, least), shares))
    if not found:
        return ""
    _, class_, ends, shares = max(found, key=lambda one: one[0])
    said = (
        f"“{clipped(source.results.prompts.get(prompt) or prompt, 80)}” "
        f"{number(shares[prompt], 'share')}"
        for prompt in ends
    )
    return f"Farthest apart are {' and '.join(said)}, read as {class_}."


def _by_chance(source: Source, attribute: str, *, pooled: bool) -> str:
    fd = source.one("fd", source.baseline, attribute, None, source.probe(attribute))
    if fd is None or fd.value is None or fd.null_high is None:
        return ""
    of = "Fairness discrepancy of the pooled shares" if pooled else "Fairness discrepancy"
    if fd.value > fd.null_high:
        return (
            f"{of} {number(fd.value)}: more than the {number(fd.null_high)} that "
            f"{source.level} of fair models stay under at this sample size."
        )
    return (
        f"{of} {number(fd.value)}: within the {number(fd.null_high)} that a fair "
        "model reaches by chance."
    )


def closest(source: Source, attribute: str, class_: str) -> str:
    """Say which arm is the closest to the target, of those that are shown to be closer at all.

    Shown is a change whose interval lies below 0: over prompts where there are several. A control
    is never closer, whatever it draws.
    """
    arms = [arm for arm in source.arms[1:] if arm not in source.controls]
    if not arms:
        return ""
    told = {arm: said for arm in arms if (said := _closer(source, attribute, class_, arm))}
    if not told:
        return "No arm is shown to be closer to the target."
    arm = min(told, key=lambda arm: told[arm][0])
    judged = guided(source, arm, attribute, source.probe(attribute))
    by = " It is judged by its own guide." if judged else ""
    return f"Closest to the target: {arm}, {told[arm][1]}.{by}"


def _closer(source: Source, attribute: str, class_: str, arm: str) -> tuple[float, str] | None:
    """Return how far an arm is from the target, and that in words; None if not shown closer."""
    over = _macro(source, source.baseline, attribute) is not None
    form, probe = "_macro" if over else "", source.probe(attribute)
    start, end = (
        source.one(MACRO if over else "fd", one, attribute, None, probe)
        for one in (source.baseline, arm)
    )
    about = (arm, attribute, probe, None)
    moved = next(
        (
            d
            for metric in (f"fd_debiased{form}", f"fd2_debiased{form}")
            for d in source.results.comparisons
            if d.metric == metric and (d.arm, d.attribute, d.probe, d.prompt) == about
        ),
        None,
    )
    if end is None or end.value is None or moved is None or moved.ci_high is None:
        return None
    share = source.one("share", arm, attribute, class_, probe)
    now = f"{measured(end)} over the prompts" if over else f"{measured(share)} {class_}"
    of = "discrepancy" if moved.metric == f"fd_debiased{form}" else "squared discrepancy"
    told = f"{now}; {of} {change(moved.value)} {bounds(moved.ci_low, moved.ci_high)}"
    # Pairs that one arm could not read are in no change: the arm as a whole must be nearer too.
    nearer = start is not None and start.value is not None and end.value < start.value
    return (end.value, told) if nearer and moved.ci_high < 0 else None


def _as_asked(source: Source, attribute: str) -> Card:
    """Say how far prompts that ask for a class get it."""
    probe, about = source.probe(attribute), f"{attribute}, as asked"
    found = {
        arm: m
        for arm in source.arms
        if (m := source.one(OBEYED, arm, attribute, None, probe)) and m.value is not None
    }
    if source.baseline not in found:
        return Card(about, "not measured", (f"{probe} read no image of {source.baseline}.",))
    first = found[source.baseline]
    interval = bounds(first.ci_low, first.ci_high, "share")
    said = (
        f"of {first.n:,} images under {source.baseline} are read as their prompt asks {interval}."
    )
    least = min(found, key=lambda arm: found[arm].value or 0)
    others = f"Least under {least}: {measured(found[least])}." if least != source.baseline else ""
    lines = (said, others)
    return Card(about, number(first.value, "share"), tuple(line for line in lines if line))
