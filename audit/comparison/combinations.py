"""Combinations of attributes over the arms of all runs: the same cells for every arm.

Each run puts together the combinations of which it expects too few images to speak alone, so runs
of unlike size speak of unlike cells. Side by side they are measured again, on those that the arm
with the fewest readings can speak of, as the arms of one run are.
"""

from collections.abc import Sequence
from dataclasses import asdict

from audit.comparison.sides import Side, misfits, rows_of
from audit.measuring.arrangement import groups_of
from audit.measuring.battery import measure_together
from audit.measuring.joint import joined
from audit.measuring.measurement import ALWAYS, every_metric
from audit.measuring.records import estimands
from audit.measuring.votes import arrange
from audit.storage.results import Entry, Estimand
from audit.types import of_combination

NO_CARD = "error cards are of single runs, and their cells"


def recombined(sides: Sequence[Side]) -> tuple[tuple[Entry, ...], tuple[Estimand, ...]]:
    """Measure again what runs say of unlike cells.

    Args:
        sides: Every arm of every run; those that do not fit the first are left out.

    Returns:
        Measurements of the combinations whose cells differ between runs, and what they are
        estimates of; empty where all agree.
    """
    fitting = [side for side in sides if not any(misfits(sides[0], side))]
    uneven = _uneven(fitting)
    if not uneven:
        return (), ()
    benchmark, names = sides[0].benchmark, [side.name for side in fitting]
    images, labels = rows_of(fitting, "images"), rows_of(fitting, "labels")
    requests = arrange(images, labels, [prompt.id for prompt in benchmark.prompts], names)
    together = [
        (group, parts)
        for group, parts in joined(groups_of(labels, requests, benchmark, names))
        if group.votes.attribute in uneven
    ]
    always = [metric for metric in every_metric() if metric.name in ALWAYS]
    found = tuple(
        Entry(**asdict(scored.measurement))
        for group, parts in together
        for scored in measure_together(group, parts, always, NO_CARD)
    )
    return found, tuple(estimands([group for group, _ in together], benchmark))


def _uneven(sides: Sequence[Side]) -> set[str]:
    """Return the combinations of which the runs that measured them have unlike cells."""
    runs = {side.run.folder: side.run.results.provenance.estimands for side in sides}
    cells = [{e.attribute: e.classes for e in made} for made in runs.values()]
    known = {name for run in cells for name in run if of_combination(name)}
    return {name for name in known if len({run[name] for run in cells if name in run}) > 1}
