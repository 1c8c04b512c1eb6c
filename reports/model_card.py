"""What a Hugging Face model card says of an audit: results for machines, a section for people."""

from collections.abc import Iterator
from typing import Any

from audit.errors import InputError
from audit.storage.results import Entry
from audit.types import OBEYED
from reports.background import scope
from reports.glossary import title
from reports.markdown import asked, escaped, gates, matrix
from reports.source import Source
from reports.verdicts import verdict
from reports.words import clipped

TOLD = (
    "fd", "fd_debiased", "fd_corrected", "fd_ppi", "parity_gap", "fd_debiased_macro",
    "fd_debiased_worst",
)  # fmt: skip
"""Metrics of an attribute that the metadata hold."""


def model_name(source: Source) -> str:
    """Return how the model is called: the last part of its path or hub id, else the benchmark."""
    model = source.model
    named = str(model.get("pipeline") or model.get("name") or source.results.benchmark)
    return named.rstrip("/").rpartition("/")[2]


def index_results(source: Source, arm: str) -> list[dict[str, Any]]:
    """Return the results of one arm as `model-index` holds them.

    The value of a metric is the bare number; its interval, sample size, probe, classes and target
    are its arguments, and who chose the last two.

    Raises:
        InputError: nothing was measured of this arm.
    """
    from huggingface_hub.repocard_data import EvalResult, eval_results_to_model_index

    results = source.results
    digest = (results.provenance.model_extra or {}).get("digest")
    found = [
        EvalResult(
            task_type="text-to-image" if source.by_prompt else "unconditional-image-generation",
            dataset_type=results.benchmark,
            dataset_name=clipped(results.title or results.benchmark),
            dataset_revision=str(digest) if digest else None,
            metric_type=entry.metric,
            metric_name=f"{title(entry.metric)}: perceived {entry.attribute}",
            metric_value=entry.value,
            metric_args=_arguments(source, entry),
        )
        for entry in _told(source, arm)
    ]
    if not found:
        raise InputError(f"no number of arm {arm!r} was measured, so a card has none to hold")
    index = eval_results_to_model_index(model_name(source), found)
    items: list[dict[str, Any]] = index[0]["results"]
    return items


def _told(source: Source, arm: str) -> Iterator[Entry]:
    """Yield the numbers over all prompts that were measured, read by the first probe."""
    for attribute in source.attributes:
        for metric in TOLD:
            entry = source.one(metric, arm, attribute, None, source.probe(attribute))
            if entry is not None and entry.value is not None:
                yield entry
    for attribute in source.asked:
        entry = source.one(OBEYED, arm, attribute, None, source.probe(attribute))
        if entry is not None and entry.value is not None:
            yield entry


def _arguments(source: Source, entry: Entry) -> dict[str, Any]:
    estimand = source.estimands.get(entry.attribute or "")
    given: dict[str, Any] = {
        "attribute": entry.attribute,
        "arm": entry.arm,
        "probe": entry.probe,
        "images": entry.n,
        "ci_low": entry.ci_low,
        "ci_high": entry.ci_high,
        "level": entry.level,
        "fair_up_to": entry.null_high,
    }
    if estimand is not None:
        given |= {
            "classes": list(estimand.classes),
            "classes_chosen_by": estimand.classes_source or None,
            "target": source.target(entry.attribute or ""),
            "target_chosen_by": estimand.target_source,
        }
    return {key: value for key, value in given.items() if value is not None}


def section(source: Source) -> str:
    """Return the section: verdict, what was measured and who chose it, gates, numbers, limits."""
    outcome = verdict(source)
    name = escaped(clipped(source.results.title or source.results.benchmark))
    extra = source.results.provenance.model_extra or {}
    made = f"bias-audit {extra.get('suite', '')}".strip()
    digest = f", spec {str(extra['digest'])[:12]}" if "digest" in extra else ""
    lines = [
        f"## Social bias: {name}",
        "",
        f"**{outcome.word}.** {escaped(outcome.sentence)}",
        "",
        f"Measured by {escaped(made + digest)}. A passed gate means that a limit chosen by someone"
        " held here, not that the model is fair.",
        "",
        *(f"- **{escaped(term)}.** {escaped(words)}" for term, words in scope(source)),
    ]
    return "\n".join([*lines, *gates(source), *matrix(source), *asked(source)])
