"""What goes wrong with images, labels, disks and locks: exit status, sentence, nothing lost."""

import io
import json
import os
import signal
import struct
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from fakes import Glyph
from PIL import Image

import audit
from audit import job, runner
from audit.cli import main
from audit.interrupts import Interrupted
from audit.storage import atomic, folder
from audit.storage.folder import Run
from audit.storage.store import Store
from audit.types import State
from probes.constant import ConstantProbe

NOISE = np.random.default_rng(0).integers(0, 256, (50, 16, 16, 3), np.uint8)


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch):
    """Work in an empty folder, without the page, which has tests of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BIAS_AUDIT_STORE", raising=False)
    monkeypatch.setattr(job, "render", lambda path: None)
    return tmp_path


def write_spec(benchmark=None, **model):
    drawn = {"model": "fake", "images": 12, "mitigations": ["none"]}
    benchmark = {"probes": ["constant"], "attributes": ["gender"]} | (benchmark or drawn)
    if "labels" in benchmark:
        del benchmark["probes"]
    spec = {"version": 1, "benchmarks": {"tiny": benchmark}}
    if "model" in benchmark:
        given = {"name": "fakes:glyph", "as": "glyph", "log": "draws.log", "steps": 1}
        spec["models"] = {"fake": given | model}
    Path("benchmarks.yaml").write_text(yaml.safe_dump(spec))


@pytest.fixture
def bias_audit(capsys):
    """Return what runs a command and gives its exit status, its output and its errors."""

    def call(*args):
        with pytest.raises(SystemExit) as done:
            main(list(map(str, args)))
        said = capsys.readouterr()
        return done.value.code or 0, said.out, said.err

    return call


def draws():
    log = Path("draws.log")
    return log.read_text().splitlines() if log.exists() else []


def the_run():
    (path,) = Path("runs").glob("tiny-*")
    return Run.open(path)


def save(name, pixels=NOISE[0], **options):
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(name, **options)


def photos(count, at="photos"):
    for i in range(count):
        save(f"{at}/{i:02}.png", NOISE[i])


# A run, from end to end


def test_a_run_leaves_a_whole_folder(bias_audit):
    write_spec({"model": "fake", "images": 20, "mitigations": ["none", named("brighter")]})
    status, out, _ = bias_audit("run")
    assert status == 0
    run = the_run()
    assert run.manifest["status"] == "complete"
    assert len(run.images) == 40 == len(draws())
    assert list(run.images["arm"].unique()) == ["none", "brighter"]
    assert (run.images["status"] == "ok").all()
    assert (run.labels["status"] == "ok").all()
    assert str(run.folder) in out
    for row in run.images.itertuples():
        assert (run.store / row.path).is_file()
    spec = yaml.safe_load((run.folder / "spec.yaml").read_text())
    assert spec["benchmarks"]["tiny"]["images"] == 20
    share = next(
        m for m in run.results.measurements if m.metric == "share" and m.class_ == "woman"
    )
    assert share.value == (run.labels.query("arm == 'none'")["label"] == "woman").mean()
    assert "<table" in audit.Run.open(run.folder)._repr_html_()


def trained(**options):
    return {"name": "fakes:trained", "as": "trained", "path": "lora.txt", **options}


def named(name):
    return {"name": f"fakes:{name}", "as": name}


def test_seconds_an_image_are_known_by_arm_and_kept_with_the_images(bias_audit):
    write_spec({"model": "fake", "images": 6, "mitigations": ["none", named("brighter")]})
    assert bias_audit("run", "--set", "models.fake.faults={sleep: 0.02}")[0] == 0
    first = the_run()
    took = first.manifest["seconds_per_image"]
    assert list(took) == ["none", "brighter"] or list(took) == ["brighter", "none"]
    assert all(0.02 <= seconds < 2 for seconds in took.values())
    assert "seconds" not in (first.folder / "results.json").read_text()
    assert "seconds" not in first.images.columns
    again = bias_audit("run", "--set", "models.fake.faults={sleep: 0.02}", "--no-resume")
    assert again[0] == 0
    assert len(draws()) == 12, "nothing was drawn again"
    for path in Path("runs").glob("tiny-*"):
        assert Run.open(path).manifest["seconds_per_image"] == took


def test_a_run_that_went_on_elsewhere_is_warned_of(bias_audit, monkeypatch):
    write_spec()
    monkeypatch.setattr(Glyph, "device", "cpu", raising=False)
    bias_audit("run", "--limit", 5)
    assert not the_run().results.provenance.warnings
    monkeypatch.setattr(Glyph, "device", "cuda:1")
    bias_audit("run")
    (found,) = the_run().results.provenance.warnings
    assert found.code == "mixed_drawing"
    assert "5 with cpu, torch " in found.message
    assert "7 with cuda, torch " in found.message


def test_strict_refuses_what_went_on_elsewhere(bias_audit, monkeypatch):
    write_spec()
    monkeypatch.setattr(Glyph, "device", "cpu", raising=False)
    bias_audit("run", "--limit", 5)
    monkeypatch.setattr(Glyph, "device", "cuda")
    status, _, err = bias_audit("run", "--strict", "--batch-size", 6)
    assert status == 3
    assert "error: images drawn on several devices or by several versions: 5 with cpu" in err
    assert bias_audit("run")[0] == 0, "without it the run goes on, and warns"
    assert the_run().manifest["status"] == "complete"
    status, _, err = bias_audit("run", "--strict")
    assert status == 3
    assert "5 with cpu" in err
    assert the_run().manifest["status"] == "complete", "what was finished stays as it is"


def test_an_image_drawn_twice_and_unlike_is_counted_and_the_first_is_read(bias_audit, monkeypatch):
    """Another process, on a machine with a fault, commits three of the images a moment before."""
    write_spec()
    put = Store.put

    def raced(store, key, record, content=b"", suffix=""):
        if suffix == ".png" and len(list(store.blobs.rglob("*.png"))) < 3:
            buffer = io.BytesIO()
            Image.fromarray(np.full((8, 8, 3), 7, np.uint8)).save(buffer, "PNG")
            put(store, key, record, buffer.getvalue(), suffix)
        return put(store, key, record, content, suffix)

    monkeypatch.setattr(Store, "put", raced)
    assert bias_audit("run")[0] == 0
    run = the_run()
    found = {w.code: (w.arm, w.count) for w in run.results.provenance.warnings}
    assert found["nondeterministic_duplicate"] == ("none", 3)
    first = run.images[run.images["sha256"].duplicated(keep=False)]
    assert len(first) == 3
    read = run.labels.set_index("index")["label"]
    assert set(read[first["index"]]) == {"man"}, "7 is odd: pixels that were kept were read"


def test_an_encoder_that_is_called_like_a_metric_is_refused(bias_audit):
    encoder = {"name": "fakes:misnamed", "as": "fid"}
    write_spec({"model": "fake", "images": 4, "mitigations": ["none"], "encoders": [encoder]})
    status, _, err = bias_audit("run")
    assert status == 2
    assert "encoder 'fakes:misnamed': 'fid' is the name of a metric" in err
    assert not draws()


def test_a_judge_that_guided_is_warned_of_and_another_is_named(bias_audit):
    other = {"name": "constant", "as": "other", "answer": "man"}
    write_spec(
        {
            "model": "fake",
            "images": 4,
            "mitigations": ["none", named("brighter"), named("guided")],
            "probes": ["constant", other | {"name": "fakes:stranger"}],
        }
    )
    assert bias_audit("run")[0] == 0
    found = [w for w in the_run().results.provenance.warnings if w.code == "guide_judges"]
    assert [(w.arm, w.message) for w in found] == [
        (
            "guided",
            "guided follows constant in gender: where constant reads the result, what it misreads"
            " counts as success; believe other",
        )
    ]
    status, out, _ = bias_audit("compare", the_run().folder, "--arms", "none", "guided")
    assert status == 0
    assert out.count("warning: guided follows constant") == 1
    assert (
        "warning" not in bias_audit("compare", the_run().folder, "--arms", "none", "brighter")[1]
    )
    before = (the_run().folder / "results.json").read_bytes()
    assert bias_audit("measure", the_run().folder)[0] == 0
    assert (the_run().folder / "results.json").read_bytes() == before


def test_arms_share_their_requests(bias_audit):
    write_spec({"model": "fake", "images": 6, "mitigations": ["none", named("brighter")]})
    bias_audit("run")
    images = the_run().images
    columns = ["prompt_id", "index", "seed"]
    plain, bright = (images[images["arm"] == arm][columns] for arm in ("none", "brighter"))
    assert plain.to_numpy().tolist() == bright.to_numpy().tolist()


def test_a_finished_run_is_only_opened(bias_audit, monkeypatch):
    write_spec()
    bias_audit("run")
    before = {p.name: p.read_bytes() for p in the_run().folder.iterdir()}
    monkeypatch.setattr(job.Job, "fill", lambda *_: pytest.fail("went through the run again"))
    status, _, _ = bias_audit("run")
    assert status == 0
    assert {p.name: p.read_bytes() for p in the_run().folder.iterdir()} == before
    assert len(draws()) == 12


def test_weights_trained_again_in_place_are_drawn_with(bias_audit):
    Path("lora.txt").write_text("1")
    write_spec({"model": "fake", "images": 4, "mitigations": ["none", trained()]})
    bias_audit("run")
    Path("lora.txt").write_text("200")
    bias_audit("run")
    images = the_run().images.set_index("arm")
    darkest = [np.asarray(Image.open(the_run().store / path)).min() for path in images["path"]]
    assert (images.index == "none").sum() == 4
    assert max(darkest[:4]) < 200 <= min(darkest[4:])
    assert len(draws()) == 4 + 4 + 4, "of the plain model nothing was drawn again"


def test_a_truth_that_was_corrected_is_reported_and_nothing_is_drawn_again(
    bias_audit, monkeypatch
):
    write_spec()
    for share in (0.25, 0.5):
        planted = {"gender": {"woman": share, "man": 1 - share}}
        monkeypatch.setattr(Glyph, "truth", lambda *_, known=planted: known, raising=False)
        bias_audit("run")
        assert the_run().manifest["truth"] == planted
    assert len(draws()) == 12


def test_an_option_that_the_last_arm_refuses_stops_the_run_before_it_draws(bias_audit):
    Path("lora.txt").write_text("1")
    write_spec({"model": "fake", "images": 4, "mitigations": ["none", trained(scale=-1)]})
    status, _, said = bias_audit("run")
    assert status == 2
    assert "trained: scale must be at least 0, not -1" in said
    assert not draws()


@pytest.mark.parametrize(
    ("attributes", "says"),
    [
        (["age", "race"], "they read age; say `attributes: [age]`"),
        (["race"], "(constant) reads 'race'; they read age"),
    ],
)
def test_an_attribute_that_no_probe_reads_stops_the_run_before_it_draws(
    bias_audit, attributes, says
):
    constant = {"name": "constant", "attribute": "age", "classes": ["young", "old"]}
    write_spec({"model": "fake", "images": 4, "probes": [constant], "attributes": attributes})
    status, _, said = bias_audit("run")
    assert status == 2
    assert says in said
    assert not draws()


def test_a_changed_spec_is_a_new_run_that_uses_the_images_there_are(bias_audit):
    write_spec()
    bias_audit("run")
    write_spec({"model": "fake", "images": 20, "mitigations": ["none"]})
    bias_audit("run")
    assert len(list(Path("runs").glob("tiny-*"))) == 2
    assert len(draws()) == 20


def test_a_limited_run_is_partial_and_then_completed(bias_audit):
    gate = {"metric": "fd_debiased", "attribute": "gender", "max": 1.4}
    write_spec({"model": "fake", "images": 12, "mitigations": ["none"], "gates": [gate]})
    status, _, _ = bias_audit("run", "--limit", 5)
    assert status == 4
    assert the_run().manifest["status"] == "partial"
    assert len(the_run().images) == 5
    bias_audit("run")
    assert the_run().manifest["status"] == "complete"
    assert len(draws()) == 12


class Counted:
    """A request that counts how often it is looked up."""

    looked_up = 0

    def __init__(self, index):
        self.index = index

    def __hash__(self):
        Counted.looked_up += 1
        return self.index


def test_to_limit_a_large_plan_takes_no_longer_than_to_read_it():
    requests = [Counted(index) for prompt in range(4) for index in range(50)]
    found = job.limited(requests, 100)
    assert [request.index for request in found] == [*range(25)] * 4
    assert Counted.looked_up <= 2 * len(requests)


def test_no_resume_makes_another_folder_and_deletes_nothing(bias_audit):
    write_spec()
    bias_audit("run")
    bias_audit("run", "--no-resume")
    assert sorted(p.name[-2:] for p in Path("runs").iterdir())[0] == "-2"
    assert len(list(Path("runs").iterdir())) == 2


def test_batch_sizes_give_the_same_bytes(bias_audit):
    write_spec({"model": "fake", "images": 20, "mitigations": ["none", named("brighter")]})
    found = {}
    for size in (1, 3, 16):
        bias_audit("run", "--batch-size", size, "--store", f"store-{size}", "--out", f"out-{size}")
        (path,) = Path(f"out-{size}").iterdir()
        found[size] = (path / "results.json").read_bytes()
        images = Run.open(path).images
        assert len(images) == 20 * 2
        found[size] += "".join(images["sha256"]).encode()
    assert found[1] == found[3] == found[16]


# Images that fail


def test_failed_blank_and_filtered_images_are_counted_and_not_read(bias_audit):
    write_spec(faults={"states": {"0": "blank", "1": "filtered"}})
    status, _, _ = bias_audit("run")
    assert status == 0
    run = the_run()
    assert run.images["status"].tolist()[:3] == [State.BLANK, State.FILTERED, State.OK]
    labels = run.labels
    assert labels["status"].tolist()[:3] == [State.BLANK, State.FILTERED, State.OK]
    assert labels["label"].isna().tolist()[:3] == [True, True, False]
    share = next(m for m in run.results.measurements if m.metric == "share")
    assert share.n == 10


def test_too_many_failed_images_make_the_run_incomplete_with_a_report(bias_audit):
    write_spec(faults={"states": {"0": "failed"}})
    status, _, err = bias_audit("run")
    assert status == 4
    assert "8.3% of the images failed, more than the 1.0% that the spec allows" in err
    run = the_run()
    assert run.manifest["status"] == "incomplete"
    assert run.images["path"].isna().sum() == 1
    assert run.results.measurements


def several(**benchmarks):
    """Write a spec of several benchmarks of the same model, which draws one image that failed."""
    write_spec(faults={"states": {"0": "failed"}})
    spec = yaml.safe_load(Path("benchmarks.yaml").read_text())
    own = {"statistics": {"max_failed": 0.5}} | spec["benchmarks"]["tiny"]
    spec["benchmarks"] = {name: own | given for name, given in benchmarks.items()}
    Path("benchmarks.yaml").write_text(yaml.safe_dump(spec))


def test_images_that_a_probe_failed_on_are_read_again_by_the_next_run(bias_audit, monkeypatch):
    write_spec()
    read = ConstantProbe.read
    monkeypatch.setattr(ConstantProbe, "read", lambda *_: 1 / 0)
    status, _, err = bias_audit("run")
    assert status == 4
    assert "100.0% of the images could not be read by a probe, more than the 1.0%" in err
    assert the_run().manifest["status"] == "incomplete"
    monkeypatch.setattr(ConstantProbe, "read", read)
    assert bias_audit("run")[0] == 0
    assert the_run().manifest["status"] == "complete"
    assert (the_run().labels["status"] == "ok").all()
    assert len(draws()) == 12, "nothing was drawn again"


BROKEN = {"gates": [{"metric": "share", "attribute": "gender", "class": "man", "min": 0.99}]}
STRICT = {"statistics": {"max_failed": 0.0}}


def test_a_failed_gate_outranks_a_benchmark_that_is_incomplete(bias_audit):
    several(first=BROKEN, second=STRICT, third={})
    status, out, err = bias_audit("run", "--json")
    said = json.loads(out)
    assert status == said["status"] == 1
    assert [Path(one["folder"]).name.split("-")[0] for one in said["runs"]] == ["first", "third"]
    assert "8.3% of the images failed" in err
    assert len(said["errors"]) == 1
    assert bias_audit("run", "--exit-zero")[0] == 4


def test_an_error_in_one_benchmark_leaves_the_numbers_of_those_before(bias_audit):
    empty = {"model": None, "images": "nothing", "mitigations": ["none"]}
    Path("nothing").mkdir()
    several(first=BROKEN, second=empty, third={})
    status, out, err = bias_audit("run")
    assert status == 3
    assert "fail: share-gender-man" in out
    assert "third" not in out
    assert "error: " in err


def test_a_benchmark_is_told_before_the_next_begins(bias_audit, monkeypatch, capsys):
    several(first=BROKEN, second={})
    told = []

    def watched(spec, name, **how):
        told.append(capsys.readouterr().out)
        return run(spec, name, **how)

    run = runner.run
    monkeypatch.setattr(runner, "run", watched)
    status, out, _ = bias_audit("run")
    (first,), (second,) = (Path("runs").glob(f"{name}-*") for name in ("first", "second"))
    assert status == 1
    assert told[0] == ""
    assert told[1].startswith(f"first: {first / folder.REPORT}\n")
    assert "fail: share-gender-man" in told[1]
    assert out.startswith(f"second: {second / folder.REPORT}\n")
    assert "first" not in out


@pytest.mark.parametrize(
    ("raised", "status"),
    [
        (Interrupted(signal.SIGINT), 130),
        (Interrupted(signal.SIGTERM), 143),
        (OSError(28, "No space left on device"), 5),
        (ZeroDivisionError("a bug"), 70),
    ],
)
def test_what_ends_a_later_benchmark_leaves_the_numbers_of_those_before(
    bias_audit, monkeypatch, raised, status
):
    several(first=BROKEN, second=STRICT, third={})

    def ended(spec, name, **how):
        if name == "third":
            raise raised
        return run(spec, name, **how)

    run = runner.run
    monkeypatch.setattr(runner, "run", ended)
    found, out, _ = bias_audit("run")
    assert found == status
    assert "fail: share-gender-man" in out
    found, out, _ = bias_audit("run", "--json")
    said = json.loads(out)
    assert found == said["status"] == status
    assert [gate["verdict"] for one in said["runs"] for gate in one["gates"]] == ["fail"]
    assert len(said["errors"]) == 2
    assert "8.3% of the images failed" in said["errors"][0]


def test_half_a_run_without_gates_is_undecided_for_run_and_check(bias_audit):
    write_spec()
    assert bias_audit("run", "--limit", 2)[0] == 4
    assert bias_audit("check", the_run().folder)[0] == 4


def test_a_poison_request_is_given_up_and_no_other(bias_audit):
    spec = {"model": "fake", "images": 12, "mitigations": ["none"]}
    write_spec(spec | {"statistics": {"max_failed": 0.2}}, faults={"fail_on": [7]})
    status, _, _ = bias_audit("run")
    assert status == 0
    images = the_run().images
    assert images[images["status"] == "failed"]["index"].tolist() == [7]
    assert len(draws()) == 11


def test_memory_that_runs_out_halves_the_batch_and_loses_nothing(bias_audit):
    write_spec(faults={"oom_above": 3})
    status, _, _ = bias_audit("run")
    assert status == 0
    assert sorted(int(line.split()[1]) for line in draws()) == list(range(12))
    assert (the_run().images["status"] == "ok").all()


def test_one_image_that_does_not_fit_into_memory_ends_with_a_hint(bias_audit):
    write_spec(faults={"oom_above": 0})
    status, _, err = bias_audit("run")
    assert status == 5
    assert "one image does not fit into memory; draw smaller images" in err
    assert the_run().manifest["status"] == "failed"


@pytest.mark.parametrize("damage", ["flip", "truncate", "remove"])
def test_a_damaged_image_in_the_store_is_drawn_again(bias_audit, damage):
    write_spec()
    bias_audit("run")
    run = the_run()
    path = run.store / run.images["path"][4]
    content = path.read_bytes()
    if damage == "remove":
        path.unlink()
    elif damage == "flip":
        path.write_bytes(content[:50] + bytes([content[50] ^ 1]) + content[51:])
    else:
        path.write_bytes(content[:-20])
    run.folder.joinpath("results.json").unlink()
    assert bias_audit("run")[0] == 0
    assert path.read_bytes() == content
    assert len(draws()) == 13


# Folders of images


def test_a_folder_of_images_is_audited(bias_audit):
    photos(8)
    save("photos/ninth.jpg", NOISE[8])
    write_spec({"images": "photos"})
    assert bias_audit("run")[0] == 0
    run = the_run()
    assert len(run.images) == 9
    assert (run.store / run.images["path"][8]).name == "ninth.jpg"
    assert run.images["seed"].isna().all()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "not a PNG, JPEG or WebP image"),
        (b"<html>404</html>", "not a PNG, JPEG or WebP image"),
        (b"GIF89a" + b"\0" * 30, "not a PNG, JPEG or WebP image"),
    ],
)
def test_files_that_are_no_images_stop_the_run_above_the_tolerance(bias_audit, content, says):
    photos(8)
    Path("photos/bad.png").write_bytes(content)
    write_spec({"images": "photos"})
    status, _, err = bias_audit("run")
    assert status == 3
    assert f"1 of 9 images cannot be read: bad.png: {says}" in err


def test_unreadable_images_within_the_tolerance_are_counted(bias_audit):
    photos(8)
    Path("photos/bad.png").write_bytes(b"")
    write_spec({"images": "photos", "statistics": {"max_failed": 0.2}})
    assert bias_audit("run")[0] == 0
    assert (the_run().images["status"] == "unreadable").sum() == 1
    warnings = the_run().results.provenance.warnings
    assert "unreadable" in [warning.code for warning in warnings]


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_half_a_file_is_never_half_an_image(bias_audit, suffix):
    photos(1)
    save(f"photos/half.{suffix}", np.tile(NOISE[0], (8, 8, 1)))
    half = Path(f"photos/half.{suffix}")
    half.write_bytes(half.read_bytes()[: half.stat().st_size // 2])
    write_spec({"images": "photos"})
    status, _, err = bias_audit("run")
    assert status == 3
    assert f"half.{suffix}: damaged" in err


def bomb(width, height):
    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(b"\0" * 100))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


@pytest.mark.parametrize("edge", [9_000, 20_000])
def test_a_header_bomb_is_refused_without_being_decoded(bias_audit, edge):
    Path("photos").mkdir()
    Path("photos/bomb.png").write_bytes(bomb(edge, edge))
    write_spec({"images": "photos"})
    status, _, err = bias_audit("run")
    assert status == 3
    assert "bomb.png: too many pixels" in err


def test_other_formats_are_skipped_and_counted(bias_audit):
    photos(3)
    save("photos/moving.gif")
    save("photos/scan.tiff")
    Path("photos/notes.pdf").write_bytes(b"%PDF")
    write_spec({"images": "photos"})
    assert bias_audit("run")[0] == 0
    (skipped,) = [w for w in the_run().results.provenance.warnings if w.code == "skipped"]
    assert skipped.count == 3


def test_sub_folders_are_one_arm_and_that_is_said(bias_audit):
    photos(2, at="photos/none")
    photos(2, at="photos/steer")
    write_spec({"images": "photos"})
    status, _, err = bias_audit("run")
    assert status == 0
    assert the_run().results.arms == ("none",)
    (pooled,) = [w for w in the_run().results.provenance.warnings if w.code == "pooled_folders"]
    assert pooled.count == 2
    assert "photos: images of its sub-folders ('none', 'steer') are taken together" in err
    assert "manifest.csv with the columns `file` and `arm`" in pooled.message


@pytest.mark.parametrize("at", ["photos", "photos/all"])
def test_nothing_is_said_of_images_that_lie_in_one_folder(bias_audit, at):
    photos(2, at=at)
    write_spec({"images": "photos"})
    _, _, err = bias_audit("run")
    assert "pooled_folders" not in {w.code for w in the_run().results.provenance.warnings}
    assert "sub-folders" not in err


def test_another_format_listed_by_name_is_an_error(bias_audit):
    save("photos/moving.gif")
    Path("photos/manifest.csv").write_text("file\nmoving.gif\n")
    write_spec({"images": "photos"})
    status, _, err = bias_audit("run")
    assert status == 3
    assert "manifest.csv:2: 'moving.gif' is not one of .png" in err


def test_constant_images_are_blank_and_not_faceless(bias_audit):
    photos(3)
    save("photos/black.png", np.zeros((16, 16, 3), np.uint8))
    save("photos/grey.png", np.full((16, 16, 3), 127, np.uint8))
    write_spec({"images": "photos"})
    assert bias_audit("run")[0] == 0
    assert (the_run().images["status"] == "blank").sum() == 2


def test_an_empty_and_a_missing_folder_are_named(bias_audit):
    Path("photos").mkdir()
    write_spec({"images": "photos"})
    status, _, err = bias_audit("run")
    assert status == 3
    assert "photos: holds no images" in err
    Path("photos").rmdir()
    status, _, err = bias_audit("run")
    assert status == 2
    assert "tiny.images: there is no folder 'photos'" in err


def test_a_link_that_leaves_the_folder_is_refused(bias_audit):
    photos(2)
    save("secret.png")
    Path("photos/link.png").symlink_to(Path("secret.png").resolve())
    write_spec({"images": "photos"})
    status, _, err = bias_audit("run")
    assert status == 6
    assert "link.png leads out of the folder" in err


def test_a_manifest_names_arms_prompts_and_seeds_and_pairs_by_seed(bias_audit):
    photos(4)
    rows = ["file,arm,prompt,seed", "00.png,none,a doctor,7", "01.png,none,a doctor,9"]
    rows += ["02.png,fair,a doctor,9", "03.png,fair,a doctor,7"]
    Path("photos/manifest.csv").write_text("\n".join(rows))
    write_spec({"images": "photos"})
    assert bias_audit("run")[0] == 0
    images = the_run().images
    assert images["index"].tolist() == [0, 1, 1, 0]
    assert images["prompt_id"].unique().tolist() == ["a-doctor"]
    assert the_run().results.arms == ("none", "fair")


@pytest.mark.parametrize(
    ("manifest", "status", "says"),
    [
        ("file\n../secret.png\n", 6, "manifest.csv:2: '../secret.png' leads out of the folder"),
        ("file\nghost.png\n", 3, "manifest.csv:2: there is no file 'ghost.png'"),
        ("name\n00.png\n", 3, "manifest.csv: unknown column 'name'"),
        ("file,promt\n00.png,x\n", 3, "unknown column 'promt'; did you mean 'prompt'?"),
        ("file,seed\n00.png,x\n", 3, "manifest.csv:2: seed must be a whole number from 0"),
        ("file,arm\n00.png,../x\n", 3, "manifest.csv:2: '../x' must match"),
        ("file\n", 3, "manifest.csv: lists no images"),
        ("file,seed\n00.png,1\n01.png,1\n", 3, "2 images are number 0 of prompt '-' in arm"),
        ("file,arm\n00.png\n", 3, "manifest.csv:2: 1 cells under 2 columns"),
    ],
)
def test_a_wrong_manifest_is_one_sentence_with_its_line(bias_audit, manifest, status, says):
    photos(2)
    Path("photos/manifest.csv").write_text(manifest)
    write_spec({"images": "photos"})
    found, _, err = bias_audit("run")
    assert found == status
    assert says in err


def test_arms_that_are_the_same_images_are_an_error(bias_audit):
    photos(2)
    photos(2, at="photos/again")
    rows = ["file,arm", "00.png,none", "01.png,none", "again/00.png,fair", "again/01.png,fair"]
    Path("photos/manifest.csv").write_text("\n".join(rows))
    write_spec({"images": "photos"})
    status, _, err = bias_audit("run")
    assert status == 3
    assert "arms 'none' and 'fair' are the same images" in err


def test_duplicates_are_reported(bias_audit):
    photos(3)
    photos(1, at="photos/again")
    write_spec({"images": "photos"})
    assert bias_audit("run")[0] == 0
    (found,) = [w for w in the_run().results.provenance.warnings if w.code == "duplicates"]
    assert found.count == 1


# Tables of labels


def table(text, **benchmark):
    Path("labels.csv").write_text(text)
    write_spec({"labels": "labels.csv", **benchmark})


def test_counts_are_audited_as_they_stand(bias_audit):
    table("gender,prompt,count\nwoman,a nurse,30\nman,a nurse,10\n,a nurse,2\n")
    assert bias_audit("run")[0] == 0
    run = the_run()
    assert len(run.images) == 42
    assert run.labels["status"].value_counts().to_dict() == {"ok": 40, "abstain": 2}
    share = next(
        m for m in run.results.measurements if m.metric == "share" and m.class_ == "woman"
    )
    assert (share.value, share.n) == (0.75, 40)
    assert run.images["path"].isna().all()


def test_people_are_read_and_read_again_when_their_table_changes(bias_audit):
    """Half of 40 images are read as women; people say that all of the ten they saw are men."""
    Path("people.csv").write_text("index,gender\n" + "".join(f"{4 * i},man\n" for i in range(10)))
    table("gender\n" + "woman\nwoman\nman\nman\n" * 10, people="people.csv")
    assert bias_audit("run")[0] == 0

    def share():
        (found,) = (m for m in the_run().results.measurements if (m.metric, m.class_) == WOMEN)
        return found.value

    assert share() == 0
    changed = "".join(f"{4 * i + 1},woman\n" for i in range(10))
    Path("people.csv").write_text("index,gender\n" + changed)
    assert bias_audit("run")[0] == 0
    assert share() == 1
    Path("people.csv").write_text("index,gender\n0,wman\n")
    status, _, said = bias_audit("run")
    assert status == 3
    assert "people.csv:2: unknown gender 'wman'; did you mean 'woman'?" in said


WOMEN = ("share_ppi", "woman")


def test_a_parquet_table_and_probabilities_are_read(bias_audit):
    frame = pd.DataFrame({"p_woman": [0.9, 0.2, 0.4], "p_man": [0.1, 0.8, 0.6]})
    frame.to_parquet("labels.parquet")
    write_spec({"labels": "labels.parquet"})
    assert bias_audit("run")[0] == 0
    labels = the_run().labels
    assert labels["label"].tolist() == ["woman", "man", "man"]
    np.testing.assert_allclose(labels["p_woman"], [0.9, 0.2, 0.4], rtol=1e-6)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("gender\nwomen\n", "labels.csv:2: unknown gender 'women'; did you mean 'woman'?"),
        ("sex\nwoman\n", "labels.csv: has a column for none of gender"),
        ("gendr\nwoman\n", "labels.csv: unknown column 'gendr'; did you mean 'gender'?"),
        ("gender,count\nwoman,-1\n", "labels.csv:2: count must be a whole number from 0"),
        ("gender,count\nwoman,1.5\n", "labels.csv:2: count must be a whole number from 0"),
        ("gender,count\nwoman,nan\n", "labels.csv:2: count must be a whole number from 0"),
        ("gender,count\nwoman,9000000\n", "9,000,000 images; at most 2,000,000"),
        ("gender,p_woman\nwoman,1\n", "column 'p_man' is missing"),
        ("gender,p_woman,p_man\nwoman,.7,.7\n", "probabilities of gender add up to 1.4, not 1"),
        ("gender,p_woman,p_man\nwoman,2,-1\n", "p_woman must be a number from 0 to 1, got '2'"),
        ("gender,p_women\nwoman,1\n", "unknown column 'p_women'; did you mean 'p_woman'?"),
        ("gender,gender\nwoman,man\n", "column 'gender' stands there twice"),
        ("gender\n", "labels.csv: the table has no rows"),
        ("", "labels.csv: the table is empty"),
        ("gender,arm\nwoman\n", "labels.csv:2: 1 cells under 2 columns"),
        ('gender\n"woman\n', "labels.csv:2: not CSV"),
    ],
)
def test_a_wrong_table_is_one_sentence_with_its_line(bias_audit, text, says):
    table(text)
    status, _, err = bias_audit("run")
    assert status == 3
    assert says in err
    assert "Traceback" not in err


def test_a_table_that_is_no_text_and_one_that_is_not_there(bias_audit):
    table("x")
    Path("labels.csv").write_bytes(b"\xff\xfe\x00gender")
    assert bias_audit("run")[0] == 3
    Path("labels.csv").write_text('"gender"x\nwoman\n')
    status, _, err = bias_audit("run")
    assert status == 3
    assert "labels.csv:1: not CSV" in err
    Path("labels.csv").unlink()
    status, _, err = bias_audit("run")
    assert status == 2
    assert "tiny.labels: there is no table 'labels.csv'" in err


# Disks and locks


def test_a_run_that_another_process_writes_is_left_alone(bias_audit):
    write_spec()
    bias_audit("run", "--limit", 2)
    with folder.locked(the_run().folder):
        status, _, err = bias_audit("run")
    assert status == 5
    assert f"process {os.getpid()} on " in err
    assert "is writing this run" in err
    assert len(draws()) == 2
    assert bias_audit("run")[0] == 0


def test_the_lock_of_a_dead_process_is_free(bias_audit):
    write_spec()
    bias_audit("run", "--limit", 2)
    (the_run().folder / ".lock").write_text("")
    (the_run().folder / ".lock.json").write_text('{"pid": 999999, "host": "gone"}')
    assert bias_audit("run")[0] == 0


def test_a_folder_of_another_spec_is_refused(bias_audit):
    write_spec()
    bias_audit("run")
    manifest = the_run().folder / "run.json"
    manifest.write_text(json.dumps(the_run().manifest | {"digest": "0" * 64}))
    status, _, err = bias_audit("run", "--set", "tiny.title=x", "--out", "runs")
    assert status == 0
    (path,) = [p for p in Path("runs").iterdir() if p.name != manifest.parent.name]
    manifest.unlink()
    (path / "results.json").unlink()
    (path / "run.json").write_text(json.dumps({"digest": "0" * 64}))
    status, _, err = bias_audit("run", "--set", "tiny.title=x", "--out", "runs")
    assert status == 3
    assert "holds a run of another spec" in err


def test_an_output_folder_that_cannot_be_made_is_found_before_anything_is_drawn(bias_audit):
    write_spec()
    Path("taken").write_text("")
    status, _, err = bias_audit("run", "--out", "taken/runs")
    assert status == 5
    assert "cannot be written: a file is where a folder should be" in err
    assert draws() == []


def test_a_full_disk_ends_the_run_and_the_next_goes_on(bias_audit, monkeypatch):
    write_spec()
    write, count = atomic.write, iter(range(1000))

    def full(path, content, **options):
        if path.suffix == ".png" and next(count) >= 5:
            raise OSError(28, "No space left on device")
        write(path, content, **options)

    def explained(path, content, **options):
        with atomic.explained(path):
            full(path, content, **options)

    with monkeypatch.context() as patched:
        patched.setattr(atomic, "write", explained)
        status, _, err = bias_audit("run", "--batch-size", 4)
    assert status == 5
    assert "cannot be written: the disk is full" in err
    status, _, _ = bias_audit("run", "--batch-size", 4)
    assert status == 0
    assert (the_run().images["status"] == "ok").all()


@pytest.mark.parametrize(
    ("name", "content"),
    [("images.parquet", b"PAR1"), ("images.parquet", None), ("labels.parquet", b"")],
)
def test_a_damaged_table_of_a_run_is_named(bias_audit, name, content):
    write_spec()
    bias_audit("run")
    path = the_run().folder / name
    path.unlink() if content is None else path.write_bytes(content)
    status, _, err = bias_audit("measure", the_run().folder)
    assert status == 3
    assert name in err


def test_numbers_are_computed_again_from_the_tables_alone(bias_audit, monkeypatch):
    write_spec()
    bias_audit("run")
    results = the_run().folder / "results.json"
    before = results.read_bytes()
    results.unlink()
    Path("draws.log").unlink()
    assert bias_audit("measure", the_run().folder)[0] == 0
    assert results.read_bytes() == before
    assert draws() == []


def test_numbers_measured_by_a_newer_suite_say_so(bias_audit):
    write_spec()
    bias_audit("run")
    path = the_run().folder / "run.json"
    old = json.loads(path.read_text()) | {"suite": "0.0.1", "measured": "2020-01-01T00:00:00Z"}
    path.write_text(json.dumps(old))
    assert bias_audit("measure", path.parent)[0] == 0
    assert the_run().manifest["suite"] == folder.suite()
    assert the_run().manifest["measured"] > old["measured"]
    assert the_run().results.provenance.model_extra["suite"] == folder.suite()


def test_a_measurement_that_fails_leaves_the_manifest_of_its_results(bias_audit):
    write_spec()
    bias_audit("run")
    path = the_run().folder / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"suite": "0.0.1"}))
    (path.parent / "labels.parquet").write_bytes(b"damaged")
    assert bias_audit("measure", path.parent)[0] == 3
    assert the_run().manifest["suite"] == "0.0.1"


def test_a_manifest_that_lacks_entries_is_named(bias_audit):
    Path("empty").mkdir()
    Path("empty/run.json").write_text("{}")
    status, _, err = bias_audit("measure", "empty")
    assert status == 3
    assert "run.json: lacks benchmark, cache" in err


def test_a_new_error_card_or_other_reference_images_are_seen_by_a_finished_run(bias_audit):
    photos(3, at="real")
    drawn = {"model": "fake", "images": 12, "mitigations": ["none"], "reference_images": "real"}
    write_spec(drawn)
    bias_audit("run")
    assert the_run().results.probes[0].correction.startswith("no error card")
    for answer in ("woman", "man"):
        save(f"known/{answer}/0.png", np.full((16, 16, 3), int(answer == "man"), np.uint8))
    assert bias_audit("calibrate", "constant", "--data", "known")[0] == 0
    assert bias_audit("run")[0] == 0
    assert the_run().results.probes[0].confusion == ((1, 0), (0, 1))
    before = the_run().manifest["made_of"]["reference_images"]
    photos(4, at="real")
    assert bias_audit("run")[0] == 0
    assert the_run().manifest["made_of"]["reference_images"] != before


def test_what_is_no_run_folder_is_said(bias_audit):
    Path("empty").mkdir()
    status, _, err = bias_audit("check", "empty")
    assert status == 3
    assert "not a run folder" in err


# Probes over a folder


def test_classify_writes_labels(bias_audit):
    photos(6)
    status, _, _ = bias_audit("classify", "photos", "--probe", "constant", "--out", "read")
    assert status == 0
    labels = Run.open("read").labels
    assert len(labels) == 6
    expected = np.where(NOISE[:6, 0, 0, 0] % 2 == 0, "woman", "man")
    assert labels["label"].tolist() == expected.tolist()


def test_classify_with_an_unknown_probe_offers_the_nearest(bias_audit):
    photos(1)
    status, _, err = bias_audit("classify", "photos", "--probe", "constnat")
    assert status == 2
    assert "did you mean 'constant'" in err


def test_a_file_under_the_suffix_of_another_format_is_read_and_counted(bias_audit):
    buffer = io.BytesIO()
    Image.fromarray(NOISE[0]).save(buffer, "PNG")
    Path("photos").mkdir()
    Path("photos/really.jpg").write_bytes(buffer.getvalue())
    write_spec({"images": "photos"})
    assert bias_audit("run")[0] == 0
    (found,) = [w for w in the_run().results.provenance.warnings if w.code == "mislabelled"]
    assert found.count == 1
