"""A plugin as a spec mentions it, checked by name and options without importing it."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from audit.errors import unknown
from audit.registry import declared, mistakes, plugins
from audit.spec.prompts import ID
from audit.spec.schema import FieldError, Mistake, Strict, together


def _id(value: str) -> str:
    if not ID.fullmatch(value):
        raise FieldError(f"{value!r} must match [a-z0-9][a-z0-9._-]{{0,63}}")
    return value


Id = Annotated[str, AfterValidator(_id)]
"""A name that is safe in a path, an address and a table."""

SUPPLIED = frozenset({"device", "batch_size"})
"""Options that the command line chooses; a spec that sets one is refused."""

GIVEN = SUPPLIED | {"features", "classes", "target", "seed"}
"""Options that the run fills in: required by a factory, they need not stand in the spec."""


class Component(Strict):
    """A plugin with its options: `dlib`, or `{name: clip, model: ViT-B-32}`."""

    model_config = ConfigDict(extra="allow")

    name: str
    """Of the plugin; `module:factory` needs no registration."""
    as_: Id | None = Field(default=None, alias="as")
    """What tables call it, where that is not the plugin's name."""

    @model_validator(mode="before")
    @classmethod
    def _bare_name(cls, written: Any) -> Any:
        return {"name": written} if isinstance(written, str) else written

    @property
    def label(self) -> str:
        """What tables call it: the arm of a mitigation, the probe of a reading."""
        return self.as_ or self.name

    @property
    def options(self) -> dict[str, Any]:
        """What its factory is given."""
        return dict(self.model_extra or {})

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        schema = handler.resolve_ref_schema(handler(core))
        return {"anyOf": [{"type": "string"}, schema]}


def plugin(kind: str, model: type[Component] = Component) -> WrapValidator:
    """Return a validator: the name is a plugin of this kind, and takes these options."""

    def check(written: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        if isinstance(written, Component):
            return written
        return together(handler, written, _mistakes(kind, model, written))

    return WrapValidator(check)


def _mistakes(kind: str, model: type[Component], written: Any) -> Iterator[Mistake]:
    given = {"name": written} if isinstance(written, str) else written
    if not isinstance(given, Mapping):
        return
    name = given.get("name", model.model_fields["name"].default)
    if not isinstance(name, str):
        return
    if "as" not in given and not ID.fullmatch(name) and kind != "models":
        yield (), f"{name!r} cannot be a name in tables; add `as: NAME`"
    own = {field.alias or key for key, field in model.model_fields.items()}
    options = {key: value for key, value in given.items() if key not in own}
    yield from plugin_mistakes(kind, name, options, own)
    takes = declared(kind, name) if "features" in own else None
    if takes and "features" in takes and takes["features"].required and "features" not in given:
        yield (), f"{kind.removesuffix('s')} {name!r} needs `features`, the name of a feature set"
    if takes is not None and "features" not in takes and "features" in given:
        yield ("features",), f"{kind.removesuffix('s')} {name!r} uses no feature set"


def plugin_mistakes(
    kind: str, name: str, given: Mapping[str, Any], own: Collection[str] = ()
) -> Iterator[Mistake]:
    """Return what is wrong with a plugin's name and options, with paths below the component.

    Args:
        kind: Of the plugin.
        name: Of the plugin.
        given: Its options.
        own: Keys of the component, which an unknown option may be meant for.
    """
    if ":" in name:
        return
    if name not in (known := plugins(kind)):
        yield (), unknown(kind.removesuffix("s"), name, known)
        return
    wrong: dict[str, str] = {}
    if (takes := declared(kind, name)) is not None:
        optional = {o: replace(takes[o], required=False) for o in takes if o in GIVEN}
        settable = {o: option for o, option in {**takes, **optional}.items() if o not in SUPPLIED}
        wrong = mistakes(settable, given, own)
    wrong |= {o: f"{o} is chosen on the command line" for o in given if o in SUPPLIED}
    yield from (((o,) if o in given else (), message) for o, message in wrong.items())
