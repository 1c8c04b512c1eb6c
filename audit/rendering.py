"""What people and machines are shown of a run, or of a comparison, from the results alone."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from audit.storage import atomic, folder, results_file

if TYPE_CHECKING:
    from reports.source import Source

COMPARISON = "comparison"
"""How the files of a comparison are called, before their suffix."""


def render(path: Path) -> None:
    """Render the report of a run folder and what stands beside it; no number is computed."""
    from reports import checklist, junit, mitigations  # heavy: matplotlib
    from reports.render import page
    from reports.source import Source

    source = Source.open(path)
    atomic.write(path / folder.REPORT, page(source))
    atomic.write(path / folder.JUNIT, junit.junit(source))
    atomic.write(path / folder.CHECKLIST, checklist.markdown(source))
    if len(source.arms) > 1:
        atomic.write(path / f"{folder.MITIGATIONS}.md", mitigations.markdown(source))
        atomic.write(path / f"{folder.MITIGATIONS}.csv", mitigations.comma_separated(source))


def comparison(source: "Source") -> dict[str, Callable[[], str]]:
    """Return what makes a comparison in every form, by its name."""
    from reports import comparison as forms  # heavy: matplotlib
    from reports.junit import junit

    return {
        "html": lambda: forms.page(source),
        "markdown": lambda: forms.markdown(source),
        "csv": lambda: forms.csv(source),
        "json": lambda: results_file.dumps(source.results),
        "junit": lambda: junit(source),
    }


def render_comparison(source: "Source", out: Path) -> list[Path]:
    """Write a comparison in every form, and return the files: JUnit only where gates were set."""
    suffixes = {"html": "html", "markdown": "md", "csv": "csv", "json": "json"}
    names = {form: f"{COMPARISON}.{suffix}" for form, suffix in suffixes.items()}
    if source.results.gates:
        names["junit"] = folder.JUNIT
    atomic.folder(out)
    for form, made in comparison(source).items():
        if form in names:
            atomic.write(out / names[form], made())
    return [out / name for name in names.values()]
