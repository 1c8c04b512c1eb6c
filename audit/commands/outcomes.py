"""What a run came to: its exit status, and what people and programs are told of it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from audit.console import table
from audit.errors import SpecError, unknown

if TYPE_CHECKING:
    from audit.storage.folder import Run
    from audit.storage.results import Difference, Entry, GateEntry

FAILED, UNDECIDED = 1, 4


def verdict(done: "Run", inconclusive: str) -> int:
    """Return the exit status that the gates of a run amount to."""
    whole = done.manifest.get("status") == "complete"
    return outcome(done.results.gates, inconclusive, whole=whole)


def outcome(gates: "Sequence[GateEntry]", inconclusive: str, *, whole: bool) -> int:
    """Return the exit status that gates amount to; half a run is no audit, with gates or none."""
    verdicts = {gate.verdict for gate in gates}
    if "fail" in verdicts:
        return FAILED
    if not whole:
        return UNDECIDED
    return UNDECIDED if "inconclusive" in verdicts and inconclusive == "fail" else 0


def undecided(done: "Run") -> str:
    """Say how many gates are inconclusive; empty where none is."""
    count = sum(gate.verdict == "inconclusive" for gate in done.results.gates)
    return f"{count} of {len(done.results.gates)} gates cannot be decided" if count else ""


def worse(one: int, other: int) -> int:
    """Return the status that outranks the other: a failed gate before an undecided one."""
    return min(one, other) if one and other else max(one, other)


def summary(done: "Run") -> list[str]:
    """Return a line for every attribute, arm and probe, and one for every gate.

    Attributes together are left to the report: their shares do not fit on a line.
    """
    from audit.types import of_combination  # heavy: numpy

    results = done.results
    over = {
        (m.arm, m.attribute, m.probe): m
        for m in results.measurements
        if m.metric == "fd_debiased_macro"
    }
    head = ["attribute", "arm", "probe", "shares", "fd_debiased"]
    rows = [[*head, "over prompts"] if over else head]
    for entry in results.measurements:
        together = of_combination(entry.attribute or "")
        if entry.metric != "fd_debiased" or entry.prompt is not None or together:
            continue
        about = (entry.arm, entry.attribute, entry.probe, None)
        shares = [
            f"{m.class_} {number(m.value)}"
            for m in results.measurements
            if m.metric == "share" and (m.arm, m.attribute, m.probe, m.prompt) == about
        ]
        names = [entry.attribute or "", entry.arm, entry.probe or ""]
        rows.append([*names, ", ".join(shares), with_interval(entry)])
        if over:
            rows[-1].append(with_interval(over.get(about[:3])))
    status = str(done.manifest.get("status"))
    lines = [] if status == "complete" else [f"the run is {status}: gates cannot pass"]
    lines += table(rows) if len(rows) > 1 else []
    for gate in results.gates:
        sign = "<=" if gate.side == "max" else ">="
        what = f"{gate.metric} {sign} {gate.limit:g}"
        images = "images of this prompt" if gate.prompt else "images an arm"
        needed = f"; about {gate.n_needed:,} {images} would decide" if gate.n_needed else ""
        lines.append(f"{gate.verdict}: {gate.id}: {what}, found {number(gate.value)}{needed}")
    return lines


def with_interval(entry: "Entry | Difference | None") -> str:
    """Write a number with its interval for a terminal."""
    if entry is None:
        return number(None)
    return f"{number(entry.value)} [{number(entry.ci_low)}, {number(entry.ci_high)}]"


def number(value: float | None) -> str:
    """Write a number for a terminal; a missing one is a dash, never a zero."""
    return "-" if value is None else f"{value:.3f}"


def described(done: "Run") -> dict[str, Any]:
    """Return what a program wants to know of a run."""
    return {
        "folder": str(done.folder),
        "run_status": done.manifest.get("status"),
        "gates": [gate.model_dump(mode="json", by_alias=True) for gate in done.results.gates],
        "results": str(done.folder / "results.json"),
    }


def check_rule(inconclusive: str) -> None:
    """Refuse an unknown value of `--inconclusive`.

    Raises:
        SpecError: it is neither `pass` nor `warn` nor `fail`.
    """
    rules = ("pass", "warn", "fail")
    if inconclusive not in rules:
        raise SpecError(unknown("value of --inconclusive", inconclusive, rules))
