"""What people and machines are shown of a run, from its results alone."""

from pathlib import Path

from audit.storage import atomic, folder


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
