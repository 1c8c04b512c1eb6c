"""What a spec may say; every mistake in one pass, word for word where the sentence is short."""

from contextlib import suppress

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from small_spec import VALID, changed, run, tree, write

from audit.errors import AuditError, RefusedError, SpecError
from audit.spec.spec import load


def messages(tmp_path, text, *overrides):
    """Return the mistakes in a spec, without the name of the file."""
    path = write(tmp_path, text)
    with pytest.raises(AuditError) as wrong:
        load(path, overrides)
    return str(wrong.value).replace(f"{path}:", "").split("\n")


def sentences(tmp_path, text, *overrides):
    """Return the mistakes without line and column."""
    return [m.split(": ", 1)[1] for m in messages(tmp_path, text, *overrides)]


def test_a_valid_spec_has_its_defaults_written_out(tmp_path):
    spec = load(write(tmp_path, changed()))
    portraits = spec.benchmarks["portraits"]
    assert [arm.label for arm in portraits.mitigations] == ["none", "steer"]
    assert portraits.mitigations[1].options == {"scale": 0.5}
    assert portraits.model_spec.options == {"pipeline": "portraits/unconditional"}
    assert portraits.target_of("gender") == {"woman": 0.5, "man": 0.5}
    assert portraits.target_of("age") == dict.fromkeys(("young", "adult", "old"), 1 / 3)
    assert spec.benchmarks["occupations"].mitigations[0].label == "none"
    assert spec.features["gender_set"].hookpoint is None, "which the model knows"
    assert (portraits.seed, portraits.seed_scheme) == (0, "per_prompt")
    assert portraits.statistics.level == 0.95


@pytest.mark.parametrize("name", ["portraits", "occupations"])
def test_a_resolved_benchmark_is_a_spec_with_the_same_digest(tmp_path, name):
    spec = load(write(tmp_path, changed()))
    again = load(write(tmp_path, yaml.safe_dump(spec.resolved(name), allow_unicode=True)))
    assert list(again.benchmarks) == [name]
    assert again.digest(name) == spec.digest(name)


def test_a_set_that_ships_with_the_suite_is_found(tmp_path):
    name = "portraits/reference/balanced.parquet"
    spec = load(write(tmp_path, changed(portraits__reference_images=name)))
    assert spec.benchmarks["portraits"].reference_images == name


def test_the_spec_of_a_run_is_read_after_its_images_are_gone(tmp_path):
    path = write(tmp_path, changed(photos={"images": "photos", "probes": ["dlib"]}))
    assert load(path, folder=tmp_path).benchmarks["photos"].images == "photos"


def test_the_digest_knows_what_counts_and_nothing_else(tmp_path):
    def digest(**changes):
        return load(write(tmp_path, changed(**changes))).digest("portraits")

    plain = digest()
    assert digest(occupations__images_per_prompt=9) == plain
    assert digest(models__jobs__steps=9) == plain
    assert digest(portraits__seed=0) == plain  # the default, written out
    assert digest(portraits__images=9) != plain
    assert digest(models__faces__steps=9) != plain
    assert digest(features__gender_set__top=3) != plain
    assert digest(portraits__probes=["dlib", "portraits"]) != plain


def test_images_are_a_count_with_a_model_and_a_folder_without(tmp_path):
    folder = {"images": "photos", "probes": ["dlib"]}
    (tmp_path / "photos").mkdir()
    spec = load(write(tmp_path, changed(photos=folder)))
    assert spec.benchmarks["photos"].images == "photos"
    assert spec.benchmarks["portraits"].images == 8
    with pytest.raises(ValueError, match="draws nothing"):
        _ = spec.benchmarks["photos"].model_spec


def test_a_table_of_labels_brings_its_own_classes(tmp_path):
    (tmp_path / "counts.csv").touch()
    table = {
        "labels": "counts.csv",
        "attributes": ["gender", "hair"],
        "target": {"gender": {"female": 0.3, "male": 0.7}, "hair": {"dark": 1, "fair": 0}},
    }
    benchmark = load(write(tmp_path, changed(table=table))).benchmarks["table"]
    assert benchmark.classes_of("hair") == ("dark", "fair")
    assert benchmark.target_of("gender") == {"female": 0.3, "male": 0.7}


def test_classes_of_ones_own(tmp_path):
    own = {"race": ["Black", "East Asian", "White"], "hair": ["dark", "fair"]}
    text = changed(portraits__classes=own, portraits__attributes=["gender", "race", "hair"])
    benchmark = load(write(tmp_path, text)).benchmarks["portraits"]
    assert benchmark.classes_of("race") == ("Black", "East Asian", "White")
    assert benchmark.classes_of("hair") == ("dark", "fair")


def test_includes_are_merged(tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "m.yaml").write_text(
        "models: {more: {pipeline: portraits/unconditional, steps: 3}}\n"
    )
    spec = load(write(tmp_path, "include: models/m.yaml\n" + changed(portraits__model="more",
        portraits__mitigations=["none"], portraits__gates=[])))  # fmt: skip
    assert spec.benchmarks["portraits"].model_spec.steps == 3


def test_overrides_are_typed_recorded_and_change_the_digest(tmp_path):
    path = write(tmp_path, changed())
    spec = load(
        path,
        [
            "portraits.images=3",
            "benchmarks.portraits.mitigations[1].scale=0.25",
            "models.faces.steps=4",
            "portraits.statistics.level=0.9",
        ],
    )
    portraits = spec.benchmarks["portraits"]
    assert (portraits.images, portraits.model_spec.steps) == (3, 4)
    assert portraits.mitigations[1].options["scale"] == 0.25
    assert portraits.statistics.level == 0.9
    assert spec.overrides["portraits.images"] == 3
    assert spec.digest("portraits") != load(path).digest("portraits")


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("portraits.images", "expected path=value, such as portraits.images=64"),
        ("portraits.images=", "no value after ="),
        ("portraits.images=no", "no means true or false in YAML 1.1"),
        ("portraits.probes[7]=dlib", "there is no 'portraits.probes[7]' in the spec"),
        ("portraits.imges=3", "portraits: unknown key 'imges'; did you mean 'images'?"),
        ("portraits.images='3'", "portraits.images: with a `model`, a count"),
        (
            "portrait.images=3",
            "unknown benchmark 'portrait'; did you mean 'portraits'? (known: occupations, portr",
        ),
    ],
)
def test_overrides_that_are_wrong(tmp_path, override, says):
    [message] = messages(tmp_path, changed(), override)
    assert message.startswith(f"--set {override}: ")
    assert says in message


def test_the_four_mistakes_of_the_table_and_more_in_one_pass(tmp_path):
    found = messages(
        tmp_path,
        "version: 1\n"
        "models: {faces: {pipeline: portraits/unconditional}}\n"
        "benchmarks:\n"
        "  a:\n"
        "    model: faces\n"
        "    images: 0\n"
        "    probes: [portraits]\n"
        "    attributes: [gendr]\n"
        "    promts: x\n"
        "  b:\n"
        "    model: faces\n"
        '    images_per_prompt: "12"\n'
        "    prompts: [x]\n"
        "    probes: [portraits]\n"
        "    seed: true\n",
    )
    assert found[0] == "6:13: a.images: expected a count above 0, or a folder, got 0"
    assert found[1] == (
        "8:18: a.attributes[0]: unknown attribute 'gendr'; did you mean 'gender'? "
        "(known: age, gender, race); declare another's classes under `classes`"
    )
    assert found[2].startswith("9:5: a: unknown key 'promts'; did you mean 'prompts'? (known: ")
    assert found[3] == "12:24: b.images_per_prompt: expected int, got '12'"
    assert found[4] == "15:11: b.seed: expected int, got True"
    assert len(found) == 5


def test_a_wrong_name_for_a_plugin_is_no_mistake_of_the_plugin(tmp_path):
    arms = ["none", {"name": "ablate", "as": "A B", "features": "gender_set"}]
    text = changed(portraits__mitigations=arms, portraits__gates=None)
    [message] = sentences(tmp_path, text)
    assert message.startswith("portraits.mitigations[1].as: 'A B' must match ")


def test_at_most_fifty_mistakes_are_listed(tmp_path):
    text = changed() + "".join(f"key{i}: 1\n" for i in range(60))
    found = messages(tmp_path, text)
    assert len(found) == 51
    assert found[-1] == "and 10 more"


GENDER = {"woman": 0.5, "man": 0.5}
FD = {"attribute": "gender", "max": 0.1}
FD_MACRO = FD | {"metric": "fd_debiased_macro"}
ENCODED = {"probes": ["portraits"], "encoders": ["portraits-clip"]}


def gated(name, gate, **changes):
    """Return changes that give a benchmark one gate."""
    return {f"{name}__gates": [gate]} | {f"{name}__{key}": value for key, value in changes.items()}


UNDECIDABLE = [
    (
        gated("portraits", FD_MACRO),
        "gates[0].metric: 'fd_debiased_macro' needs two prompts or more; the benchmark has none",
    ),
    (
        gated("occupations", FD | {"metric": "fd_worst"}, prompts=["a nurse"]),
        "gates[0].metric: 'fd_worst' needs two prompts or more; the benchmark has one",
    ),
    (
        gated("occupations", FD | {"metric": "fd_macro"}),
        "gates[0].metric: 'fd_macro' has no interval, so that no gate on it can be decided",
    ),
    (
        gated("occupations", FD_MACRO | {"prompt": "nurse"}),
        "gates[0].prompt: 'fd_debiased_macro' is over all prompts; leave out `prompt`",
    ),
    (
        gated("occupations", FD | {"metric": "share_worst", "class": "man"}),
        "gates[0].metric: there is no 'share_worst': 'share' has no mean over prompts",
    ),
    (
        gated("portraits", FD | {"metric": "fd_debiased", "class": "man"}),
        "gates[0].class: 'fd_debiased' is of all classes together; leave out `class`",
    ),
    (
        gated("portraits", {"metric": "kid", "attribute": "gender", "max": 1}, **ENCODED),
        "gates[0].attribute: 'kid' is of all images of an arm; leave out `attribute`",
    ),
    (
        gated("portraits", {"metric": "fid", "max": 1}, **ENCODED),
        "gates[0].metric: 'fid' has no interval, so that no gate on it can be decided",
    ),
    (
        gated("portraits", {"metric": "clip_i", "min": 0.5}, **ENCODED),
        "'clip_i' compares an arm with the first, which has none; name another `arm`",
    ),
    (
        gated("portraits", {"metric": "clip_i", "arm": "none", "min": 0.5}, **ENCODED),
        "'clip_i' compares an arm with the first, which has none; name another `arm`",
    ),
    (
        gated("portraits", FD | {"metric": "fd_debiased", "prompt": "nurse"}),
        "gates[0].prompt: unknown prompt 'nurse' (there is none)",
    ),
    (
        gated("occupations", FD | {"metric": "fd", "prompt": "a-nurse"}, prompts=["a nurse"]),
        "gates[0].prompt: this is the only prompt; leave out `prompt`",
    ),
    (
        gated("portraits", FD | {"metric": "fd_debiased", "max": -1}),
        "gates[0].max: 'fd_debiased' is never below 0, got -1",
    ),
    (
        gated("portraits", FD | {"metric": "share", "class": "man", "max": 1.5}),
        "gates[0].max: a share is from 0 to 1, got 1.5",
    ),
]
"""Gates that no run could decide, or that every run would decide alike."""
LOST = [
    (
        {"photos": {"images": "nosuch", "probes": ["dlib"]}},
        "photos.images: there is no folder 'nosuch' in ",
    ),
    ({"table": {"labels": "nosuch.csv"}}, "table.labels: there is no table 'nosuch.csv' in "),
    ({"portraits__people": "nosuch.csv"}, "portraits.people: there is no table 'nosuch.csv' in "),
    (
        {"portraits__reference_images": "nosuch/refs"},
        "portraits.reference_images: 'nosuch/refs' is neither in ",
    ),
]
MISTAKES = [
    # S5-S8: keys, types, shares
    ({"portraits__probe": "x"}, "portraits: unknown key 'probe'; did you mean 'probes'? (known: "),
    (
        {"portraits__images": True},
        "portraits.images: expected a count above 0, or a folder, got True",
    ),
    ({"portraits__images": -3}, "portraits.images: expected a count above 0, or a folder, got -3"),
    ({"models__faces__steps": "many"}, "models.faces.steps: expected int, got 'many'"),
    ({"models__faces__steps": 0}, "models.faces.steps: expected greater than 0, got 0"),
    ({"models__faces__steps": [3]}, "models.faces.steps: expected int, got a list of 1"),
    ({"models__jobs__guidance_scale": -1}, "expected greater than or equal to 0, got -1"),
    ({"portraits__probes": "dlib"}, "portraits.probes: expected list, got 'dlib'"),
    ({"portraits__seed_scheme": "each"}, "expected 'per_prompt' or 'shared', got 'each'"),
    (
        {"portraits__statistics": {"level": 1.5}},
        "portraits.statistics.level: expected less than 1, got 1.5",
    ),
    (
        {"portraits__target": {"gender": {"woman": 0.5, "man": 0.47}}},
        "portraits.target.gender: shares add up to 0.97, not 1",
    ),
    (
        {"portraits__target": {"gender": {"woman": -0.5, "man": 1.5}}},
        "portraits.target.gender.woman: a share is at least 0, got -0.5",
    ),
    (
        {"portraits__target": {"gender": {"women": 0.5, "man": 0.5}}},
        "portraits.target.gender.women: unknown class 'women'; did you mean 'woman'?",
    ),
    (
        {"portraits__target": {"age": {"young": 0.5, "adult": 0.5}}},
        "portraits.target.age: no share for old",
    ),
    (
        {"portraits__target": {"race": {"Black": 1}}},
        "portraits.target.race: unknown attribute 'race'",
    ),
    (
        {"portraits__classes": {"hair": ["dark"]}},
        "portraits.classes.hair: an attribute has at least two classes",
    ),
    (
        {"portraits__classes": {"hair": ["../x", "fair"]}},
        "portraits.classes.hair[0]: class '../x' must be letters",
    ),
    # names
    (
        {"portraits__model": "face"},
        "portraits.model: unknown model 'face'; did you mean 'faces'?",
    ),
    (
        {"portraits__probes": ["dlb"]},
        "portraits.probes[0]: unknown probe 'dlb'; did you mean 'dlib'?",
    ),
    (
        {"portraits__probes": [{"name": "dlib", "abstian": 0.5}]},
        "probes[0].abstian: unknown option 'abstian'; did you mean 'abstain'?",
    ),
    (
        {"portraits__probes": [{"name": "dlib", "abstain": "x"}]},
        "portraits.probes[0].abstain: expected float, got 'x'",
    ),
    (
        {"portraits__probes": ["dlib", "dlib"]},
        "portraits.probes[1]: probe 'dlib' is listed twice; name one of them with `as: NAME`",
    ),
    ({"portraits__probes": []}, "portraits: needs at least one of `probes`"),
    ({"portraits__attributes": []}, "portraits.attributes: no attributes; at least one is needed"),
    (
        {"portraits__mitigations": ["none", "steeer"]},
        "portraits.mitigations[1]: unknown mitigation 'steeer'",
    ),
    (
        {"portraits__mitigations": ["none", "steer"]},
        "portraits.mitigations[1]: mitigation 'steer' needs `features`, the name of a feature set",
    ),
    (
        {"portraits__mitigations": [{"name": "none", "features": "gender_set"}]},
        "portraits.mitigations[0].features: mitigation 'none' uses no feature set",
    ),
    (
        {"portraits__mitigations": ["none", "none"]},
        "portraits.mitigations[1]: arm 'none' is listed twice",
    ),
    (
        {"portraits__mitigations": ["none", {"name": "steer", "features": "gendr_set"}]},
        "mitigations[1].features: unknown feature set 'gendr_set'; did you mean 'gender_set'",
    ),
    (
        {"occupations__mitigations": ["none", {"name": "steer", "features": "gender_set"}]},
        "mitigations[1].features: feature set 'gender_set' is of model 'faces', not of 'jobs'",
    ),
    (
        {"features__gender_set__candidates": ["mid_block"]},
        "features.gender_set.candidates: are for `hookpoint: auto`",
    ),
    (
        {"features__gender_set__sae": {"path": "sae", "k": 32}},
        "features.gender_set.sae: an SAE with a path is not trained: leave out 'k'",
    ),
    (
        {"models__faces__device": "cuda"},
        "models.faces.device: device is chosen on the command line",
    ),
    ({"models__faces__wdith": 3}, "models.faces.wdith: unknown option 'wdith'"),
    (
        {"models__faces__stps": 3},
        "models.faces.stps: unknown option 'stps'; did you mean 'steps'? (known: as, dtype, guid",
    ),
    (
        {"portraits__mitigations": [{"name": "none", "strength": 3}]},
        "mitigations[0].strength: unknown option 'strength' (known: as, features, name)",
    ),
    (
        {"models__faces__size": "big"},
        "models.faces.size: expected int | list[int] | None, got 'big'",
    ),
    (
        {"models__faces__size": [512, "big"]},
        "models.faces.size: expected int | list[int] | None, got [512, 'big']",
    ),
    ({"models__faces__steps": [5]}, "models.faces.steps: "),
    (
        {
            "portraits__mitigations": [
                {"name": "steer", "features": "gender_set", "mode": "mutliply"}
            ]
        },
        "mitigations[0].mode: unknown mode 'mutliply'; did you mean 'multiply'? (known: add, as",
    ),
    (
        {"portraits__mitigations": [{"name": "steer", "features": "gender_set", "draw": 3}]},
        "mitigations[0].draw: expected 'image' | 'batch', got 3",
    ),
    (
        {"portraits__mitigations": [{"name": "steer", "features": "gender_set", "scale": "much"}]},
        "scale: expected float | 'auto' | Mapping[str, float], got 'much'",
    ),
    (
        {
            "portraits__mitigations": [
                {"name": "steer", "features": "gender_set", "scale": {"woman": "x", "man": 1}}
            ]
        },
        "scale: expected float | 'auto' | Mapping[str, float], got {'woman': 'x', 'man': 1}",
    ),
    (
        {"portraits__mitigations": [{"name": "steer", "features": "gender_set", "positions": 3}]},
        "positions: expected Sequence[int] | None, got 3",
    ),
    ({"models__faces": {"steps": 3}}, "models.faces: option 'pipeline' is required"),
    # sources
    (
        {"portraits__labels": "x.csv"},
        "`images: FOLDER` and `labels: FILE`, not model and labels",
    ),
    (
        {"benchmarks__table": {"labels": "x.csv", "attributes": ["hair"]}},
        "table.attributes[0]: unknown attribute 'hair' (known: age, gender, race); declare",
    ),
    (
        {"portraits__model": None, "portraits__mitigations": None, "portraits__gates": None},
        "portraits.images: 8 is a count and needs a `model`; a folder is text",
    ),
    ({"portraits__images": None}, "portraits: needs `images`, a count, or `prompts`"),
    (
        {"portraits__images": "photos"},
        "portraits.images: with a `model`, a count; a folder of images takes the place",
    ),
    (
        {"occupations__images": 4},
        "occupations.images: with prompts, say `images_per_prompt` instead",
    ),
    ({"occupations__images_per_prompt": None}, "occupations: `prompts` need `images_per_prompt`"),
    # S12, S13: prompts
    ({"occupations__prompts": []}, "occupations.prompts: no prompts; at least one is needed"),
    (
        {"occupations__prompts": {"template": "a {job}", "job": []}},
        "occupations.prompts.job: no values; the template expands to nothing",
    ),
    (
        {"occupations__prompts": {"template": "a {jb}", "job": ["x"]}},
        "occupations.prompts.template: placeholder {jb} has no values; did you mean {job}?",
    ),
    (
        {"occupations__prompts": {"template": "a {job} at {place}", "job": ["x"]}},
        "occupations.prompts.template: placeholder {place} has no values; add `place:`",
    ),
    (
        {"occupations__prompts": {"template": "a {job}", "job": ["x"], "place": ["y"]}},
        "occupations.prompts.place: no placeholder {place} in 'a {job}'",
    ),
    (
        {"occupations__prompts": {"template": "a {", "job": ["x"]}},
        "occupations.prompts.template: 'a {' has a brace that stands alone; a placeholder is"
        " written {name}, a brace that is meant as such {{ or }}",
    ),
    (
        {"occupations__prompts": {"template": "{0.__class__}"}},
        "occupations.prompts.template: placeholder {0.__class__} is not a plain name: a small"
        " letter, then small letters, digits and _",
    ),
    (
        {"occupations__prompts": ["Nurse", "nurse"]},
        "occupations.prompts[1]: duplicate prompt id 'nurse': 'Nurse' and 'nurse'",
    ),
    (
        {"occupations__prompts": [{"id": "../../x", "text": "a"}]},
        "occupations.prompts[0]: prompt id '../../x' must match [a-z0-9][a-z0-9._-]{0,63}",
    ),
    ({"occupations__prompts": [{"id": "con", "text": "a"}]}, "prompt id 'con' must match"),
    (
        {"occupations__prompts": [{"id": "x" * 300, "text": "a"}]},
        "must match [a-z0-9][a-z0-9._-]{0,63}",
    ),
    ({"occupations__prompts": [{"id": "a.", "text": "a"}]}, "prompt id 'a.' must match"),
    ({"occupations__prompts": ["a\0b"]}, "holds a NUL character"),
    (
        {"occupations__prompts": {"file": "none.txt"}},
        "occupations.prompts.file: no such file: none.txt",
    ),
    (
        {"occupations__prompts": {"set": "heym"}},
        "occupations.prompts.set: unknown prompt set 'heym'; did you mean 'heim'?",
    ),
    # gates, S14
    (
        {"portraits__gates": [{"metric": "fd_debias", "attribute": "gender", "max": 1}]},
        "portraits.gates[0].metric: unknown metric 'fd_debias'; did you mean 'fd_debiased'?",
    ),
    (
        {"portraits__gates": [{"metric": "kid@portraits-clip", "max": 1}]},
        "gates[0].metric: metric 'kid' needs `encoders`, which say what embeds the images",
    ),
    (
        {
            "portraits__encoders": ["portraits-clip"],
            "portraits__gates": [{"metric": "kid@inception", "max": 1}],
        },
        "gates[0].metric: unknown encoder 'inception' (known: portraits-clip)",
    ),
    (
        {"portraits__gates": [{"metric": "slope@us", "attribute": "gender", "max": 1}]},
        "gates[0].metric: metric 'slope' needs `references`, the populations to compare with",
    ),
    ({"portraits__metrics": ["kid"]}, "portraits.metrics[0]: metric 'kid' needs `encoders`"),
    (
        {"portraits__metrics": ["fd_ppi"]},
        "metrics[0]: metric 'fd_ppi' needs `people`, labels that people gave to some images",
    ),
    (
        {"portraits__margins": {"clip_t": 0.02}},
        "portraits.margins.clip_t: metric 'clip_t' needs `encoders`",
    ),
    (
        {"portraits__margins": {"clip_t": 0.02}, "portraits__encoders": ["portraits-clip"]},
        "portraits.margins.clip_t: 'clip_t' is not listed under `metrics`",
    ),
    (
        {
            "portraits__margins": {"fid": 0.05},
            "portraits__encoders": ["portraits-clip"],
            "portraits__metrics": ["fid"],
        },
        "portraits.margins.fid: 'fid' is no metric of single images, which arms are paired by "
        "(clip_t, clipscore_w2.5)",
    ),
    (
        {"portraits__margins": {"clip_t": 0}},
        "portraits.margins.clip_t: ",
    ),
    (
        {"portraits__gates": [{"metric": "fd", "max": 1}]},
        "portraits.gates[0]: a gate on 'fd' needs an `attribute`",
    ),
    (
        {"portraits__gates": [{"metric": "share", "attribute": "gender", "min": 0.1}]},
        "portraits.gates[0]: a gate on 'share' needs a `class`",
    ),
    (
        {"portraits__gates": [{"metric": "fd", "attribute": "gender"}]},
        "portraits.gates[0]: a gate has either `max` or `min`",
    ),
    (
        {"portraits__gates": [{"metric": "fd", "attribute": "gender", "arm": "ster", "max": 1}]},
        "portraits.gates[0].arm: unknown arm 'ster'; did you mean 'steer'? (known: none, steer)",
    ),
    (
        {"portraits__gates": [{"metric": "fd", "attribute": "gender", "max": float("nan")}]},
        "portraits.gates[0].max: .nan is no finite number in plain notation",
    ),
    (
        {
            "portraits__references": {
                "us": {"attribute": "gender", "source": "s", "shares": {"-": {"woman": 1}}}
            }
        },
        "portraits.references.us.shares.-: no share for man",
    ),
    # S16, X1: versions and names
    ({"version": 2}, "version: spec version 2 needs a newer bias-audit; this one reads version 1"),
    ({"version": 0}, "version: spec version 0 is not a version; this one reads version 1"),
    ({"version": None}, "key 'version' is missing"),
    (
        {"default": ["portrait"]},
        "default[0]: unknown benchmark 'portrait'; did you mean 'portraits'?",
    ),
    ({"con": VALID["benchmarks"]["occupations"]}, "'con' must match [a-z0-9][a-z0-9._-]{0,63}"),
    ({"../../x": VALID["benchmarks"]["occupations"]}, "'../../x' must match"),
    ({"benchmarks": {}}, "benchmarks: is empty; at least one is needed"),
]


ALL = [*MISTAKES, *UNDECIDABLE, *LOST]


@pytest.mark.parametrize(("change", "says"), ALL, ids=[says[:60] for _, says in ALL])
def test_a_mistake_is_named_exits_with_2_and_writes_nothing(
    tmp_path, capsys, monkeypatch, change, says
):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, changed(**change))
    before = tree(tmp_path)
    assert run("validate") == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert all(line.startswith("error: benchmarks.yaml:") for line in err.splitlines())
    assert any(says in line for line in err.splitlines()), err
    assert tree(tmp_path) == before


REFUSALS = [
    (
        {"portraits__images": "http://169.254.169.254/latest"},
        "is a URL; a spec reads local files and hub ids only",
    ),
    ({"portraits__labels": "s3://bucket/x.csv"}, "'s3://bucket/x.csv' is a URL"),
    ({"models__faces__pipeline": "file:///etc/passwd"}, "'file:///etc/passwd' is a URL"),
    (
        {"models__faces__trust_remote_code": True},
        "trust_remote_code would run code of a model repository",
    ),
    (
        {"models__faces__custom_pipeline": "x"},
        "custom_pipeline would run code of a model repository",
    ),
    (
        {"models__faces__pipeline": "model.ckpt"},
        "'model.ckpt' holds pickled weights, which can run code",
    ),
    (
        {"portraits__probes": [{"name": "fairface", "weights": "res34.pt"}]},
        "'res34.pt' holds pickled weights",
    ),
    (
        {"occupations__prompts": {"file": "../../etc/passwd"}},
        "'../../etc/passwd' is not below the folder",
    ),
    ({"occupations__prompts": {"file": "/etc/passwd"}}, "'/etc/passwd' is not below the folder"),
    ({"occupations__prompts": {"file": "https://x/p.txt"}}, "'https://x/p.txt' is"),
    ({"include": "../../etc/passwd"}, "'../../etc/passwd' leaves the folder of the spec"),
    ({"include": ["/etc/passwd"]}, "'/etc/passwd' leaves the folder of the spec"),
]


@pytest.mark.parametrize(("change", "says"), REFUSALS, ids=[says[:60] for _, says in REFUSALS])
def test_what_is_refused_exits_with_6(tmp_path, capsys, monkeypatch, change, says):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, changed(**change))
    before = tree(tmp_path)
    assert run("validate") == 6
    assert says in capsys.readouterr().err
    assert tree(tmp_path) == before


def test_a_link_does_not_lead_out_of_the_folder(tmp_path):
    (tmp_path / "inside").mkdir()
    (tmp_path / "secret.txt").write_text("a\n")
    (tmp_path / "inside" / "p.txt").symlink_to(tmp_path / "secret.txt")
    with pytest.raises(RefusedError, match="is not below the folder of the spec"):
        load(write(tmp_path / "inside", changed(occupations__prompts={"file": "p.txt"})))


def test_an_override_cannot_turn_on_remote_code(tmp_path):
    with pytest.raises(RefusedError, match="trust_remote_code would run code"):
        load(write(tmp_path, changed()), ["models.faces.trust_remote_code=true"])


def test_an_include_cycle_is_spelled_out(tmp_path):
    (tmp_path / "a.yaml").write_text("include: b.yaml\n")
    (tmp_path / "b.yaml").write_text("include: a.yaml\n")
    [sentence] = sentences(tmp_path, "include: a.yaml\n" + changed())
    assert sentence == "include: include cycle: a.yaml -> b.yaml -> a.yaml"


def test_what_is_defined_twice_names_both_places(tmp_path):
    (tmp_path / "m.yaml").write_text("models:\n  faces: {pipeline: x}\n")
    [message] = messages(tmp_path, "include: m.yaml\n" + changed())
    assert message.startswith("m.yaml:2:3: models.faces: is defined already, at ")


def test_hostile_prompts_are_accepted_and_kept_as_they_are(tmp_path):
    hostile = [
        "<script>alert(1)</script>",
        "\u202eevil",
        "=cmd()",
        "::error::x",
        "[red]",
        "\x1b[31m",
        "http://x",
    ]
    spec = load(write(tmp_path, changed(occupations__prompts=hostile)))
    assert [p.text for p in spec.benchmarks["occupations"].prompts] == hostile


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n"])
def test_an_empty_spec_points_to_init(tmp_path, text):
    [message] = messages(tmp_path, text)
    assert message.endswith("spec is empty; `bias-audit init` writes a commented starter")


LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8),
    st.sampled_from(["none", "steer", "portraits", "gender", "faces", "../x", "http://x", "a.pt"]),
)  # fmt: skip
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
KEYS = st.sampled_from(
    [key for benchmark in VALID["benchmarks"].values() for key in benchmark]
    + [
        "classes",
        "metrics",
        "references",
        "statistics",
        "encoders",
        "labels",
        "seed",
        "title",
        "x",
    ]
)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["portraits", "occupations"]), st.dictionaries(KEYS, VALUES, max_size=3))
def test_no_spec_is_answered_with_a_traceback(tmp_path_factory, name, changes):
    text = changed(
        **{f"{name}__{key}": value for key, value in changes.items() if value is not None}
    )
    path = write(tmp_path_factory.mktemp("fuzz"), text)
    with suppress(SpecError, RefusedError):  # a change may leave the spec valid
        load(path)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda t: t.encode("utf-8", "replace")))
def test_no_bytes_are_answered_with_a_traceback(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("bytes") / "s.yaml"
    path.write_bytes(content)
    with pytest.raises(SpecError):
        load(path)


PATHS = st.lists(
    st.sampled_from(
        ["portraits", "models", "faces", "steps", "[0]", "probes", ".", "x", "é", "[9]"]
    ),
    max_size=4,
).map(".".join)


@settings(max_examples=100, deadline=None)
@given(PATHS, st.text(max_size=8))
def test_no_override_is_answered_with_a_traceback(tmp_path_factory, path, value):
    spec = write(tmp_path_factory.mktemp("set"), changed())
    with suppress(SpecError, RefusedError):
        load(spec, [f"{path}={value}"])
