import errno
import os

import numpy as np
import pytest
import torch
from planted import STEPS, PlantedModel, requests

from audit.errors import InputError, ResourceError
from audit.features.recording import Recording, mapped, mixed
from audit.types import Moment


def test_a_recording_does_not_depend_on_batches(tmp_path):
    model, wanted = PlantedModel(), requests(10)
    files = []
    for size, order in ((10, 1), (3, 1), (4, -1)):
        recording = Recording(tmp_path / f"{size}.npy", wanted)
        listed = wanted[::order]
        baseline = model.generate(listed).images
        with model.hooked("block", recording.edit):
            drawn = [model.generate(listed[i : i + size]).images for i in range(0, 10, size)]
        assert np.array_equal(np.concatenate(drawn), baseline), "recording changes no pixel"
        files.append(np.array(recording.file))
    assert files[0].shape == (STEPS, 10, 16, 4, 4)
    assert files[0].dtype == np.float16
    assert np.array_equal(files[0], files[1])
    assert np.array_equal(files[0], files[2])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_rows_that_are_not_finite_are_noted_and_hold_zeros(tmp_path, dtype):
    wanted = requests(3)
    recording = Recording(tmp_path / "a.npy", wanted)
    x = torch.ones(3, 2, 2, 2, dtype=dtype)
    x[1, 0, 0, 0] = 1e6 if dtype is torch.float32 else torch.nan
    before = x.clone()
    for step in range(2):
        recording.edit(x if step else torch.ones_like(x), Moment(step, 2, 1.0, wanted))
    assert recording.broken == {1}
    assert recording.overflown == ({1} if dtype is torch.float32 else set())
    assert recording.file[1].reshape(3, -1).mean(axis=1).tolist() == [1, 0, 1]
    assert torch.equal(x.nan_to_num(), before.nan_to_num()), "what passes is not touched"
    with pytest.raises(InputError, match="never ran"):
        Recording(tmp_path / "b.npy", requests(1)).steps  # noqa: B018


def test_what_is_too_large_for_float16_is_kept_to_the_bit_in_bfloat16(tmp_path):
    wanted, generator = requests(3), torch.Generator().manual_seed(0)
    x = (1e6 * torch.randn(3, 2, 4, 4, generator=generator)).bfloat16()
    assert x.abs().max() > 65_504
    recording = Recording(tmp_path / "a.npy", wanted)
    for step in range(2):
        recording.edit(x / (step + 1), Moment(step, 2, 1.0, wanted))
    recording.flush()
    assert recording.broken == recording.overflown == set()
    again = Recording(tmp_path / "a.npy")
    assert again.file.itemsize == 2
    assert torch.equal(again.at(1), (x / 2).float())
    assert torch.equal(torch.cat(list(again.columns(0, np.arange(3))), 1), x.flatten(1).float())
    maps = next(again.maps(np.arange(3), seed=0))
    assert sorted(maps.flatten().tolist()) == sorted([*x.flatten(), *(x / 2).flatten()])


def test_a_recording_begun_in_float16_goes_on_in_it(tmp_path):
    wanted, moment = requests(2), Moment(0, 1, 1.0, requests(1))
    Recording(tmp_path / "a.npy", wanted).edit(torch.full((1, 2, 1, 1), 1.5), moment)
    begun = Recording(tmp_path / "a.npy", wanted, begun=True)
    begun.edit(torch.full((1, 2, 1, 1), 2.5).bfloat16(), Moment(0, 1, 1.0, wanted[1:]))
    begun.flush()
    assert Recording(tmp_path / "a.npy").at(0).flatten().tolist() == [1.5, 1.5, 2.5, 2.5]


def test_a_step_that_was_never_written_is_refused(tmp_path):
    wanted = requests(4)
    recording = Recording(tmp_path / "a.npy", wanted)
    for batch in (wanted[:2], wanted[2:]):  # the second batch skips a step
        for step in range(3):
            if step != 1 or batch == wanted[:2]:
                recording.edit(torch.ones(2, 1, 1, 1), Moment(step, 3, 1.0, batch))
        if batch == wanted[:2]:
            recording.flush()
    with pytest.raises(InputError, match=r"ran at 2 of 3 sampling steps and not at 1 \(counted"):
        recording.flush()


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="room cannot be asked for here")
def test_room_that_is_not_there_is_said_before_anything_is_recorded(tmp_path, monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    recording = Recording(tmp_path / "a.npy", requests(1))
    with pytest.raises(ResourceError, match=r"a\.npy: cannot be written: the disk is full"):
        recording.edit(torch.zeros(1, 2, 2, 2), Moment(0, 4, 1.0, requests(1)))


def test_the_room_of_a_recording_is_taken_at_once(tmp_path):
    mapped(tmp_path / "a.npy", np.float16, (4, 100_000))
    if hasattr(os, "posix_fallocate"):
        assert (tmp_path / "a.npy").stat().st_blocks * 512 >= 4 * 100_000 * 2


def test_a_step_in_parts_is_the_step(tmp_path, monkeypatch):
    monkeypatch.setattr("audit.features.recording.COLUMNS", 100)
    recording = Recording(tmp_path / "a.npy", requests(5))
    model, images = PlantedModel(), np.array([0, 3, 4])
    with model.hooked("block", recording.edit):
        model.generate(requests(5))
    parts = list(recording.columns(2, images))
    assert [part.shape for part in parts] == [(3, 100), (3, 100), (3, 56)]
    assert torch.equal(torch.cat(parts, dim=1), recording.at(2, images).flatten(1))


def test_batches_mix_images_and_steps(tmp_path):
    wanted = requests(200)
    recording = Recording(tmp_path / "a.npy", wanted)
    for step in range(8):  # the value says which image and step a token is from
        rows = torch.arange(200.0)[:, None, None, None] + step / 8
        recording.edit(rows.expand(200, 1, 2, 2), Moment(step, 8, 0.0, wanted))
    images = np.arange(0, 200, 2)
    tokens = (h.flatten(1)[..., None].flatten(0, 1) for h in recording.maps(images, seed=0))
    batches = list(mixed(tokens, size=100, count=40, seed=0))
    assert [batch.shape for batch in batches] == [(100, 1)] * 40
    for batch in batches:
        assert len(torch.unique(batch.floor())) > 25
        assert len(torch.unique(batch % 1)) == 8
    seen = torch.cat(batches)
    assert set(torch.unique(seen.floor()).int().tolist()) == set(images.tolist())
    assert torch.equal(batches[3], list(mixed(
        (h.flatten(1)[..., None].flatten(0, 1) for h in recording.maps(images, seed=0)),
        size=100, count=4, seed=0))[3])  # fmt: skip
