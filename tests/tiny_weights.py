"""Weight files in the formats of the real ones, small or random, for tests of plugins."""

import json
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).parent


@cache
def portraits() -> np.ndarray:
    """Four rendered portraits [4, 64, 64, 3]: woman 52, man 77, woman 26, man 46."""
    strip = np.asarray(Image.open(HERE / "data" / "portraits-64.png").convert("RGB"))
    faces = np.stack(np.split(strip, 4, axis=1))
    faces.setflags(write=False)
    return faces


def classifier(folder: Path) -> Path:
    """A random classifier in the form of the embedded one."""
    import torch

    from probes.network import PortraitNet, save

    torch.manual_seed(1)
    classes = {"gender": ("woman", "man"), "age": ("young", "adult", "old")}
    network = PortraitNet(classes, {"age": (50.0, 20.0)}, widths=(4, 8), size=32)
    save(network, folder)
    return folder


def clip(folder: Path) -> Path:
    """A random open_clip model in its local form, without a tokenizer of its own."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    folder.mkdir()
    config = {
        "embed_dim": 8,
        "vision_cfg": {"layers": 1, "width": 64, "image_size": 32, "patch_size": 16},
        "text_cfg": {
            "context_length": 12,
            "vocab_size": 49408,
            "width": 16,
            "heads": 2,
            "layers": 1,
        },
    }
    torch.manual_seed(2)
    model = open_clip.model.CLIP(**config)
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    document = {"model_cfg": config, "preprocess_cfg": {"size": 32}}
    (folder / "open_clip_config.json").write_text(json.dumps(document))
    return folder


def lora(unet, folder: Path, rank: int = 2) -> Path:
    """Random LoRA weights for the keys and values of a U-Net's cross-attention."""
    import torch
    from safetensors.torch import save_file

    generator = torch.Generator().manual_seed(3)
    tensors = {}
    for name, layer in unet.named_modules():
        if name.endswith(("attn2.to_k", "attn2.to_v")):
            out, width = layer.weight.shape
            down = torch.randn(rank, width, generator=generator)
            up = torch.randn(out, rank, generator=generator)
            tensors |= {f"unet.{name}.lora_A.weight": down, f"unet.{name}.lora_B.weight": up}
    folder.mkdir()
    save_file(tensors, folder / "pytorch_lora_weights.safetensors")
    return folder


def fairface(folder: Path) -> Path:
    """A random ResNet-34 with 18 outputs."""
    import torch
    from safetensors.torch import save_file
    from torchvision.models import resnet34

    torch.manual_seed(3)
    folder.mkdir()
    save_file(resnet34(num_classes=18).state_dict(), folder / "fairface.safetensors")
    return folder / "fairface.safetensors"


def deepface(folder: Path) -> Path:
    """Networks of one linear layer over the mean colour, in BGR as deepface feeds them.

    Gender is woman where red exceeds blue; age is 70 where red exceeds blue, else 20; race is
    shared between white and latino hispanic.
    """
    folder.mkdir()
    blue_to_red = np.zeros((3, 2), np.float32)
    blue_to_red[0, 1] = blue_to_red[2, 0] = 50
    _linear(folder / "gender_model_weights.onnx", blue_to_red)
    ages = np.zeros((3, 101), np.float32)
    ages[2, 70] = ages[0, 20] = 500
    _linear(folder / "age_model_weights.onnx", ages)
    races = np.zeros((3, 6), np.float32)
    races[:, [3, 5]] = 100
    _linear(folder / "race_model_single_batch.onnx", races)
    return folder


def _linear(path: Path, weights: np.ndarray) -> None:
    from onnx import TensorProto, checker, helper, numpy_helper, save

    classes = weights.shape[1]
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["x", "axes"], ["mean"], keepdims=0),
            helper.make_node("Gemm", ["mean", "weights"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["y"], axis=1),
        ],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 224, 224, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", classes])],
        [
            numpy_helper.from_array(np.array([1, 2], np.int64), "axes"),
            numpy_helper.from_array(weights, "weights"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    checker.check_model(model)
    save(model, path)


def inception(folder: Path) -> Path:
    """Inception-v3 with seeded weights, of the real shapes."""
    from contextlib import suppress

    import torch
    from safetensors.torch import save_file
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    class Untrained(FeatureExtractorInceptionV3):
        def load_state_dict(self, state_dict, **options):
            return None

    torch.manual_seed(4)
    folder.mkdir()
    torch.save({}, folder / "empty.pth")
    with suppress(FileNotFoundError):
        network = Untrained(
            "inception", ["2048"], feature_extractor_weights_path=str(folder / "empty.pth")
        )
    save_file(network.state_dict(), folder / "inception.safetensors")
    return folder / "inception.safetensors"
