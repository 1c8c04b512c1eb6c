"""The small convolutional network that reads portraits: several heads on one trunk."""

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from audit.types import Images

WEIGHTS = "model.safetensors"
CONFIG = "config.json"


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


def prepare(images: Images, size: int) -> Tensor:
    """Return images [N, H, W, 3] as floats [N, 3, size, size] in [-1, 1].

    Other sizes are resized by Pillow: averaged over boxes when shrinking by a whole factor,
    bicubic otherwise.
    """
    from PIL import Image

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

    network = PortraitNet(**json.loads((folder / CONFIG).read_text()))
    weights = load_file(folder / WEIGHTS)
    network.load_state_dict({name: value.float() for name, value in weights.items()})
    return network.to(memory_format=torch.channels_last).eval()  # a fifth faster on CPUs
