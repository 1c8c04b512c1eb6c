"""The spec: what to measure, as one strict model, and `load`, which reads it from YAML."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, PrivateAttr, field_validator, model_validator

from audit.spec.assembly import assemble
from audit.spec.benchmark import Benchmark, ModelSpec
from audit.spec.component import Id, plugin
from audit.spec.feature_sets import Features
from audit.spec.fields import Many, one_of
from audit.spec.refusals import refusals
from audit.spec.schema import FieldError, Strict, check

VERSION = 1


class Spec(Strict):
    """A whole spec file."""

    version: int
    default: Many[Annotated[str, one_of("benchmarks", "benchmark")]] = ()
    """What a bare `bias-audit run` runs."""
    models: dict[Id, Annotated[ModelSpec, plugin("models", ModelSpec)]] = Field(
        default_factory=dict
    )
    features: dict[Id, Features] = Field(default_factory=dict)
    """Feature sets: found once, cached, shared by benchmarks."""
    benchmarks: dict[Id, Benchmark] = Field(min_length=1)

    _folder: Path = PrivateAttr(default_factory=Path.cwd)
    _overrides: dict[str, Any] = PrivateAttr(default_factory=dict)

    @field_validator("version")
    @classmethod
    def _readable(cls, version: int) -> int:
        if version != VERSION:
            newer = "needs a newer bias-audit" if version > VERSION else "is not a version"
            raise FieldError(f"spec version {version} {newer}; this one reads version {VERSION}")
        return version

    @model_validator(mode="after")
    def _linked(self) -> "Spec":
        for benchmark in self.benchmarks.values():
            benchmark._model = self.models.get(benchmark.model or "")
        return self

    @property
    def folder(self) -> Path:
        """Where relative paths of this spec start."""
        return self._folder

    @property
    def overrides(self) -> Mapping[str, Any]:
        """What `--set` changed, by path."""
        return self._overrides

    def resolved(self, name: str) -> dict[str, Any]:
        """Return one benchmark and what it refers to, defaults written out: again a spec."""
        benchmark = self.benchmarks[name]
        used = {arm.features for arm in benchmark.mitigations if arm.features}
        models = {benchmark.model, *(self.features[key].model for key in used)}
        parts = Spec.model_construct(
            version=self.version,
            default=(name,),
            models={key: model for key, model in self.models.items() if key in models},
            features={key: found for key, found in self.features.items() if key in used},
            benchmarks={name: benchmark},
        )
        plain: dict[str, Any] = parts.model_dump(mode="json", by_alias=True, exclude_none=True)
        for section in ("features", "benchmarks"):
            for entry in plain[section].values():
                if not entry["prompts"]:
                    del entry["prompts"]
        return plain

    def digest(self, name: str) -> str:
        """Return the sha256 of a resolved benchmark: the same spec, anywhere, has the same."""
        plain = json.dumps(
            self.resolved(name), sort_keys=True, ensure_ascii=False, allow_nan=False
        )
        return hashlib.sha256(plain.encode()).hexdigest()


def load(
    path: str | Path = "benchmarks.yaml",
    overrides: Iterable[str] = (),
    *,
    folder: Path | None = None,
) -> Spec:
    """Read a spec.

    Args:
        path: A YAML file.
        overrides: Changes such as `portraits.images=64`, typed as YAML would.
        folder: Where relative paths start; the folder of the file if not given. Where it is, the
            spec is that of a run, which can be read after its images are gone: paths are not
            looked up.

    Raises:
        SpecError: every mistake in it, as `file:line:col: path: …`, a line each.
        RefusedError: one of them is refused for safety.
    """
    path = Path(path)
    document, changed = assemble(path, overrides)
    document.problems += refusals(document)
    sections = document.value if isinstance(document.value, Mapping) else {}
    context: dict[str, Any] = {"folder": folder or path.resolve().parent}
    if folder is None:
        context["paths_from"] = context["folder"]
    for section in ("models", "features", "benchmarks"):
        named = sections.get(section)
        context[section] = named if isinstance(named, Mapping) else {}
    spec = check(Spec, document, context)
    spec._folder, spec._overrides = context["folder"], changed
    return spec
