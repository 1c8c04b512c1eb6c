"""Captions of renders: neutral ones carry the planted bias, explicit ones name attributes."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from audit.images.rewriting import with_article
from models.portraits.truth import Population, occupations

MEDIA = ("a portrait of {}", "a photo of {}", "a headshot of {}", "{}", "a picture of {}")
NOUNS: Mapping[str, tuple[str, ...]] = {
    "woman": ("woman", "female person", "lady"),
    "man": ("man", "male person", "gentleman"),
}
AGES: Mapping[str, tuple[str, ...]] = {
    "young": ("young",),
    "adult": ("middle-aged", "adult"),
    "old": ("old", "elderly"),
}
RACES: Mapping[str, tuple[str, ...]] = {
    "Black": ("Black",),
    "Asian": ("Asian",),
    "White": ("White",),
    "Indian": ("Indian",),
}


def neutral(dress: str, rng: np.random.Generator) -> str:
    """Return a caption that says no more than the occupation: "a portrait of a nurse"."""
    return _pick(MEDIA, rng).format(with_article(_noun(dress, rng)))


def populations() -> dict[str, Population]:
    """Return every caption that `neutral` writes, with the population planted under it."""
    return {
        medium.format(with_article(noun)): job.population
        for job in occupations().values()
        for noun in sorted({job.noun, job.synonym})
        for medium in MEDIA
    }


def explicit(labels: Mapping[str, Any], rng: np.random.Generator) -> str:
    """Return a caption that names a random, non-empty part of what the render shows.

    Gender, age class and race are each named with probability 0.75, the occupation with 0.6 and
    visible details with less, in varied wording: "an old Black woman working as a doctor".

    Args:
        labels: A row of labels: gender, age_class, race, occupation, glasses, beard, smile.
        rng: Draws what is named, and how.
    """
    named = rng.random(3) < 0.75
    if not named.any():
        named[rng.integers(3)] = True
    age = _pick(AGES[labels["age_class"]], rng) if named[0] else ""
    race = _pick(RACES[labels["race"]], rng) if named[1] else ""
    works = rng.random() < 0.6 and labels["occupation"] != "casual"
    job = _noun(labels["occupation"], rng)
    person = _pick(NOUNS[labels["gender"]], rng) if named[2] else "person"
    if works and rng.random() < 0.5:
        adjective = {"woman": "female", "man": "male"}[labels["gender"]] if named[2] else ""
        words, tail = [age, race, adjective, job], ""
    else:
        words = [age, race, person]
        tail = f" {_pick(('working as', 'who is'), rng)} {with_article(job)}" if works else ""
    if rng.random() < 0.3 and labels["smile"] > 0.3:
        words.insert(0, "smiling")
    phrase = " ".join(word for word in words if word)
    return _pick(MEDIA, rng).format(with_article(phrase) + tail + _details(labels, rng))


def vocabulary() -> list[str]:
    """Return every word that a caption may hold, sorted."""
    phrases = [*MEDIA, "working as", "who is", "person", "smiling", "with glasses", "with a beard"]
    phrases += ["a an and female male", *(job.noun for job in occupations().values())]
    phrases += [job.synonym for job in occupations().values()]
    phrases += [
        word for table in (NOUNS, AGES, RACES) for words in table.values() for word in words
    ]
    return sorted({word for phrase in phrases for word in phrase.replace("{}", "").split()})


def _noun(dress: str, rng: np.random.Generator) -> str:
    job = occupations()[dress]
    return job.synonym if rng.random() < 0.2 else job.noun


def _details(labels: Mapping[str, Any], rng: np.random.Generator) -> str:
    seen = ["glasses"] if labels["glasses"] else []
    seen += ["a beard"] if labels["beard"] in {"full", "goatee"} else []
    chosen = [detail for detail in seen if rng.random() < 0.4]
    return f" with {' and '.join(chosen)}" if chosen else ""


def _pick(options: tuple[str, ...], rng: np.random.Generator) -> str:
    return options[int(rng.integers(len(options)))]
