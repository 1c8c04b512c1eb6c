"""Where the names of points go, so that they cover neither each other nor other points."""

from collections.abc import Sequence

WIDTH, HEIGHT = 300.0, 210.0
"""Of the plot in pixels, about: what layout leaves of it is known only when it is drawn."""
LETTER, LINE = 6.2, 13.0
"""Of a name in pixels, about."""
OFFSETS = ((7, 6), (7, -15), (-7, 6), (-7, -15), (7, 19), (-7, 19), (7, -28), (-7, -28))
"""Right above first; a negative x stands for a name that ends left of its point."""

Box = tuple[float, float, float, float]


def place(points: Sequence[tuple[float, float]], names: Sequence[str]) -> list[tuple[int, int]]:
    """Return an offset in pixels for the name of every point, one after the other.

    Args:
        points: in parts of the plot, from 0 to 1 in both directions.
        names: of the points.

    >>> place([(0, 0), (0, 0), (1, 1)], ["a", "b", "a longer name"])
    [(7, 6), (7, -15), (-7, 6)]
    """
    spots = [(x * WIDTH, y * HEIGHT) for x, y in points]
    taken: list[Box] = [(x - 5, y - 5, x + 5, y + 5) for x, y in spots]
    found = []
    for spot, name in zip(spots, names, strict=True):
        boxes = {offset: _box(spot, offset, LETTER * len(name)) for offset in OFFSETS}
        best = min(OFFSETS, key=lambda offset, boxes=boxes: _covered(boxes[offset], taken))  # type: ignore[misc]
        taken.append(boxes[best])
        found.append(best)
    return found


def _box(spot: tuple[float, float], offset: tuple[int, int], width: float) -> Box:
    left = spot[0] + offset[0] - (width if offset[0] < 0 else 0)
    bottom = spot[1] + offset[1]
    return left, bottom, left + width, bottom + LINE


def _covered(box: Box, taken: Sequence[Box]) -> float:
    """Return the area that others take of a box, and what of it lies outside of the plot."""
    left, bottom, right, top = box
    room = 0.16 * WIDTH  # the margin that the plot has at each side
    outside = max(0.0, right - WIDTH - room) + max(0.0, -room - left)
    return outside * LINE + sum(
        max(0.0, min(right, r) - max(left, x)) * max(0.0, min(top, t) - max(bottom, b))
        for x, b, r, t in taken
    )
