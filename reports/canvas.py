"""What the figures of the report are made of: their paper and colours, marks, and small parts.

Sizes are in CSS pixels; a figure is at most `WIDTH` wide, so that it is legible on a phone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 400
INK, MUTED, GRID, BAND = "#1c2430", "#5b6675", "#dfe3e8", "#e9ecf0"
PAPER = "#fffffe"  # not #ffffff: the page recolours it for dark mode, and nothing else
ARMS = ("#4a5568", "#0068b5", "#c2500a", "#00795a", "#a23f82", "#8f6400", "#4055c8", "#a3343f")
"""Colour of an arm by its place in the spec, the baseline first; 3:1 or more on white."""
MARKERS = "osDv^PXh"
SHADES = ("#35588f", "#8fa9d1", "#c9a24a", "#b86a3c", "#7f8897", "#5d7f5a", "#97698c", "#3e4756")
"""Colours of the parts of a stack."""


@dataclass(frozen=True)
class Mark:
    """A value with its interval and the range that a perfectly fair model would show."""

    label: str
    value: float | None
    low: float | None = None
    high: float | None = None
    null: float | None = None
    """Upper end of the null band."""


@dataclass(frozen=True)
class Curve:
    """Values along an axis, with a band where there are intervals."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    control: bool = False


def style(arm: int) -> tuple[str, str]:
    """Return colour and marker of an arm; with more than eight arms the pairs differ, still."""
    return ARMS[arm % len(ARMS)], MARKERS[(arm + arm // len(ARMS)) % len(MARKERS)]


def blank(height: float, *, grid: bool = True) -> tuple[Figure, Axes]:
    """Return an empty figure of `WIDTH` by `height` pixels in the style of the report."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with rc_context({"font.size": 11, "text.parse_math": False, "axes.linewidth": 0.8}):
        figure = Figure(figsize=(WIDTH / 72, height / 72), dpi=72, layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
    figure.patch.set_alpha(0)
    axes.patch.set_alpha(0)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom" and grid)
        spine.set_color(MUTED)
    axes.tick_params(length=0, labelcolor=MUTED)
    axes.xaxis.label.set_color(MUTED)
    axes.yaxis.label.set_color(MUTED)
    if grid:
        axes.grid(axis="x", color=GRID, lw=0.8)
    return figure, axes


def legend(figure: Figure, handles: Sequence[Any], labels: Sequence[str]) -> None:
    """Name the parts above the plot, two in a row where they are short."""
    figure.legend(
        handles,
        [one_line(label, 44) for label in labels],
        loc="outside upper left",
        ncols=1 if max(map(len, labels), default=0) > 22 else 2,
        frameon=False,
        handlelength=1.4,
        labelcolor=INK,
    )


def name_rows(axes: Axes, ticks: Sequence[float] | range, labels: Sequence[str]) -> None:
    """Write what each row is about beside it."""
    axes.set_yticks(list(ticks), [one_line(label, 20) for label in labels])
    axes.tick_params(axis="y", labelcolor=INK)


def whisker(axes: Axes, mark: Mark, y: float, colour: str) -> None:
    """Draw the interval of a mark, if it has one."""
    if mark.low is not None and mark.high is not None:
        axes.plot([mark.low, mark.high], [y, y], color=colour, lw=1.6, zorder=3)


def note(axes: Axes, x: float, y: float, text: str) -> None:
    """Print a number flush right at `x`, where no mark is drawn."""
    axes.text(x, y, text, va="center", ha="right", color=INK, fontsize=11)


def one_line(text: str, limit: int) -> str:
    r"""Return `text` on one line, never as maths; too long a one loses its middle, not its end.

    >>> one_line("steer at scale 1.4", 12), one_line("steer at scale 2.8", 12)
    ('steer at…1.4', 'steer at…2.8')
    """
    text = "".join(c if c.isprintable() else " " for c in text).strip()
    if len(text) > limit:
        end = (limit - 1) // 3
        text = f"{text[: limit - 1 - end]}…{text[-end:]}"
    return text.replace("$", r"\$")
