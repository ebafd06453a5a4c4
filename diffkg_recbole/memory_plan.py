"""How much memory a run will take, from sizes alone, held against what is free before it starts.

The estimate is what comes on top of the loaded data: parameters with their gradients and the
optimizer's state, what a propagation keeps for the backward pass, the scores of an evaluation
batch, and what single models need beyond that. It is meant to be right within a factor of two
(tests/shortage/test_memory_plan.py measures it), so that a run that cannot fit is refused in
seconds instead of being killed after minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import torch

from diffkg_recbole.errors import UserError

REAL, INDEX = 4, 8  # bytes of a float32 and of an int64
_COPIES = {"adam": 10, "adamw": 10, "sparse_adam": 10, "rmsprop": 8, "adagrad": 8}
"""Of each parameter: itself, its gradient, the optimizer's state, as many for its step, and those
of the checkpoint that is read back; 5 for an optimizer without state."""
_WIDTHS = ("embedding_size", "kg_embedding_size", "mf_embedding_size", "mlp_embedding_size",
           "gcn_output_dim")


@dataclass(frozen=True)
class Term:
    """A part of the memory of a run.

    Attributes:
        name: what it is.
        bytes: how much.
        keys: configuration keys that make it smaller.
    """

    name: str
    bytes: float
    keys: tuple[str, ...]


@dataclass(frozen=True)
class Sizes:
    """What the estimate is made of: numbers of users, items, entities, relations and edges."""

    users: int
    items: int
    entities: int
    relations: int
    edges: int

    @classmethod
    def of(cls, dataset: Any) -> Sizes:
        """Sizes of a dataset, with or without a graph."""
        graph = hasattr(dataset, "kg_feat")
        edges = len(dataset.inter_feat) + (len(dataset.kg_feat) if graph else 0)
        return cls(dataset.user_num, dataset.item_num,
                   dataset.entity_num if graph else dataset.item_num,
                   dataset.relation_num if graph else 0, edges)


def plan(config: Any, dataset: Any) -> list[Term]:
    """Terms of a run, the largest first.

    Args:
        config: configuration.
        dataset: the dataset that the model is made for.
    """
    sizes, model = Sizes.of(dataset), str(config["model"])
    terms = [*_common(config, sizes), *_OF_MODELS.get(model, lambda *_: [])(config, sizes)]
    return sorted(terms, key=lambda term: -term.bytes)


def _trained(config: Any, numbers: float) -> float:
    """Bytes for numbers that are trained."""
    return numbers * REAL * _COPIES.get(str(config["learner"]).lower(), 5)


def _common(config: Any, sizes: Sizes) -> Iterator[Term]:
    batch = config["train_batch_size"]
    widths = [(key, config[key]) for key in _WIDTHS if isinstance(config[key], int)]
    rows = sizes.users + sizes.entities + sizes.relations
    layers = _layers(config)
    width = sum(value for _, value in widths)
    if widths:
        yield Term("parameters", _trained(config, rows * width),
                   tuple(key for key, _ in widths))
        yield Term("propagation", 3 * layers * rows * width * REAL, ("n_layers",))
        yield Term("batch", 6 * batch * width * REAL, ("train_batch_size", "embedding_size"))
    yield Term("graph", sizes.edges * 12 * INDEX, ("entity_kg_num_interval",))
    scores = min(config["eval_memory_mb"] * 2**20, sizes.users * sizes.items * REAL)
    yield Term("evaluation", 2.5 * scores, ("eval_memory_mb",))


def _layers(config: Any) -> int:
    """Layers of a model that propagates, its input included; none for other models."""
    for key in ("n_layers", "context_hops", "n_iter"):
        if isinstance(config[key], int):
            return config[key] + 1
    return len(config["layers"]) + 1 if isinstance(config["layers"], list) else 0


# ---- what single models need beyond that --------------------------------------------------------


def _diffkg(config: Any, sizes: Sizes) -> Iterator[Term]:
    hidden = config["denoiser_hidden_sizes"]
    inner = sum(a * b for a, b in zip(hidden, hidden[1:]))
    batch = min(config["diffusion_batch_size"], sizes.entities)
    keys = ("denoiser_hidden_sizes", "entity_kg_num_interval")
    yield Term("denoiser", _trained(config, sizes.entities * (hidden[0] + hidden[-1] + 1) + inner),
               keys)
    yield Term("products of the hidden layer", 4 * max(hidden) ** 2 * REAL, keys[:1])
    yield Term("noisy rows", 2.5 * batch * sizes.entities * REAL, ("diffusion_batch_size",))


def _autoencoder(key: str) -> Callable[[Any, Sizes], Iterator[Term]]:
    def terms(config: Any, sizes: Sizes) -> Iterator[Term]:
        value = config[key]
        hidden = value if isinstance(value, int) else value[0]
        batch = min(config["train_batch_size"], sizes.users)
        latent = config["latent_dimension"] or 0
        weights = hidden * (2 * sizes.items + 3 * latent)
        yield Term("autoencoder", _trained(config, weights), (key,))
        yield Term("rows of users", 6 * batch * sizes.items * REAL, ("train_batch_size",))
    return terms


def _ease(config: Any, sizes: Sizes) -> Iterator[Term]:
    yield Term("items × items", 3 * sizes.items**2 * 8, ("item_inter_num_interval",))


def _neighbours(config: Any, sizes: Sizes) -> Iterator[Term]:
    near, hops = config["neighbor_sample_size"], config["n_iter"]
    keys = ("neighbor_sample_size", "train_batch_size", "n_iter")
    yield Term("table of neighbours", 2 * sizes.entities * near * INDEX, keys)
    reached = sum(near**hop for hop in range(hops + 1))
    yield Term("aggregators", _trained(config, hops * config["embedding_size"] ** 2),
               ("embedding_size",))
    yield Term("neighbours of a batch",
               8 * config["train_batch_size"] * reached * config["embedding_size"] * REAL, keys)


def _ripple_sets(config: Any, sizes: Sizes) -> Iterator[Term]:
    yield Term("ripple sets", 6 * sizes.users * config["n_hop"] * config["n_memory"] * INDEX,
               ("n_memory", "n_hop"))


_OF_MODELS: dict[str, Callable[[Any, Sizes], Any]] = {
    "DiffKG": _diffkg, "MultiVAE": _autoencoder("mlp_hidden_size"),
    "DiffRec": _autoencoder("dims_dnn"), "EASE": _ease, "KGCN": _neighbours,
    "KGNNLS": _neighbours, "RippleNet": _ripple_sets,
}


# ---- what is free ------------------------------------------------------------------------------


def free_bytes(device: torch.device) -> int:
    """Memory that a process can still take: of the GPU, or of machine and control group."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return min([psutil.virtual_memory().available, *_control_groups()])


def _control_groups(root: Path = Path("/sys/fs/cgroup"),
                    membership: Path = Path("/proc/self/cgroup")) -> Iterator[int]:
    """Room below the limits of the control groups (versions 1 and 2) that hold this process."""
    try:
        lines = [line.split(":", 2) for line in membership.read_text().splitlines()]
    except OSError:
        return
    for _, controllers, path in (line for line in lines if len(line) == 3):
        version_2 = controllers == ""
        if not version_2 and "memory" not in controllers.split(","):
            continue
        base = root if version_2 else root / "memory"
        names = (("memory.max", "memory.current") if version_2 else
                 ("memory.limit_in_bytes", "memory.usage_in_bytes"))
        place = base / path.lstrip("/")
        for folder in (place, *place.parents):
            if folder == root.parent:
                break
            try:
                limit, used = (int((folder / name).read_text()) for name in names)
            except (OSError, ValueError):  # no limit here ("max"), or another view of the tree
                continue
            yield max(0, limit - used)


def check(config: Any, dataset: Any) -> str:
    """One line about what the run needs.

    Raises:
        UserError: it needs more than is free, and ``memory_check`` is on; names the keys that
            would help.
    """
    terms = plan(config, dataset)
    needed, free = sum(term.bytes for term in terms), free_bytes(config["device"])
    largest = ", ".join(f"{term.name} {_amount(term.bytes)}" for term in terms[:2])
    where = "of GPU memory" if config["device"].type == "cuda" else "of memory"
    line = f"needs about {_amount(needed)} {where} ({largest}); {_amount(free)} are free"
    if needed > free and config["memory_check"]:
        keys = dict.fromkeys(key for term in terms[:2] for key in term.keys)
        raise UserError(f"{config['model']} on '{config['dataset']}' {line}; smaller values of "
                        f"{', '.join(keys)} would help, --force goes on all the same")
    return line


def _amount(size: float) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{max(1.0, size / 1e6):.0f} MB"
