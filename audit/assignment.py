"""Which class each image is steered to: drawn once per image, spread as evenly as can be."""

import zlib
from collections.abc import Mapping, Sequence

import numpy as np

from audit.errors import SpecError, unknown
from audit.types import Request
from audit.weights import fingerprint

DRAWS = ("image", "batch")
_GOLDEN = (5**0.5 - 1) / 2
_BATCH = 16
"""Images that share a class in DiffLens' released script."""


class Assignment:
    """A class for every request, with the shares wanted in any run of a prompt's images.

    Replicate i of a prompt gets the class in whose part of [0, 1) the number u + i φ falls, modulo
    1, where u is drawn once for the prompt and φ is the golden ratio. Such numbers fill the
    interval more evenly than independent ones: after n images of a prompt each class has been
    drawn n times its share, give or take three. An image's class hangs on its own request alone, so
    neither batches nor limits nor resuming change it.
    """

    def __init__(
        self,
        classes: Sequence[str],
        shares: Mapping[str, float],
        *,
        seed: int = 0,
        draw: str = "image",
    ) -> None:
        """Prepare an assignment.

        Args:
            classes: Names, in the order of the indices returned.
            shares: Of each class; a class that is missing has none. They add up to 1.
            seed: Other seeds give other assignments.
            draw: `image`; or `batch`, in which 16 images in a row share a class drawn
                independently, as in DiffLens' script, and shares scatter four times as much.

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
        self._ends = np.cumsum(wanted / wanted.sum())
        self._seed = seed
        self._draw = draw
        self.fingerprint = fingerprint(tuple(classes), tuple(wanted.tolist()), seed, draw)

    def __call__(self, request: Request) -> int:
        """Return the index of the class that a request is steered to."""
        # One stream per prompt; prompt 0 of seed 0 is NumPy's stream of seed 0.
        prompt = 0 if request.prompt_id == "-" else zlib.crc32(request.prompt_id.encode())
        stream = np.random.RandomState((self._seed + prompt) % 2**32)
        if self._draw == "batch":
            batch, k = request.index // _BATCH, len(self._ends)
            if np.allclose(np.diff(self._ends, prepend=0), 1 / k):
                return int(stream.randint(k, size=batch + 1)[-1])
            number = stream.random_sample(batch + 1)[-1]
        else:
            number = (stream.random_sample() + request.index * _GOLDEN) % 1
        return int(np.searchsorted(self._ends[:-1], number, side="right"))
