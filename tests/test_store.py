"""The store keeps what was made, whole, and knows when it was not."""

import errno
import hashlib
import json
import os
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.errors import InputError, ResourceError
from audit.storage import atomic
from audit.storage.store import Store, default_root, key

KEY = key(kind="test", number=1)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / ".bias-audit")


def files(store):
    return sorted(
        p.relative_to(store.root).as_posix() for p in store.root.rglob("*") if p.is_file()
    )


def test_what_is_put_is_got(store):
    put = store.put(KEY, {"status": "ok"}, b"pixels", ".png")
    got = store.get(KEY)
    assert got == put
    assert got.path.read_bytes() == b"pixels"
    assert got.record == {"status": "ok"}
    assert got.sha256 == hashlib.sha256(b"pixels").hexdigest()


def test_a_record_needs_no_file(store):
    store.put(KEY, {"value": 1})
    assert store.get(KEY).path is None
    assert store.get(KEY).record == {"value": 1}


def test_keys_follow_their_parts_and_nothing_else():
    assert key(a=1, b="x") == key(b="x", a=1) != key(a=1, b="y")
    composed = unicodedata.normalize("NFC", "é")
    assert key(prompt=composed) == key(prompt=unicodedata.normalize("NFD", composed))
    assert len(key()) == 64


@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=4))
def test_a_key_does_not_depend_on_the_order_of_its_parts(parts):
    assert key(parts=parts) == key(parts=dict(reversed(parts.items())))


@pytest.mark.parametrize("damage", ["flipped", "truncated", "gone"])
def test_a_damaged_file_counts_as_absent_and_is_made_again(store, damage):
    path = store.put(KEY, {}, b"pixels", ".png").path
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(b"pixelt" if damage == "flipped" else b"pix")
    assert store.get(KEY) is None
    assert [side.stem for side in store.damaged()] == [KEY]
    store.put(KEY, {}, b"pixels", ".png")
    assert store.get(KEY).path.read_bytes() == b"pixels"
    assert list(store.damaged()) == []


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"key": 1}', b"\xff\xfe"])
def test_a_torn_side_car_counts_as_absent(store, content):
    path = store.put(KEY, {}, b"pixels", ".png").path
    path.with_suffix(".json").write_bytes(content)
    assert store.get(KEY) is None


def test_a_file_without_a_side_car_is_an_orphan_and_absent(store):
    path = store.put(KEY, {}, b"pixels", ".png").path
    path.with_suffix(".json").unlink()
    assert store.get(KEY) is None
    assert list(store.orphans()) == [path]


def test_the_first_commit_is_kept(store):
    store.put(KEY, {"by": 1}, b"first", ".png")
    assert store.put(KEY, {"by": 2}, b"second", ".png").record == {"by": 1}
    assert store.get(KEY).path.read_bytes() == b"first"


def test_attempts_are_counted_until_the_commit(store):
    assert store.attempts(KEY) == 0
    store.note_attempt(KEY)
    store.note_attempt(KEY)
    assert Store(store.root).attempts(KEY) == 2
    store.put(KEY, {})
    assert store.attempts(KEY) == 0
    assert not [name for name in files(store) if name.endswith(".tries")]


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "results.json"
    path.write_text("old")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(ResourceError, match=r"results\.json: cannot be written: the disk is full"):
        atomic.write(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["results.json"]


def test_an_interrupted_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "results.json"
    path.write_text("old")

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        atomic.write(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["results.json"]


def test_a_full_disk_leaves_the_store_as_it_was(store):
    """The limit is real: the kernel refuses to let the file grow."""
    store.put(KEY, {}, b"pixels", ".png")
    before = files(store)
    code = f"""
import resource, signal
from pathlib import Path
from audit.errors import ResourceError
from audit.storage.store import Store
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    Store(Path({str(store.root)!r})).put("0" * 64, {{}}, b"x" * 5000, ".png")
except ResourceError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "cannot be written: the file would be larger than is allowed here" in done.stdout
    assert files(store) == before
    assert store.get(KEY).path.read_bytes() == b"pixels"


def test_a_store_where_a_file_stands_says_so(tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(ResourceError, match="a file is where a folder should be"):
        atomic.folder(tmp_path / "taken" / "store")


def test_the_mode_of_files_follows_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        atomic.write(tmp_path / "file", "x")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


def test_paths_out_of_the_store_are_refused(store):
    for path in ("../secret", "/etc/passwd", "store/../../x"):
        with pytest.raises(InputError, match="leads out of the store"):
            store.path(path)
    kept = store.put(KEY, {}, b"pixels", ".png").path
    assert store.path(store.relative(kept)) == kept


def test_the_root_is_beside_the_spec_or_in_the_environment(tmp_path, monkeypatch):
    monkeypatch.delenv("BIAS_AUDIT_STORE", raising=False)
    assert default_root(tmp_path) == tmp_path / ".bias-audit"
    monkeypatch.setenv("BIAS_AUDIT_STORE", "/data/store")
    assert str(default_root(tmp_path)) == "/data/store"


def test_side_cars_say_what_they_commit(store):
    path = store.put(KEY, {"status": "ok"}, b"pixels", ".png").path
    side = json.loads(path.with_suffix(".json").read_text())
    assert side["key"] == KEY == path.stem
    assert side["file"] == ".png"
    assert path.parent == store.root / "store" / KEY[:2] / KEY[2:4]
