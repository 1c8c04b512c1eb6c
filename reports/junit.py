"""Gates as JUnit XML: a suite for each attribute, a case for each gate, as CI panes read it."""

import re
from typing import Literal
from xml.etree import ElementTree as ET

from audit.storage.results import GateEntry
from reports.findings import sentence
from reports.source import Source
from reports.verdicts import incomplete
from reports.words import number

_FORBIDDEN = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold."""


def junit(source: Source, *, inconclusive: Literal["skip", "fail"] = "skip") -> str:
    """Return JUnit XML.

    Args:
        source: the run.
        inconclusive: whether a gate that the sample cannot decide is a skipped or a failed case.
    """
    results = source.results
    root = ET.Element("testsuites")
    groups: dict[str, list[GateEntry]] = {}
    for gate in results.gates:
        groups.setdefault(gate.attribute or "quality", []).append(gate)
    for name, gates in groups.items():
        suite = ET.SubElement(root, "testsuite", _attributes(name=f"{results.benchmark}.{name}"))
        properties = ET.SubElement(suite, "properties")
        needed = [(f"n_needed.{g.id}", str(g.n_needed)) for g in gates if g.n_needed]
        for key, value in [*_properties(source), *needed]:
            ET.SubElement(properties, "property", _attributes(name=key, value=value))
        for gate in gates:
            _case(suite, gate, f"{results.benchmark}.{name}", inconclusive)
        _count(suite)
    if missing := incomplete(source):
        suite = ET.SubElement(root, "testsuite", _attributes(name=f"{results.benchmark}.run"))
        case = ET.SubElement(
            suite, "testcase", _attributes(name="complete", classname="run", time="0")
        )
        ET.SubElement(case, "error", _attributes(message=missing, type="incomplete"))
        _count(suite)
    ET.indent(root)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"
    )


def _case(suite: ET.Element, gate: GateEntry, classname: str, inconclusive: str) -> None:
    case = ET.SubElement(
        suite, "testcase", _attributes(name=gate.id, classname=classname, time="0")
    )
    message = sentence(gate)
    if gate.verdict == "fail" or (gate.verdict == "inconclusive" and inconclusive == "fail"):
        failure = ET.SubElement(case, "failure", _attributes(message=message, type=gate.verdict))
        failure.text = _clean(f"bound {number(gate.bound, gate.metric)}, n = {gate.n}")
    elif gate.verdict == "inconclusive":
        ET.SubElement(case, "skipped", _attributes(message=f"inconclusive: {message}"))


def _properties(source: Source) -> list[tuple[str, str]]:
    extra = source.results.provenance.model_extra or {}
    digests = [(k, str(v)) for k, v in sorted(extra.items()) if isinstance(v, str | int | float)]
    return [("benchmark", source.results.benchmark), ("arms", ", ".join(source.arms)), *digests]


def _count(suite: ET.Element) -> None:
    cases = suite.findall("testcase")
    for kind, name in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        suite.set(name, str(sum(case.find(kind) is not None for case in cases)))
    suite.set("tests", str(len(cases)))
    suite.set("time", "0")


def _attributes(**given: str) -> dict[str, str]:
    return {name: _clean(value) for name, value in given.items()}


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)
