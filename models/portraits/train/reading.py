"""Teach the text encoder to read captions, before the U-Net listens to it.

A fresh encoder says nearly the same of every caption, and a U-Net that hears no difference never
learns to listen. So the encoder first learns to tell from a caption what the render shows.
"""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from models.portraits.train import architectures
from models.portraits.train.loop import train
from models.portraits.train.planting import Batches

STEPS = 1200
BATCH = 64
TOLD = ("gender", "age_class", "race", "occupation", "glasses", "beard")
"""Columns of the labels that a caption may tell of."""


class Reader(nn.Module):
    """A text encoder with a linear head for each thing that a caption tells."""

    def __init__(self, encoder: CLIPTextModel, classes: Mapping[str, int]) -> None:
        super().__init__()
        self.encoder = encoder
        self.heads = nn.ModuleDict(
            {name: nn.Linear(architectures.TEXT_WIDTH, count) for name, count in classes.items()}
        )

    def forward(self, ids: Tensor, true: Mapping[str, Tensor]) -> Tensor:
        """Return the cross-entropy, summed over heads, of token ids [N, T] and classes [N]."""
        pooled = self.encoder(ids)[0].mean(1)
        losses = [
            nn.functional.cross_entropy(head(pooled), true[name])
            for name, head in self.heads.items()
        ]
        return torch.stack(losses).sum()


def read(
    batches: Batches,
    tokens: CLIPTokenizer,
    checkpoint: Path,
    *,
    steps: int = STEPS,
    batch: int = BATCH,
) -> CLIPTextModel:
    """Return a text encoder that has learned to read; resumes from `checkpoint`."""
    labels = pd.DataFrame(batches.labels)
    codes = {name: torch.tensor(pd.factorize(labels[name])[0]) for name in TOLD}
    classes = {name: int(code.max()) + 1 for name, code in codes.items()}
    reader = Reader(architectures.text_encoder(tokens), classes)

    def loss(step: int, generator: torch.Generator) -> Tensor:
        rows, texts = batches.captioned(batch, generator)
        padded = tokens(texts, padding="max_length", truncation=True, return_tensors="pt")
        value: Tensor = reader(padded.input_ids, {n: code[rows] for n, code in codes.items()})
        return value

    average = train(
        reader,
        loss,
        checkpoint,
        steps=steps,
        learning_rate=1e-3,
        warmup=50,
        average=0.99,
        every=200,
    )
    return average.encoder.requires_grad_(True)
