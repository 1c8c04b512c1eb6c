"""A device that is not there: tensors said to be on it compute on the CPU, and mix with no other.

What a GPU refuses is refused here too: operations on tensors of two devices, arrays of tensors
that were not brought back, and double precision, which some have not.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

DEVICE = torch.device("lazy")
"""One that torch knows by name in every build, and that none has."""
MOVES = {torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default}
INDEXED = {torch.ops.aten.index.Tensor, torch.ops.aten.index_put_.default}
"""Whose indices may be on the CPU, as on a GPU."""


class Elsewhere(torch.Tensor):
    """A tensor of the device, with what it holds."""

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> "Elsewhere":
        return torch.Tensor._make_wrapper_subclass(
            cls, held.shape, strides=held.stride(), dtype=held.dtype, device=DEVICE,
            storage_offset=held.storage_offset(),
        )  # fmt: skip

    def __init__(self, held: torch.Tensor) -> None:
        self.held = held

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        return _run(function, args, kwargs or {}, Counter())


class _Mode(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.busy: Counter[tuple[str, str]] = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        return _run(function, args, kwargs or {}, self.busy)


@contextmanager
def elsewhere() -> Iterator[Counter[tuple[str, str]]]:
    """While the block runs, have the device; yield counts of operations by name and device."""
    mode = _Mode()
    with mode:
        yield mode.busy


def _run(function, args, kwargs, busy):
    name = function.overloadpacket.__name__
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
    there = any(isinstance(tensor, Elsewhere) for tensor in tensors)
    if there and function not in MOVES:
        checked = tensors[:1] if function in INDEXED else tensors
        left = [x for x in checked if not isinstance(x, Elsewhere) and x.ndim]
        assert not left, f"{name}: tensors of two devices"
    if "device" in kwargs and kwargs["device"] is not None:
        there = torch.device(kwargs["device"]) == DEVICE
        kwargs = {**kwargs, "device": torch.device("cpu")}
    elif function in MOVES:
        there = isinstance(args[0], Elsewhere)
    busy[name, DEVICE.type if there else "cpu"] += 1
    args_held, kwargs_held = tree_map(
        lambda x: x.held if isinstance(x, Elsewhere) else x, (args, kwargs)
    )
    result = function(*args_held, **kwargs_held)
    if function._schema.is_mutable and name.endswith("_"):
        return args[0]
    return tree_map(lambda x: _put(x, name) if there else x, result)


def _put(x, name):
    if not isinstance(x, torch.Tensor):
        return x
    assert x.dtype != torch.float64, f"{name}: double precision, which not every device has"
    return Elsewhere(x)
