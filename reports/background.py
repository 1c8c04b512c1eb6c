"""What a reader needs to believe the numbers: scope, methods, provenance."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from audit import registry
from audit.types import OBEYED
from reports.choices import choices
from reports.glossary import DEFINITIONS, FORM_DEFINITIONS, NULL_BAND, Definition, base
from reports.source import Source
from reports.words import clipped, listed

SETTINGS = ("revision", "variant", "dtype", "scheduler", "steps", "guidance_scale", "size")
"""Of a model, what is said beside its name."""
INFERENCE = {
    "fixed_prompts": "these prompts are all that is meant; chance comes from the seeds alone",
    "prompt_population": "the prompts stand for those people type; chance comes from them too",
}
BY_DRAW = "which images were drawn; another draw of as many would give other numbers"
"""What chance is where there are no prompts."""
METHODS = {
    "wilson": "Wilson score interval of a share",
    "norm-ball": "norm ball around the shares: can contain 0",
    "ray-inversion": "inversion of tests along a ray through the shares: can contain 0",
    "cluster-t": "t interval over the independently sampled clusters",
    "paired-t": "t interval over pairs of one request",
    "paired-score": "score interval of a paired difference, which knows that few flips were seen",
    "paired-jackknife": "delete-one jackknife over pairs of one request",
    "paired-mover": "from the intervals of both arms, with the correlation of their pairs",
    "jackknife": "jackknife over disjoint folds",
    "prediction-powered": "readings of all images, set right by the labels of people on some",
    "confusion-likelihood": "likelihood of the confusion counts and of the readings together",
    "mcnemar-exact": "exact McNemar test of flips",
    "stuart-maxwell": "Stuart–Maxwell test of marginal homogeneity",
    "hotelling": "Hotelling's test of the changes of all shares, by prompts or seeds",
}


def scope(source: Source) -> Iterator[tuple[str, str]]:
    """Yield term and explanation: what was measured, and what was not."""
    yield (
        "What is read",
        "Perceived presentation: what a classifier reads from the pixels of a generated picture. "
        "Nobody is in the picture, so nobody's identity is known or meant.",
    )
    for classes, target in choices(source):
        yield f"Perceived {classes.attribute}", str(classes)
        yield f"Target for {target.attribute}", str(target)
    for attribute in source.asked:
        yield f"{attribute.capitalize()}, as asked", _asked(source, attribute)
    yield "Model", _model(source)
    prompts = source.by_prompt
    none = "none: the model draws without a prompt" if source.drawn else "none are known"
    yield "Prompts", f"{len(prompts):,}, each with the same weight" if prompts else none
    counts = source.images.groupby("arm").size().to_dict() if not source.images.empty else {}
    if counts:
        counted = listed(f"{counts.get(arm, 0):,} under {arm}" for arm in source.arms)
        pairs = " Every arm draws the same requests from the same seeds: images pair."
        paired = source.drawn and len(source.arms) > 1
        yield "Images", f"{counted}.{pairs if paired else ''}"
    for judged in dict.fromkeys((e.inference, e.aggregation) for e in source.estimands.values()):
        inference, aggregation = judged
        chance = INFERENCE.get(inference, inference) if prompts else BY_DRAW
        said = (part[:1].upper() + part[1:] for part in (chance, aggregation))
        yield "What chance is", f"{'. '.join(said)}."
    yield (
        "Not measured",
        "Classes that no probe has a name for, how people in the pictures are dressed or act, and "
        "what happens with other prompts, seeds or settings.",
    )


def _asked(source: Source, attribute: str) -> str:
    """Say of how many prompts it is counted whether images show who is asked for."""
    probe = source.probe(attribute)
    ask = sum(
        source.one(OBEYED, source.baseline, attribute, None, probe, prompt) is not None
        for prompt in source.by_prompt
    )
    some = f"{ask:,} of {len(source.by_prompt):,} prompts ask" if ask else "The prompts ask"
    classes = f" ({listed(found)})" if (found := source.classes(attribute)) else ""
    measured = attribute in source.attributes
    counted = "" if measured else " No share of it is measured: every prompt asks."
    return (
        f"{some} for someone of a class{classes}. Measured is how many of their images are read "
        f"as asked, by {listed(source.probes(attribute))}.{counted}"
    )


def _model(source: Source) -> str:
    """Say which model drew, with its settings."""
    if not source.drawn:
        return "Not known to this run: the images, or their labels, were at hand."
    written = dict(source.model)
    if not source.prompted:
        written.pop("guidance_scale", None)  # there is nothing to guide towards
    name = written.pop("pipeline", None) or written.pop("name", "unnamed")
    settings = ", ".join(f"{key} {value}" for key, value in _flat(written) if key in SETTINGS)
    return f"{name}{f' ({settings})' if settings else ''}."


def methods(source: Source) -> tuple[list[tuple[Definition, str]], list[tuple[str, str]]]:
    """Return the definitions of the metrics with their sources, and the interval methods."""
    used = dict.fromkeys(base(m.metric) for m in source.results.measurements)
    defined = [(DEFINITIONS[name], _published(name)) for name in DEFINITIONS if name in used]
    whole = [m.metric.split("@")[0] for m in source.results.measurements]
    forms = (d for end, d in FORM_DEFINITIONS.items() if any(n.endswith(end) for n in whole))
    defined += [(form, "–") for form in forms]
    if any(m.null_high is not None for m in source.results.measurements):
        defined.append((NULL_BAND, "–"))
    found = (m.method for m in source.results.measurements if m.ci_low is not None)
    words = dict.fromkeys(method.partition(",")[0] for method in found)
    tests = dict.fromkeys(
        [*(d.method for d in source.results.comparisons), *(f.test for f in source.results.flips)]
    )
    named = [(m, METHODS[m]) for m in dict.fromkeys([*words, *tests]) if m in METHODS]
    return defined, named


def _published(metric: str) -> str:
    """Return where a metric is from, as its plugin says; a dash where there is none."""
    if metric not in registry.plugins("metrics"):
        return "–"
    return str(registry.find("metrics", metric).source)


VOLATILE = {"status", "finished", "partial", "warnings", "store", "cache", "spec_folder", "truth"}
"""Entries of `run.json` that a page shows elsewhere, or that change when nothing else does."""
GROUPS = {
    "Spec, seeds and suite": (
        "benchmark", "digest", "spec_digest", "overrides", "seed", "seed_scheme", "level",
        "suite", "schema_version",
    ),
    "Model": ("model",),
    "Hashes of what made the numbers": ("made_of",),
    "Machine and time": (
        "device", "batch_size", "platform", "python", "started", "measured", "seconds",
    ),
    "Packages": ("packages", "versions"),
}  # fmt: skip
"""Headings with the keys below them, in order."""


def provenance(source: Source) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return where the numbers come from: headings, each with dotted keys and their values."""
    extra = source.results.provenance.model_extra or {}
    manifest = {k: v for k, v in source.manifest.items() if k not in VOLATILE}
    known = manifest | {"schema_version": source.results.schema_version} | extra
    known.pop("truth", None)
    if not source.prompted and isinstance(known.get("model"), Mapping):
        known["model"] = {k: v for k, v in known["model"].items() if k != "guidance_scale"}
    found = []
    for heading, keys in GROUPS.items():
        rows = dict(_flat({k: known.pop(k) for k in keys if k in known}))
        found.append((heading, [(key, clipped(value, 400)) for key, value in rows.items()]))
    rest = [(key, clipped(value, 400)) for key, value in sorted(_flat(known))]
    stated = {p.name: p.licence or "not stated" for p in source.results.probes}
    licences = [(name, clipped(licence)) for name, licence in stated.items()]
    found += [("Licences of the probes", licences), ("More", rest)]
    return [(heading, rows) for heading, rows in found if rows]


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield dotted keys and their values; what is not there is left out."""
    for key, inner in value.items():
        name = f"{prefix}{key}"
        if inner is None or inner == {}:
            continue
        if isinstance(inner, Mapping):
            yield from _flat(inner, f"{name}.")
        elif isinstance(inner, str):
            yield name, inner
        else:
            yield name, json.dumps(inner, ensure_ascii=False, sort_keys=True)
