"""Embeddings of the images that a distance is measured from."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from audit.errors import InputError
from audit.images.embedding import of_images, of_reference
from audit.storage.pictures import decode
from audit.storage.store import Store
from audit.types import State


class MeanColour:
    """Embeds an image as its mean colour, and counts what it was shown."""

    name, fingerprint, dimensions = "mean-colour", "mean-colour-1", 3

    def __init__(self):
        self.shown = 0

    def encode_images(self, images):
        self.shown += len(images)
        return images.mean(axis=(1, 2), dtype=np.float32)


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "images"
    place.mkdir()
    stripes = np.tile(np.array([0, 100], np.uint8), (8, 4))  # of one colour it would be blank
    for i in range(3):
        pixels = np.stack([stripes // (i + 1), stripes, stripes], axis=2)
        Image.fromarray(pixels).save(place / f"{i}.png")
    return place


def test_a_packed_reference_is_the_folder_it_was_packed_from(tmp_path, folder):
    files = sorted(folder.iterdir())
    packed = tmp_path / "packed.parquet"
    pd.DataFrame({"image": [file.read_bytes() for file in files]}).to_parquet(packed)
    encoder, store = MeanColour(), Store(tmp_path / "store")
    vectors = of_reference(packed, encoder, store)
    assert vectors.tolist() == [[50, 50, 50], [25, 50, 50], [16.5, 50, 50]]
    assert np.array_equal(of_reference(folder, encoder, store), vectors)
    assert encoder.shown == 3, "the same bytes are embedded once"
    structs = [{"bytes": file.read_bytes(), "path": file.name} for file in files]
    pd.DataFrame({"image": structs}).to_parquet(packed)
    assert np.array_equal(of_reference(packed, encoder, store), vectors)


def test_an_image_that_was_replaced_is_not_embedded_as_the_one_that_was_drawn(tmp_path, folder):
    drawn = decode(folder / "0.png").sha256
    table = pd.DataFrame({"status": [State.OK], "path": ["0.png"], "sha256": [drawn]})
    encoder, store = MeanColour(), Store(tmp_path / "store")
    original = (folder / "0.png").read_bytes()
    (folder / "0.png").write_bytes((folder / "1.png").read_bytes())
    with pytest.raises(InputError, match=r"0\.png: has changed since the run read it"):
        of_images(table, folder, encoder, store)
    (folder / "0.png").write_bytes(original)
    assert of_images(table, folder, encoder, store).tolist() == [[50, 50, 50]]


def test_a_reference_that_is_none_is_refused(tmp_path):
    other = tmp_path / "other.parquet"
    pd.DataFrame({"picture": [b""]}).to_parquet(other)
    with pytest.raises(InputError, match=r"other\.parquet: not a Parquet file with a column"):
        of_reference(other, MeanColour(), Store(tmp_path / "store"))
    empty = tmp_path / "empty.parquet"
    pd.DataFrame({"image": pd.Series([], dtype=object)}).to_parquet(empty)
    with pytest.raises(InputError, match="holds no images"):
        of_reference(empty, MeanColour(), Store(tmp_path / "store"))
    pd.DataFrame({"image": [None, b"x"]}).to_parquet(empty)
    with pytest.raises(InputError, match=r"empty.parquet\[0\]: holds no image"):
        of_reference(empty, MeanColour(), Store(tmp_path / "store"))
