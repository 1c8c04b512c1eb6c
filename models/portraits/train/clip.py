"""Train a small open_clip model on renders and their captions.

    python -m models.portraits.train.clip RENDERS WORK

It scores how well an image fits a prompt, embeds images for CLIP-I and for a Frechet distance of
our own, and reads attributes zero-shot. What it writes is the folder form that open_clip loads as
`local-dir:`, with the tokenizer of the text-to-image model.
"""

import json
from pathlib import Path

import numpy as np
import open_clip
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import CLIPTokenizer

from models.portraits import captions
from models.portraits.dataset import RESOLUTION
from models.portraits.train.architectures import TOKENS, tokenizer_of
from models.portraits.train.arguments import recipe
from models.portraits.train.augmentation import Views
from models.portraits.train.loop import take_over, train

NEUTRAL = 0.3
"""Share of captions that say no more than the occupation."""


def configuration(vocabulary: int, end: int) -> dict[str, object]:
    """Return open_clip's configuration: a ResNet and a text transformer, 1.3 M parameters."""
    return {
        "embed_dim": 64,
        "vision_cfg": {"layers": [1, 2, 2, 1], "width": 12, "image_size": RESOLUTION},
        "text_cfg": {
            "context_length": TOKENS,
            "vocab_size": vocabulary,
            "hf_tokenizer_name": "tokenizer",  # open_clip then reads the tokenizer beside its file
            "width": 128,
            "heads": 4,
            "layers": 2,
            "pool_type": "eos",
            "eos_id": end,
        },
    }


class Contrast(nn.Module):
    """An open_clip model with its loss; equal captions are not each other's negatives."""

    def __init__(self, clip: nn.Module) -> None:
        super().__init__()
        self.clip = clip

    def forward(self, images: Tensor, ids: Tensor) -> Tensor:
        """Return the symmetric cross-entropy of images [N, 3, H, W] and token ids [N, T]."""
        seen, said, scale = self.clip(images, ids)
        logits = scale * seen @ said.T
        same = (ids[:, None] == ids[None]).all(-1).float()
        wanted = same / same.sum(1, keepdim=True)
        across = nn.functional.cross_entropy(logits, wanted)
        return (across + nn.functional.cross_entropy(logits.T, wanted)) / 2


def publish(
    clip: nn.Module, tokens: CLIPTokenizer, config: dict[str, object], folder: Path
) -> None:
    """Write the folder that open_clip loads as `local-dir:`, weights in half precision."""
    folder.mkdir(exist_ok=True)
    save_file(
        {name: value.half().contiguous() for name, value in clip.state_dict().items()},
        folder / "open_clip_model.safetensors",
    )
    tokens.save_pretrained(folder)
    preprocess = {
        "mean": [0.5] * 3,
        "std": [0.5] * 3,
        "size": RESOLUTION,
        "interpolation": "bicubic",
    }
    document = {"model_cfg": config, "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(document, indent=2) + "\n")


def main() -> None:
    """Run the recipe."""
    parser = recipe(__doc__, steps=3000, batch=96, learning_rate=2e-3)
    parser.add_argument(
        "--held-out", type=int, default=800, help="last rows, to watch progress on"
    )
    options = parser.parse_args()

    views = Views(options.renders, options.work, options.held_out, options.device)
    labels = views.renders.records()
    folder = options.start.parent if options.start else None
    tokens = tokenizer_of(folder, captions.vocabulary())
    config = configuration(len(tokens), tokens.eos_token_id)
    torch.manual_seed(0)
    model = Contrast(open_clip.model.CLIP(**config))
    if options.start:
        take_over(model, options.start, "clip.")
    model.to(options.device)

    def caption(row: int, rng: np.random.Generator) -> str:
        if rng.random() < NEUTRAL:
            return captions.neutral(labels[row]["occupation"], rng)
        return captions.explicit(labels[row], rng)

    def ids(texts: list[str]) -> Tensor:
        padded = tokens(texts, padding="max_length", truncation=True, return_tensors="pt")
        told: Tensor = padded.input_ids.to(options.device)
        return told

    def loss(step: int, generator: torch.Generator) -> Tensor:
        rows, batch = views.draw(options.batch, generator)
        rng = np.random.default_rng(step)
        value: Tensor = model(batch, ids([caption(row, rng) for row in rows.tolist()]))
        return value

    def snapshot(average: Contrast, step: int) -> None:
        average.eval()
        rng = np.random.default_rng(0)
        texts = [captions.explicit(labels[row], rng) for row in range(views.count, len(labels))]
        with torch.inference_mode():
            seen, said, _ = average.clip(views.held(), ids(texts))
        true = (seen * said).sum(1)
        wrong = (seen * said.roll(1, 0)).sum(1)
        print(f"  true pair above a shuffled one: {(true > wrong).float().mean():.3f}", flush=True)
        average.train()

    average = train(
        model,
        loss,
        options.work / "clip.pt",
        steps=options.steps,
        learning_rate=options.learning_rate,
        weight_decay=0.05,
        average=0.998,
        snapshot=snapshot,
    )
    publish(average.eval().clip, tokens, config, options.work / "clip")


if __name__ == "__main__":
    main()
