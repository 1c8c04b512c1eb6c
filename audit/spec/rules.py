"""What must hold between the parts of a benchmark; each rule yields the mistakes it finds."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from audit.errors import unknown
from audit.registry import plugins
from audit.spec import gate_rules
from audit.spec.document import Where
from audit.spec.metric_rules import labels, metric
from audit.spec.prompts import ANY, slug
from audit.spec.schema import Mistake
from audit.storage.weights import embedded
from audit.types import CLASSES

Found = Iterator[Mistake]

CLASS = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _+-]{0,62}[A-Za-z0-9+]|[A-Za-z0-9]")
COMPARED = frozenset({"clip_t", "clipscore_w2.5"})
"""Metrics of this suite that an image has for itself, so that two arms pair image by image."""
SOURCES = "`model`, `images: FOLDER` and `labels: FILE`"


def shares(given: Mapping[str, float], classes: Collection[str]) -> Found:
    """Shares name every class once, are not negative and add up to one."""
    for name, share in given.items():
        if name not in classes:
            yield (name,), unknown("class", name, classes)
        elif share < 0:
            yield (name,), f"a share is at least 0, got {share:g}"
    lacking = [name for name in classes if name not in given]
    if lacking:
        yield (), f"no share for {', '.join(lacking)}"
    total = sum(given.values())
    if abs(total - 1) > 1e-6:
        yield (), f"shares add up to {total:.6g}, not 1"


def class_names(names: Sequence[str]) -> Found:
    """Classes are two or more plain names."""
    for i, name in enumerate(names):
        if not CLASS.fullmatch(name):
            yield (i,), f"class {name!r} must be letters, digits, spaces, '_', '+' or '-'"
        elif name in names[:i]:
            yield (i,), f"class {name!r} is listed twice"
    if len(names) < 2:
        yield (), "an attribute has at least two classes"


def source(data: Mapping[str, Any]) -> Found:
    """A benchmark draws with a model, or reads a folder of images, or a table of labels."""
    model, images, table = data["model"], data["images"], data["labels"]
    folder = isinstance(images, str)
    given = {"model": model is not None, "images": folder, "labels": table is not None}
    named = [key for key, is_given in given.items() if is_given]
    if model is not None and folder:
        yield ("images",), "with a `model`, a count; a folder of images takes the place of a model"
    elif len(named) > 1:
        yield (), f"give one of {SOURCES}, not {' and '.join(named)}"
    elif not named and images is not None:
        yield ("images",), f"{images} is a count and needs a `model`; a folder is text"
    elif not named:
        yield (), f"needs one of {SOURCES}"
    if table is not None and data["probes"]:
        yield ("probes",), "a table of labels is read already; `probes` do not apply"
    if table is None and not data["probes"]:
        yield (), "needs at least one of `probes`"
    if model is None:
        for key in ("prompts", "images_per_prompt"):
            if data.get(key):
                yield (key,), f"`{key}` needs a `model` to draw with"
        if [arm.label for arm in data.get("mitigations", ())] not in ([], ["none"]):
            yield ("mitigations",), "`mitigations` needs a `model` to draw with"
    else:
        yield from counts(data)


def counts(data: Mapping[str, Any]) -> Found:
    """A model with prompts has images for each prompt, one without has images."""
    if "images_per_prompt" not in data:
        return
    each = data["images_per_prompt"]
    if data["prompts"] and data["images"] is not None:
        yield ("images",), "with prompts, say `images_per_prompt` instead"
    elif data["prompts"] and each is None:
        yield (), "`prompts` need `images_per_prompt`"
    elif not data["prompts"] and each is not None:
        yield ("images_per_prompt",), "needs `prompts`; without them say `images`"
    elif not data["prompts"] and data["images"] is None:
        yield (), "needs `images`, a count, or `prompts`"


def labels_unique(kind: str, called: Sequence[str]) -> Found:
    """Two components of a list are never called alike."""
    for i, label in enumerate(called):
        if label in called[:i]:
            yield (i,), f"{kind} {label!r} is listed twice; name one of them with `as: NAME`"


def margin(name: str, data: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the metric of a margin: an image has it, and it is measured."""
    if wrong := metric(name, data):
        return wrong
    entry = plugins("metrics").get(name)
    ours = entry is None or entry.module.startswith("audit.")
    if ours and name not in COMPARED:
        known = ", ".join(sorted(COMPARED))
        return f"{name!r} is no metric of single images, which arms are paired by ({known})"
    listed = {listed.partition("@")[0] for listed in data["metrics"]}
    return None if name in listed else f"{name!r} is not listed under `metrics`"


def classes(attribute: str, data: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the classes of an attribute: as declared, or as every probe of the suite has them.

    A table of labels brings names of its own, which its target lists.
    """
    own = data.get("classes", {}).get(attribute)
    listed = data.get("target", {}).get(attribute) if data.get("labels") else None
    return tuple(own or listed or CLASSES.get(attribute) or ())


def benchmark(data: Mapping[str, Any], context: Mapping[str, Any]) -> Found:
    """Check the parts of a benchmark against each other; a part wrong in itself is left out."""
    if {"model", "images", "labels", "prompts", "probes"} <= data.keys():
        yield from source(data)
    own = data.get("classes", {})
    for attribute, names in own.items():
        yield from _under(("classes", attribute), class_names(names))
    yield from _under(("probes",), labels_unique("probe", labels(data, "probes")))
    yield from _under(("mitigations",), labels_unique("arm", labels(data, "mitigations")))
    for i, arm in enumerate(data.get("mitigations", ())):
        found = context.get("features", {}).get(arm.features)
        of = found.get("model") if isinstance(found, Mapping) else None
        if of is not None and "model" in data and data["model"] != of:
            message = f"feature set {arm.features!r} is of model {of!r}, not of {data['model']!r}"
            yield ("mitigations", i, "features"), message
    for i, name in enumerate(data.get("metrics", ())):
        if "encoders" in data and (wrong := metric(name, data)):
            yield ("metrics", i), wrong
    for name in data.get("margins", {}):
        if {"encoders", "metrics"} <= data.keys() and (wrong := margin(name, data)):
            yield ("margins", name), wrong
    if "paths_from" in context:
        yield from _paths(data, context["paths_from"])
    if "attributes" in data:
        yield from _readings(data, data["attributes"])


def _paths(data: Mapping[str, Any], start: Path) -> Found:
    """What a benchmark reads is there; a run would miss it only after all was drawn."""
    images, people, table = (data.get(key) for key in ("images", "people", "labels"))
    reference = data.get("reference_images")
    if isinstance(images, str) and data.get("model") is None and _kind(start / images) != "folder":
        yield ("images",), f"there is no folder {images!r} in {start}"
    for key, name in (("labels", table), ("people", people)):
        if name is not None and _kind(start / name) != "file":
            yield (key,), f"there is no table {name!r} in {start}"
    places = [start / reference, embedded(reference)] if reference is not None else []
    if places and not any(map(_kind, places)):
        message = f"{reference!r} is neither in {start} nor the name of an embedded set"
        yield ("reference_images",), message


def _kind(path: Path) -> str | None:
    """Return what stands under a path; nothing under a name that no file can have."""
    try:
        return "folder" if path.is_dir() else "file" if path.is_file() else None
    except (OSError, ValueError):
        return None


def _readings(data: Mapping[str, Any], attributes: Sequence[str]) -> Found:
    """Check attributes, targets, references and gates, which speak of classes."""
    if not attributes:
        yield ("attributes",), "no attributes; at least one is needed"
    by_attribute: dict[str, Sequence[str]] = {}
    for i, attribute in enumerate(attributes):
        if attribute in attributes[:i]:
            yield ("attributes", i), f"attribute {attribute!r} is listed twice"
        by_attribute[attribute] = classes(attribute, data)
        if not by_attribute[attribute]:
            known = unknown(
                "attribute", attribute, CLASSES.keys() | data.get("classes", {}).keys()
            )
            yield ("attributes", i), f"{known}; declare another's classes under `classes`"
    for attribute, wanted in data.get("target", {}).items():
        if attribute not in by_attribute:
            yield ("target", attribute), unknown("attribute", attribute, by_attribute)
        elif by_attribute[attribute]:
            yield from _under(("target", attribute), shares(wanted, by_attribute[attribute]))
    yield from _under(("prompts",), _asked(data.get("prompts", ()), by_attribute))
    for name, reference in data.get("references", {}).items():
        yield from _under(("references", name), _reference(reference, by_attribute, data))
    if "metrics" in data:
        for i, item in enumerate(data.get("gates", ())):
            yield from _under(
                ("gates", i), gate_rules.gate(item.model_dump(by_alias=True), data, by_attribute)
            )


def _asked(prompts: Sequence[Any], by_attribute: Mapping[str, Sequence[str]]) -> Found:
    """A slot named as an attribute says which class is asked for, or that any will do."""
    told = dict.fromkeys(pair for prompt in prompts for pair in prompt.asks.items())
    for slot, name in told:
        known = [*map(slug, by_attribute.get(slot, ())), ANY]
        if slot in by_attribute and slug(name) not in known:
            message = unknown("class", name, known)
            yield (slot,), f"{message}; the ids of a slot named as an attribute are its classes"


def _reference(
    reference: Any, by_attribute: Mapping[str, Sequence[str]], data: Mapping[str, Any]
) -> Found:
    if reference.attribute not in by_attribute:
        yield ("attribute",), unknown("attribute", reference.attribute, by_attribute)
        return
    ids = [prompt.id for prompt in data.get("prompts", ())]
    for prompt, wanted in reference.shares.items():
        if ids and prompt not in ids:
            yield ("shares", prompt), unknown("prompt", prompt, ids)
        yield from _under(("shares", prompt), shares(wanted, by_attribute[reference.attribute]))


def _under(where: Where, found: Found) -> Found:
    for below, message in found:
        yield (*where, *below), message
