"""A run folder as one HTML page that needs nothing else: no network, no script, no second file.

The page is a function of the run folder: the same results give the same bytes. It computes no
number; what it shows stands in `results.json`. Its security policy allows the style sheet and the
script by their hashes, pictures that are inside the page, and nothing else.
"""

import logging
from pathlib import Path
from typing import Any

from reports import (
    background,
    cards,
    checklist,
    distributions,
    effects,
    gallery,
    missing,
    mitigations,
    obedience,
    probe_tables,
    summary,
    trade_offs,
    verdicts,
)
from reports.document import document
from reports.evidence import evidence
from reports.glossary import base
from reports.source import Source
from reports.thumbnails import Thumbnails
from reports.words import clipped, dated, listed

log = logging.getLogger(__name__)

BUDGET = 8_000_000
"""Bytes of pictures in a page; with figures and tables the page stays below 15 MB."""
SECTIONS = (
    ("verdict", "Verdict"),
    ("scope", "What was measured"),
    ("pictures", "The pictures"),
    ("summary", "Summary"),
    ("attributes", "Shares of each group"),
    ("combined", "Attributes together"),
    ("prompts", "Prompt by prompt"),
    ("gallery", "Pairs from one seed"),
    ("features", "The features involved"),
    ("effects", "Trade-off and side effects"),
    ("probes", "Trust in the probes"),
    ("truth", "Planted truth"),
    ("methods", "How it was computed"),
    ("provenance", "Provenance"),
    ("checklist", "Checklist"),
)


def render(folder: Path) -> str:
    """Return the report of a run folder as HTML.

    Raises:
        InputError: the folder holds no results, or they or a table cannot be read.
    """
    return page(Source.open(folder))


def page(source: Source) -> str:
    """Return the report of a run as HTML."""
    return document("report.html.j2", _content(source))


def _content(source: Source) -> dict[str, Any]:
    """Return what the template shows, by name."""
    content = _decision(source) | _pictures(source) | _numbers(source) | _grounds(source)
    absent = {"pictures": "walls", "combined": "combined", "prompts": "forests"}
    absent["truth"] = "truths"
    headings = dict(SECTIONS) | ({"gallery": "Single pictures"} if source.unpaired else {})
    shown = [(i, h) for i, h in headings.items() if i not in absent or content[absent[i]]]
    return content | {"contents": shown}


def _decision(source: Source) -> dict[str, Any]:
    """Return what the page is about, and what the gates say."""
    results = source.results
    return {
        "name": results.title or results.benchmark,
        "benchmark": results.benchmark,
        "date": dated(source.manifest.get("started")),
        "lead": _lead(source),
        "arms": source.arms,
        "level": source.level,
        "verdict": verdicts.verdict(source),
        "incomplete": verdicts.incomplete(source),
        "symbols": verdicts.SYMBOLS,
        "gates": list(verdicts.gate_rows(source)),
        "cards": list(cards.cards(source)),
        "scope": list(background.scope(source)),
    }


def _pictures(source: Source) -> dict[str, Any]:
    """Return what holds pictures, in the order in which they may use up the page's budget."""
    thumbnails = Thumbnails(source.store, BUDGET)
    walls = gallery.walls(source.images, source.arms, thumbnails)
    features = list(evidence(source, thumbnails))
    judged = source.labels
    if not judged.empty and source.attributes:
        judged = judged[judged["probe"] == source.probe(source.attributes[0])]
    pictured = not source.images.empty and source.images["path"].fillna("").ne("").any()
    pairs = gallery.rows(source.images, judged, source.arms, thumbnails) if pictured else []
    if thumbnails.lost:
        log.warning(
            "warning: the report of %s lacks pictures that its tables name: %d could not be read "
            "from its store (%s); put the store back where the run left it and render again",
            source.results.benchmark,
            thumbnails.lost,
            source.manifest.get("store") or ".bias-audit",
        )
    return {
        "walls": walls,
        "features": features,
        "pairs": pairs,
        "seeded": not source.unpaired,
        "unpictured": "This run holds no pictures: its labels were at hand."
        if not source.images.empty
        else "This run holds no table of images, so there are no pairs to show.",
        "rule": gallery.RULE,
        "refused": thumbnails.refused,
        "blurred": any(p.status == "filtered" for row in pairs for p in row.pictures),
    }


def _numbers(source: Source) -> dict[str, Any]:
    """Return what was measured of the arms."""
    return {
        "matrix": summary.matrix(source),
        "attributes": [(a, distributions.about(source, a)) for a in source.attributes],
        "combined": summary.combined(source),
        "forests": list(summary.forests(source)),
        "overview": mitigations.overview(source),
        "trade_offs": list(trade_offs.trade_offs(source)),
        "resembled": any(base(m.metric) == "clip_i" for m in source.general()),
        "quality": effects.quality(source),
        "side_effects": effects.side_effects(source),
        "obedience": obedience.over_prompts(source),
        "obedience_by_prompt": obedience.by_prompt(source),
        "flips": effects.flips(source),
    }


def _grounds(source: Source) -> dict[str, Any]:
    """Return what the numbers rest on, and what is still to be answered for."""
    definitions, interval_methods = background.methods(source)
    return {
        "probes": probe_tables.probes(source),
        "confusions": list(distributions.confusions(source)),
        "readings": probe_tables.readings(source),
        "shares_read": probe_tables.shares_read(source),
        "agreement": probe_tables.agreement(source),
        "states": list(distributions.states(source)),
        "missing_bounds": missing.bounds(source),
        "truths": list(distributions.truths(source)),
        "definitions": definitions,
        "interval_methods": interval_methods,
        "warnings": source.results.provenance.warnings,
        "provenance": background.provenance(source),
        "checklist": checklist.items(source),
        "frameworks": list(checklist.FRAMEWORKS.items()),
    }


def _lead(source: Source) -> str:
    """Say in two sentences what this page is about."""
    others = clipped(listed(source.arms[1:]))
    if source.drawn:
        prompts = f" for {len(source.by_prompt):,} prompts" if source.by_prompt else ""
        compared = f", and again under {others} with the same seeds" if others else ""
        begins = f"Images were drawn by the model{prompts}{compared}."
    else:
        arms = f" in {len(source.arms)} arms: {clipped(listed(source.arms))}" if others else ""
        begins = f"Images, or labels of images, were at hand{arms}."
    asked = f"whether images show the {listed(source.asked)} that their prompts ask for"
    shares = (
        f"how far the shares of perceived {listed(source.attributes) or 'attributes'} lie from "
        "the target"
    )
    says = [*([asked] if source.asked else []), *([shares] if source.attributes else [])]
    return (
        f"{begins} This page says {', '.join(says or [shares])}, how sure that is, and what it "
        "rests on."
    )
