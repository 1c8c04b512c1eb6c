"""Gates as SARIF 2.1.0, for the code scanning of a forge: a rule a gate, a result a finding.

A gate that passed has a rule and no result, so that the alert of its failure closes. Fingerprints
hold no value: the same gate in the same file is the same alert in every run.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from audit.spec.document import Mark
from audit.storage.results import GateEntry
from reports import choices
from reports.findings import INCOMPLETE, Finding, Inconclusive, findings, promise
from reports.source import Source
from reports.verdicts import incomplete
from reports.words import visible

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
ROOT = "%SRCROOT%"
"""What forges take paths relative to: the top of the repository."""
FINGERPRINT = "biasAuditGate/v1"


def sarif(
    source: Source,
    marks: Mapping[str, Mark],
    *,
    version: str,
    inconclusive: Inconclusive = "fail",
) -> str:
    """Return SARIF 2.1.0.

    Args:
        source: The run.
        marks: By gate id, where its limit is written.
        version: Of the suite.
        inconclusive: What a gate amounts to that the sample cannot decide.
    """
    rules = [_rule(gate, source) for gate in source.results.gates]
    rules.append({"id": INCOMPLETE, "shortDescription": _text("The run is whole.")})
    places = {rule["id"]: place for place, rule in enumerate(rules)}
    found = findings(source, marks, inconclusive=inconclusive)
    run = {
        "tool": {"driver": {"name": "bias-audit", "version": version, "rules": rules}},
        # The end with a slash makes the benchmark a category, which no other one overwrites.
        "automationDetails": {"id": f"bias-audit/{source.results.benchmark}/"},
        "invocations": [{"executionSuccessful": not incomplete(source)}],
        "columnKind": "unicodeCodePoints",
        "results": [_result(one, places[one.rule]) for one in found],
    }
    log = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(log, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def _rule(gate: GateEntry, source: Source) -> dict[str, Any]:
    rule = {"id": visible(gate.id), "shortDescription": _text(promise(gate))}
    if estimand := source.estimands.get(gate.attribute or ""):
        said = f"Classes: {choices.classes(estimand)} Target: {choices.target(estimand)}"
        rule["fullDescription"] = _text(f"Perceived presentation, read from pixels. {said}")
    return rule


def _result(finding: Finding, place: int) -> dict[str, Any]:
    mark = finding.mark
    named = f"{finding.rule}\0{mark.file if mark else ''}"
    result: dict[str, Any] = {
        "ruleId": visible(finding.rule),
        "ruleIndex": place,
        "level": finding.severity,
        "message": _text(finding.message),
        "partialFingerprints": {FINGERPRINT: hashlib.sha256(named.encode()).hexdigest()},
    }
    if mark is not None:
        region = {"startLine": max(mark.line, 1), "startColumn": max(mark.column, 1)}
        artifact = {"uri": quote(mark.file), "uriBaseId": ROOT}
        place_in_file = {"artifactLocation": artifact, "region": region}
        result["locations"] = [{"physicalLocation": place_in_file}]
    return result


def _text(said: str) -> dict[str, str]:
    """Return a message; `[a](b)` in it would be a link."""
    return {"text": visible(said).replace("](", "] (")}
