"""Sparse autoencoders (SAEs): activations as sums of a few of many directions.

    z = TopK(relu(W (x - b) + c)),   x̂ = z D + b

with unit-norm rows of D. TopK keeps the k largest entries of a token; BatchTopK the k largest a
token over a whole batch, and at inference those above the threshold that this came down to.
JumpReLU keeps all above a threshold of each latent's own, 0 for a plain ReLU; it is read from
other programs and not trained here. Sources: Gao et al. 2024 (arXiv:2406.04093); Bussmann et al.
2024 (arXiv:2412.06410); Rajamanoharan et al. 2024 (arXiv:2407.14435).
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from audit.errors import InputError, SpecError, unknown
from audit.features import sparse_linear
from audit.storage.weights import fingerprint

SELECTIONS = ("topk", "batch-topk", "jump-relu")
LAYOUTS = ("positions", "map")
WEIGHTS = "sae.safetensors"
CONFIG = "sae.json"
_CANDIDATES = 4
"""BatchTopK looks at this many times k entries of a token; hardly any token has more."""


class SAE(nn.Module):
    """A sparse autoencoder of tokens of width D, with L latents."""

    def __init__(
        self,
        width: int,
        latents: int,
        k: int,
        *,
        selection: str = "topk",
        layout: str = "positions",
        pre_bias: bool = True,
    ) -> None:
        """Make an untrained SAE.

        Args:
            width: D.
            latents: L.
            k: Latents active in a token; on average, with BatchTopK.
            selection: `topk`, `batch-topk` or `jump-relu`, which has no use for k.
            layout: What a token is: one of the `positions` of an activation, or the whole `map`.
            pre_bias: Whether the decoder's bias is taken off before encoding.

        Raises:
            SpecError: an option is unknown, or k exceeds the latents.
        """
        super().__init__()
        if selection not in SELECTIONS:
            raise SpecError(unknown("selection", selection, SELECTIONS))
        if layout not in LAYOUTS:
            raise SpecError(unknown("layout", layout, LAYOUTS))
        if not 0 < k <= latents:
            raise SpecError(f"k must be from 1 to {latents}, the number of latents, not {k}")
        self.config: Mapping[str, Any] = {
            "width": width,
            "latents": latents,
            "k": k,
            "selection": selection,
            "layout": layout,
            "pre_bias": pre_bias,
        }
        self.k = k
        self.decoder = nn.Parameter(nn.functional.normalize(torch.randn(latents, width), dim=1))
        # Encoder and decoder start as each other's transpose, which leaves fewer latents dead.
        self.encoder = nn.Parameter(self.decoder.detach().clone())
        self.encoder_bias = nn.Parameter(torch.zeros(latents))
        self.bias = nn.Parameter(torch.zeros(width))
        own = (latents,) if selection == "jump-relu" else ()
        self.register_buffer("threshold", torch.zeros(own))
        self.register_buffer("mean_activation", torch.zeros(latents))
        self.threshold: Tensor
        self.mean_activation: Tensor
        """[L], over tokens that the SAE was not trained on; 0 = dead."""

    @property
    def fingerprint(self) -> str:
        """Digest of weights and configuration."""
        weights = [value.cpu().numpy().tobytes() for value in self.state_dict().values()]
        return fingerprint(sorted(self.config.items()), *weights)

    def tokens(self, x: Tensor) -> Tensor:
        """Return the tokens [N, P, D] of an activation [N, C, H, W] or [N, P, C].

        Raises:
            InputError: the tokens are of another width than the SAE's.
        """
        tokens = x.flatten(2).transpose(1, 2) if x.ndim == 4 else x
        if self.config["layout"] == "map":
            tokens = x.flatten(1)[:, None]
        if tokens.shape[-1] != self.config["width"]:
            raise InputError(
                f"the SAE reads tokens of width {self.config['width']}, not {tokens.shape[-1]}"
            )
        return tokens

    def activation(self, tokens: Tensor, like: Tensor) -> Tensor:
        """Return tokens [N, P, D] in the shape of the activation they come from."""
        if self.config["layout"] == "positions" and like.ndim == 4:
            tokens = tokens.transpose(1, 2)
        return tokens.reshape(like.shape).to(like.dtype)

    def sparse(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the code of tokens [N, D] as values and indices, [N, k] each.

        With BatchTopK there are more columns, most of them 0; in training the k N largest of the
        batch are kept, at inference those above the threshold. With JumpReLU there are as many as
        the token has that fires in most latents.
        """
        x = x - self.bias if self.config["pre_bias"] else x
        if self.config["selection"] == "jump-relu":
            before = torch.addmm(self.encoder_bias, x, self.encoder.T)
            kept = before.relu() * (before > self.threshold)
            most = max(1, int((kept > 0).sum(1).amax()))
            values, indices = kept.topk(most, dim=1, sorted=False)
            return values, indices
        if self.config["selection"] == "topk":
            return sparse_linear.encode(x, self.encoder, self.encoder_bias, self.k)
        width = min(_CANDIDATES * self.k, len(self.encoder))
        values, indices = sparse_linear.encode(x, self.encoder, self.encoder_bias, width)
        threshold = self.threshold
        if self.training:
            threshold = values.detach().flatten().topk(self.k * len(x)).values[-1]
        return values * (values >= threshold), indices

    def encode(self, x: Tensor, latents: Tensor | None = None) -> Tensor:
        """Return the codes [..., L] of tokens [..., D], zeros written out.

        Args:
            x: Tokens.
            latents: Ids of those whose codes are returned, each once; all if not given.
        """
        values, indices = self.sparse(x.reshape(-1, x.shape[-1]).to(self.bias.dtype))
        width = len(self.encoder)
        if latents is not None:
            # One column more takes all that was not asked for.
            column = indices.new_full((width,), len(latents))
            column[latents] = torch.arange(len(latents), device=column.device)
            indices, width = column[indices], len(latents) + 1
        dense = values.new_zeros(len(values), width).scatter_(1, indices, values)
        if latents is not None:
            dense = dense[:, :-1]
        return dense.reshape(*x.shape[:-1], -1)

    def decode(self, values: Tensor, indices: Tensor) -> Tensor:
        """Return the tokens [N, D] that a sparse code stands for."""
        return sparse_linear.decode(values, indices, self.decoder) + self.bias

    def forward(self, x: Tensor) -> Tensor:
        """Return the reconstruction of tokens [..., D]."""
        return self.decode(*self.sparse(x.reshape(-1, x.shape[-1]))).reshape(x.shape)

    @torch.no_grad()
    def unit_norm(self) -> None:
        """Scale every row of the decoder to length 1."""
        self.decoder.copy_(nn.functional.normalize(self.decoder, dim=1))

    @torch.no_grad()
    def project_gradient(self) -> None:
        """Take off the part of the decoder's gradient that would only change a row's length."""
        if self.decoder.grad is not None:
            along = (self.decoder.grad * self.decoder).sum(1, keepdim=True)
            self.decoder.grad -= along * self.decoder

    def save(self, folder: Path) -> None:
        """Write `sae.safetensors` and `sae.json`."""
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        weights = {name: value.cpu().contiguous() for name, value in self.state_dict().items()}
        save_file(weights, folder / WEIGHTS)
        (folder / CONFIG).write_text(json.dumps(dict(self.config), indent=2) + "\n", "utf-8")


def fvu(x: Tensor, reconstruction: Tensor) -> Tensor:
    """Return the fraction of the variance of tokens [N, D] left unexplained: 0 is perfect."""
    return (x - reconstruction).square().sum() / (x - x.mean(0)).square().sum()


def load(folder: Path) -> SAE:
    """Read what `SAE.save` wrote.

    Raises:
        InputError: a file is missing, damaged, or does not fit the other.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        sae = SAE(**json.loads((folder / CONFIG).read_text("utf-8")))
        sae.load_state_dict(load_file(folder / WEIGHTS))
    except (OSError, ValueError, TypeError, RuntimeError, SafetensorError) as error:
        raise InputError(f"{folder}: not an SAE of this suite: {error}") from error
    return sae.eval().requires_grad_(False)
