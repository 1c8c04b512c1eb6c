"""Discovery learns where the model draws: nothing heavy stays behind, and no two devices mix."""

import pytest
import torch
from elsewhere import DEVICE, elsewhere
from planted import STEPS, PlantedModel, PlantedProbe
from test_discovery import SMALL

from audit.features.discovery import discover


class Distant(PlantedModel):
    """Says that it draws on the device; what passes at its block is what it was."""

    device = str(DEVICE)


def test_discovery_learns_on_the_device_of_the_model(tmp_path):
    """The same sums, told to be elsewhere: the same files, and no product of an SAE on the CPU."""
    arguments = {"steps": STEPS, "scales": ()}
    here = discover(PlantedModel(), PlantedProbe(), SMALL, folder=tmp_path / "here", **arguments)
    with elsewhere() as busy:
        there = discover(Distant(), PlantedProbe(), SMALL, folder=tmp_path / "there", **arguments)
    for product in ("addmm", "_embedding_bag", "_embedding_bag_forward_only"):
        assert busy[product, DEVICE.type] > 0
        assert busy[product, "cpu"] == 0, product
    assert busy["mm", DEVICE.type] > 2 * STEPS, "the heads' products with all channels"
    assert there.features == here.features
    assert there.evidence == here.evidence
    for name in ("sae.safetensors", "h_classifier.safetensors", "typical.safetensors"):
        assert (there.folder / name).read_bytes() == (here.folder / name).read_bytes(), name


def test_the_device_that_is_not_there_refuses_what_a_gpu_refuses():
    with elsewhere():
        x = torch.ones(2).to(DEVICE)
        assert (x + 1).sum().item() == 4
        with pytest.raises(AssertionError, match="two devices"):
            x + torch.ones(2)
        with pytest.raises(AssertionError, match="double precision"):
            x.double()
        with pytest.raises(RuntimeError):
            x.numpy()
