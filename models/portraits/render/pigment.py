"""What colours a person: the tone of the skin and of the hair, as linear albedo."""

import numpy as np

from models.portraits.render.color import Array, linear
from models.portraits.render.person import Person

# Albedo of the ten Monk tones: the published swatches pulled to the hues of lit flesh.
TONES = linear(
    [
        (226, 182, 156),
        (221, 174, 144),
        (215, 166, 132),
        (204, 152, 114),
        (198, 148, 112),
        (163, 113, 80),
        (131, 87, 61),
        (100, 64, 46),
        (72, 46, 35),
        (52, 34, 27),
    ]
)


def tone(person: Person) -> Array:
    """Albedo (3,) of the person's Monk tone."""
    index = min(int(person.monk - 1), 8)
    share = person.monk - 1 - index
    return np.asarray((1 - share) * TONES[index] + share * TONES[index + 1], np.float32)


def darkness(person: Person) -> float:
    """0 up to Monk tone 4, 1 from tone 9: dark skin shows less red and fewer shadows."""
    return float(np.clip((person.monk - 4) / 5, 0, 1))


def hair_albedo(person: Person) -> Array:
    """Albedo (3,) of the person's hair."""
    return linear(person.hair.srgb)
