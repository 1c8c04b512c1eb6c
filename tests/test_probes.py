"""What the probes read, how they decline, and what they refuse to load."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
import tiny_weights
from PIL import Image

from audit.errors import InputError, RefusedError, ResourceError, SpecError
from audit.measuring import error_cards
from audit.registry import build
from audit.storage.weights import locate
from audit.types import State
from probes import faces, groups
from probes.clip import clip
from probes.constant import constant
from probes.deepface import deepface
from probes.dlib import dlib
from probes.faces import FaceFinder
from probes.fairface import RACES, TO_RACE, fairface
from probes.outcomes import settle
from probes.portraits import portraits
from probes.skin_tone import ITA, lab, monk_tone, skin_tone, typology_angle

FACES = tiny_weights.portraits()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("weights")


@pytest.fixture(scope="module")
def deepface_weights(folder):
    return tiny_weights.deepface(folder / "deepface")


@pytest.fixture(scope="module")
def deepface_probe(deepface_weights):
    return deepface(weights=str(deepface_weights))


@pytest.fixture(scope="module")
def clip_weights(folder):
    return tiny_weights.clip(folder / "clip")


@pytest.fixture(scope="module")
def fairface_weights(folder):
    return tiny_weights.fairface(folder / "fairface")


# dlib


def test_dlib_reads_the_four_portraits():
    readings = dlib().read(FACES)
    assert readings.faces.tolist() == [1, 1, 1, 1]
    assert readings.probabilities["gender"].argmax(axis=1).tolist() == [0, 1, 0, 1]
    years = readings.values["age"]
    assert np.abs(years - [52, 77, 26, 46]).max() < 12
    classes = readings.probabilities["age"].argmax(axis=1)
    assert [groups.AGE[i] for i in classes] == ["adult", "old", "young", "adult"]


def test_no_face_is_an_outcome_and_not_a_guess():
    readings = dlib().read(np.full((1, 64, 64, 3), 90, np.uint8))
    assert readings.states == {"gender": (State.NO_FACE,), "age": (State.NO_FACE,)}
    assert np.isnan(readings.probabilities["gender"]).all()
    assert np.isnan(readings.values["age"]).all()
    assert readings.faces.tolist() == [0]


def side_by_side(left, right):
    """Two portraits on one canvas [256, 512, 3], each enlarged to so many pixels."""
    canvas = Image.new("RGB", (512, 256), (90, 90, 90))
    for image, side, x in ((FACES[2], left, 0), (FACES[1], right, 256)):
        canvas.paste(Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC), (x, 0))
    return np.asarray(canvas)


def test_two_faces_alike_in_size_are_refused():
    readings = dlib().read(side_by_side(256, 256)[None])
    assert readings.faces.tolist() == [2]
    assert readings.states["gender"] == (State.MULTI_FACE,)


def test_the_clearly_largest_of_two_faces_is_read():
    finder = FaceFinder(clearly=1.1)
    finding = finder.find(side_by_side(256, 220))
    assert len(finding.faces) == 2
    assert finding.state is State.OK
    assert finding.faces[0][0] < 256  # the left, larger one


class Detector:
    """dlib's own, that notes the shorter side of what it searches."""

    def __init__(self, monkeypatch):
        self.own, self.searched = faces._detector(), []
        monkeypatch.setattr(faces, "_detector", lambda: self)

    def __call__(self, picture):
        self.searched.append(min(picture.shape[:2]))
        return self.own(picture)


def large(side):
    """A portrait of `side` pixels in the upper left of a canvas [1024, 1200, 3]."""
    canvas = Image.new("RGB", (1200, 1024), (90, 90, 90))
    face = Image.fromarray(FACES[2]).resize((side, side), Image.Resampling.BICUBIC)
    canvas.paste(face, (0, 0))
    return np.asarray(canvas)


def test_a_large_image_is_searched_at_512_pixels_and_read_at_its_own(monkeypatch):
    image, detector = large(1024), Detector(monkeypatch)
    finding = FaceFinder().find(image)
    assert detector.searched == [512]
    (at_once,) = detector.own(image)
    wanted = (at_once.left(), at_once.top(), at_once.right(), at_once.bottom())
    assert np.abs(np.subtract(finding.faces[0], wanted)).max() < 0.1 * at_once.width()
    assert len(finding.faces) == 1
    np.testing.assert_array_equal(finding.picture, image)


def test_a_face_that_is_small_in_a_large_image_is_found_at_its_own_size(monkeypatch):
    detector = Detector(monkeypatch)
    finding = FaceFinder().find(large(160))
    assert detector.searched == [512, 1024]
    assert len(finding.faces) == 1


@pytest.mark.parametrize(
    ("side", "searched"), [(64, [192]), (200, [200]), (512, [512]), (513, [512])]
)
def test_up_to_512_pixels_an_image_is_searched_as_it_is_or_enlarged(monkeypatch, side, searched):
    detector = Detector(monkeypatch)
    image = Image.fromarray(FACES[2]).resize((side, side), Image.Resampling.BICUBIC)
    finding = FaceFinder().find(np.asarray(image))
    assert detector.searched == searched
    if side <= 512:
        (box,) = detector.own(finding.picture)
        assert finding.faces == ((box.left(), box.top(), box.right(), box.bottom()),)


def test_boxes_are_mapped_edge_to_edge():
    assert faces._scaled((0, 10, 511, 19), (512, 300), (1024, 900)) == (0, 30, 1023, 59)


def test_probes_that_read_the_same_images_search_them_once(monkeypatch):
    faces.shared_finder.cache_clear()
    detector = Detector(monkeypatch)
    alone = FaceFinder().find(FACES[0]).faces
    detector.searched.clear()
    probes = dlib(), dlib(abstain=0.9), skin_tone()
    readings = [probe.read(FACES) for probe in probes]
    assert detector.searched == [192] * 4
    assert probes[0].finder.find(FACES[0]).faces == alone
    assert [one.faces.tolist() for one in readings] == [[1] * 4] * 3
    changed = FACES[:1].copy()
    changed[0, 0, 0, 0] ^= 1
    probes[1].read(changed)
    assert len(detector.searched) == 5


def test_what_is_remembered_of_images_is_bounded(monkeypatch):
    monkeypatch.setattr(faces, "KEPT", 2)
    detector, finder = Detector(monkeypatch), FaceFinder()
    for image in (*FACES, FACES[3], FACES[0]):
        finder.find(image)
    assert len(detector.searched) == 5


def test_the_card_that_is_shipped_is_of_the_probe_as_it_is():
    card = error_cards.find("dlib", dlib().fingerprint)
    assert not isinstance(card, str), card


def test_an_unsure_reading_is_declined_by_the_threshold():
    sure = dlib().read(FACES).probabilities["gender"].max(axis=1)
    readings = dlib(abstain=0.98).read(FACES)
    declined = [state is State.ABSTAIN for state in readings.states["gender"]]
    assert declined == (sure < 0.98).tolist()
    assert any(declined)
    assert not all(declined)
    assert readings.states["age"] == (State.OK,) * 4  # one-hot, so never unsure


# states and groups


def test_every_image_ends_in_one_state():
    rows = np.array([[0.9, 0.1], [0.55, 0.45], [np.nan, 0.5], [1, 0]], np.float32)
    states = [State.OK, State.OK, State.OK, State.NO_FACE]
    readings = settle(
        {"gender": rows}, states, [1, 1, 1, 0], values={"gender": [1, 2, 3, 4]}, abstain=0.6
    )
    assert readings.states["gender"] == (
        State.OK,
        State.ABSTAIN,
        State.FAILED,
        State.NO_FACE,
    )
    assert np.isnan(readings.probabilities["gender"]).any(axis=1).tolist() == [
        False,
        True,
        True,
        True,
    ]
    assert np.isnan(readings.values["gender"]).tolist() == [False, True, True, True]


def test_age_classes_change_at_35_and_60():
    shares = groups.age_shares([34, 35, 59, 60, np.nan])
    assert shares[:4].argmax(axis=1).tolist() == [0, 1, 1, 2]
    assert np.isnan(shares[4]).all()


SEVEN = np.array([[0.30, 0.10, 0.05, 0.20, 0.15, 0.12, 0.08]], np.float32)  # FairFace's order


def test_seven_races_merge_to_four_by_the_declared_table():
    four = groups.merge(SEVEN, RACES, TO_RACE, groups.RACE)[0]
    # Black .10, Asian .20 + .15, White .30, Indian .12, over their sum .87
    np.testing.assert_allclose(four, np.array([0.10, 0.35, 0.30, 0.12]) / 0.87, rtol=1e-6)
    assert np.linalg.norm(four - 0.25) == pytest.approx(0.250972, abs=1e-6)
    assert np.linalg.norm(SEVEN - 1 / 7) == pytest.approx(0.207227, abs=1e-6)


def test_races_without_a_group_can_be_kept():
    five = groups.merge(SEVEN, RACES, TO_RACE, groups.races("class"))[0]
    np.testing.assert_allclose(five, [0.10, 0.35, 0.30, 0.12, 0.13], rtol=1e-6)


def test_nothing_but_dropped_classes_is_nan_and_not_even():
    only_latino = np.eye(7, dtype=np.float32)[[2]]
    assert np.isnan(groups.merge(only_latino, RACES, TO_RACE, groups.RACE)).all()


# deepface


@pytest.mark.parametrize(("channel", "woman", "years"), [(0, 1.0, 70), (2, 0.0, 20)])
def test_deepface_sees_red_as_red(deepface_probe, channel, woman, years):
    faces = (FACES * 0.5).astype(np.uint8)
    faces[..., channel] = FACES[..., channel]
    faces[..., 2 - channel] //= 2
    readings = deepface_probe.read(faces)
    ok = readings.faces == 1
    assert ok.sum() >= 3
    np.testing.assert_allclose(readings.probabilities["gender"][ok, 0], woman, atol=0.01)
    np.testing.assert_allclose(readings.values["age"][ok], years, atol=1)


def test_deepface_drops_or_keeps_what_has_no_group_of_ours(deepface_probe, deepface_weights):
    np.testing.assert_allclose(
        deepface_probe.read(FACES).probabilities["race"], [[0, 0, 1, 0]] * 4, atol=1e-6
    )
    kept = deepface(weights=str(deepface_weights), other="class").read(FACES)
    np.testing.assert_allclose(kept.probabilities["race"], [[0, 0, 0.5, 0, 0.5]] * 4, atol=1e-6)


def test_deepface_reads_no_face_from_no_face(deepface_probe):
    readings = deepface_probe.read(np.zeros((1, 64, 64, 3), np.uint8))
    assert readings.states["race"] == (State.NO_FACE,)
    assert np.isnan(readings.probabilities["race"]).all()


def test_deepface_checks_the_hash_before_it_loads(deepface_weights):
    with pytest.raises(
        InputError, match=r"gender_model_weights\.onnx: sha256 is \w{64}, expected"
    ):
        deepface(weights=str(deepface_weights), sha256={"gender": "0" * 64})


def test_deepface_holds_one_set_of_weights_and_says_so(deepface_probe, deepface_weights, tmp_path):
    deepface_probe.read(FACES[:1])
    other = tiny_weights.deepface(tmp_path / "other")
    (other / "age_model_weights.onnx").write_bytes(
        (other / "gender_model_weights.onnx").read_bytes()
    )
    with pytest.raises(ResourceError, match="one set of weights a process"):
        deepface(weights=str(other)).read(FACES[:1])


def test_deepface_leaves_the_process_as_it_was(deepface_weights):
    program = f"""
import os, socket, sys, warnings
def refuse(*args, **kwargs): raise SystemExit("network")
socket.socket.connect = refuse
import numpy as np
sys.path.insert(0, {str(tiny_weights.HERE)!r})
import tiny_weights
from probes.deepface import deepface
deepface(weights={str(deepface_weights)!r}).read(tiny_weights.portraits()[:1])
assert "tensorflow" not in sys.modules and "torch" not in sys.modules
assert not [name for name in os.environ if name.startswith("DEEPFACE")]
assert ("ignore", None, Warning, None, 0) not in warnings.filters
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


# fairface


def test_fairface_reads_the_columns_that_its_authors_name(fairface_weights, monkeypatch):
    probe = fairface(weights=str(fairface_weights))
    logits = np.full((4, 18), -20, np.float32)
    logits[:, [4, 8, 16]] = 20  # Southeast Asian, Female, 60-69
    monkeypatch.setattr(probe, "_logits", lambda crops: np.resize(logits, (len(crops), 18)))
    readings = probe.read(FACES)
    named = {a: probe.classes[a][p[0].argmax()] for a, p in readings.probabilities.items()}
    assert named == {"gender": "woman", "age": "old", "race": "Asian"}


def test_fairface_has_seven_races_on_request(fairface_weights):
    probe = fairface(weights=str(fairface_weights), races=7)
    assert probe.classes["race"] == RACES
    assert probe.read(FACES[:1]).probabilities["race"].shape == (1, 7)
    with pytest.raises(SpecError, match="races must be 4 or 7, got 5"):
        fairface(weights=str(fairface_weights), races=5)


def test_fairface_refuses_other_weights(tmp_path):
    from safetensors.numpy import save_file

    save_file({"x": np.zeros(3, np.float32)}, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match="not a ResNet-34 with 18 outputs"):
        fairface(weights=str(tmp_path / "other.safetensors")).read(FACES[:1])


# clip


def test_clip_names_the_class_whose_prompt_is_nearest(clip_weights, monkeypatch):
    probe = clip(model=str(clip_weights))
    assert list(probe.classes) == ["gender", "age", "race"]
    vectors = probe.model.images(FACES)
    monkeypatch.setitem(probe.__dict__, "_anchors", {"gender": vectors[:2]})
    monkeypatch.setattr(type(probe.model), "scale", 1000.0)
    shares = probe.read(FACES[:2]).probabilities["gender"]
    assert shares.argmax(axis=1).tolist() == [0, 1]


def test_clip_averages_its_templates(clip_weights):
    options = {"prompts": {"hat": {"hat": "a hat", "none": "no hat"}}}
    probe = clip(model=str(clip_weights), templates=["{}", "a photo of {}"], **options)
    one, two = probe.model.texts(["a hat", "a photo of a hat"])
    wanted = (one + two) / np.linalg.norm(one + two)
    np.testing.assert_allclose(probe._anchors["hat"][0], wanted, rtol=1e-5)


def test_clip_says_what_is_wrong_with_its_options(clip_weights):
    with pytest.raises(SpecError, match=r"every template needs one \{\}"):
        clip(model=str(clip_weights), templates=["a photo"])
    with pytest.raises(SpecError, match="at least two classes"):
        clip(model=str(clip_weights), prompts={"hat": {"hat": "a hat"}})
    with pytest.raises(SpecError, match="neither a folder nor a hub id"):
        clip(model="ViT-B-32")
    with pytest.raises(SpecError, match="did you mean 'ViT-B-32'"):
        clip(model="ViT-B-3", weights="x.safetensors")


# skin tone


def test_lab_is_the_standard_one():
    # Lindbloom's sRGB red under D65, and a mid grey.
    np.testing.assert_allclose(lab([255, 0, 0]), [53.24, 80.09, 67.20], atol=0.02)
    np.testing.assert_allclose(lab([119, 119, 119]), [50.03, 0, 0], atol=0.02)


def test_the_monk_colours_read_as_their_own_step():
    from probes.skin_tone import MONK_RGB

    tones, distances = monk_tone(lab(MONK_RGB))
    np.testing.assert_allclose(tones, np.arange(1, 11), atol=1e-6)
    np.testing.assert_allclose(distances, 0, atol=1e-6)


def test_the_typology_angle_of_a_worked_colour():
    # arctan((66 - 50) / 16) = 45 degrees: light
    angle = typology_angle(np.array([[66.0, 8.0, 16.0]]))
    assert angle[0] == pytest.approx(45)
    assert ITA[int(np.digitize(angle, (-30, 10, 28, 41, 55))[0])] == "light"


def test_skin_tones_are_ordered_as_they_were_painted():
    tones = skin_tone().read(FACES).values["skin_tone"]  # painted 1.8, 7.2, 1.9, 6.2
    assert max(tones[0], tones[2]) < min(tones[1], tones[3])
    assert tones[1] > tones[3]


def test_a_tone_between_two_steps_is_shared_between_them():
    patch = np.full((1, 40, 40, 3), (0x8B, 0x68, 0x4A), np.uint8)
    readings = skin_tone(region="center").read(patch)
    shares, tone = readings.probabilities["skin_tone"][0], readings.values["skin_tone"][0]
    assert 6 < tone < 7
    assert shares[5] == pytest.approx(7 - tone, abs=1e-5)
    assert shares[6] == pytest.approx(tone - 6, abs=1e-5)


def test_a_picture_without_skin_colour_is_declined():
    readings = skin_tone(region="center").read(np.full((1, 40, 40, 3), (40, 80, 200), np.uint8))
    assert readings.states["skin_tone"] == (State.ABSTAIN,)
    assert np.isnan(readings.values["ita"]).all()


# constant


def test_constant_answers_what_the_pixel_says():
    images = np.zeros((3, 4, 4, 3), np.uint8)
    images[:, 0, 0, 0] = [0, 1, 3]
    shares = constant().read(images).probabilities["gender"]
    assert shares.argmax(axis=1).tolist() == [0, 1, 1]
    assert constant(answer="man").read(images).probabilities["gender"][:, 1].tolist() == [1, 1, 1]
    with pytest.raises(SpecError, match="did you mean 'woman'"):
        constant(answer="womn")


# weights


class Canary:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("name", ["fairface", "inception", "portraits", "clip", "deepface"])
def test_pickled_weights_are_refused_before_they_are_read(name, tmp_path):
    canary = tmp_path / "canary"
    names = {
        "clip": "open_clip_pytorch_model.bin",
        "portraits": "model.pt",
        "deepface": "gender_model_weights.pth",
    }
    pickled = tmp_path / names.get(name, "weights.pt")
    pickled.write_bytes(pickle.dumps(Canary(canary)))
    (tmp_path / "open_clip_config.json").write_text('{"model_cfg": {}}')
    kind, option = ("encoders" if name == "inception" else "probes"), str(pickled)
    if name in ("portraits", "clip", "deepface"):
        option = str(tmp_path)
    given = {"model": option} if name == "clip" else {"weights": option}
    expected = ResourceError if name in ("portraits", "deepface") else RefusedError
    with pytest.raises(expected):
        build(kind, name, **given)
    assert not canary.exists()


@pytest.mark.parametrize(
    ("name", "given", "says"),
    [
        (
            "fairface",
            {"weights": "absent.safetensors"},
            "fetch res34_fair_align_multi_7_20190809.pt",
        ),
        (
            "deepface",
            {"weights": "absent"},
            "fetch gender_model_weights.onnx from the release v1.0",
        ),
        ("portraits", {"weights": "absent"}, "reinstall bias-audit, which ships it"),
    ],
)
def test_missing_weights_are_one_sentence_with_a_remedy(name, given, says):
    with pytest.raises(ResourceError) as caught:
        build("probes", name, **given)
    message = str(caught.value)
    assert says in message
    assert "no such weights" in message
    assert "\n" not in message


def test_a_hub_id_without_a_network_is_one_sentence(monkeypatch):
    with pytest.raises(ResourceError, match="timm/absent: could not be fetched from the hub"):
        clip(model="timm/absent")


def test_weights_are_known_by_their_hash(tmp_path):
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"abc")
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert locate(path, formats={".safetensors"}, remedy="x", sha256=digest.upper()) == (
        path,
        digest,
    )
    with pytest.raises(InputError, match="expected 00"):
        locate(path, formats={".safetensors"}, remedy="x", sha256="00")
    with pytest.raises(InputError, match=r"weights must be \.onnx"):
        locate(path, formats={".onnx"}, remedy="x")


def test_another_classifier_has_another_fingerprint(folder, tmp_path):
    one = tiny_weights.classifier(folder / "classifier")
    two = tiny_weights.classifier(tmp_path / "other")
    assert portraits(weights=str(one)).fingerprint == portraits(weights=str(two)).fingerprint
    config = two / "config.json"
    config.write_text(config.read_text().replace("woman", "femme"))
    assert portraits(weights=str(one)).fingerprint != portraits(weights=str(two)).fingerprint
    config.write_text("[]")
    with pytest.raises(InputError, match="does not describe a classifier"):
        portraits(weights=str(two))
