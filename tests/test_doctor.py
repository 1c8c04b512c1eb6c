"""The doctor says what is there, finds what is damaged, and deletes only litter."""

import os
import signal

import pytest

from audit import doctor
from audit.storage.scratch import resumable, unfinished, whole
from audit.storage.store import Store, key


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / ".bias-audit")
    for number in range(4):
        store.put(key(number=number), {}, b"pixels", ".png")
    return store


def test_a_sound_store_is_left_alone(store):
    assert all(finding.ok for finding in doctor.verify(store))
    assert doctor.collect(store) == 0
    assert all(store.get(key(number=number)) for number in range(4))


def test_damage_and_litter_are_found_and_collected(store):
    paths = [store.get(key(number=number)).path for number in range(4)]
    paths[0].write_bytes(b"other")
    paths[1].with_suffix(".json").unlink()
    store.note_attempt(key(number=9))
    (paths[2].parent / f".{paths[2].name}.00.part").write_bytes(b"half")
    found = {finding.what: finding for finding in doctor.verify(store)}
    assert not found["damaged entries"].ok
    assert found["damaged entries"].found == "1"
    assert found["left by killed runs"].found.startswith("3 files")
    doctor.collect(store)
    assert all(finding.ok for finding in doctor.verify(store))
    assert not list(store.orphans())
    assert [bool(store.get(key(number=number))) for number in range(4)] == [
        False,
        False,
        True,
        True,
    ]


def test_recordings_and_searches_that_were_cut_off_are_found_and_collected(store):
    for scratch, at in (
        (resumable, "features"),
        (whole, "features/a/sae"),
        (resumable, "searches"),
    ):
        (store.root / at).mkdir(parents=True, exist_ok=True)
        _killed(scratch, store.root / at / "made")
    done = store.root / "features" / "a" / "features.json"
    done.write_text("{}")
    found = {finding.what: finding for finding in doctor.verify(store)}
    # Of each a file of a megabyte, and a lock of those that others wait for.
    assert found["left by killed runs"].found == "5 files, 3.0 MB"
    assert doctor.collect(store) == 5
    assert not list(unfinished(store.root))
    assert done.is_file()
    assert doctor.collect(store) == 0


def _killed(scratch, folder):
    """Make a folder half, in a process that dies there."""
    if (child := os.fork()) == 0:
        with scratch(folder) as begun:
            (begun / "activations").write_bytes(bytes(10**6))
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)


def test_a_machine_is_described(store, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    found = {finding.what: finding for finding in doctor.examine(store.root)}
    assert found["python"].ok
    assert found["torch"].ok
    assert found["probes"].ok
    assert found["models"].ok
    assert "offline" in found["hub"].found
    assert "writable" in found["store"].found
