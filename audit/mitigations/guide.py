"""The probe that a mitigation is guided by, as its spec names it."""

from collections.abc import Collection, Mapping
from typing import Any

from audit import registry
from audit.errors import SpecError, unknown
from audit.types import Probe


def guide(
    of: str,
    written: str | Mapping[str, Any],
    attribute: str,
    device: str,
    classes: Collection[str] = (),
) -> Probe:
    """Build the probe that reads an attribute for a mitigation.

    Args:
        of: The mitigation.
        written: Name of the plugin, or its name and options.
        attribute: Must be among what it reads.
        device: Where it runs, if it can choose.
        classes: That it must tell apart.

    Raises:
        SpecError: there is no such probe, or it does not read the attribute or a class of it.
    """
    options = {"name": written} if isinstance(written, str) else dict(written)
    name = options.pop("name", None)
    if not isinstance(name, str):
        raise SpecError(f"{of}: probe: needs a `name`, found {written!r}")
    takes = registry.options(registry.find("probes", name))
    supplied = {"device": device} if "device" in takes else {}
    found: Probe = registry.build("probes", name, **supplied | options)
    if attribute not in found.classes:
        raise SpecError(f"{of}: {unknown('attribute', attribute, found.classes)}")
    for name in classes:
        if name not in found.classes[attribute]:
            raise SpecError(f"{of}: {unknown('class', name, found.classes[attribute])}")
    return found
