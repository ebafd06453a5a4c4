"""A device that is none: tensors that compute on the CPU and say that they live elsewhere.

PyTorch lets Python register a backend of its own. Every operation that meets a tensor of this one
passes through :class:`Accelerator`, which

- raises where tensors of two places meet (a number, a tensor without dimensions, may travel);
- records every wait for the device: what a GPU answers only after all work before it is done.

What it cannot follow: it has no sparse layout of its own (a sparse tensor says that it is
strided, so code that asks for the layout is not followed), no autocast, no generators (the
CPU's stand in), and no memory that could run out. Whether a kernel waits is a list made by hand
from PyTorch's CUDA sources: :data:`WAITING`, and what :func:`_waits` adds.
"""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils import _pytree as pytree
from torch.utils import backend_registration
from torch.utils._mode_utils import no_dispatch
from torch.utils._python_dispatch import TorchDispatchMode

NAME = "elsewhere"
aten = torch.ops.aten
# Their result's size, or a number for the host, depends on values on the device.
WAITING = {
    aten._local_scalar_dense, aten.nonzero, aten.masked_select, aten.equal, aten.bincount,
    aten._unique2, aten.unique_dim, aten.unique_consecutive, aten.histc, aten._to_sparse,
    aten._to_sparse_csr, aten._coalesce,
}
_INDEXING = (aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_)
_COPIES = (aten._to_copy, aten.copy_)


def register() -> torch.device:
    """Register the backend, once in a process; returns its device."""
    if torch._C._get_privateuse1_backend_name() != NAME:
        class Module(backend_registration._DummyBackendModule):
            def get_amp_supported_dtype(self) -> list[torch.dtype]:
                return []  # asked for even where autocast is off

        backend_registration._setup_privateuseone_for_python_backend(NAME, Module())
    return torch.device(NAME, 0)


class Elsewhere(torch.Tensor):
    """A tensor of the device; ``inner`` is the CPU's tensor with its values."""

    inner: torch.Tensor

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> Elsewhere:
        coo = inner.layout is torch.sparse_coo
        self = torch.Tensor._make_wrapper_subclass(
            cls, inner.size(), dtype=inner.dtype, device=register(),
            strides=inner.stride() if inner.layout is torch.strided else None,
            layout=torch.sparse_coo if coo else torch.strided)
        self.inner = inner
        return self

    def tolist(self) -> list:  # PyTorch has none for subclasses
        return self.cpu().tolist()

    def __reduce_ex__(self, protocol: int) -> Any:  # as PyTorch writes tensors without a storage
        return torch._utils._rebuild_device_tensor_from_cpu_tensor, (
            self.detach().cpu(), self.dtype, str(self.device), self.requires_grad)

    def __repr__(self, **_: Any) -> str:
        return f"Elsewhere({self.inner})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, *_: Any, **__: Any) -> Any:
        raise RuntimeError(f"{func} outside of an Accelerator")


_CpuGenerator = torch.Generator


class _Generator(_CpuGenerator):
    """In place of ``torch.Generator``, which cannot be registered from Python."""

    def __new__(cls, device: Any = "cpu") -> Any:
        elsewhere = torch.device(device).type == NAME
        return _CpuGenerator.__new__(_CpuGenerator, "cpu" if elsewhere else device)


class Mixed(RuntimeError):
    """Tensors of two places met."""


class Accelerator(TorchDispatchMode):
    """The device at work; see the module.

    Attributes:
        waits: how often each line of code has waited for the device.
    """

    def __init__(self) -> None:
        super().__init__()
        self.device = register()
        self.waits: Counter[str] = Counter()

    def __enter__(self) -> Accelerator:
        torch.Generator = _Generator
        self._lifted = torch._C._only_lift_cpu_tensors()
        torch._C._set_only_lift_cpu_tensors(True)  # torch.tensor(..., device=) comes by here
        # Autograd counts the devices once, when a process first uses it.
        self._threads = torch.autograd.set_multithreading_enabled(False)
        return super().__enter__()

    def __exit__(self, *exception: Any) -> None:
        super().__exit__(*exception)
        self._threads.__exit__(*exception)
        torch._C._set_only_lift_cpu_tensors(self._lifted)
        torch.Generator = _CpuGenerator

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # or the first operation imports PyTorch's compiler, for seconds

    @contextmanager
    def counting(self) -> Iterator[Counter[str]]:
        """The waits within a block."""
        outer, self.waits = self.waits, Counter()
        try:
            yield self.waits
        finally:
            outer.update(self.waits)
            self.waits = outer

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        tensors = [t for t in pytree.tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)]
        here = [t for t in tensors if isinstance(t, Elsewhere)]
        asked = kwargs.get("device")
        stays = bool(here) if asked is None else torch.device(asked).type == NAME
        if not here and not stays:
            return func(*args, **kwargs)
        packet = func.overloadpacket
        if packet in _COPIES:
            crosses = len(here) < len(tensors) if packet is aten.copy_ else stays != bool(here)
            if crosses and not _non_blocking(func, args, kwargs):
                self._wait(func)
            stays = stays if packet is aten._to_copy else isinstance(args[0], Elsewhere)
        elif here and _strangers(packet, args, tensors):
            places = [f"{tuple(t.shape)} on {t.device.type}" for t in tensors]
            raise Mixed(f"{func} of {', '.join(places)} at {_line()}")
        elif _waits(func, args, kwargs):
            self._wait(func)
        if asked is not None:
            kwargs["device"] = torch.device("cpu")
        inner_args, inner_kwargs = pytree.tree_map_only(
            Elsewhere, lambda t: t.inner, (args, kwargs))
        result = func(*inner_args, **inner_kwargs)
        if torch.Tag.inplace_view in func.tags:  # the shape changed in place
            with no_dispatch():
                func(*args, **kwargs)
        if not stays:
            return result
        known = {id(t.inner): t for t in here}  # what an in-place operation returns
        return pytree.tree_map_only(
            torch.Tensor, lambda t: known.get(id(t)) if id(t) in known else Elsewhere(t), result)

    def _wait(self, func: Any) -> None:
        self.waits[f"{func.overloadpacket.__name__} at {_line()}"] += 1


def _non_blocking(func: Any, args: tuple, kwargs: dict) -> bool:
    names = [argument.name for argument in func._schema.arguments]
    return bool({**dict(zip(names, args)), **kwargs}.get("non_blocking"))


def _strangers(packet: Any, args: tuple, tensors: list[torch.Tensor]) -> list[torch.Tensor]:
    """The CPU's tensors that must not meet the device's. PyTorch lets places come from the CPU."""
    allowed = [] if packet not in _INDEXING else [id(index) for index in args[1]]
    return [t for t in tensors
            if t.dim() and not isinstance(t, Elsewhere) and id(t) not in allowed]


def _waits(func: Any, args: tuple, kwargs: dict) -> bool:
    packet = func.overloadpacket
    if packet is aten.repeat_interleave:
        return kwargs.get("output_size") is None
    if packet in _INDEXING:  # a mask is turned into places; places on the host are sent first
        places = [index for index in args[1] if index is not None]
        return any(i.dtype in (torch.bool, torch.uint8) or not isinstance(i, Elsewhere)
                   for i in places)
    return packet in WAITING


def _line() -> str:
    """The innermost line of this package or RecBole."""
    for frame in reversed(traceback.extract_stack()):
        folder, _, name = frame.filename.replace("\\", "/").rpartition("recbole/")
        if folder and "/tests/" not in name:
            return f"{name}:{frame.lineno} {frame.name}"
    return "the test"
