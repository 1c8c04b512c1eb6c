"""The planted truth, the weights that realise it, and the captions that tell of it."""

import numpy as np
import pandas as pd
import pytest

from models.portraits import captions
from models.portraits.render.person import OCCUPATIONS
from models.portraits.truth import occupations, population, read, weights

POPULATIONS = {
    "unconditional": population("unconditional"),
    "unconditional-fair": population("unconditional-fair"),
    **{dress: job.population for dress, job in occupations().items()},
}


def renders(count=4000):
    """Labels drawn as the renderer draws them: evenly."""
    rng = np.random.default_rng(0)
    classes = read()["classes"]
    return pd.DataFrame(
        {
            "gender": rng.choice(classes["gender"], count),
            "age_class": rng.choice(classes["age"], count),
            "race": rng.choice(classes["race"], count),
        }
    )


@pytest.mark.parametrize("name", POPULATIONS)
@pytest.mark.parametrize("attribute", ["gender", "age", "race"])
def test_planted_shares_cover_the_classes_and_sum_to_one(name, attribute):
    shares = POPULATIONS[name].shares(attribute)
    assert list(shares) == read()["classes"][attribute]
    assert sum(shares.values()) == pytest.approx(1, abs=1e-9)


def test_age_is_mixed_over_gender():
    # 0.30 * 0.60 of women and 0.70 * 0.26 of men are young.
    assert population("unconditional").shares("age")["young"] == pytest.approx(0.362)


def test_the_control_is_fair():
    fair = population("unconditional-fair")
    for attribute in ("gender", "age", "race"):
        shares = list(fair.shares(attribute).values())
        assert shares == pytest.approx([1 / len(shares)] * len(shares))


def test_every_dress_of_the_renderer_has_a_planted_truth():
    assert set(occupations()) == set(OCCUPATIONS)


@pytest.mark.parametrize("name", POPULATIONS)
def test_weighted_renders_follow_the_planted_shares(name):
    labels, planted = renders(), POPULATIONS[name]
    weight = weights(labels, planted)
    assert weight.sum() == pytest.approx(1)
    for attribute, column in {"gender": "gender", "age": "age_class", "race": "race"}.items():
        for label, share in planted.shares(attribute).items():
            assert weight[labels[column] == label].sum() == pytest.approx(share)


def test_a_cell_without_renders_is_named():
    labels = renders().query("not (gender == 'woman' and age_class == 'old' and race == 'Asian')")
    with pytest.raises(ValueError, match="no render of woman/old/Asian"):
        weights(labels, population("unconditional"))


ROW = {
    "gender": "woman",
    "age_class": "old",
    "race": "Indian",
    "occupation": "doctor",
    "glasses": True,
    "beard": "none",
    "smile": 0.0,
}


def test_a_neutral_caption_tells_nothing_but_the_occupation():
    rng = np.random.default_rng(0)
    said = {word for _ in range(200) for word in captions.neutral("nurse", rng).split()}
    assert "nurse" in said
    told = {
        w for t in (captions.AGES, captions.RACES, captions.NOUNS) for v in t.values() for w in v
    }
    assert not said & told


def test_an_explicit_caption_never_contradicts_the_render():
    rng = np.random.default_rng(0)
    texts = [captions.explicit(ROW, rng) for _ in range(400)]
    wrong = {"man", "male", "gentleman", "young", "adult", "Black", "Asian", "White", "beard"}
    assert not {word for text in texts for word in text.split()} & wrong
    assert any("woman" in text or "lady" in text for text in texts)
    assert any("doctor" in text and "Indian" in text and "elderly" in text for text in texts)


def test_an_explicit_caption_always_names_an_attribute():
    rng = np.random.default_rng(1)
    cues = ("woman", "female", "lady", "old", "elderly", "Indian")
    texts = [captions.explicit(ROW, rng) for _ in range(400)]
    assert [text for text in texts if not any(cue in text for cue in cues)] == []


def test_every_caption_is_made_of_the_vocabulary():
    rng = np.random.default_rng(2)
    words = set(captions.vocabulary())
    rows = [ROW | {"occupation": dress, "smile": 0.9} for dress in OCCUPATIONS]
    texts = [captions.explicit(row, rng) for row in rows for _ in range(30)]
    texts += [captions.neutral(dress, rng) for dress in OCCUPATIONS for _ in range(30)]
    assert {word for text in texts for word in text.split()} <= words


def test_every_neutral_caption_has_a_planted_population():
    rng = np.random.default_rng(0)
    planted = captions.populations()
    for dress, job in occupations().items():
        for _ in range(40):
            assert planted[captions.neutral(dress, rng)] is job.population
