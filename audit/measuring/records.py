"""What stands beside the numbers: which probes read them, and what they are estimates of."""

from collections.abc import Iterator, Sequence

from audit.measuring.corrected import confusion_of, refusal
from audit.measuring.error_cards import ErrorCard
from audit.measuring.groups import Group
from audit.spec.benchmark import Benchmark
from audit.storage.results import Estimand, ProbeRecord

AGGREGATION = {
    "iid": "every image weighs the same",
    "stratified": "every prompt weighs the same; images of a prompt vary",
    "seeds": "every prompt weighs the same; seeds, which prompts share, vary",
    "prompts": "every prompt weighs the same; prompts vary",
    "crossed": "every prompt weighs the same; prompts and the seeds that they share vary",
}
"""By design: how images are put together, and what varies from run to run."""


def probe_record(group: Group, card: ErrorCard | str | None) -> ProbeRecord:
    """Say what is known of the errors of a probe."""
    confusion = confusion_of(group, card)
    known = None if isinstance(confusion, str) else confusion
    found = card if isinstance(card, ErrorCard) else None
    return ProbeRecord(
        name=group.votes.probe,
        fingerprint=found.fingerprint if found else None,
        attribute=group.votes.attribute,
        classes=group.votes.classes,
        confusion=known.counts if known else None,
        accuracy=known.accuracy if known else None,
        data=found.data if found else None,
        licence=found.licence if found else None,
        correction=refusal(group, card) or "applied",
    )


def estimands(groups: Sequence[Group], benchmark: Benchmark) -> Iterator[Estimand]:
    """Yield what the numbers of each attribute are estimates of."""
    seen = set()
    for group in groups:
        name = group.votes.attribute
        if name in seen:
            continue
        seen.add(name)
        parts = name.split("+")
        given = all(part in benchmark.target for part in parts)
        # A reason without any target speaks of the even shares; with one, of that target alone.
        reason = benchmark.target_reason if given or not benchmark.target else ""
        # The target of a table of labels lists its classes, if the spec does not.
        chosen = {*benchmark.classes, *(benchmark.target if benchmark.labels else ())}
        yield Estimand(
            attribute=name,
            classes=group.votes.classes,
            classes_source="spec" if chosen & set(parts) else "suite",
            target=dict(zip(group.votes.classes, map(float, group.target), strict=True)),
            target_source=reason or ("the spec" if given else "uniform"),
            inference=benchmark.statistics.inference,
            design=group.design,
            aggregation=AGGREGATION[group.design],
        )
