"""Plugins as a benchmark names them: built with their options and with what the run fills in."""

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from audit import registry
from audit.errors import SpecError
from audit.spec.benchmark import Benchmark
from audit.spec.component import Component
from audit.spec.spec import Spec
from audit.types import Encoder, Mitigation, Model, Probe

PATHS = frozenset({"model", "path", "pipeline", "weights"})
"""Options that name files or folders, also by a bare name that does not look like a path."""


class Supply:
    """Builds the plugins of one benchmark on one device; a model is built once and shared."""

    def __init__(self, spec: Spec, benchmark: Benchmark, device: str | None = None) -> None:
        self.spec = spec
        self.benchmark = benchmark
        self.device = device or default_device()
        self._models: dict[str, Model] = {}
        self._probes: dict[str, Probe] = {}

    def model(self, name: str) -> Model:
        """Return a model of the spec by its name there."""
        if name not in self._models:
            self._models[name] = self.build("models", self.spec.models[name])
        return self._models[name]

    def probe(self, component: Component) -> Probe:
        """Return a probe; the same component is built once."""
        if (key := component.model_dump_json()) not in self._probes:
            self._probes[key] = self.build("probes", component)
        return self._probes[key]

    def encoders(self) -> Iterable[Encoder]:
        """Yield the encoders of the benchmark.

        Raises:
            SpecError: one is called like a metric: `fid` alone means FID by every encoder.
        """
        for component in self.benchmark.encoders:
            made: Encoder = self.build("encoders", component)
            if made.name in registry.plugins("metrics"):
                raise SpecError(
                    f"encoder {component.name!r}: {made.name!r} is the name of a metric"
                )
            yield made

    def mitigation(self, component: Component, **found: Any) -> Mitigation:
        """Return a mitigation, given what it asks for by the names of its options."""
        classes = {name: self.benchmark.classes_of(name) for name in self.benchmark.attributes}
        target = {name: self.benchmark.target_of(name) for name in self.benchmark.attributes}
        drawing = {}
        if self.benchmark.model is not None:
            model = self.benchmark.model_spec
            drawing = {"steps": model.steps, "guidance_scale": model.guidance_scale}
        made: Mitigation = self.build(
            "mitigations", component, classes=classes, target=target, **drawing, **found
        )
        return made

    def build(self, kind: str, component: Component, **found: Any) -> Any:
        """Build any plugin: options of the spec first, then what the run has under their names."""
        takes = registry.options(registry.find(kind, component.name))
        given = {"device": self.device, "seed": self.benchmark.seed, **found}
        filled = {name: value for name, value in given.items() if name in takes}
        return registry.build(kind, component.name, **(filled | self._anchored(component)))

    def _anchored(self, component: Component) -> dict[str, Any]:
        """Return options with paths that exist beside the spec made absolute."""
        return {name: self._absolute(name, value) for name, value in component.options.items()}

    def _absolute(self, option: str, value: Any) -> Any:
        if isinstance(value, Mapping):  # a probe with options of its own
            return {name: self._absolute(name, below) for name, below in value.items()}
        return str(self.spec.folder / value) if self._is_path(option, value) else value

    def _is_path(self, option: str, value: Any) -> bool:
        if not isinstance(value, str) or not value:
            return False
        looks = option in PATHS or "/" in value or bool(Path(value).suffix)
        if not looks:
            return False
        try:
            return (self.spec.folder / value).exists()
        except OSError:  # a text too long to name a file
            return False


def default_device() -> str:
    """Return the fastest device of this machine: a GPU where torch sees one."""
    if sys.platform == "linux" and not [*Path("/dev").glob("nvidia*"), *Path("/dev").glob("kfd")]:
        return "cpu"  # said at once: importing torch takes seconds
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
