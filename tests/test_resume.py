"""Runs that are killed go on: nothing is drawn twice, and the end has the same bytes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from audit.storage.folder import Run
from audit.storage.store import Store

IMAGES = 48
TESTS = Path(__file__).parent


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_spec(at, *, images=IMAGES, **faults):
    model = {"name": "fakes:glyph", "as": "glyph", "steps": 1, "faults": {"sleep": 0.01} | faults}
    model["log"] = "draws.log"
    arms = ["none", {"name": "fakes:brighter", "as": "brighter"}]
    benchmark = {"model": "fake", "images": images, "probes": ["constant"], "mitigations": arms}
    benchmark |= {"attributes": ["gender"], "statistics": {"max_failed": 0.1}}
    spec = {"version": 1, "models": {"fake": model}, "benchmarks": {"tiny": benchmark}}
    at.mkdir(exist_ok=True)
    (at / "benchmarks.yaml").write_text(yaml.safe_dump(spec))


def start(at, *more):
    """Run the benchmark in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    environment.pop("BIAS_AUDIT_STORE", None)
    code = (
        # The page has tests of its own and takes a second.
        "import audit.job, audit.cli; audit.job.render = lambda path: None; audit.cli.main()"
    )
    command = [sys.executable, "-c", code, "run", "--batch-size", "4", *more]
    return subprocess.Popen(
        command, cwd=at, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def finish(at, *more):
    process = start(at, *more)
    _, err = process.communicate(timeout=300)
    return process.returncode, err


def stop(at, number, after):
    """Start a run and send it a signal once it has drawn `after` images."""
    process = start(at)
    while process.poll() is None and len(draws(at)) < after:
        time.sleep(0.002)
    process.send_signal(number)
    _, err = process.communicate(timeout=300)
    return process.returncode, err


def draws(at):
    log = at / "draws.log"
    return log.read_text().splitlines() if log.exists() else []


def committed(at):
    """How many images the store holds whole."""
    store = Store(at / ".bias-audit")
    sides = store.blobs.glob("*/*/*.json")
    return sum(
        (blob := store.get(side.stem)) is not None and blob.path is not None for side in sides
    )


def the_run(at):
    (path,) = (at / "runs").iterdir()
    return Run.open(path)


def outcome(at):
    run = the_run(at)
    return (run.folder / "results.json").read_bytes(), run.images["sha256"].tolist()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    at = tmp_path_factory.mktemp("undisturbed")
    write_spec(at)
    assert finish(at)[0] == 0
    assert len(draws(at)) == 2 * IMAGES
    return outcome(at)


def check_resumes(at, undisturbed):
    done = committed(at)
    before = len(draws(at))
    assert finish(at)[0] == 0
    assert len(draws(at)) - before == 2 * IMAGES - done
    assert outcome(at) == undisturbed


@pytest.mark.parametrize("after", [1, 30, 60])
def test_kill_9_loses_no_image_that_was_kept(place, undisturbed, after):
    write_spec(place)
    status, _ = stop(place, signal.SIGKILL, after)
    assert status == -signal.SIGKILL
    assert not list((place / "runs").glob("*/results.json"))
    check_resumes(place, undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("after", range(0, 2 * IMAGES, 5))
def test_kill_9_at_many_moments(place, undisturbed, after):
    write_spec(place)
    stop(place, signal.SIGKILL, after)
    check_resumes(place, undisturbed)


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"]
)
def test_an_interrupt_keeps_what_was_drawn_and_says_so(place, undisturbed, number, status):
    write_spec(place)
    found, err = stop(place, number, 20)
    assert found == status
    assert "the same command goes on where this one stopped" in err
    assert "Traceback" not in err
    assert the_run(place).manifest["status"] == "interrupted"
    # The batch that the signal hit may not have left the model yet; all before it are kept.
    assert len(draws(place)) - committed(place) in (0, 4)
    assert not list(place.rglob("*.tries"))
    assert not list(place.rglob("*.part"))
    check_resumes(place, undisturbed)


def test_a_request_that_kills_the_process_is_given_up_after_three_deaths(place):
    write_spec(place, images=12, die_on=[5])
    deaths = 0
    while (ended := finish(place))[0] == -signal.SIGKILL:
        deaths += 1
        assert deaths <= 6, "three for each arm"
    assert (ended[0], deaths) == (0, 6), ended[1]
    images = the_run(place).images
    assert images[images["status"] == "failed"]["index"].tolist() == [5, 5]
    assert (images["status"] == "ok").sum() == 22
    assert len(set(draws(place))) == 11


def test_what_a_killed_write_left_behind_is_neither_read_nor_in_the_way(place, undisturbed):
    write_spec(place)
    stop(place, signal.SIGKILL, 40)
    store = Store(place / ".bias-audit")
    torn = set(store.blobs.rglob("*.part"))  # the kill itself may have hit a write
    sides = [s for s in sorted(store.blobs.glob("*/*/*.json")) if store.get(s.stem).path]
    sides[0].unlink()  # killed between image and side-car
    sides[1].write_bytes(sides[1].read_bytes()[:20])  # killed while it was written
    half = sides[2].parent / f".{sides[2].name}.0123456789abcdef.part"
    half.write_bytes(b"half")
    check_resumes(place, undisturbed)
    assert set(store.orphans()) == {half, *torn}


def test_two_runs_of_one_spec_do_not_meet(place, undisturbed):
    write_spec(place)
    first, second = start(place), start(place)
    errors = [process.communicate(timeout=300)[1] for process in (first, second)]
    statuses = sorted((first.returncode, second.returncode))
    assert statuses in ([0, 5], [0, 0])  # the second may come when the first is done
    if statuses == [0, 5]:
        assert "is writing this run" in "".join(errors)
    assert len(draws(place)) == 2 * IMAGES
    assert outcome(place) == undisturbed


def test_two_runs_may_share_a_store_at_once(place, undisturbed):
    write_spec(place)
    runs = [start(place, "--out", f"runs-{i}") for i in range(2)]
    for process in runs:
        process.communicate(timeout=300)
    assert [process.returncode for process in runs] == [0, 0]
    results = {path.read_bytes() for path in place.glob("runs-*/*/results.json")}
    assert results == {undisturbed[0]}


def test_results_do_not_know_time_zone_locale_or_hash_seed(place, undisturbed, monkeypatch):
    write_spec(place)
    for name, value in {"TZ": "Asia/Tokyo", "LC_ALL": "C", "PYTHONHASHSEED": "7"}.items():
        monkeypatch.setenv(name, value)
    assert finish(place)[0] == 0
    assert outcome(place) == undisturbed
    assert json.loads((the_run(place).folder / "run.json").read_text())["status"] == "complete"
