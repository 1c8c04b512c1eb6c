"""Where a probe judges what it has guided: its own mistakes then count as success."""

from collections.abc import Iterator, Mapping

from audit.storage.results import GUIDE_JUDGES, GUIDE_READS, Warned
from audit.types import Probe


def warn_guided(
    arm: str, attribute: str, guide: Probe, judges: Mapping[str, Probe]
) -> Iterator[Warned]:
    """Yield a warning where one of the judges is the probe that a mitigation followed.

    Args:
        arm: The arm that the mitigation makes.
        attribute: What it followed the probe in.
        guide: The probe that it followed; with other options it is still the same probe.
        judges: The probes of the benchmark, by their names in its tables.
    """
    readers = {name: probe for name, probe in judges.items() if attribute in probe.classes}
    same = [name for name, probe in readers.items() if probe.name == guide.name]
    if not same:
        return
    code = GUIDE_JUDGES if same[0] == next(iter(readers)) else GUIDE_READS
    others = [name for name in readers if name not in same]
    remedy = f"believe {' and '.join(others)}" if others else "add a probe that did not guide it"
    message = (
        f"{arm} follows {guide.name} in {attribute}: where {same[0]} reads the result, what it"
        f" misreads counts as success; {remedy}"
    )
    yield Warned(code=code, message=message, arm=arm)
