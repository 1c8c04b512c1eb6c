"""Portraits that a prompt asks for: who is asked, in which words, which labels are believed."""

from collections import Counter
from types import SimpleNamespace

import numpy as np
import pandas as pd

from models.portraits import reference
from models.portraits.captions import vocabulary
from models.portraits.drawing import people, prompt_for
from models.portraits.truth import NOMINAL


def test_people_are_even_over_all_kinds_and_the_same_for_a_seed():
    asked = list(people(48, seed=3))
    assert asked == list(people(48, seed=3))
    kinds = Counter(tuple(person[attribute] for attribute in NOMINAL) for person in asked)
    assert len(kinds) == 24
    assert set(kinds.values()) == {2}
    assert len({person["occupation"] for person in asked}) > 6


def test_a_prompt_names_all_of_a_person_in_words_that_the_model_knows():
    person = {"gender": "woman", "age": "old", "race": "Black", "occupation": "doctor"}
    prompt = prompt_for(person)
    assert prompt == "a photo of an old Black woman working as a doctor"
    assert set(prompt.split()) <= set(vocabulary())


def test_a_label_is_blank_where_the_classifier_sees_another_class(monkeypatch, tmp_path):
    """The second of four images shows a man where a woman was asked for."""
    classes = {"gender": ("woman", "man"), "age": ("young", "adult", "old")}
    wanted = list(people(4, seed=11))
    assert {person["gender"] for person in wanted} == {"woman"}
    shown = {
        "gender": np.eye(2)[[0, 1, 0, 0]],
        "age": np.eye(3)[[classes["age"].index(person["age"]) for person in wanted]],
    }
    reader = SimpleNamespace(
        classes=classes, read=lambda images: SimpleNamespace(probabilities=shown)
    )
    monkeypatch.setattr(reference, "portraits", lambda: reader)
    images = np.zeros((4, 8, 8, 3), np.uint8)
    monkeypatch.setattr(reference, "draw", lambda name, prompts, first: images[: len(prompts)])

    found = reference.asked(4)
    assert list(found.labels["gender"].isna()) == [False, True, False, False]
    assert list(found.labels["age_class"]) == [person["age"] for person in wanted]
    assert list(found.labels["occupation"]) == [person["occupation"] for person in wanted]

    reference.pack(found, tmp_path / "asked.parquet")
    packed = pd.read_parquet(tmp_path / "asked.parquet")
    assert list(packed.columns) == ["image", "gender", "age_class", "race", "occupation"]
    assert packed["gender"].fillna("").tolist() == ["woman", "", "woman", "woman"]
