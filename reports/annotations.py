"""Findings as workflow commands of GitHub Actions, which it shows beside the line of the spec."""

from collections.abc import Iterable, Iterator

from reports.findings import Finding

LIMIT = 10
"""GitHub shows ten annotations of a kind and step."""
KINDS = {"error": "error", "warning": "warning", "note": "notice"}


def annotations(found: Iterable[Finding]) -> Iterator[str]:
    r"""Yield a workflow command a finding, `LIMIT` at most; the last says what is left out.

    >>> list(annotations([Finding("fd", "error", "20 % of\nwomen: too few")]))
    ['::error title=fd::20 %25 of%0Awomen: too few']
    """
    waiting = list(found)
    shown = waiting if len(waiting) <= LIMIT else waiting[: LIMIT - 1]
    for one in shown:
        about = {"title": one.rule}
        if one.mark is not None:
            at = {"file": one.mark.file, "line": str(one.mark.line), "col": str(one.mark.column)}
            about = at | about
        named = ",".join(f"{key}={_property(value)}" for key, value in about.items())
        yield f"::{KINDS[one.severity]} {named}::{_message(one.message)}"
    if left := len(waiting) - len(shown):
        yield f"::notice title=bias-audit::{left} more findings are in the report"


def _message(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")
