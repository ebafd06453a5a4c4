"""Data parallel on the processes of ``torch.distributed``: who does which rows, and gradients.

All processes draw the same random numbers in the same order, from generators in the same state.
So each knows the whole batch, does its part of the rows, and the sum of the weighted gradients is
the gradient of one process on the whole batch, up to the rounding of sums. (That rounding is why
the number of processes counts among the keys that make results, ``store/key_classes.py``.)
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.spawn import ProcessException

from diffkg_recbole.errors import UserError


def torchrun_keys() -> dict[str, Any]:
    """Configuration of a process that ``torchrun`` started; empty in any other."""
    values = os.environ
    if "TORCHELASTIC_RUN_ID" not in values:
        return {}
    local = int(values["LOCAL_RANK"])
    return {"local_rank": local, "world_size": int(values["WORLD_SIZE"]),
            "nproc": int(values["LOCAL_WORLD_SIZE"]), "offset": int(values["RANK"]) - local,
            "ip": values["MASTER_ADDR"], "port": values["MASTER_PORT"]}


def run_processes(function: Callable[..., None], arguments: tuple[Any, ...], nproc: int) -> None:
    """``function(rank, *arguments)`` in ``nproc`` processes; one that fails ends the others.

    Raises:
        UserError: a process was killed.
        ProcessException: a process failed otherwise.
    """
    context = torch.multiprocessing.spawn(function, args=arguments, nprocs=nproc, join=False)
    try:
        while not context.join():
            pass
    except ProcessException as error:
        # The others lose their connection at once, and may be the first that are seen to fail.
        codes = [context.processes[error.error_index].exitcode or 0,
                 *(process.exitcode or 0 for process in context.processes)]
        ended = (signal.SIGTERM, signal.SIGINT)  # by the end of another
        killed = next((-code for code in codes if code < 0 and -code not in ended), None)
        if killed is None and codes[0] < 0:
            killed = -codes[0]
        if killed is None:
            raise
        raise UserError(f"one of the {nproc} processes was killed ({_signal_name(killed)}) and "
                        "the others were ended; the same command goes on after the last stored "
                        "epoch") from None


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


@contextmanager
def one_sentence_for_a_lost_process() -> Iterator[None]:
    """Say that another process is gone, where a collective operation fails for it.

    Raises:
        UserError: the connection to another process broke.
    """
    try:
        yield
    except RuntimeError as error:
        if not any(words in str(error) for words in _LOST):
            raise
        raise UserError("another process of this data-parallel run has ended; the same command "
                        "goes on after the last stored epoch") from None


_LOST = ("Connection closed by peer", "Connection reset by peer", "Broken pipe")


def process_rows(n_rows: int, rank: int, world: int) -> slice:
    """Rows of one process of several: they differ by one row at most, the first are larger."""
    size, rest = divmod(n_rows, world)
    begin = rank * size + min(rank, rest)
    return slice(begin, begin + size + (rank < rest))


@dataclass(frozen=True)
class Part:
    """The rows ``begin`` to ``end`` of a batch of ``n_rows``, which one of ``world`` processes
    does. A batch with fewer rows than processes is done by all of them."""

    n_rows: int
    begin: int
    end: int
    world: int

    @classmethod
    def of(cls, n_rows: int, rank: int = 0, world: int = 1) -> Part:
        """Part of the process ``rank``."""
        if n_rows < world:
            return cls(n_rows, 0, n_rows, world)
        own = process_rows(n_rows, rank, world)
        return cls(n_rows, own.start, own.stop, world)

    @property
    def rows(self) -> slice:
        """The rows within the batch."""
        return slice(self.begin, self.end)

    @property
    def is_whole(self) -> bool:
        """Whether the part is the batch."""
        return self.end - self.begin == self.n_rows

    @property
    def share(self) -> float:
        """Part of the batch's rows. A loss that is a sum over the part's rows is divided by it,
        so that it counts as a mean over rows does."""
        return (self.end - self.begin) / self.n_rows

    @property
    def weight(self) -> float:
        """Factor of this process's loss and gradient. The weights of all processes add up to 1,
        so that a mean over the part's rows becomes the mean over the batch, and a term that does
        not depend on the rows (an L2 term) is counted once."""
        return 1.0 / self.world if self.is_whole else self.share


_own_part: ContextVar[Part | None] = ContextVar("own_part", default=None)


@contextmanager
def doing(part: Part | None) -> Iterator[None]:
    """Say which rows of its batch this process computes the loss of; None: all, alone."""
    token = _own_part.set(part)
    try:
        yield
    finally:
        _own_part.reset(token)


def norms_of_the_batch(norms: Tensor, p: float) -> Tensor:
    """The p-norms of whole tables of which this process has the rows of its part.

    A norm is no mean over rows, so that the norms of parts do not add up to it. The values are
    divided by the number of processes: what divides them by the part's rows, as a mean is made,
    adds up to the batch's value, and the gradients to the batch's gradient (:attr:`Part.weight`).

    Args:
        norms: of the rows here, [k].
        p: the norm.

    Returns:
        [k]; ``norms`` itself where nothing was divided (:func:`doing`).
    """
    part = _own_part.get()
    if part is None or part.is_whole:
        return norms
    mine = norms.detach()
    whole = sum_over_processes(mine**p) ** (1 / p)
    slope = (mine / whole.clamp_min(torch.finfo(whole.dtype).tiny)) ** (p - 1)
    return (norms - mine) * slope + whole / part.world


def rank_and_world(config: Any) -> tuple[int, int]:
    """Number of this process, and of all; 0 and 1 for a single process."""
    if config["single_spec"]:
        return 0, 1
    return torch.distributed.get_rank(), torch.distributed.get_world_size()


def sum_gradients(parameters: Iterable[Tensor], weight: float) -> None:
    """Replace every gradient by the weighted sum over the processes.

    A parameter without a gradient on every process keeps none (an optimizer leaves it alone, as
    in a single process); a missing one counts as zero otherwise.

    Args:
        parameters: the same ones, in the same order, on every process.
        weight: of this process; see :attr:`Part.weight`.
    """
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    if not trained:
        return
    present = torch.tensor([p.grad is not None for p in trained], dtype=torch.uint8)
    present = present.to(trained[0].device)
    torch.distributed.all_reduce(present, torch.distributed.ReduceOp.MAX)
    pending = []
    for parameter, wanted in zip(trained, present.tolist()):
        if wanted:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            parameter.grad.mul_(weight)
            pending.append(torch.distributed.all_reduce(parameter.grad, async_op=True))
    for work in pending:
        work.wait()


def sum_over_processes(value: Tensor) -> Tensor:
    """Sum of a tensor over the processes."""
    total = value.clone()
    torch.distributed.all_reduce(total)
    return total


def start_alike(model: torch.nn.Module) -> None:
    """Give every process the parameters of the first one."""
    for parameter in model.parameters():
        torch.distributed.broadcast(parameter.data, 0)


def gather_rows(mine: Tensor, n_rows: int) -> Tensor:
    """Rows that were divided by :class:`Part`, in their order, on every process.

    Args:
        mine: this process's rows, [end - begin, k].
        n_rows: number of all rows.
    """
    world = torch.distributed.get_world_size()
    sizes = [Part.of(n_rows, rank, world) for rank in range(world)]
    if sizes[0].is_whole:
        return mine
    widest = max(part.end - part.begin for part in sizes)
    padded = mine.new_zeros(widest, *mine.shape[1:])
    padded[: len(mine)] = mine
    everyone = [torch.empty_like(padded) for _ in range(world)]
    torch.distributed.all_gather(everyone, padded)
    return torch.cat([rows[: part.end - part.begin] for rows, part in zip(everyone, sizes)])
