"""Embeddings: of unit length where they should be, and the same as the libraries' own."""

import json

import numpy as np
import pytest
import tiny_weights
from PIL import Image

from audit.encoders.clip import clip
from audit.encoders.inception import SIZE, inception, resized
from audit.encoders.portraits import portraits
from audit.errors import InputError, RefusedError, ResourceError, SpecError
from audit.images.image_text import resolve

FACES = tiny_weights.portraits()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_weights.clip(tmp_path_factory.mktemp("encoders") / "clip")


@pytest.fixture(scope="module")
def inception_weights(tmp_path_factory):
    return tiny_weights.inception(tmp_path_factory.mktemp("inception") / "weights")


def test_clip_embeds_as_open_clip_does(folder):
    import open_clip
    import torch

    encoder = clip(model=str(folder))
    model, transform = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
    with torch.inference_mode():
        image = transform(Image.fromarray(FACES[0]))[None]
        wanted = model.eval().encode_image(image, normalize=True).numpy()
        said = model.encode_text(open_clip.tokenize(["a nurse"], 12), normalize=True).numpy()
    np.testing.assert_allclose(encoder.encode_images(FACES[:1]), wanted, atol=1e-6)
    np.testing.assert_allclose(encoder.encode_texts(["a nurse"]), said, atol=1e-6)
    assert encoder.dimensions == 8


def test_clip_vectors_have_unit_length(folder):
    encoder = clip(model=str(folder))
    for vectors in (encoder.encode_images(FACES), encoder.encode_texts(["a", "b", "c"])):
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)


def test_an_encoder_is_named_after_its_model(folder):
    assert clip(model=str(folder)).name == "clip"
    assert clip(model=str(folder), name="tiny").name == "tiny"
    assert "32x32, resize=pil-bicubic-aa-uint8, float32" in clip(model=str(folder)).extractor


def test_the_tokenizer_is_part_of_the_fingerprint(folder, tmp_path):
    import shutil

    before = resolve(str(folder)).fingerprint
    other = shutil.copytree(folder, tmp_path / "clip")
    assert resolve(str(other)).fingerprint == before
    (other / "tokenizer.json").write_text("{}")
    assert resolve(str(other)).fingerprint != before


def test_a_folder_of_pickles_is_refused(tmp_path):
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": {}}))
    (tmp_path / "open_clip_pytorch_model.bin").write_bytes(b"cos\nsystem\n")
    with pytest.raises(RefusedError, match="pickled weights can run code"):
        clip(model=str(tmp_path))


def test_a_folder_without_weights_or_with_a_broken_configuration_says_so(folder, tmp_path):
    with pytest.raises(ResourceError, match=r"put open_clip_model\.safetensors there"):
        clip(model=str(tmp_path))
    (tmp_path / "open_clip_model.safetensors").touch()
    (tmp_path / "open_clip_config.json").write_text("[1]")
    with pytest.raises(InputError, match="does not describe a CLIP model"):
        clip(model=str(tmp_path))


def test_portraits_gives_what_the_heads_read(tmp_path):
    encoder = portraits(weights=str(tiny_weights.classifier(tmp_path / "classifier")))
    vectors = encoder.encode_images(FACES)
    assert vectors.shape == (4, encoder.dimensions) == (4, 8)
    with pytest.raises(SpecError, match="embeds images only"):
        encoder.encode_texts(["a nurse"])


def test_inception_is_torch_fidelitys_network(inception_weights):
    import torch
    from safetensors.torch import load_file
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    encoder = inception(weights=str(inception_weights))
    large = np.asarray(Image.fromarray(FACES[0]).resize((SIZE, SIZE)))  # so nothing is resized
    pickled = inception_weights.with_suffix(".pth")
    torch.save(load_file(inception_weights), pickled)
    oracle = FeatureExtractorInceptionV3(
        "oracle", ["2048"], feature_extractor_weights_path=str(pickled)
    )
    (wanted,) = oracle(torch.from_numpy(large.copy()).permute(2, 0, 1)[None])
    found = encoder.encode_images(large[None])
    assert found.shape == (1, encoder.dimensions)
    np.testing.assert_allclose(found, wanted.numpy(), rtol=1e-3, atol=1e-5)


def test_inception_resizes_without_rounding_and_stays_in_range():
    steps = np.zeros((1, 2, 2, 3), np.uint8)
    steps[:, :, 1] = 255
    pixels = resized(steps)
    assert pixels.shape == (1, 3, SIZE, SIZE)
    assert pixels.min() == -1
    assert pixels.max() == np.float32(127 / 128)
    bytes_ = pixels * 128
    assert np.abs(bytes_ - bytes_.round()).max() > 0.3


def test_inception_says_where_its_weights_are_to_be_had(tmp_path):
    with pytest.raises(ResourceError, match="releases of toshas/torch-fidelity, convert it once"):
        inception(weights=str(tmp_path / "absent.safetensors"))
