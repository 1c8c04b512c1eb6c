"""What the id of a metric may be in a benchmark: `fd_debiased_macro`, `kid@portraits-clip`."""

import re
from collections.abc import Mapping
from typing import Any

from audit.errors import unknown
from audit.registry import plugins
from audit.types import OBEYED

SHARES = frozenset({"share", "share_soft", "share_corrected", "share_ppi"})
"""Metrics of a class, which are no plugins."""
OF_REFERENCES = frozenset(
    {"shift", "absolute_shift", "amplification", "directed_amplification", "flipped", "slope"}
)
"""Metrics against a reference population: `slope@NAME`."""
FORM = re.compile(r"_(macro|worst|corrected|ppi)$")
"""What may follow the name of a metric in an id."""
OVER_PROMPTS = re.compile(r"_(macro|worst)$")
"""Those of them that are over prompts."""
OVER_EMBEDDINGS = ("audit.metrics.fidelity", "audit.metrics.alignment")
"""Modules of the metrics that need an encoder; to import them would take a second."""


def embedded(metric: str) -> bool:
    """Whether a metric is of embeddings, and so needs an encoder; False where that is unknown."""
    entry = plugins("metrics").get(metric)
    return entry is not None and entry.module in OVER_EMBEDDINGS


def split(metric: str) -> tuple[str, str]:
    """Return the name of a metric and the form of it that an id means, empty where it is plain.

    >>> split("fd_debiased_worst"), split("kid@portraits-clip")
    (('fd_debiased', 'worst'), ('kid', ''))
    """
    family = metric.partition("@")[0]
    form = FORM.search(family)
    return FORM.sub("", family), form[1] if form else ""


def metric(name: str, data: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the id of a metric."""
    family, _, by = name.partition("@")
    formed = plugins("metrics").keys() | SHARES | OF_REFERENCES
    if FORM.sub("", family) not in formed and family not in formed | {OBEYED}:
        return unknown("metric", name, formed | {OBEYED})
    if wrong := _over_prompts(family):
        return wrong
    if family == OBEYED and not any(asked_for(name, data) for name in data.get("attributes", ())):
        return f"metric {family!r} needs prompts that ask: a template's slot named as an attribute"
    if family.endswith("_ppi") and not data.get("people"):
        return f"metric {family!r} needs `people`, labels that people gave to some images"
    encoders, references = labels(data, "encoders"), list(data.get("references", ()))
    if embedded(family) and not encoders:
        return f"metric {family!r} needs `encoders`, which say what embeds the images"
    if family in OF_REFERENCES and not references:
        return f"metric {family!r} needs `references`, the populations to compare with"
    sources = references if family in OF_REFERENCES else encoders if embedded(family) else ()
    kind = "reference" if family in OF_REFERENCES else "encoder"
    return unknown(kind, by, sources) if by and by not in sources else None


def asked_for(attribute: str, data: Mapping[str, Any]) -> bool:
    """Whether prompts of a benchmark ask for classes of an attribute."""
    return any(attribute in prompt.asks for prompt in data.get("prompts", ()))


def _over_prompts(family: str) -> str | None:
    """Say that a form over prompts is not there; it is of metrics that each prompt has."""
    base = OVER_PROMPTS.sub("", family)
    if base != family and (base in SHARES | OF_REFERENCES or embedded(base)):
        return f"there is no {family!r}: {base!r} has no mean over prompts and no worst of them"
    return None


def labels(data: Mapping[str, Any], key: str) -> list[str]:
    """Return what the components of a list are called in tables."""
    return [component.label for component in data.get(key, ())]
