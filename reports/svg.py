"""A matplotlib figure as SVG text that can stand inside a page with a strict security policy.

matplotlib writes `style=` attributes, a `<style>` block, ids that repeat from figure to figure and
six decimals; none of these belongs in a page that forbids inline styles, holds thirty figures and
must come out the same byte for byte.
"""

import io
import re
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from markupsafe import Markup

from reports.words import visible

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAMESPACE = "http://www.w3.org/2000/svg"
_SVG = f"{{{NAMESPACE}}}"
_XLINK = "{http://www.w3.org/1999/xlink}href"
_DROPPED = {f"{_SVG}metadata", f"{_SVG}style", f"{_SVG}title"}
_INVISIBLE = {"font-family", "-inkscape-stroke"}
_LONG = re.compile(r"-?\d+\.\d{3,}")
_REFERENCE = re.compile(r"url\(#([^)]+)\)")
_FONT = re.compile(r"(?:(?P<weight>bold|\d00) )?(?P<size>[\d.]+)px")


def svg(figure: "Figure", identifier: str, title: str, description: str) -> Markup:
    """Return a figure as one `<svg role="img">` element with a title and a description.

    Args:
        figure: drawn with the object API; one unit is one CSS pixel at the natural size.
        identifier: unique in the page; every id inside the element begins with it.
        title: what is shown.
        description: what is to be seen: the finding in a sentence.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    buffer = io.StringIO()
    settings = rc_context({"svg.fonttype": "none", "svg.hashsalt": identifier})
    with settings, warnings.catch_warnings():
        # Text stays text: the reader's machine has the glyphs that matplotlib's font lacks.
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        # Not `savefig`, which lays the figure out and draws it once more than is needed.
        print_svg: Callable[..., None] = FigureCanvasSVG(figure).print_svg
        print_svg(buffer, metadata={"Date": None, "Creator": None})
    root = ET.fromstring(buffer.getvalue().split("?>", 1)[1].split(">", 1)[1])
    _clean(root, identifier)
    _, _, width, height = (float(v) for v in root.attrib["viewBox"].split())
    root.attrib = {
        "role": "img",
        "aria-labelledby": f"{identifier}-title {identifier}-desc",
        "viewBox": f"0 0 {width:g} {height:g}",
        "width": f"{width:g}",
        "height": f"{height:g}",
        "stroke-linejoin": "round",  # what the dropped style block says of every element
    }
    for tag, text in (("desc", description), ("title", title)):
        element = ET.Element(tag, {"id": f"{identifier}-{tag}"})
        element.text = visible(text)
        root.insert(0, element)
    # Every part of the string was escaped by the serialiser.
    return Markup(ET.tostring(root, encoding="unicode"))


def _clean(root: ET.Element, identifier: str) -> None:
    """Drop what a page needs not, and turn styles into presentation attributes."""
    used = set()
    for parent in root.iter():
        for child in [c for c in parent if c.tag in _DROPPED]:
            parent.remove(child)
    for element in root.iter():
        element.tag = element.tag.removeprefix(_SVG)
        if _XLINK in element.attrib:
            element.attrib["href"] = element.attrib.pop(_XLINK)
        for declaration in element.attrib.pop("style", "").split(";"):
            name, _, value = (part.strip() for part in declaration.partition(":"))
            _declare(element, name, value)
        for name, value in element.attrib.items():
            if name != "id":
                used |= {value.removeprefix("#")} if name == "href" else set()
                used |= set(_REFERENCE.findall(value))
                element.attrib[name] = _LONG.sub(_short, value)
    for element in root.iter():
        _rename(element, identifier, used)


def _declare(element: ET.Element, name: str, value: str) -> None:
    if name == "font" and (font := _FONT.search(value)):
        element.set("font-size", font["size"])
        if font["weight"] in {"bold", "600", "700"}:
            element.set("font-weight", font["weight"])
    elif name and name not in _INVISIBLE and name != "font":
        element.set(name, value)


def _rename(element: ET.Element, identifier: str, used: set[str]) -> None:
    """Begin ids with the identifier of the figure; drop those that nothing points at."""
    own = element.attrib.pop("id", None)
    if own in used:
        element.set("id", f"{identifier}-{own}")
    for name, value in element.attrib.items():
        if name == "href":
            element.set(name, f"#{identifier}-{value.removeprefix('#')}")
        elif "url(#" in value:
            element.set(name, _REFERENCE.sub(rf"url(#{identifier}-\1)", value))


def _short(number: re.Match[str]) -> str:
    text = f"{float(number[0]):.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
