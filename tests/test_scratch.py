from threading import Event, Thread

import pytest

from audit.storage.scratch import resumable, whole


def _cut_off(scratch, folder):
    with scratch(folder) as begun:
        (begun / "half").write_text("a")
        raise KeyboardInterrupt


def test_what_was_begun_is_gone_or_there_the_next_time(tmp_path):
    for scratch, kept in ((whole, False), (resumable, True)):
        folder = tmp_path / scratch.__name__
        with pytest.raises(KeyboardInterrupt):
            _cut_off(scratch, folder)
        assert not folder.exists()
        with scratch(folder) as begun:
            assert (begun / "half").exists() == kept
            (begun / "rest").write_text("b")
        assert (folder / "rest").read_text() == "b"
    assert {path.name for path in tmp_path.iterdir()} == {"whole", "resumable"}


def test_who_makes_the_same_is_waited_for(tmp_path):
    inside, waited, seen = Event(), Event(), []

    def second():
        inside.wait()
        waited.set()
        with resumable(tmp_path / "made") as begun:
            seen.append((begun, (tmp_path / "made" / "all").exists()))

    thread = Thread(target=second)
    thread.start()
    with resumable(tmp_path / "made") as begun:
        inside.set()
        waited.wait()
        thread.join(0.2)
        assert not seen, "the second one waits"
        (begun / "all").write_text("a")
    thread.join()
    assert seen == [(None, True)]
    assert [path.name for path in tmp_path.iterdir()] == ["made"]
