"""Run folders: tables with checked columns, one writer, a manifest that tells how it went."""

import json

import pandas as pd
import pytest

from audit.errors import InputError, ResourceError
from audit.storage import folder, tables
from audit.storage.folder import Run, RunFolder

ROW = {"arm": "none", "prompt_id": "-", "prompt": "", "index": 0, "seed": 2**62, "status": "ok"}


def test_a_table_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "images.parquet"
    with tables.writing(path, tables.IMAGES) as writer:
        writer.add({**ROW, "index": i} for i in range(3000))
    frame = tables.read_images(path)
    assert frame["index"].tolist() == list(range(3000))
    assert frame["seed"][0] == 2**62
    assert frame["path"].isna().all()


def test_a_table_appears_only_when_it_is_whole(tmp_path):
    def half():
        yield ROW
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), tables.writing(tmp_path / "t", tables.IMAGES) as writer:
        writer.add(half())
    assert list(tmp_path.iterdir()) == []


def test_tables_with_other_columns_are_refused_by_name(tmp_path):
    path = tmp_path / "images.parquet"
    pd.DataFrame({"arm": ["none"], "index": ["0"]}).to_parquet(path)
    with pytest.raises(InputError, match=r"'prompt_id' is missing.*'index' is .*, expected int64"):
        tables.read_images(path)


def test_the_manifest_says_how_it_went(tmp_path):
    path = tmp_path / "run"
    with RunFolder(path, {"digest": "a"}).written():
        assert Run.open(path).manifest["status"] == "running"
    with pytest.raises(ValueError, match="x"), RunFolder(path, {"digest": "a"}).written():
        raise ValueError("x")
    assert Run.open(path).manifest["status"] == "failed"
    with pytest.raises(KeyboardInterrupt), RunFolder(path, {"digest": "a"}).written():
        raise KeyboardInterrupt
    assert Run.open(path).manifest["status"] == "interrupted"
    with (
        pytest.raises(InputError, match="another spec"),
        RunFolder(path, {"digest": "b"}).written(),
    ):
        pass


def test_the_same_spec_has_the_same_place_and_a_fresh_run_another(tmp_path):
    first = folder.place(tmp_path, "tiny", "0123456789abcdef")
    assert first.name == "tiny-01234567"
    first.mkdir()
    assert folder.place(tmp_path, "tiny", "0123456789abcdef") == first
    assert folder.place(tmp_path, "tiny", "0123456789abcdef", fresh=True).name.endswith("-2")


def test_one_writer_at_a_time(tmp_path):
    with folder.locked(tmp_path):
        assert json.loads((tmp_path / folder.HOLDER).read_text())["pid"]
        with pytest.raises(ResourceError, match="is writing this run"), folder.locked(tmp_path):
            pass
    with folder.locked(tmp_path):
        pass


@pytest.mark.parametrize("content", ["", "{", "[]"])
def test_a_damaged_manifest_is_named(tmp_path, content):
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(InputError, match=r"run\.json"):
        _ = Run.open(tmp_path).manifest
