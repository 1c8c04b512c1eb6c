"""What a gate must be for a run to decide on it; each rule yields the mistakes it finds."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from audit.errors import unknown
from audit.registry import plugins
from audit.spec import metric_rules
from audit.spec.metric_rules import (
    OF_REFERENCES,
    OVER_PROMPTS,
    SHARES,
    asked_for,
    embedded,
    labels,
)
from audit.spec.schema import Mistake
from audit.types import OBEYED

Found = Iterator[Mistake]

NO_INTERVAL = frozenset({"fid", "cmmd"})
"""Metrics of this suite that have a value and no interval."""
OF_PAIRS = frozenset({"clip_i", "clip_i_affine", "change"})
"""Metrics that compare an arm with the first one, which has none itself."""
DEBIASED = frozenset({"fd_debiased", "fd2_debiased"})
"""Metrics whose mean over prompts has an interval."""
SIGNED = "fd2_debiased"
"""The one metric of shares that falls below 0: a square without its bias."""
OF_SHARES = "audit.metrics.fairness"
"""Module of the metrics of shares."""


def gate(
    given: Mapping[str, Any], data: Mapping[str, Any], by_attribute: Mapping[str, Sequence[str]]
) -> Found:
    """A gate limits one number that the benchmark measures, with an interval."""
    name, attribute = given["metric"], given.get("attribute")
    family = name.partition("@")[0]
    wrong = metric_rules.metric(name, data)
    if wrong:
        yield ("metric",), wrong
    yield from _names(given, data, by_attribute)
    if attribute is None and not embedded(family):
        yield (), f"a gate on {name!r} needs an `attribute`"
    if family == OBEYED and attribute is not None and not wrong and not asked_for(attribute, data):
        yield ("attribute",), f"no prompt asks for a class of {attribute!r}"
    if family in SHARES and given.get("class") is None:
        yield (), f"a gate on {name!r} needs a `class`"
    if not wrong:
        yield from _scope(family, given)
        yield from _interval(family)
        yield from _pairs(family, given, data)
        yield from _prompts(family, given, data)
    yield from _limit(family, given)


def _names(
    given: Mapping[str, Any], data: Mapping[str, Any], by_attribute: Mapping[str, Sequence[str]]
) -> Found:
    """What a gate names is there; images and labels at hand bring their own arms and prompts."""
    drawn = data.get("model") is not None
    known: dict[str, Collection[str]] = {
        "attribute": list(by_attribute),
        "class": by_attribute.get(given.get("attribute") or "", ()),
        "probe": labels(data, "probes"),
        "arm": labels(data, "mitigations") if drawn else (),
        "prompt": [prompt.id for prompt in data.get("prompts", ())],
    }
    complete = {"attribute"} | ({"prompt"} if drawn and "prompts" in data else set())
    for key, names in known.items():
        value = given.get(key)
        if value is not None and value not in names and (names or key in complete):
            yield (key,), unknown(key, value, names)


def _scope(family: str, given: Mapping[str, Any]) -> Found:
    """A metric has a number for what the gate names, and for no less than that."""
    of_images = embedded(family)
    if given.get("class") is not None and family not in SHARES | OF_REFERENCES:
        yield ("class",), f"{family!r} is of all classes together; leave out `class`"
    for key in ("attribute", "prompt"):
        if of_images and given.get(key) is not None:
            yield (key,), f"{family!r} is of all images of an arm; leave out `{key}`"
    if OVER_PROMPTS.search(family) and given.get("prompt") is not None:
        yield ("prompt",), f"{family!r} is over all prompts; leave out `prompt`"


def _interval(family: str) -> Found:
    """Without an interval there is no bound, and a gate decides on nothing else."""
    base = family.removesuffix("_macro")
    entry = plugins("metrics").get(base)
    plain_mean = base != family and entry is not None and entry.module == OF_SHARES
    if family in NO_INTERVAL | OF_REFERENCES or (plain_mean and base not in DEBIASED):
        yield ("metric",), f"{family!r} has no interval, so that no gate on it can be decided"


def _pairs(family: str, given: Mapping[str, Any], data: Mapping[str, Any]) -> Found:
    """A metric of pairs is one of an arm that is not the first."""
    first = labels(data, "mitigations")[:1] if data.get("model") else []
    if family in OF_PAIRS and given.get("arm") in (None, *first):
        message = f"{family!r} compares an arm with the first, which has none; name another `arm`"
        yield (), message


def _prompts(family: str, given: Mapping[str, Any], data: Mapping[str, Any]) -> Found:
    """Prompts are measured one by one where there are several."""
    if data.get("model") is None or "prompts" not in data:
        return
    ids = [prompt.id for prompt in data["prompts"]]
    if OVER_PROMPTS.search(family) and len(ids) < 2:
        has = "one" if ids else "none"
        yield ("metric",), f"{family!r} needs two prompts or more; the benchmark has {has}"
    if len(ids) == 1 and given.get("prompt") in ids:
        yield ("prompt",), "this is the only prompt; leave out `prompt`"


def _limit(family: str, given: Mapping[str, Any]) -> Found:
    """A gate has one limit, which the number may lie on either side of."""
    sides = [side for side in ("max", "min") if given.get(side) is not None]
    if len(sides) != 1:
        yield (), "a gate has either `max` or `min`"
        return
    (side,) = sides
    limit = given[side]
    base = metric_rules.FORM.sub("", family)
    entry = plugins("metrics").get(base)
    if family in SHARES | {OBEYED} and not 0 <= limit <= 1:
        yield (side,), f"a share is from 0 to 1, got {limit:g}"
    elif entry is not None and entry.module == OF_SHARES and base != SIGNED and limit < 0:
        yield (side,), f"{family!r} is never below 0, got {limit:g}"
