"""Prompts, seeds and requests: the same on every machine and for every arm."""

import json

import pytest
from small_spec import changed, write

from audit.spec.planning import estimate, long_prompts, plan, seed
from audit.spec.prompts import expand, slug
from audit.spec.schema import FieldError
from audit.spec.spec import load


def planned(tmp_path, name="occupations", **changes):
    return plan(load(write(tmp_path, changed(**changes))).benchmarks[name])


def test_seed_of_the_published_rule():
    assert seed(0, "doctor", 0) == 7561501971119465061


def test_seeds_differ_by_each_of_their_parts():
    assert (
        len(
            {seed(0, "doctor", 0), seed(1, "doctor", 0), seed(0, "nurse", 0), seed(0, "doctor", 1)}
        )
        == 4
    )
    # The separator keeps ("1", "1x") and ("11", "x") apart.
    assert seed(1, "1x", 0) != seed(11, "x", 0)
    assert all(0 <= seed(0, "doctor", i) < 2**63 for i in range(100))


def test_requests_come_in_the_order_of_prompts(tmp_path):
    work = planned(tmp_path)
    assert [(r.prompt_id, r.index) for r in work.requests] == [
        ("doctor", 0), ("doctor", 1), ("doctor", 2), ("nurse", 0), ("nurse", 1), ("nurse", 2),
    ]  # fmt: skip
    first = work.requests[0]
    assert (first.prompt, first.seed) == ("a portrait of a doctor", 7561501971119465061)
    assert (first.steps, first.guidance_scale) == (20, 4.0)


def test_unconditional_requests_have_no_prompt_and_no_guidance(tmp_path):
    work = planned(tmp_path, "portraits")
    assert work.prompts == ()
    assert {(r.prompt_id, r.prompt, r.guidance_scale) for r in work.requests} == {("-", "", 1.0)}
    assert work.arms == ("none", "steer")
    assert work.images == 16


def test_more_images_leave_the_first_ones_as_they_are(tmp_path):
    few = planned(tmp_path)
    many = planned(tmp_path, occupations__images_per_prompt=5)
    assert set(few.requests) < set(many.requests)


def test_another_prompt_leaves_the_others_as_they_are(tmp_path):
    before = planned(tmp_path)
    jobs = {"template": "a portrait of a {job}", "job": ["baker", "doctor", "nurse"]}
    after = planned(tmp_path, occupations__prompts=jobs)
    assert set(before.requests) < set(after.requests)


def test_shared_seeds_are_the_same_for_every_prompt(tmp_path):
    work = planned(tmp_path, occupations__seed_scheme="shared")
    by_prompt = {
        p.id: [r.seed for r in work.requests if r.prompt_id == p.id] for p in work.prompts
    }
    assert by_prompt["doctor"] == by_prompt["nurse"]
    assert len(set(by_prompt["doctor"])) == 3


def test_estimate_counts_what_is_left(tmp_path):
    left = estimate(
        planned(tmp_path, "portraits"), cached=6, seconds_per_image=0.5, bytes_per_image=1000
    )
    assert (left.images, left.cached, left.seconds, left.bytes) == (16, 6, 5.0, 10_000)


def test_prompts_that_clip_cuts(tmp_path):
    prompts = ["a nurse", {"id": "long", "text": "very " * 80 + "long"}]
    assert [p.id for p in long_prompts(planned(tmp_path, occupations__prompts=prompts))] == [
        "long"
    ]


def test_templates_expand_over_every_combination(tmp_path):
    written = {
        "template": "{age} {job}",
        "age": ["young", "old"],
        "job": {"md": "doctor", "rn": "nurse"},
    }
    assert [(p["id"], p["text"]) for p in expand(written, tmp_path)] == [
        ("young-md", "young doctor"),
        ("young-rn", "young nurse"),
        ("old-md", "old doctor"),
        ("old-rn", "old nurse"),
    ]


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("chief executive", "chief-executive"),
        ("CEO", "ceo"),
        ("a photo of a  doctor", "a-photo-of-a-doctor"),
        ("doctor!", "doctor-e38d7cf2"),  # the first digits of its sha256
        ("con", "con-1143da2b"),  # no file of Windows may be called con
        ("医生", "e8ec877c"),
    ],
)
def test_ids_are_readable_and_never_confuse_two_texts(text, key):
    assert slug(text) == key


@pytest.mark.parametrize(
    ("name", "content", "texts"),
    [
        ("p.txt", "# jobs\na doctor\n\n  a nurse \n", ["a doctor", "a nurse"]),
        ("p.csv", "id,prompt,source\nmd,a doctor,x\n,a nurse,y\n", ["a doctor", "a nurse"]),
        ("p.yaml", "[a doctor, {id: rn, text: a nurse}]", ["a doctor", "a nurse"]),
        ("p.json", json.dumps({"template": "a {x}", "prompts": ["doctor"]}), ["a doctor"]),
    ],
)
def test_prompts_from_a_file(tmp_path, name, content, texts):
    (tmp_path / name).write_text(content, "utf-8")
    assert [p["text"] for p in expand({"file": name}, tmp_path)] == texts


def test_a_template_in_the_spec_takes_the_lines_of_a_file(tmp_path):
    (tmp_path / "jobs.txt").write_text("doctor\nnurse\n")
    written = {"file": "jobs.txt", "template": "a photo of a {job}"}
    assert [p["text"] for p in expand(written, tmp_path)] == [
        "a photo of a doctor",
        "a photo of a nurse",
    ]


@pytest.mark.parametrize(
    ("name", "size"), [("heim", 28), ("winobias-36", 36), ("fair-diffusion", 153), ("difflens", 4)]
)
def test_published_sets(tmp_path, name, size):
    prompts = expand({"set": name}, tmp_path)
    assert len(prompts) == len({p["id"] for p in prompts}) == size


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("p.csv", "text\na doctor\n", "p.csv: needs a column `prompt`, has text"),
        ("p.yaml", "a: 1", "p.yaml: expected a list of prompts, or a mapping with `prompts`"),
        ("p.yaml", "[a, [", "p.yaml: line 2: is not YAML"),
        ("p.txt", "", "no prompts; at least one is needed"),
        ("p.pdf", "", "'p.pdf' must be one of .yaml, .yml, .json, .csv, .txt"),
    ],
)
def test_files_that_hold_no_prompts(tmp_path, name, content, says):
    (tmp_path / name).write_text(content)
    with pytest.raises(FieldError) as wrong:
        expand({"file": name}, tmp_path)
    assert says in str(wrong.value)
