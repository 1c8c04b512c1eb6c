"""The frame of a page: template, style, script, and the policy that allows these alone."""

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from reports.words import clipped, number, visible

TEMPLATES = Path(__file__).with_name("templates")


def document(template: str, content: dict[str, Any]) -> str:
    """Return a whole page.

    Args:
        template: Name of one that extends `page.html.j2`.
        content: What it shows, by name.
    """
    css, script = _asset("style.css"), _asset("report.js")
    return (
        environment()
        .get_template(template)
        .render(css=Markup(css), script=Markup(script), policy=_policy(css, script), **content)
    )


@cache
def environment() -> Environment:
    """Return the template environment: everything escaped, nothing undefined."""
    made = Environment(
        loader=PackageLoader("reports", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"visible": visible, "clip": clipped, "number": number}
    return made


def _asset(name: str) -> str:
    return (TEMPLATES / name).read_text("utf-8")


def _policy(css: str, script: str) -> str:
    def digest(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    return (
        f"default-src 'none'; img-src data:; style-src {digest(css)}; "
        f"script-src {digest(script)}; base-uri 'none'; form-action 'none'"
    )
