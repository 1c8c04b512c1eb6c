"""Who is rendered: every parameter of a portrait, drawn from one generator.

Gender, age, race and occupation are drawn independently and uniformly. Hair, beard, make-up,
glasses and greying depend on them, as cues that make a drawn person recognisable; they are
conventions of dress and morphology, stereotyped by construction, and say nothing about people.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from audit.errors import SpecError, unknown
from models.portraits.render import anatomy, palette
from models.portraits.render.person import (
    AGE_RANGE,
    GENDERS,
    OCCUPATIONS,
    RACES,
    Dress,
    Hair,
    Person,
    Rgb,
    Shot,
)

# Weights of what goes with the groups.
EYES = {"brown": 42.0, "hazel": 16, "green": 12, "blue": 22, "grey": 8}
COLORS = {"black": 8.0, "darkbrown": 25, "brown": 27, "lightbrown": 17, "blond": 17, "red": 6}
DARK_COLORS = {"black": 75.0, "darkbrown": 25}
BEARDS = {"none": 47.0, "stubble": 23, "full": 14, "goatee": 9, "moustache": 7}
LENGTHS = (5.0, 5.6, 6.05, 6.35)  # canonical height at which long hair is cut: chest to jaw
# Hair styles by gender and by whether the morph is Black: meshes by name, and shells.
STYLES: dict[tuple[str, bool], dict[str, float]] = {
    ("woman", True): {
        "long01": 36,
        "bob02": 16,
        "bun": 14,
        "afro01": 20,
        "coily": 6,
        "buzz": 2,
        "short03": 3,
    },
    ("woman", False): {"long01": 48, "bob02": 22, "bun": 15, "short03": 8, "bob01": 2},
    ("man", True): {
        "buzz": 40,
        "coily": 25,
        "crew": 12,
        "bald": 12,
        "afro01": 6,
        "short02": 2,
    },
    ("man", False): {
        "short01": 16,
        "short02": 24,
        "short04": 22,
        "crew": 18,
        "buzz": 14,
        "bald": 2,
        "long01": 2,
        "ponytail01": 2,
    },
}


def draw(
    rng: np.random.Generator,
    *,
    gender: str | None = None,
    age: float | None = None,
    race: str | None = None,
    occupation: str | None = None,
) -> Person:
    """Draw a person: gender, age, race and job uniformly and independently, unless given.

    The four are drawn even where they are fixed, so that fixing one changes none of the others.

    Raises:
        SpecError: a name is unknown, or the age is out of range.
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
    woman, aged = gender == "woman", anatomy.ageing(age)
    smile = float(rng.uniform(0.35, 1.0)) if rng.uniform() < 0.55 else 0.0
    build = anatomy.build(rng, woman, aged, race)
    eye_color = _pick(rng, EYES if race == "White" else {"brown": 1})
    return Person(
        gender=gender,
        age=age,
        race=race,
        occupation=occupation,
        monk=float(np.clip(rng.normal(*anatomy.TONES[race]), 1, 10)),
        smile=smile,
        eye_color=eye_color,
        build=build,
        features=anatomy.features(rng, woman, aged, age, race),
        expression=anatomy.expression(rng, smile),
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
    base = np.array(palette[int(rng.integers(len(palette)))])
    r, g, b = np.clip(base + rng.uniform(-spread, spread, 3), 3, 250)
    return float(r), float(g), float(b)


def _hair(rng: np.random.Generator, woman: bool, age: float, race: str) -> Hair:
    color = _pick(rng, COLORS if race == "White" else DARK_COLORS)
    dyed = rng.uniform() < (0.12 if woman else 0.0)
    onset = rng.normal(0, 3.5)
    grey = 0.0 if dyed else float(1 / (1 + np.exp(-(age - 55 + onset) / 3.5)))
    target = "grey" if age < 68 else "white"
    own = np.array(palette.HAIR_COLORS[color]) * rng.uniform(0.85, 1.15)
    faded = np.array(palette.HAIR_COLORS[target]) * rng.uniform(0.9, 1.06)
    r, g, b = np.clip(own + (faded - own) * grey, 0, 245)
    style = _pick(rng, _styles(woman, age, race))
    return Hair(
        style=style,
        color=color if grey < 0.5 else target,
        srgb=(float(r), float(g), float(b)),
        grey=grey,
        length=float(rng.choice(LENGTHS)) if style == "long01" else LENGTHS[0],
        wave=float(rng.uniform(0.4, 1.4)) if rng.uniform() < 0.5 else 0.0,
        fringe=float(rng.uniform(7.62, 7.74)),
        receding=0.0 if woman else _receding(rng, age),
        beard="none" if woman else _pick(rng, BEARDS),
    )


def _receding(rng: np.random.Generator, age: float) -> float:
    mean = 0.2 * np.clip((age - 30) / 40, 0, 1)
    return float(np.clip(rng.normal(mean, 0.05), 0, 0.35))


def _styles(woman: bool, age: float, race: str) -> dict[str, float]:
    """Weights of the hair styles: meshes by name, and shells grown from the scalp."""
    weights = dict(STYLES["woman" if woman else "man", race == "Black"])
    if woman and age > 60:
        weights["long01"] *= 0.4
        for style in ("bob02", "short03"):
            weights[style] += 20
    if not woman and age > 45:
        bald = 45 * float(np.clip((age - 45) / 25, 0, 1))
        weights["horseshoe"] = bald
        weights["bald"] = weights.get("bald", 0.0) + bald / 2
    return weights


def _dress(rng: np.random.Generator, woman: bool, aged: float, occupation: str) -> Dress:
    any_color = rng.uniform(30, 215, 3)
    free: Rgb = (float(any_color[0]), float(any_color[1]), float(any_color[2]))
    made_up = woman and rng.uniform() < 0.8
    frame = _rgb(rng, ((40, 40, 42), (40, 40, 42), (120, 60, 40), (60, 70, 110), (130, 120, 110)))

    def by_job(table: Mapping[str, Sequence[Rgb]]) -> Rgb:
        return _rgb(rng, table.get(occupation, (free,)))

    return Dress(
        shirt=by_job(palette.SHIRTS),
        jacket=by_job(palette.JACKETS),
        accent=by_job(palette.ACCENTS),
        uniform=by_job(palette.UNIFORMS),
        helmet=by_job(palette.HELMETS),
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
