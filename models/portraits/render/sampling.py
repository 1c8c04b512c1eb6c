"""Who is rendered: every parameter of a portrait, drawn from one generator.

Gender, age, race and occupation are drawn independently and uniformly. Hair, beard, make-up,
glasses and greying depend on them, as cues that make a drawn person recognisable; they are
conventions of dress and morphology, stereotyped by construction, and say nothing about people.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from audit.errors import SpecError, unknown

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

# Mean and spread of the Monk tone (1-10) that goes with each morph.
TONES = {"Black": (7.5, 0.9), "Asian": (3.9, 0.8), "White": (2.5, 0.9), "Indian": (5.6, 0.7)}
INDIAN_MORPH = (
    60,
    20,
    16,
)  # Dirichlet weights of caucasian, african and asian: no morph of its own
HAIR_COLORS: dict[str, Rgb] = {
    "black": (22, 18, 17),
    "darkbrown": (48, 33, 25),
    "brown": (84, 56, 37),
    "lightbrown": (126, 92, 60),
    "blond": (196, 160, 104),
    "red": (140, 66, 32),
    "grey": (142, 140, 138),
    "white": (198, 195, 190),
}
IRISES: dict[str, Rgb] = {
    "brown": (74, 44, 24),
    "hazel": (98, 78, 42),
    "green": (88, 104, 70),
    "blue": (86, 120, 150),
    "grey": (120, 128, 132),
}
# Spread of each facial feature; those of an eye, cheek or ear move both sides together.
FEATURES = {
    "chin-height-incr": 0.24,
    "chin-prominent-incr": 0.24,
    "chin-width-incr": 0.28,
    "chin-bones-incr": 0.24,
    "forehead-scale-vert-incr": 0.24,
    "head-fat-incr": 0.24,
    "head-scale-horiz-incr": 0.20,
    "head-scale-vert-incr": 0.16,
    "mouth-scale-horiz-incr": 0.28,
    "mouth-upperlip-volume-incr": 0.24,
    "mouth-lowerlip-volume-incr": 0.24,
    "mouth-trans-up": 0.20,
    "nose-scale-vert-incr": 0.24,
    "nose-scale-horiz-incr": 0.24,
    "nose-point-up": 0.32,
    "nose-hump-incr": 0.28,
    "nose-nostrils-width-incr": 0.24,
    "nose-trans-up": 0.20,
    "nose-volume-incr": 0.24,
    "eyebrows-trans-up": 0.24,
    "eyebrows-angle-up": 0.24,
    "cheek-bones-incr": 0.28,
    "cheek-volume-incr": 0.28,
    "eye-scale-incr": 0.24,
    "eye-height2-incr": 0.24,
    "eye-trans-up": 0.16,
    "eye-trans-out": 0.20,
    "eye-corner1-up": 0.24,
    "eye-corner2-up": 0.20,
    "ear-scale-incr": 0.24,
    "ear-wing-incr": 0.24,
    "eye-bag-incr": 0.12,
}
PAIRED = ("cheek", "eye", "ear")
# What moves the mean of a feature: the two genders, the Asian morph, and age (times `shrinking`).
FEMININE = {
    "neck-scale-horiz-incr": -0.35,
    "neck-scale-depth-incr": -0.20,
    "chin-bones-incr": -0.35,
    "chin-height-incr": -0.25,
    "chin-width-incr": -0.30,
    "mouth-upperlip-volume-incr": 0.25,
    "mouth-lowerlip-volume-incr": 0.20,
    "eye-scale-incr": 0.45,
    "eye-height2-incr": 0.20,
    "nose-volume-incr": -0.25,
    "nose-scale-vert-incr": -0.10,
    "nose-scale-horiz-incr": -0.15,
    "forehead-nubian-incr": 0.20,
    "cheek-volume-incr": 0.15,
    "eyebrows-trans-up": 0.25,
}
MASCULINE = {
    "neck-scale-horiz-incr": 0.25,
    "chin-bones-incr": 0.45,
    "chin-width-incr": 0.30,
    "eyebrows-trans-forward": 0.30,
    "head-scale-horiz-incr": 0.10,
    "nose-volume-incr": 0.15,
    "eye-scale-incr": 0.20,
}
ASIAN = {"eye-epicanthus-out": -0.40}
AGED = {
    "head-age-incr": 1.25,
    "eye-bag-incr": 0.95,
    "eye-eyefold-up": -0.40,
    "eye-height2-incr": -0.25,
    "cheek-volume-incr": -0.35,
    "mouth-upperlip-volume-incr": -0.55,
    "mouth-lowerlip-volume-incr": -0.35,
    "mouth-laugh-lines-out": -0.85,
    "mouth-angles-up": -0.30,
    "ear-scale-incr": 0.30,
    "nose-point-up": -0.25,
    "neck-double-incr": 0.35,
    "chin-jaw-drop-incr": 0.25,
}


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


def ageing(years: float) -> float:
    """How far a face has aged: 0 at 20, about 1 at 75.

    It rises fastest round 35 and round 60, so that the three age classes can be told apart.
    """
    steps = 0.28 / (1 + np.exp(-(years - 37) / 3.0)) + 0.40 / (1 + np.exp(-(years - 60.5) / 3.0))
    return float(steps + 0.26 * np.clip((years - 26) / 54, 0, 1.1))


def draw(
    rng: np.random.Generator,
    *,
    gender: str | None = None,
    age: float | None = None,
    race: str | None = None,
    occupation: str | None = None,
) -> Person:
    """Draw a person; what is given is fixed, the rest is drawn, gender, age, race and job uniformly.

    The generator is consumed alike whether or not an attribute is fixed, so that fixing one
    changes no other.
    """
    drawn = (
        rng.choice(GENDERS),
        rng.uniform(*AGE_RANGE),
        rng.choice(RACES),
        rng.choice(OCCUPATIONS),
    )
    gender = _known("gender", gender or str(drawn[0]), GENDERS)
    age = float(drawn[1] if age is None else age)
    race = _known("race", race or str(drawn[2]), RACES)
    occupation = _known("occupation", occupation or str(drawn[3]), OCCUPATIONS)
    if not AGE_RANGE[0] <= age <= AGE_RANGE[1]:
        raise SpecError(f"age is {age:g}; it can be {AGE_RANGE[0]:g} to {AGE_RANGE[1]:g} years")
    woman, aged = gender == "woman", ageing(age)
    smile = float(rng.uniform(0.35, 1.0)) if rng.uniform() < 0.55 else 0.0
    build = _build(rng, woman, aged, race)
    eye_color = _pick(
        rng,
        dict(brown=42, hazel=16, green=12, blue=22, grey=8) if race == "White" else dict(brown=1),
    )
    return Person(
        gender=gender,
        age=age,
        race=race,
        occupation=occupation,
        monk=float(np.clip(rng.normal(*TONES[race]), 1, 10)),
        smile=smile,
        eye_color=eye_color,
        build=build,
        features=_features(rng, woman, aged, age, race),
        expression=_expression(rng, smile),
        hair=_hair(rng, woman, age, race),
        dress=_dress(rng, woman, aged, occupation),
        shot=_shot(rng),
        seed=int(rng.integers(1 << 30)),
    )


def _known(kind: str, name: str, known: Sequence[str]) -> str:
    if name not in known:
        raise SpecError(unknown(kind, name, known))
    return name


def _pick(rng: np.random.Generator, weights: Mapping[str, float]) -> str:
    """Draw a key with probability proportional to its weight."""
    p = np.array(list(weights.values()), float)
    return str(rng.choice(list(weights), p=p / p.sum()))


def _rgb(rng: np.random.Generator, palette: Sequence[Rgb], spread: float = 8) -> Rgb:
    """One colour of a palette, varied a little."""
    r, g, b = np.clip(
        np.array(palette[rng.integers(len(palette))]) + rng.uniform(-spread, spread, 3), 3, 250
    )
    return float(r), float(g), float(b)


def _build(rng: np.random.Generator, woman: bool, aged: float, race: str) -> Build:
    share = rng.uniform(0.85, 1)
    split = rng.uniform()
    caucasian, african, asian = rng.dirichlet(INDIAN_MORPH)
    if race == "Indian":
        morph = {"african": float(african), "asian": float(asian), "caucasian": float(caucasian)}
    else:
        own = {"Black": "african", "Asian": "asian", "White": "caucasian"}[race]
        first, second = (m for m in ("african", "asian", "caucasian") if m != own)
        morph = {own: share, first: (1 - share) * split, second: (1 - share) * (1 - split)}
    blur = 0.4 * rng.beta(2, 12)
    return Build(
        femininity=float(1 - blur if woman else blur),
        muscle=float(np.clip(rng.normal(0.42 if woman else 0.70, 0.1), 0, 1)),
        weight=float(np.clip(rng.normal(0.5 + 0.08 * aged, 0.13), 0.15, 0.95)),
        proportions=float(rng.uniform(0, 0.4)),
        morph=morph,
    )


def _features(
    rng: np.random.Generator, woman: bool, aged: float, age: float, race: str
) -> dict[str, float]:
    values = {name: float(rng.normal(0, spread)) for name, spread in FEATURES.items()}
    youth = float(np.clip((33 - age) / 12, 0, 1))
    means = [FEMININE if woman else MASCULINE, ASIAN if race == "Asian" else {}]
    means += [{name: shift * aged for name, shift in AGED.items()}]
    means += [{"head-age-incr": -0.45 * youth, "cheek-volume-incr": 0.2 * youth}]
    for mean in means:
        for name, shift in mean.items():
            values[name] = values.get(name, 0.0) + shift
    both = {}
    for name, value in values.items():
        for side in ("l-", "r-") if name.split("-")[0] in PAIRED else ("",):
            both[side + name] = float(np.clip(value, -1.3, 1.3))
    return both


def _expression(rng: np.random.Generator, smile: float) -> dict[str, float]:
    """ARKit's facial actions; a broad smile opens the lips."""
    raised = float(rng.uniform(0.05, 0.3))
    still = float(rng.uniform(0, 0.12))
    teeth = float(np.clip((smile - SMILE_OPENS) / 0.25, 0, 1))
    actions = {"browInnerUp": raised, "jawOpen": 0.05 * teeth}
    for side in ("Left", "Right"):
        actions[f"mouthSmile{side}"] = max(still, 0.9 * smile)
        actions[f"cheekSquint{side}"] = 0.55 * smile
        actions[f"eyeSquint{side}"] = 0.2 * smile
        actions[f"mouthDimple{side}"] = 0.2 * smile
        actions[f"mouthUpperUp{side}"] = 0.55 * teeth
        actions[f"mouthLowerDown{side}"] = 0.5 * teeth
    return actions


def _hair(rng: np.random.Generator, woman: bool, age: float, race: str) -> Hair:
    if race == "White":
        color = _pick(rng, dict(black=8, darkbrown=25, brown=27, lightbrown=17, blond=17, red=6))
    else:
        color = _pick(rng, dict(black=75, darkbrown=25))
    dyed = rng.uniform() < (0.12 if woman else 0.0)
    onset = rng.normal(0, 3.5)
    grey = 0.0 if dyed else float(1 / (1 + np.exp(-(age - 55 + onset) / 3.5)))
    target = "grey" if age < 68 else "white"
    own = np.array(HAIR_COLORS[color]) * rng.uniform(0.85, 1.15)
    faded = np.array(HAIR_COLORS[target]) * rng.uniform(0.9, 1.06)
    r, g, b = np.clip(own + (faded - own) * grey, 0, 245)
    style = _pick(rng, _styles(woman, age, race))
    beards = dict(none=47, stubble=23, full=14, goatee=9, moustache=7)
    return Hair(
        style=style,
        color=color if grey < 0.5 else target,
        srgb=(float(r), float(g), float(b)),
        grey=grey,
        length=float(rng.choice([5.0, 5.6, 6.05, 6.35])) if style == "long01" else 5.0,
        wave=float(rng.uniform(0.4, 1.4)) if rng.uniform() < 0.5 else 0.0,
        fringe=float(rng.uniform(7.62, 7.74)),
        receding=0.0
        if woman
        else float(np.clip(rng.normal(0.2 * np.clip((age - 30) / 40, 0, 1), 0.05), 0, 0.35)),
        beard="none" if woman else _pick(rng, beards),
    )


def _styles(woman: bool, age: float, race: str) -> dict[str, float]:
    """Weights of the hair styles: meshes by name, and shells grown from the scalp."""
    if woman and race == "Black":
        styles = dict(long01=36, bob02=16, bun=14, afro01=20, coily=6, buzz=2, short03=3)
    elif woman:
        styles = dict(long01=48, bob02=22, bun=15, short03=8, bob01=2)
    elif race == "Black":
        styles = dict(buzz=40, coily=25, crew=12, bald=12, afro01=6, short02=2)
    else:
        styles = dict(
            short01=16, short02=24, short04=22, crew=18, buzz=14, bald=2, long01=2, ponytail01=2
        )
    weights = {style: float(weight) for style, weight in styles.items()}
    if woman and age > 60:
        weights["long01"] *= 0.4
        for style in ("bob02", "short03"):
            weights[style] += 20
    if not woman and age > 45:
        bald = 45 * float(np.clip((age - 45) / 25, 0, 1))
        weights["horseshoe"] = bald
        weights["bald"] = weights.get("bald", 0.0) + bald / 2
    return weights


# Colours by occupation; a shirt or a T-shirt may have any colour where none is named.
UNIFORMS: dict[str, tuple[Rgb, ...]] = {
    "nurse": ((32, 138, 140), (46, 116, 176), (70, 160, 190), (60, 150, 120)),
    "barista": ((38, 34, 32), (28, 66, 44), (98, 56, 34)),
    "construction": ((215, 235, 40), (255, 130, 20)),
    "cleaner": ((236, 96, 148), (250, 200, 50), (150, 90, 190), (240, 120, 60)),
    "firefighter": ((36, 36, 42), (30, 36, 58), (50, 40, 34)),
}
SHIRTS: dict[str, tuple[Rgb, ...]] = {
    "office": (
        (206, 220, 236),
        (226, 226, 224),
        (150, 182, 214),
        (222, 196, 206),
        (196, 214, 190),
    ),
    "barista": ((232, 228, 218), (226, 214, 190), (196, 200, 204)),
    "cleaner": ((226, 230, 232), (190, 210, 224)),
    "doctor": ((60, 120, 160), (40, 130, 125), (170, 196, 222), (222, 226, 230)),
    "construction": ((30, 32, 40), (45, 50, 62), (70, 70, 74), (90, 76, 60)),
    "executive": ((228, 228, 228),),
}
JACKETS: dict[str, tuple[Rgb, ...]] = {
    "office": ((112, 106, 98), (132, 112, 86), (96, 112, 128), (120, 124, 116)),
    "executive": ((20, 21, 26), (22, 28, 48), (44, 45, 50)),
}
ACCENTS: dict[str, tuple[Rgb, ...]] = {
    "executive": ((176, 22, 30), (32, 74, 170), (120, 18, 40), (206, 160, 40)),
    "cook": ((196, 34, 36), (34, 80, 170), (36, 120, 70)),
    "office": ((190, 40, 44), (30, 90, 180), (40, 140, 90), (226, 150, 30)),
    "cleaner": ((210, 40, 60), (40, 110, 200), (90, 170, 80), (240, 190, 60)),
}
HELMETS: dict[str, tuple[Rgb, ...]] = {
    "construction": ((245, 200, 40), (235, 235, 230), (60, 110, 200), (230, 120, 30)),
    "firefighter": ((186, 22, 22), (24, 24, 26)),
}


def _dress(rng: np.random.Generator, woman: bool, aged: float, occupation: str) -> Dress:
    any_color = rng.uniform(30, 215, 3)
    free: Rgb = (float(any_color[0]), float(any_color[1]), float(any_color[2]))
    made_up = woman and rng.uniform() < 0.8
    frame = _rgb(rng, ((40, 40, 42), (40, 40, 42), (120, 60, 40), (60, 70, 110), (130, 120, 110)))

    def by_job(table: Mapping[str, Sequence[Rgb]]) -> Rgb:
        return _rgb(rng, table.get(occupation, (free,)))

    return Dress(
        shirt=by_job(SHIRTS),
        jacket=by_job(JACKETS),
        accent=by_job(ACCENTS),
        uniform=by_job(UNIFORMS),
        helmet=by_job(HELMETS),
        jacketed=bool(rng.uniform() < 0.45),
        glasses=bool(rng.uniform() < 0.13 + 0.2 * aged),
        frame=frame,
        earring=bool(woman and rng.uniform() < 0.65),
        makeup=float(rng.uniform(0.35, 1)) if made_up else 0.15 * woman,
        lipstick=_rgb(rng, ((168, 60, 66), (190, 80, 90), (150, 40, 50), (180, 90, 88))),
    )


def _shot(rng: np.random.Generator) -> Shot:
    level = rng.uniform(45, 225)
    r, g, b = np.clip(level + rng.uniform(-25, 25, 3), 15, 240)
    # The far end of the backdrop is darker by this factor in linear light, 1/2.2 of it in sRGB.
    fall = rng.uniform(0.35, 0.9) ** (1 / 2.2)
    return Shot(
        yaw=float(np.clip(rng.normal(0, 11), -24, 24)),
        pitch=float(rng.normal(0, 4)),
        roll=float(rng.normal(0, 2.5)),
        zoom=float(rng.uniform(0.94, 1.08)),
        shift=(float(rng.normal(0, 0.06)), float(rng.normal(0, 0.06))),
        azimuth=float(rng.uniform(-60, 60)),
        elevation=float(rng.uniform(15, 50)),
        key=float(rng.uniform(0.8, 1.5)),
        ambient=float(rng.uniform(0.45, 0.85)),
        warmth=float(rng.normal(0, 0.06)),
        exposure=float(rng.normal(1, 0.06)),
        gaze=(float(rng.normal(0, 0.07)), float(rng.normal(0, 0.07))),
        backdrop=(
            (float(r), float(g), float(b)),
            (float(r * fall), float(g * fall), float(b * fall)),
        ),
        backdrop_angle=float(rng.uniform(0, 2 * np.pi)),
    )
