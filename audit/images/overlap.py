"""One stage of work while the next is prepared, in order and in bounded memory."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
U = TypeVar("U")

AHEAD = 2
"""Items that may wait for a stage; what bounds the memory."""


def overlapped(function: Callable[[T], U], items: Iterable[T]) -> Iterator[U]:
    """Yield `function(item)` for each item, computed in a thread while the next item is made.

    However the iteration ends, what was handed over is finished first, so nothing made is lost.
    Stages nest: `overlapped(read, overlapped(write, drawn))` draws in this thread and writes and
    reads in two others.
    """
    waiting: deque[Future[U]] = deque()
    with ThreadPoolExecutor(max_workers=1) as thread:
        for item in items:
            waiting.append(thread.submit(function, item))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
