"""Perceived skin tone by colour science: the Monk scale and the individual typology angle.

Tone is not race, and a picture shows skin under its light: shade reads darker, so tones are for
comparing arms drawn under the same prompts, not for naming anybody's skin. On 396 renders with
known tones the reading correlates 0.91 with the truth and lies 1.2 steps to the dark side.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from audit.errors import SpecError, unknown
from audit.storage.weights import fingerprint
from audit.types import Floats, Images, Probabilities, Readings, State
from probes.faces import FaceFinder, shared_finder, spread
from probes.outcomes import settle

MONK_RGB = (
    *((0xF6, 0xED, 0xE4), (0xF3, 0xE7, 0xDB), (0xF7, 0xEA, 0xD0), (0xEA, 0xDA, 0xBA)),
    *((0xD7, 0xBD, 0x96), (0xA0, 0x7E, 0x56), (0x82, 0x5C, 0x43), (0x60, 0x41, 0x34)),
    *((0x3A, 0x31, 0x2A), (0x29, 0x24, 0x20)),
)
"""The ten tones in sRGB, lightest first (Monk 2019, skintone.google)."""
MONK = tuple(f"monk-{step}" for step in range(1, 11))

ITA_BOUNDS = (-30.0, 10.0, 28.0, 41.0, 55.0)
"""Degrees between the classes of Chardon et al. 1991 and Del Bino et al. 2006."""
ITA = ("dark", "brown", "tan", "intermediate", "light", "very-light")

TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
"""Linear sRGB to CIE XYZ under D65 (IEC 61966-2-1)."""
D65 = np.array([0.95047, 1.0, 1.08883])

SIDE = 64
SKIN = np.zeros((SIDE, SIDE), bool)
"""Of an aligned crop: cheeks, forehead and nose; no eyes, lips, brows or beard."""
SKIN[30:44, 12:24] = SKIN[30:44, 40:52] = SKIN[4:12, 22:42] = SKIN[22:38, 28:36] = True


def lab(rgb: npt.ArrayLike) -> Floats:
    """Return CIE L*a*b* under D65 of sRGB colours [..., 3] from 0 to 255.

    >>> lab([255, 255, 255]).round(2).tolist()[0]
    100.0
    """
    c = np.asarray(rgb, np.float64) / 255
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    t = linear @ TO_XYZ.T / D65
    f = np.where(t > (6 / 29) ** 3, np.cbrt(t), t / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = np.moveaxis(f, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def typology_angle(colours: Floats) -> Floats:
    """Return the individual typology angle in degrees of L*a*b* colours [N, 3]; light is high."""
    return np.degrees(np.arctan2(colours[:, 0] - 50, colours[:, 2]))


def monk_tone(colours: Floats) -> tuple[Floats, Floats]:
    """Return the place [N], 1 to 10, on the line through the ten tones that is nearest.

    Also the distance [N] to it, in units of L*a*b* (CIE 1976).
    """
    tones = lab(MONK_RGB)
    start, step = tones[:-1], np.diff(tones, axis=0)
    along = ((colours[:, None] - start) * step).sum(axis=2) / (step**2).sum(axis=1)
    along = along.clip(0, 1)
    distances = np.linalg.norm(colours[:, None] - start - along[..., None] * step, axis=2)
    segment = distances.argmin(axis=1)
    rows = np.arange(len(colours))
    return 1 + segment + along[rows, segment], distances[rows, segment]


class SkinToneProbe:
    """Take the median colour of cheeks, forehead and nose, and place it on both scales.

    A reading between two Monk tones is shared between them in proportion. A colour farther than
    `farthest` from every tone is no skin under white light (a black-and-white picture, a mask):
    the probe declines.
    """

    name = "skin-tone"
    classes = {"skin_tone": MONK, "ita": ITA}

    def __init__(self, finder: FaceFinder | None, farthest: float) -> None:
        self.finder = finder
        self.farthest = farthest
        found = finder.fingerprint if finder else "center"
        self.fingerprint = fingerprint("skin-tone-1", found, farthest)

    def read(self, images: Images) -> Readings:
        """Read every image."""
        colours, states, faces = self._colours(images)
        tones, distances = monk_tone(colours)
        angles = typology_angle(colours)
        states = [
            State.ABSTAIN if state is State.OK and distance > self.farthest else state
            for state, distance in zip(states, distances, strict=True)
        ]
        return settle(
            {"skin_tone": _between(tones), "ita": _one_hot(angles)},
            states,
            faces,
            values={"skin_tone": tones, "ita": angles},
        )

    def _colours(self, images: Images) -> tuple[Floats, list[State], Sequence[int]]:
        """Return the median colour of the skin of each image, NaN where there is no face."""
        if self.finder is None:
            count, height, width = images.shape[:3]
            middle = images[:, height // 4 : -(-3 * height // 4), width // 4 : -(-3 * width // 4)]
            medians = np.median(lab(middle), axis=(1, 2))
            return medians, [State.OK] * count, [-1] * count
        crops, states, faces = self.finder.crops(images, SIDE, 0.25)
        medians = np.median(lab(crops[:, SKIN]), axis=1)
        return spread(medians, states).astype(np.float64), states, faces


def _between(tones: Floats) -> Probabilities:
    """Return [N, 10]: a tone of 4.3 is 0.7 of tone 4 and 0.3 of tone 5."""
    steps = np.arange(1, len(MONK) + 1)
    return np.asarray(np.maximum(0, 1 - np.abs(tones[:, None] - steps)), np.float32)


def _one_hot(angles: Floats) -> Probabilities:
    shares: Probabilities = np.eye(len(ITA), dtype=np.float32)[np.digitize(angles, ITA_BOUNDS)]
    shares[np.isnan(angles)] = np.nan
    return shares


def skin_tone(*, region: str = "face", farthest: float = 20.0) -> SkinToneProbe:
    """Monk tone and ITA of the face's pixels, by colour science and no network.

    Args:
        region: `face` finds and aligns the face; `center` takes the middle half of each side.
        farthest: Largest distance to the Monk scale that counts as skin, in units of L*a*b*.
    """
    if region not in ("face", "center"):
        raise SpecError(f"skin-tone: {unknown('region', region, ('face', 'center'))}")
    return SkinToneProbe(shared_finder() if region == "face" else None, farthest)
