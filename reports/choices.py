"""Who chose the classes and the target: said wherever a number stands that hangs on them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from audit.storage.results import Estimand
from reports.source import Source
from reports.words import listed, number

CLASSES = {
    "suite": "The default of the suite: what its probes have names for. Everyone else is forced "
    "into one of these.",
    "spec": "Chosen in the spec. Everyone else is forced into one of these.",
    "": "The results do not say who chose them.",
}
"""By `classes_source` of the results."""
UNIFORM, UNEXPLAINED = "uniform", "the spec"
"""What `target_source` holds where nobody gave a reason: for even shares, for a target."""


@dataclass(frozen=True)
class Choice:
    """Something about an attribute that people chose."""

    attribute: str
    what: str
    by: str
    """One sentence or two: who, and what follows."""

    def __str__(self) -> str:
        return f"{self.what}. {self.by}"


def classes(estimand: Estimand) -> Choice:
    """Say what the classes are and who chose them."""
    by = CLASSES.get(estimand.classes_source, estimand.classes_source)
    return Choice(estimand.attribute, listed(estimand.classes), by)


def target(estimand: Estimand) -> Choice:
    """Say what the target is and who chose it."""
    aims = ((name, estimand.target[name]) for name in estimand.classes if name in estimand.target)
    wanted = listed(f"{name} {number(share, 'share')}" for name, share in aims)
    return Choice(estimand.attribute, wanted, chosen_by(estimand.target_source))


def chosen_by(target_source: str) -> str:
    """Say who chose a target.

    >>> chosen_by("Even shares, by the board.")
    'Chosen in the spec, which says: Even shares, by the board.'
    """
    if target_source == UNIFORM:
        return (
            "Even shares: the default of the suite, which the spec left as it is. "
            "That is a choice, not a fact."
        )
    if target_source == UNEXPLAINED:
        return "Chosen in the spec, which does not say by whom or why (`target_reason`)."
    return f"Chosen in the spec, which says: {target_source.rstrip('.')}."


def choices(source: Source) -> Iterator[tuple[Choice, Choice]]:
    """Yield the classes and the target of each single attribute."""
    for attribute, estimand in source.estimands.items():
        if attribute in source.attributes:
            yield classes(estimand), target(estimand)


def together(chosen: Iterable[Choice]) -> str:
    """Say of many attributes what was chosen, each chooser once."""
    by: dict[str, list[str]] = {}
    for one in chosen:
        by.setdefault(one.by, []).append(f"{one.attribute} ({one.what})")
    return " ".join(f"{'; '.join(said)}: {who}" for who, said in by.items())
