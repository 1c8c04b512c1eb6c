"""Who is rendered: every parameter of a portrait, and the vocabulary of its labels."""

from collections.abc import Mapping
from dataclasses import dataclass, field

GENDERS = ("woman", "man")
RACES = ("Black", "Asian", "White", "Indian")
OCCUPATIONS = (
    "office",
    "executive",
    "doctor",
    "nurse",
    "barista",
    "cook",
    "construction",
    "firefighter",
    "police",
    "cleaner",
    "casual",
)
AGE_RANGE = (18.0, 85.0)
SMILE_OPENS = 0.45  # a broader smile shows the teeth
HEADWEAR = {
    "construction": "helmet",
    "firefighter": "fire helmet",
    "cook": "toque",
    "police": "cap",
    "cleaner": "headscarf",
}

Rgb = tuple[float, float, float]
"""8-bit sRGB; turned into linear light where it is painted."""


@dataclass(frozen=True)
class Build:
    """The body under the face."""

    femininity: float  # 0 male to 1 female morph
    muscle: float
    weight: float
    proportions: float
    morph: Mapping[str, float]  # shares of african, asian and caucasian, sum 1


@dataclass(frozen=True)
class Hair:
    """The hair of head, brows and beard."""

    style: str
    color: str
    srgb: Rgb
    grey: float
    length: float  # canonical height at which it is cut
    wave: float
    fringe: float  # canonical height at which it is trimmed over the eyes
    receding: float
    beard: str


@dataclass(frozen=True)
class Dress:
    """The colours of clothes and accessories, whichever of them the occupation wears."""

    shirt: Rgb
    jacket: Rgb
    accent: Rgb  # tie, neckerchief, lanyard, headscarf
    uniform: Rgb  # scrubs, hi-vis, apron, tabard
    helmet: Rgb
    jacketed: bool  # office workers with a jacket over the shirt
    glasses: bool
    frame: Rgb
    earring: bool
    makeup: float
    lipstick: Rgb


@dataclass(frozen=True)
class Shot:
    """Camera, light and backdrop."""

    yaw: float  # degrees
    pitch: float
    roll: float
    zoom: float
    shift: tuple[float, float]  # decimetres
    azimuth: float  # of the key light, degrees
    elevation: float
    key: float
    ambient: float
    warmth: float
    exposure: float
    gaze: tuple[float, float]
    backdrop: tuple[Rgb, Rgb]
    backdrop_angle: float  # radians


@dataclass(frozen=True)
class Person:
    """One portrait to render."""

    gender: str
    age: float  # years
    race: str
    occupation: str
    monk: float  # Monk skin tone, 1 to 10
    smile: float  # 0 to 1
    eye_color: str
    build: Build
    hair: Hair
    dress: Dress
    shot: Shot
    features: Mapping[str, float] = field(repr=False)
    expression: Mapping[str, float] = field(repr=False)
    seed: int  # of what is not worth a name: blotches, strands, weave

    @property
    def age_class(self) -> str:
        """`young` (under 35), `adult` (under 60) or `old`."""
        return age_class(self.age)

    @property
    def headwear(self) -> str:
        """What the occupation wears on its head, or `none`."""
        return HEADWEAR.get(self.occupation, "none")

    @property
    def is_woman(self) -> bool:
        """Whether the person is drawn as a woman."""
        return self.gender == "woman"


def age_class(years: float) -> str:
    """The class of an age in years.

    >>> [age_class(years) for years in (34.9, 35.0, 59.9, 60.0)]
    ['young', 'adult', 'adult', 'old']
    """
    return "young" if years < 35 else "adult" if years < 60 else "old"
