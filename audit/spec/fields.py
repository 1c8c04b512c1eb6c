"""Types of the fields of a spec: what they are written as, and what is checked of each alone."""

from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, WithJsonSchema

from audit.errors import unknown
from audit.spec.component import Component, plugin
from audit.spec.prompts import FORMS, Prompt, expand
from audit.spec.schema import FieldError

T = TypeVar("T")
Many = Annotated[tuple[T, ...], Field(strict=False)]
"""A YAML list, kept as a tuple."""
Count = Annotated[int, Field(gt=0)]
Margin = Annotated[float, Field(gt=0)]


def one_of(section: str, kind: str) -> AfterValidator:
    """Return a validator: the value is a name in this section of the spec."""

    def check_name(name: str, info: ValidationInfo) -> str:
        names = (info.context or {}).get(section)
        if names is not None and name not in names:
            raise FieldError(unknown(kind, name, names))
        return name

    return AfterValidator(check_name)


def _expanded(written: Any, info: ValidationInfo) -> Any:
    return expand(written, (info.context or {}).get("folder") or Path.cwd())


def _count_or_folder(written: Any) -> Any:
    if written is None or (
        isinstance(written, int) and not isinstance(written, bool) and written > 0
    ):
        return written
    if isinstance(written, str) and written and "\0" not in written:
        return written
    raise FieldError(f"expected a count above 0, or a folder, got {written!r}")


Prompts = Annotated[Many[Prompt], BeforeValidator(_expanded), WithJsonSchema(FORMS)]
ModelName = Annotated[str, one_of("models", "model")]
Images = Annotated[int | str | None, BeforeValidator(_count_or_folder)]
Probe = Annotated[Component, plugin("probes")]
Encoder = Annotated[Component, plugin("encoders")]
Ranking = Annotated[Component, plugin("rankings")]
