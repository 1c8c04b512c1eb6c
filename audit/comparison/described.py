"""What a comparison says of the runs themselves: where they are from, and what is odd."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from audit.comparison.sides import Side
from audit.storage.folder import Run
from audit.storage.results import GUIDE_JUDGES, GUIDE_READS, Warned


def described(runs: Mapping[str, Run]) -> dict[str, dict[str, Any]]:
    """Return by label what tells the runs apart."""
    names = tails([run.folder for run in runs.values()])
    return {
        label: _described(run, name)
        for (label, run), name in zip(runs.items(), names, strict=True)
    }


def _described(run: Run, name: str) -> dict[str, Any]:
    manifest = run.manifest
    counts = run.images.groupby("arm").size().to_dict() if len(run.images) else {}
    return {
        "folder": name,
        "benchmark": run.results.benchmark,
        "title": run.results.title,
        "model": (manifest.get("made_of") or {}).get("model"),
        "status": manifest.get("status"),
        "started": manifest.get("started"),
        "suite": manifest.get("suite"),
        "digest": manifest.get("digest"),
        "seconds_per_image": dict(manifest.get("seconds_per_image") or {}),
        "images": {arm: int(counts.get(arm, 0)) for arm in run.results.arms},
    }


def doubts(runs: Mapping[str, Run]) -> Iterator[Warned]:
    """Yield what a reader should know before any difference."""
    for label, run in runs.items():
        for one in run.results.provenance.warnings:
            if one.code in {GUIDE_JUDGES, GUIDE_READS} and one.arm is not None:
                yield one.model_copy(update={"arm": Side(run, one.arm, label).name})
        status, partial = run.manifest.get("status"), run.manifest.get("partial")
        if status != "complete":
            what = f"run {label}" if label else "the run"
            why = partial or f"its status is {status}"
            yield Warned(code="incomplete", message=f"{what} is not complete: {why}")
    suites = {label: str(run.manifest.get("suite")) for label, run in runs.items()}
    if len(set(suites.values())) > 1:
        told = ", ".join(f"{label} by {suite}" for label, suite in suites.items())
        message = f"measured by unlike versions of the suite ({told}): `measure` them again"
        yield Warned(code="suite", message=message)


def tails(folders: Sequence[Path]) -> list[str]:
    """Return the shortest ends of paths that tell them apart.

    >>> tails([Path("/old/runs/jobs-1"), Path("/new/runs/jobs-1")])
    ['old/runs/jobs-1', 'new/runs/jobs-1']
    """
    parts = [folder.resolve().parts for folder in folders]
    depth = 1
    while len({p[-depth:] for p in parts}) < len(parts) and depth < max(map(len, parts)):
        depth += 1
    return ["/".join(p[-depth:]) for p in parts]
