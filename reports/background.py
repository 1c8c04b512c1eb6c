"""What a reader needs to believe the numbers: scope, probes, methods, provenance."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from audit import registry
from reports.choices import choices
from reports.glossary import DEFINITIONS, Definition, base
from reports.source import Source
from reports.tables import Cell, Row, Table, entry_cell, table
from reports.words import clipped, listed, number

SETTINGS = ("revision", "variant", "dtype", "scheduler", "steps", "guidance_scale", "size")
"""Of a model, what is said beside its name."""
INFERENCE = {
    "fixed_prompts": "these prompts are all that is meant; chance comes from the seeds alone",
    "prompt_population": "the prompts stand for those people type; chance comes from them too",
}
BY_DRAW = "which images were drawn; another draw of as many would give other numbers"
"""What chance is where there are no prompts."""
STATISTICS = {
    "raw": "same class",
    "cohen_kappa": "Cohen's κ",
    "fleiss_kappa": "Fleiss' κ",
    "krippendorff_alpha": "Krippendorff's α",
}
METHODS = {
    "wilson": "Wilson score interval of a share",
    "norm-ball": "norm ball around the shares: can contain 0",
    "ray-inversion": "inversion of tests along a ray through the shares: can contain 0",
    "cluster-t": "t interval over the independently sampled clusters",
    "paired-t": "t interval over pairs of one request",
    "paired-jackknife": "delete-one jackknife over pairs of one request",
    "paired-mover": "from the intervals of both arms, with the correlation of their pairs",
    "jackknife": "jackknife over disjoint folds",
    "prediction-powered": "readings of all images, set right by the labels of people on some",
    "confusion-likelihood": "likelihood of the confusion counts and of the readings together",
    "mcnemar-exact": "exact McNemar test of flips",
    "stuart-maxwell": "Stuart–Maxwell test of marginal homogeneity",
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


def _model(source: Source) -> str:
    """Say which model drew, with its settings."""
    if not source.drawn:
        return "Not known to this run: the images, or their labels, were at hand."
    written = dict(source.model)
    if not source.by_prompt:
        written.pop("guidance_scale", None)  # there is nothing to guide towards
    name = written.pop("pipeline", None) or written.pop("name", "unnamed")
    settings = ", ".join(f"{key} {value}" for key, value in _flat(written) if key in SETTINGS)
    return f"{name}{f' ({settings})' if settings else ''}."


def probes(source: Source) -> Table | None:
    """Return what is known of each probe."""
    rows: list[Row] = [
        [
            p.name,
            p.attribute,
            Cell(number(p.accuracy, "share") if p.accuracy is not None else "unknown", p.accuracy),
            p.data or "–",
            p.correction,
            p.licence or "not stated",
        ]
        for p in source.results.probes
    ]
    if not rows:
        return None
    return table(
        "The classifiers that read the images. Known errors stand below.",
        ["Probe", "Attribute", "Accuracy", "Known from", "Correction of shares", "Licence"],
        rows,
    )


def agreement(source: Source) -> Table | None:
    """Return how far probes agree; agreement is not accuracy."""
    rows: list[Row] = [
        [a.attribute, a.arm, " and ".join(a.probes), STATISTICS.get(a.statistic, a.statistic),
         Cell(number(a.value), a.value), Cell(f"{a.n:,}", float(a.n))]
        for a in source.results.agreement
        if a.prompt is None and a.class_ is None
    ]  # fmt: skip
    if not rows:
        return None
    return table(
        "Agreement of probes on the same images. Agreement is not accuracy: probes that learnt "
        "from the same data err alike.",
        ["Attribute", "Arm", "Probes", "Statistic", "Value", "Images"],
        rows,
    )


def readings(source: Source) -> Table | None:
    """Return the discrepancy by every probe, raw and corrected, side by side."""
    rows: list[Row] = []
    for attribute in source.attributes:
        for probe in source.probes(attribute):
            for arm in source.arms:
                raw = source.one("fd", arm, attribute, None, probe)
                corrected = source.one("fd_corrected", arm, attribute, None, probe)
                people = source.one("fd_ppi", arm, attribute, None, probe)
                if raw is not None:
                    right = entry_cell(corrected) if corrected else Cell("no error card")
                    seen = entry_cell(people) if people else Cell("–")
                    rows.append([attribute, arm, probe, entry_cell(raw), right, seen])
    if not rows:
        return None
    return table(
        "Fairness discrepancy by every probe: as read, corrected for its known errors, and where "
        "people labelled a random sample, by prediction-powered inference.",
        ["Attribute", "Arm", "Probe", "As read", "Corrected", "With human labels"],
        rows,
        sortable=True,
    )


def missing_bounds(source: Source) -> Table | None:
    """Return what the shares would be if no unread image were of the class, and if every one."""
    rows: list[Row] = []
    for attribute in source.attributes:
        probe = source.probe(attribute)
        for class_ in source.classes(attribute):
            for arm in source.arms:
                ends = [
                    source.one(f"share_missing_{end}", arm, attribute, class_, probe)
                    for end in ("low", "high")
                ]
                if all(ends):
                    rows.append([attribute, class_, arm, *(entry_cell(e) for e in ends)])
    if not rows:
        return None
    return table(
        "The share if no unread image were of the class, and if every one were.",
        ["Attribute", "Class", "Arm", "At least", "At most"],
        rows,
    )


def methods(source: Source) -> tuple[list[tuple[Definition, str]], list[tuple[str, str]]]:
    """Return the definitions of the metrics with their sources, and the interval methods."""
    used = dict.fromkeys(base(m.metric) for m in source.results.measurements)
    defined = [(DEFINITIONS[name], _published(name)) for name in DEFINITIONS if name in used]
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
        "resamples", "suite", "schema_version",
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
