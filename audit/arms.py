"""The arms of a benchmark: their mitigations, and the feature sets that some of these need."""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit.errors import SpecError
from audit.images.drawing import BATCH_SIZE
from audit.measuring.guides import warn_guided
from audit.progress import Progress, Silent
from audit.spec.benchmark import ArmSpec
from audit.spec.feature_sets import Features
from audit.storage.results import FeatureRecord, Warned
from audit.storage.store import Store
from audit.storage.weights import fingerprint, sha256
from audit.supply import Supply
from audit.types import Mitigation, Probe

if TYPE_CHECKING:
    from audit.features.dissection import Dissection


@dataclass
class Arms:
    """Makes the mitigations of one benchmark; what is searched for them is kept in the store."""

    supply: Supply
    store: Store
    batch_size: int = BATCH_SIZE
    progress: Progress = field(default_factory=Silent)
    _dissections: dict[str, "Dissection"] = field(default_factory=dict, init=False)
    _calibrations: dict[str, dict[str, Any]] = field(default_factory=dict, init=False)
    """By feature set and arm: how the scale was chosen, where it was `auto`."""

    @cached_property
    def ready(self) -> dict[str, Mitigation]:
        """The mitigations that need no feature set, by arm.

        They are built before anything is drawn, so that an option of the last arm is refused
        before hours go into the first; `check` does so for the others.
        """
        benchmark = self.supply.benchmark
        arms = benchmark.mitigations if benchmark.model else ()
        return {arm.label: self._built(arm) for arm in arms if arm.features is None}

    def check(self) -> None:
        """See that every feature set can be looked for, and that the arms that use it can be made.

        It comes before anything is drawn, and draws nothing: a model has to be loaded to tell its
        hookpoints. What a mitigation refuses only when it sees what was found comes later.

        Raises:
            SpecError: a feature set asks for what there is not, or a mitigation refuses its
                options.
        """
        for arm in self.supply.benchmark.mitigations:
            if arm.features is not None:
                self._check(arm, arm.features)

    def _check(self, arm: ArmSpec, name: str) -> None:
        from audit.features.prospect import NotFoundYetError, prospect
        from audit.features.study import placed  # heavy: torch

        wanted = self._features(name)
        model, probe = self.supply.model(wanted.model), self.supply.probe(wanted.probe)
        try:
            known = prospect(model, probe, placed(model, probe, wanted))
        except SpecError as error:
            raise SpecError(f"features.{name}: {error}") from error
        # A TypeError is for what will be a dataclass, and is none yet.
        with suppress(NotFoundYetError, TypeError):
            self._built(arm, features=known)

    def mitigation(self, arm: ArmSpec) -> Mitigation:
        """Return the mitigation of an arm, for which a feature set may have to be found."""
        if arm.features is None:
            return self.ready[arm.label]
        made = self._built(arm, features=self.dissection(arm.features))
        if (calibration := getattr(made, "calibration", None)) is not None:
            self._calibrations.setdefault(arm.features, {})[arm.label] = calibration.plain()
        return made

    def _built(self, arm: ArmSpec, **found: Any) -> Mitigation:
        """Build a mitigation; what it has to prepare is kept beside the images."""
        return self.supply.mitigation(arm, folder=self.store.root / "mitigations", **found)

    def guided(
        self, arm: ArmSpec, mitigation: Mitigation, judges: Mapping[str, Probe]
    ) -> Iterator[Warned]:
        """Warn where an arm is judged by the probe that it follows.

        Args:
            arm: As the spec has it.
            mitigation: Of the arm.
            judges: The probes of the benchmark, by their names in its tables.
        """
        attribute = getattr(mitigation, "attribute", None)
        guide = getattr(mitigation, "probe", None)
        if guide is None and arm.features is not None:
            guide = self.supply.probe(self.supply.spec.features[arm.features].probe)
        if attribute is not None and guide is not None:
            yield from warn_guided(arm.label, attribute, guide, judges)

    def dissection(self, name: str) -> "Dissection":
        """Return a feature set: found, or read from the store."""
        if name not in self._dissections:
            from audit.features.discovery import discover  # heavy: torch

            wanted = self._features(name)
            written = self.supply.spec.models[wanted.model]
            self._dissections[name] = discover(
                self.supply.model(wanted.model),
                self.supply.probe(wanted.probe),
                wanted,
                folder=self.store.root / "features",
                steps=written.steps,
                guidance_scale=written.guidance_scale if wanted.prompts else 1.0,
                batch_size=self.batch_size,
                progress=self.progress.say,
            )
        return self._dissections[name]

    def found_with(self) -> dict[str, str]:
        """Return by feature set a fingerprint of what it is found with: model, labels, SAE given.

        The mitigations that need it are known by it: their own options stand in the spec.
        """
        arms = self.supply.benchmark.mitigations
        return {
            name: self._found_with(self._features(name))
            for name in sorted({arm.features for arm in arms if arm.features})
        }

    def _found_with(self, wanted: Features) -> str:
        given = sorted(Path(wanted.sae.path).glob("*")) if wanted.sae.path else []
        return fingerprint(
            self.supply.model(wanted.model).fingerprint,
            self.supply.probe(wanted.probe).fingerprint,
            [(f.name, sha256(f)) for f in given if f.suffix in (".json", ".safetensors")],
        )

    def _features(self, name: str) -> Features:
        """Return a feature set of the spec, the path of a given SAE as it is seen from here."""
        wanted = self.supply.spec.features[name]
        if wanted.sae.path is None:
            return wanted
        path = str(self.supply.spec.folder / wanted.sae.path)
        return wanted.model_copy(update={"sae": wanted.sae.model_copy(update={"path": path})})

    def records(self) -> list[FeatureRecord]:
        """Return the feature sets that were used, as the results hold them."""
        return [self._record(*item) for item in self._dissections.items()]

    def _record(self, name: str, found: "Dissection") -> FeatureRecord:
        extra: dict[str, Any] = {"name": name, "evidence": dict(found.evidence)}
        if name in self._calibrations:
            extra["calibrations"] = self._calibrations[name]
        if found.folder is not None:
            extra["images"] = os.path.relpath(found.folder / "images", self.store.root)
        return FeatureRecord.model_validate({**asdict(found.features), **extra})
