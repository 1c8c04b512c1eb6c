"""Prompts that ask for a class: left out of fairness, counted as obeyed, left alone by arms."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from small_spec import changed, write
from tables import benchmark, one, tables

from audit.errors import SpecError
from audit.images.assignment import Assignment
from audit.images.drawing import Arm
from audit.measuring.measurement import measure
from audit.mitigations.prompt_quota import prompt_quota
from audit.spec import power
from audit.spec.planning import plan
from audit.spec.prompts import Prompt
from audit.spec.spec import load
from audit.storage.store import key
from audit.types import Request

PROMPTS = {
    "template": "a portrait of {gender} at work as {job}",
    "gender": {"woman": "a woman", "man": "a man", "any": "a person"},
    "job": {"cook": "a cook"},
}
ASKS = [
    {"id": "f", "text": "a woman", "asks": {"gender": "woman"}},
    {"id": "m", "text": "a man", "asks": {"gender": "man"}},
    {"id": "cook", "text": "a cook"},
]


def measured(prompts, rows):
    arms = {arm: {p: list(said) for p, said in rows_.items()} for arm, rows_ in rows.items()}
    images, labels = tables(arms)
    asking = benchmark().model_copy(update={"prompts": parsed(prompts)})
    return measure(images, labels, asking)


def parsed(prompts):
    return tuple(Prompt.model_validate(prompt) for prompt in prompts)


F, M = "woman", "man"


def test_a_slot_named_as_an_attribute_says_what_is_asked_for(tmp_path):
    spec = load(write(tmp_path, changed(occupations__prompts=PROMPTS)))
    by_prompt = {r.prompt_id: r.asks for r in plan(spec.benchmarks["occupations"]).requests}
    assert by_prompt == {"woman-cook": ("woman",), "man-cook": ("man",), "any-cook": ()}


def test_an_id_of_such_a_slot_that_is_no_class_is_a_mistake(tmp_path):
    wrong = {**PROMPTS, "gender": {"womann": "a woman"}}
    with pytest.raises(SpecError, match=r"womann.*did you mean 'woman'"):
        load(write(tmp_path, changed(occupations__prompts=wrong)))


def test_prompts_that_ask_count_as_obeyed_and_not_as_unfair():
    """Of 20 images whose prompt asks, 18 are as asked; the cooks alone are 3 to 1."""
    rows = {"f": [F] * 10, "m": [M] * 8 + [F] * 2, "cook": [F] * 3 + [M]}
    found = measured(ASKS, {"none": rows})
    obeyed = one(found, "obeyed")
    assert (obeyed.value, obeyed.n, obeyed.direction) == (pytest.approx(0.9), 20, "higher")
    assert one(found, "obeyed", prompt="m").value == pytest.approx(0.8)
    assert one(found, "share", class_="woman").value == pytest.approx(0.75)
    assert one(found, "share", class_="woman").n == 4
    # The worst prompt is the cook: sqrt(2) x .25; a woman asked for and drawn is no bias of .71.
    assert one(found, "fd_worst").value == pytest.approx(0.25 * 2**0.5)
    assert {m.prompt for m in found.measurements if m.metric == "fd"} == {None, "cook"}


def test_where_every_prompt_asks_there_is_no_share_and_obedience_still():
    found = measured(ASKS[:2], {"none": {"f": [F] * 3 + ["no_face"], "m": [M] * 4}})
    metrics = {m.metric for m in found.measurements}
    assert metrics == {"obeyed"}
    assert one(found, "obeyed").n == 7
    lost = [s for s in found.states if s.state == "no_face" and s.probe and s.prompt is None]
    assert [s.count for s in lost] == [1], "what was not read is told all the same"


def test_an_arm_that_ignores_its_prompts_is_told_by_how_much_less_it_obeys():
    none = {"f": [F] * 20, "m": [M] * 20, "cook": [F, M] * 10}
    steered = {"f": [F, M] * 10, "m": [M] * 20, "cook": [F, M] * 10}
    found = measured(ASKS, {"none": none, "steer": steered})
    (change,) = (d for d in found.comparisons if d.metric == "obeyed" and d.prompt is None)
    assert change.value == pytest.approx(-0.25)
    assert change.ci_low < -0.25 < change.ci_high < 0
    assert change.p < 0.01


def test_who_asks_for_a_class_is_not_steered_to_another():
    assignment = Assignment(("woman", "man"), {"woman": 0.5, "man": 0.5})
    asked = [Request("x", "x", i, i, 4, 1.0, ("old", "man")) for i in range(20)]
    free = [replace(request, asks=()) for request in asked]
    assert {assignment(r) for r in asked} == {1}
    assert {assignment(r) for r in free} == {0, 1}


def test_a_quota_says_no_gender_to_who_asks_for_one():
    target = {"gender": {"woman": 1.0, "man": 0.0}, "age": {"young": 1.0}}
    words = {"age": {"young": "young"}}
    quota = prompt_quota(target=target, words=words)
    request = Request("x", "a portrait of a man", 0, 0, 4, 1.0, ("man",))
    assert quota.rewrite(request) == "a portrait of a young man"
    assert quota.rewrite(replace(request, asks=())) == "a portrait of a young female man"


def test_images_keep_their_keys_where_nobody_asks():
    """The digest of a request as it was before requests could ask."""
    made = SimpleNamespace(fingerprint="f")
    request = Request("x", "a cook", 0, 1, 4, 1.0)
    before = {"prompt_id": "x", "prompt": "a cook", "index": 0, "seed": 1, "steps": 4}
    before["guidance_scale"] = 1.0
    arm = Arm("none", made, made)
    assert arm.key(request) == key(kind="image", model="f", mitigation="f", request=before)
    assert arm.key(replace(request, asks=("woman",))) != arm.key(request)


def test_a_gate_on_obedience_needs_prompts_that_ask(tmp_path):
    gate = [{"metric": "obeyed", "attribute": "gender", "min": 0.9}]
    with pytest.raises(SpecError, match="needs prompts that ask"):
        load(write(tmp_path, changed(occupations__gates=gate)))
    race = [{**gate[0], "attribute": "race"}]
    with pytest.raises(SpecError, match="no prompt asks for a class of 'race'"):
        load(write(tmp_path, changed(occupations__gates=race, occupations__prompts=PROMPTS)))
    both = {"occupations__gates": gate, "occupations__prompts": PROMPTS}
    assert load(write(tmp_path, changed(**both))).benchmarks["occupations"].gates


def test_a_plan_counts_for_fairness_only_prompts_that_do_not_ask(tmp_path):
    spec = load(write(tmp_path, changed(occupations__prompts=PROMPTS)))
    found = {one.attribute: one.images for one in power.reach(spec.benchmarks["occupations"])}
    assert found == {"gender": 3, "age": 9, "race": 9}
    both = {k: v for k, v in PROMPTS["gender"].items() if k != "any"}
    spec = load(write(tmp_path, changed(occupations__prompts={**PROMPTS, "gender": both})))
    assert [one.attribute for one in power.reach(spec.benchmarks["occupations"])] == [
        "age",
        "race",
    ]
