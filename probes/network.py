"""The small convolutional network that reads portraits: several heads on one trunk."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor, nn

from audit.images.batches import in_batches
from audit.types import Images, Probabilities

WEIGHTS = "model.safetensors"
CONFIG = "config.json"
BATCH = 16
"""Images a pass; larger ones are hardly faster on CPUs."""


class Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut; a stride of 2 halves the side."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.Conv2d(channels, width, 3, stride, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, 1, 1, bias=False),
            nn.BatchNorm2d(width),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels != width:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels, width, 1, stride, bias=False), nn.BatchNorm2d(width)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Return [N, width, H / stride, W / stride]."""
        return torch.relu(self.branch(x) + self.shortcut(x))


class PortraitNet(nn.Module):
    """A residual network with one linear head an attribute.

    Args:
        classes: By attribute, the class names in the order of the logits.
        values: By continuous reading, the mean and the standard deviation of what it is trained
            on; the head learns the standardised value.
        widths: Channels of the stages; each after the first halves the side.
        size: Side of the input in pixels.
    """

    def __init__(
        self,
        classes: Mapping[str, Sequence[str]],
        values: Mapping[str, tuple[float, float]],
        widths: Sequence[int] = (24, 48, 96, 128),
        size: int = 64,
    ) -> None:
        super().__init__()
        self.classes = {attribute: tuple(names) for attribute, names in classes.items()}
        self.values = {name: (float(mean), float(std)) for name, (mean, std) in values.items()}
        self.widths = tuple(widths)
        self.size = size
        self.stem = nn.Sequential(
            nn.Conv2d(3, widths[0], 5, 2, 2, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU()
        )
        stages = [Block(widths[0], widths[0], 1)]
        for channels, width in pairwise(widths):
            stages += [Block(channels, width, 2), Block(width, width, 1)]
        self.stages = nn.Sequential(*stages)
        self.heads = nn.ModuleDict({a: nn.Linear(widths[-1], len(c)) for a, c in classes.items()})
        self.value_heads = nn.ModuleDict({v: nn.Linear(widths[-1], 1) for v in values})

    def features(self, x: Tensor) -> Tensor:
        """Return the pooled features [N, widths[-1]] of images [N, 3, size, size] in [-1, 1]."""
        pooled: Tensor = self.stages(self.stem(x)).mean(dim=(2, 3))
        return pooled

    def forward(self, x: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return logits [N, K] by attribute, and values [N] by name in their own unit."""
        return self.read_out(self.features(x))

    def read_out(self, pooled: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return what `forward` does, from features [N, widths[-1]]."""
        logits = {attribute: head(pooled) for attribute, head in self.heads.items()}
        values = {
            name: head(pooled)[:, 0] * self.values[name][1] + self.values[name][0]
            for name, head in self.value_heads.items()
        }
        return logits, values


@dataclass(frozen=True)
class Outputs:
    """What the network says of N images."""

    features: npt.NDArray[np.float32]
    """[N, D], pooled, before the heads."""
    probabilities: Mapping[str, Probabilities]
    """By attribute, [N, K]."""
    values: Mapping[str, npt.NDArray[np.float32]]
    """By name, [N] in their own unit."""


def predict(network: PortraitNet, images: Images, device: str = "cpu") -> Outputs:
    """Read images [N, H, W, 3] of any size."""

    @torch.inference_mode()
    def run(batch: Images) -> npt.NDArray[np.float32]:
        features = network.features(prepare(batch, network.size).to(device))
        logits, values = network.read_out(features)
        shares = [logit.softmax(dim=1) for logit in logits.values()]
        columns = [features, *shares, *(value[:, None] for value in values.values())]
        rows: npt.NDArray[np.float32] = torch.cat(columns, dim=1).cpu().numpy()
        return rows

    widths = [
        network.widths[-1],
        *map(len, network.classes.values()),
        *(1 for _ in network.values),
    ]
    parts = np.split(in_batches(run, images, BATCH), np.cumsum(widths)[:-1], axis=1)
    attributes = len(network.classes)
    return Outputs(
        features=parts[0],
        probabilities=dict(zip(network.classes, parts[1:], strict=False)),
        values={n: v[:, 0] for n, v in zip(network.values, parts[1 + attributes :], strict=True)},
    )


def prepare(images: Images, size: int) -> Tensor:
    """Return images [N, H, W, 3] as floats [N, 3, size, size] in [-1, 1].

    Other sizes are resized by Pillow: averaged over boxes when shrinking by a whole factor,
    bicubic otherwise.
    """
    if images.shape[1:3] != (size, size):
        whole = images.shape[1] % size == 0 and images.shape[2] % size == 0
        method = Image.Resampling.BOX if whole else Image.Resampling.BICUBIC
        resized = [Image.fromarray(image).resize((size, size), method) for image in images]
        images = np.stack([np.asarray(image) for image in resized])
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1


def save(network: PortraitNet, folder: Path) -> None:
    """Write the weights and the configuration that `load` rebuilds the network from."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "classes": network.classes,
        "values": network.values,
        "widths": network.widths,
        "size": network.size,
    }
    weights = {name: value.contiguous() for name, value in network.state_dict().items()}
    save_file(weights, folder / WEIGHTS)
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n")


def load(folder: Path) -> PortraitNet:
    """Rebuild the network of `save`, ready to read."""
    from safetensors.torch import load_file

    with torch.device("meta"):  # nothing is drawn at random, only to be overwritten
        network = PortraitNet(**json.loads((folder / CONFIG).read_text()))
    weights = {name: value.float() for name, value in load_file(folder / WEIGHTS).items()}
    network.load_state_dict(weights, assign=True)
    return network.to(memory_format=torch.channels_last).eval()  # a fifth faster on CPUs
