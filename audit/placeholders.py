"""Texts with placeholders, as a spec writes them: `a portrait of a {job}`."""

from collections.abc import Sequence
from string import Formatter

from audit.errors import SpecError, unknown


def placeholders(text: str) -> list[str]:
    """Return what stands between the braces of a text: each once, in order, as it is written.

    >>> placeholders("a {color} {car} of {color}, {{as such}}"), placeholders("{0!r}")
    (['color', 'car'], ['0!r'])

    Raises:
        ValueError: a brace stands alone.
    """
    try:
        fields = [field for _, *field in Formatter().parse(text) if field[0] is not None]
    except ValueError as error:
        raise ValueError(
            f"{text!r} has a brace that stands alone; a placeholder is written {{name}}, a brace"
            " that is meant as such {{ or }}"
        ) from error
    written = (
        f"{name}{f'!{conversion}' if conversion else ''}{f':{layout}' if layout else ''}"
        for name, layout, conversion in fields
    )
    return list(dict.fromkeys(written))


def refuse_unknown(where: str, text: str, known: Sequence[str]) -> None:
    """Refuse a text that has other placeholders than those that are filled in.

    Args:
        where: The text stands, for the message.
        text: As the spec has it.
        known: Names of what is filled in.

    Raises:
        SpecError: a placeholder is not known, or a brace stands alone.
    """
    try:
        found = placeholders(text)
    except ValueError as error:
        raise SpecError(f"{where}: {error}") from error
    for name in found:
        if name not in known:
            braced = [f"{{{one}}}" for one in known]
            raise SpecError(f"{where}: {unknown('placeholder', f'{{{name}}}', braced)}")
