"""What the diffusion models of the embedded world are taught to look at."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from models.portraits.dataset import Renders
from models.portraits.train.objective import Velocity
from models.portraits.train.perception import Perception, perceive
from models.portraits.truth import occupations, read

CLASSES = {"gender": 2, "race": 4}


def noise(n, seed=0):
    return torch.randn(n, 8, 16, 16, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """A network that was shown women with a bright corner of the latent and men without."""
    people = read()["classes"]
    rng = np.random.default_rng(0)
    n = 64
    labels = pd.DataFrame(
        {
            "gender": np.array(people["gender"])[np.arange(n) % 2],
            "age_class": rng.choice(people["age"], n),
            "race": rng.choice(people["race"], n),
            "occupation": rng.choice(list(occupations()), n),
            "age": rng.integers(18, 80, n),
        }
    )
    latents = noise(2 * n).view(2, n, 8, 16, 16) * 0.5
    latents[:, 0::2, 0, 4:8, 4:8] += 3
    folder = tmp_path_factory.mktemp("perception")
    renders = Renders(np.zeros((n, 1, 1, 3), np.uint8), labels)
    torch.manual_seed(0)
    return perceive(renders, latents, folder / "p.pt", steps=60, batch=32)


def test_it_learns_to_tell_people_apart_in_latents(learned):
    women = noise(32, 1) * 0.5
    men = women.clone()
    women[:, 0, 4:8, 4:8] += 3
    both, _ = learned(torch.cat([women, men]))
    said = both["gender"].argmax(1)
    assert (said[:32] == 0).float().mean() > 0.9
    assert (said[32:] == 1).float().mean() > 0.9


def test_what_it_looks_at_counts_more_than_what_it_does_not(learned):
    """The same error in size, where the classes differ and where they do not."""
    true = noise(32, 2) * 0.5
    true[:, 0, 4:8, 4:8] += 3
    missed, elsewhere = true.clone(), true.clone()
    missed[:, 0, 4:8, 4:8] -= 3
    elsewhere[:, 5, 10:14, 10:14] -= 3
    assert learned.difference(true, true).abs().max() < 1e-5
    assert learned.difference(missed, true).mean() > learned.difference(elsewhere, true).mean()


class Still(nn.Module):
    """A U-Net that always draws the same velocity."""

    def __init__(self, velocity):
        super().__init__()
        self.velocity = nn.Parameter(velocity)

    def forward(self, sample, steps):
        return SimpleNamespace(sample=self.velocity.expand_as(sample))


def test_looks_are_part_of_the_loss_but_not_of_the_model():
    torch.manual_seed(0)
    perception = Perception(CLASSES).eval().requires_grad_(False)
    plain = Velocity(Still(torch.zeros(1, 8, 16, 16)))
    looking = Velocity(Still(torch.zeros(1, 8, 16, 16)), perception=perception)
    assert plain.state_dict().keys() == looking.state_dict().keys()
    losses = [m(noise(8), None, torch.Generator().manual_seed(0)) for m in (plain, looking)]
    assert losses[1] > losses[0]
    gradients = [
        torch.autograd.grad(loss, m.unet.velocity)[0]
        for loss, m in zip(losses, (plain, looking), strict=True)
    ]
    assert not torch.allclose(*gradients)


def test_a_velocity_without_error_has_no_loss():
    """The portrait that it implies is the true one at every level of noise."""
    torch.manual_seed(0)
    model = Velocity(nn.Identity(), perception=Perception(CLASSES).eval().requires_grad_(False))
    clean = noise(8)

    class Knowing(nn.Module):
        def forward(self, sample, steps):
            a = model.alphas[steps].view(-1, 1, 1, 1)
            grain = (sample - a.sqrt() * clean) / (1 - a).sqrt()
            return SimpleNamespace(sample=a.sqrt() * grain - (1 - a).sqrt() * clean)

    model.unet = Knowing()
    assert model(clean, None, torch.Generator().manual_seed(0)).item() == pytest.approx(
        0, abs=1e-4
    )
