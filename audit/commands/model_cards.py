"""Command `card`: an audit in a Hugging Face model card, between markers."""

import difflib
from pathlib import Path
from typing import Annotated

import typer

from audit.commands.options import RunFolder
from audit.console import console
from audit.errors import InputError, SpecError, unknown


def card(
    ctx: typer.Context,
    folder: RunFolder,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The card, mostly README.md.")],
    arm: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Whose numbers the metadata hold; else the baseline's."),
    ] = None,
    insert: Annotated[
        bool, typer.Option("--insert", help="Add markers and front matter where there are none.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the change.")] = False,
) -> None:
    """Write the bias section and the `model-index` results of a model card.

    Both go between markers that name the benchmark; all other text stays as it is, byte for byte.
    A second time changes nothing. Nothing is uploaded.
    """
    from audit.storage import atomic
    from reports import card_file, model_card
    from reports.source import Source

    source = Source.open(folder)
    chosen = source.baseline if arm is None else arm
    if chosen not in source.arms:
        raise SpecError(unknown("arm", chosen, source.arms))
    before = _read(file, insert)
    after = card_file.put(
        before,
        source.results.benchmark,
        results=model_card.index_results(source, chosen),
        model=model_card.model_name(source),
        section=model_card.section(source),
        insert=insert,
        name=str(file),
    )
    change = list(
        difflib.unified_diff(
            before.splitlines(), after.splitlines(), str(file), str(file), lineterm=""
        )
    )
    said = "is as it should be" if before == after else "written"
    if not dry_run and before != after:
        atomic.write(file.resolve(), after)
    lines = change if dry_run and change else [f"{file}: {said}"]
    plain = {"card": str(file), "changed": before != after, "written": not dry_run}
    console(ctx).data(lines, plain | {"diff": "\n".join(change)})


def _read(file: Path, insert: bool) -> str:
    """Return the text of a card with its line ends as they are; none yet is an empty one."""
    try:
        return file.read_bytes().decode("utf-8")
    except FileNotFoundError:
        if insert:
            return ""
        raise InputError(f"{file}: no such file; --insert starts one") from None
    except IsADirectoryError:
        raise InputError(f"{file}: is a folder, not a model card") from None
    except UnicodeDecodeError as wrong:
        raise InputError(f"{file}: is not UTF-8 text (byte {wrong.start})") from None
