"""Which class each image is steered to: drawn once per image, spread as evenly as can be.

Unless its prompt asks for one: who asks for a woman is not to be steered to a man.
"""

import zlib
from collections.abc import Mapping, Sequence
from itertools import count, islice

import numpy as np

from audit.errors import SpecError, unknown
from audit.storage.weights import fingerprint
from audit.types import Request

DRAWS = ("image", "batch")
_BATCH = 16
"""Images that share a class in DiffLens' released script."""


class Assignment:
    """A class for every request, with the shares wanted in any run of a prompt's images.

    Replicate i of a prompt gets the class in whose part of [0, 1) the number u + i φ falls, modulo
    1, where u is drawn once for the prompt and φ is the golden ratio. Such numbers fill the
    interval more evenly than independent ones: after n images of a prompt each class has been
    drawn n times its share, give or take a few. An image's class hangs on its own request alone,
    so neither batches nor limits nor resuming change it.
    """

    def __init__(
        self,
        classes: Sequence[str],
        shares: Mapping[str, float],
        *,
        seed: int = 0,
        draw: str = "image",
        stream: int = 0,
    ) -> None:
        """Prepare an assignment.

        Args:
            classes: Names, in the order of the indices returned.
            shares: Of each class; a class that is missing has none. They add up to 1.
            seed: Other seeds give other assignments.
            draw: `image`; or `batch`, in which 16 images in a row share a class drawn
                independently, as in DiffLens' script, and shares scatter four times as much.
            stream: Attributes that are drawn together have one each, from 0 on.

        Raises:
            SpecError: shares name an unknown class or do not add up to 1.
        """
        if draw not in DRAWS:
            raise SpecError(unknown("draw", draw, DRAWS))
        for name in shares:
            if name not in classes:
                raise SpecError(f"target: {unknown('class', name, classes)}")
        wanted = np.array([shares.get(name, 0.0) for name in classes])
        if (wanted < 0).any() or abs(wanted.sum() - 1) > 1e-6:
            raise SpecError(f"target: the shares add up to {wanted.sum():g}, not 1")
        self.shares: Mapping[str, float] = dict(shares)
        self._ends = np.cumsum(wanted / wanted.sum())
        self._classes = tuple(classes)
        self._seed = seed
        self._draw = draw
        self._stream = stream
        self._rate = _rate(stream)
        self._starts: dict[str, float] = {}
        self.fingerprint = fingerprint(tuple(classes), tuple(wanted.tolist()), seed, draw, stream)

    def __call__(self, request: Request) -> int:
        """Return the index of the class that a request asks for, or else is steered to."""
        for name in request.asks:
            if name in self._classes:
                return self._classes.index(name)
        if self._draw == "batch":
            batch, k = request.index // _BATCH, len(self._ends)
            numbers = self._numbers(request.prompt_id)
            if np.allclose(np.diff(self._ends, prepend=0), 1 / k):
                return int(numbers.randint(k, size=batch + 1)[-1])
            number = numbers.random_sample(batch + 1)[-1]
        else:
            if request.prompt_id not in self._starts:
                first = self._numbers(request.prompt_id).random_sample()
                self._starts[request.prompt_id] = first
            start = self._starts[request.prompt_id]
            number = (start + request.index * self._rate) % 1
        return int(np.searchsorted(self._ends[:-1], number, side="right"))

    def _numbers(self, prompt_id: str) -> np.random.RandomState:
        """Return a prompt's stream: without prompts and for seed 0 that of the released script."""
        prompt = 0 if prompt_id == "-" else zlib.crc32(prompt_id.encode())
        return np.random.RandomState((self._seed + prompt + 977 * self._stream) % 2**32)


def _rate(stream: int) -> float:
    """Return the step of a stream: the golden ratio, then the roots of the primes but 5.

    Roots of different primes are independent over the rationals, so however many attributes are
    drawn together, none follows another.

    >>> [round(_rate(stream), 3) for stream in range(5)]
    [0.618, 0.414, 0.732, 0.646, 0.317]
    """
    if stream == 0:
        return (5**0.5 - 1) / 2
    primes = (n for n in count(2) if n != 5 and all(n % divisor for divisor in range(2, n)))
    return float(next(islice(primes, stream - 1, None)) ** 0.5 % 1)
