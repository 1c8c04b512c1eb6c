"""Where a probe judges what it has guided: its own mistakes then count as success."""

from collections.abc import Iterator, Mapping

from audit.storage.results import GUIDE_JUDGES, GUIDE_READS, Warned
from audit.types import Probe


def warn_guided(
    arm: str, attribute: str, guide: Probe, judges: Mapping[str, Probe]
) -> Iterator[Warned]:
    """Yield a warning for each of the judges that is the probe that a mitigation followed.

    Args:
        arm: The arm that the mitigation makes.
        attribute: What it followed the probe in.
        guide: The probe that it followed; with other options it is still the same probe.
        judges: The probes of the benchmark, by their names in its tables.
    """
    readers = {name: probe for name, probe in judges.items() if attribute in probe.classes}
    same = [name for name, probe in readers.items() if probe.name == guide.name]
    others = [name for name in readers if name not in same]
    remedy = f"believe {' and '.join(others)}" if others else "add a probe that did not guide it"
    for name in same:
        yield Warned(
            code=GUIDE_JUDGES if name == next(iter(readers)) else GUIDE_READS,
            message=f"{arm} follows {guide.name} in {attribute}: where {name} reads the result,"
            f" what it misreads counts as success; {remedy}",
            arm=arm,
            attribute=attribute,
            probe=name,
        )
