"""The phases of an epoch, each in its plain form and in ours."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from benchmarks import reference
from benchmarks.clock import Disagreement, Pair, Work, compare
from benchmarks.problems import Problem
from benchmarks.reference import Edges
from benchmarks.reference_model import PlainModel, edges_of
from diffkg_recbole.model.diffkg import DiffKGNetwork, DiffKGSettings
from diffkg_recbole.model.draws import Draws
from diffkg_recbole.model.generation import HiddenChain, generate_top_k
from diffkg_recbole.model.losses import info_nce
from diffkg_recbole.model.propagation import propagate
from diffkg_recbole.model.rows import SparseRows

_TOLERANCE = 2e-4  # float32, sums in another order
_FLOAT = 4  # bytes


class Bench:
    """A problem with a network on it, and the plain model made from that network.

    Args:
        problem: the data.
        settings: of the model.
        rows: rows of the diffusion that the row-wise phases take; None: all.
    """

    def __init__(self, problem: Problem, settings: DiffKGSettings, rows: int | None) -> None:
        self.problem, self.settings = problem, settings
        self.network = DiffKGNetwork(
            problem.n_users, problem.n_items, problem.graph, problem.user, problem.item,
            settings, Draws(0),
        )
        self.n_rows = min(rows or self.network.n_rows, self.network.n_rows)
        self.rows = torch.randperm(self.network.n_rows, generator=_generator())[: self.n_rows]

    @functools.cached_property
    def batch(self) -> tuple[Tensor, Tensor, Tensor]:
        """Users, positives and negatives of a batch."""
        network, size = self.network, (self.settings.train_batch_size,)
        place = torch.randint(len(network.user), size, generator=_generator())
        negative = torch.randint(network.n_items, size, generator=_generator())
        return network.user[place], network.item[place], negative

    def edges(self) -> Edges:
        """Head, tail and relation of the training graph's edges."""
        return edges_of(self.network.training_graph)

    def dense_rows(self, rows: Tensor) -> Tensor:
        """Rows of the 0/1 matrix, [B, N]: the plain forms hold them dense."""
        graph = self.network.graph
        return torch.stack([
            torch.zeros(graph.n_entities).index_fill_(
                0, graph.tail[graph.indptr[row]:graph.indptr[row + 1]], 1.0)
            for row in rows.tolist()
        ])

    def pair(self, phase: str, plain_form: Callable, ours: Callable, check: Callable,
             **more: object) -> Pair:
        return Pair(phase, self.problem.name, plain_form, ours, check, **more)  # type: ignore[arg-type]


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def _gradients(
    run: Callable[[], Tensor], parameters: Sequence[Tensor]
) -> tuple[Tensor, list[Tensor]]:
    """Output of a computation and its gradients under a fixed random cotangent."""
    for parameter in parameters:
        parameter.grad = None
    output = run()
    output.backward(_cotangent(output.shape, output.dtype))
    return output, [p.grad for p in parameters if p.grad is not None]


@functools.lru_cache(maxsize=2)
def _cotangent(shape: torch.Size, dtype: torch.dtype) -> Tensor:
    """Made once: drawing it would take as long as the smaller phases."""
    return torch.randn(shape, generator=_generator()).to(dtype)


def _check_gradients(
    name: str, plain_run: Callable, plain_parameters: Sequence[Tensor],
    our_run: Callable, our_parameters: Sequence[Tensor],
) -> float:
    plain_output, plain_gradients = _gradients(plain_run, plain_parameters)
    output, gradients = _gradients(our_run, our_parameters)
    differences = [compare(name, plain_output, output, _TOLERANCE)]
    for expected, gradient in zip(plain_gradients, gradients):
        differences.append(compare(f"{name}: gradient", expected, gradient, _TOLERANCE))
    return max(differences)


# ---- the least work, derived from the sizes ----------------------------------------------------


def attention_work(bench: Bench) -> Work:
    """Forward and backward of all hops."""
    graph, settings = bench.network.training_graph, bench.settings
    n_edges, n_entities, dim = graph.n_edges, graph.n_entities, settings.embedding_size
    # Per hop: three sparse products (forward; backward for x and for the weights), and three
    # times a table of partial scores, an entry for each entity or edge end, whichever are fewer.
    entries = min(2 * n_entities * graph.n_relations, 2 * n_edges)
    operations = 3 * 2.0 * n_edges * dim + 3 * 2.0 * entries * dim
    # x, its gradient, the result, its gradient; column and value of each edge in three products.
    traffic = _FLOAT * (4.0 * n_entities * dim + 3 * 2.0 * n_edges)
    return Work(settings.n_hops * operations, settings.n_hops * traffic)


def propagation_work(bench: Bench) -> Work:
    """Forward and backward of all layers: a product each."""
    network, settings = bench.network, bench.settings
    n_nodes, products = network.n_users + network.n_items, 2 * settings.n_layers
    n_entries, dim = 2.0 * len(network.user) + n_nodes, settings.embedding_size
    return Work(products * 2 * n_entries * dim,
                products * _FLOAT * (2 * n_entries + 2.0 * n_nodes * dim))


def contrast_work(bench: Bench) -> Work:
    """Three products of similarities: forward, and backward for either side."""
    network, dim = bench.network, bench.settings.embedding_size
    work = Work(0.0, 0.0)
    for nodes, n_nodes in zip(bench.batch, (network.n_users, network.n_items)):
        anchors = len(torch.unique(nodes))
        work += Work(6.0 * anchors * n_nodes * dim, 4.0 * _FLOAT * n_nodes * dim)
    return work


# ---- representations ----------------------------------------------------------------------------


def attention_phase(bench: Bench) -> Pair:
    """All hops over the training graph, forward and backward."""
    network, settings = bench.network, bench.settings
    ours = [network.entity_embedding, network.relation_embedding, network.attention.weight]
    theirs = [p.detach().clone().requires_grad_() for p in ours]
    entity, relation, weight = theirs
    draws, graph = Draws(1), network.training_graph

    def run_plain(dropout: float = settings.message_dropout) -> Tensor:
        return reference.attention(entity, relation, weight, bench.edges(), settings.n_hops,
                               settings.residual_weight, dropout)

    def run_ours() -> Tensor:
        return network.attention(ours[0], ours[1], graph, draws=draws)

    def check() -> float:
        network.eval()
        try:
            return _check_gradients("attention", lambda: run_plain(0.0), theirs, run_ours, ours)
        finally:
            network.train()

    return bench.pair(
        "attention", lambda: _gradients(run_plain, theirs), lambda: _gradients(run_ours, ours),
        check, work=attention_work(bench), target=6.0)


def propagation_phase(bench: Bench) -> Pair:
    """All layers of the user-item convolution, forward and backward."""
    network, layers = bench.network, bench.settings.n_layers
    users = network.user_embedding.detach().clone().requires_grad_()
    items = network.entity_embedding[: network.n_items].detach().clone().requires_grad_()
    operator = reference.bipartite_operator(
        network.user, network.item, network.n_users, network.n_items)

    def run_plain() -> Tensor:
        return reference.propagation(operator, users, items, layers)

    def run_ours() -> Tensor:
        return torch.cat(propagate(network.operator, users, items, layers))

    leaves = [users, items]
    return bench.pair(
        "propagation", lambda: _gradients(run_plain, leaves), lambda: _gradients(run_ours, leaves),
        lambda: _check_gradients("propagation", run_plain, leaves, run_ours, leaves),
        work=propagation_work(bench), target=2.5)


def contrast_phase(bench: Bench) -> Pair:
    """InfoNCE of a batch's users and items, forward and backward."""
    network, settings = bench.network, bench.settings
    nodes = bench.batch[:2]
    tables = [network.user_embedding, network.entity_embedding[: network.n_items]]

    def leaves(dtype: torch.dtype) -> list[Tensor]:
        """Both views of users and of items; the auxiliary ones are noisy copies."""
        views = [t.detach().to(dtype) for t in tables]
        views += [t + t.std() * torch.randn(t.shape, generator=_generator()) for t in views]
        return [view.requires_grad_() for view in views]

    def form(function: Callable, views: list[Tensor]) -> Callable[[], Tensor]:
        return lambda: sum(
            function(views[2 + i], views[i], nodes[i], settings.temperature) for i in range(2))

    def check() -> float:
        """In float64: gradients of nearly equal views cancel."""
        exact = leaves(torch.float64)
        return _check_gradients(
            "contrast", form(reference.info_nce, exact), exact, form(info_nce, exact), exact)

    single = leaves(torch.float32)
    plain_form, ours = form(reference.info_nce, single), form(info_nce, single)
    return bench.pair("contrast", lambda: _gradients(plain_form, single),
                      lambda: _gradients(ours, single), check, work=contrast_work(bench))


# ---- diffusion ----------------------------------------------------------------------------------


def diffusion_phase(bench: Bench) -> Pair:
    """Training the denoiser on the rows: loss, gradients, Adam."""
    network, settings = bench.network, bench.settings
    model = PlainModel(network)
    denoiser = copy.deepcopy(network.denoiser)
    optimizer = torch.optim.Adam(network.denoiser.parameters(), lr=1e-3, fused=True)

    def losses(order: Tensor) -> Iterator[Tensor]:
        target = network.collaborative_target()
        for entity, rows in network.diffusion_batches(order):
            optimizer.zero_grad()
            loss = network.diffusion_loss(entity, rows, target)[0]
            loss.backward()
            optimizer.step()
            yield loss.detach()

    def run_ours() -> Tensor:
        return torch.stack(list(losses(bench.rows))).sum()

    def check() -> float:
        """The losses of the pass with the same draws, dropout off; then everything anew."""
        network.settings = model.settings = replace(settings, denoiser_dropout=0.0)
        network.denoiser.dropout = model.denoiser.dropout = 0.0
        network.draws = Draws(2)
        difference = compare(
            "diffusion", torch.tensor([model.train_denoiser(bench.rows, Draws(2))]),
            run_ours().reshape(1).float(), _TOLERANCE)
        network.settings = model.settings = settings
        network.denoiser.dropout = model.denoiser.dropout = denoiser.dropout
        return difference

    batch, n_entities = settings.diffusion_batch_size, network.n_entities
    hidden = settings.denoiser_hidden_sizes[0]
    n_batches = -(-bench.n_rows // batch)
    work = Work(
        # Per row both products of the first layer (forward, weights); per batch WᵀW (half of
        # it, it is symmetric) and W times a hidden × hidden matrix.
        4.0 * bench.n_rows * n_entities * hidden + 3.0 * n_batches * n_entities * hidden**2,
        # Noise and mask once; per batch Adam: 4 arrays read, 3 written, for both weights.
        5.0 * bench.n_rows * n_entities + n_batches * 7.0 * _FLOAT * 2 * n_entities * hidden,
    )
    return bench.pair("diffusion", lambda: model.train_denoiser(bench.rows, Draws(3)), run_ours,
                      check, work=work)


def generation_phase(bench: Bench) -> Pair:
    """The reverse chain of the rows, and its top columns."""
    network, settings = bench.network, bench.settings
    network.eval()
    denoiser = reference.Denoiser(network.denoiser).eval()
    schedule = reference.Schedule(
        settings.steps, settings.noise_scale, settings.noise_min, settings.noise_max)
    blocks = bench.rows.split(min(settings.diffusion_batch_size, 2**27 // network.n_entities))
    dense = [bench.dense_rows(block) for block in blocks]

    def run_plain() -> Tensor:
        generated = (reference.generate(denoiser, schedule, x0) for x0 in dense)
        return torch.cat([x.topk(settings.rebuild_k, dim=1).indices for x in generated])

    def run_ours() -> Tensor:
        return generated_top_of(network, bench.rows)

    def once() -> HiddenChain:
        with torch.no_grad():
            return HiddenChain(network.denoiser, network.diffusion)

    def check() -> float:
        """The top columns may differ where entries are equal up to rounding: compare entries."""
        top = generated_top_of(network, bench.rows)
        entries = torch.cat([reference.generate(denoiser, schedule, x0) for x0 in dense])
        return compare("generation", entries.topk(settings.rebuild_k, dim=1).values,
                       entries.gather(1, top), _TOLERANCE)

    hidden, steps = settings.denoiser_hidden_sizes[0], settings.steps
    different = len(SparseRows.of(network.graph, bench.rows).distinct()[0])
    work = Work(
        different * (2.0 * network.n_entities * hidden + (steps - 1) * 3.0 * hidden**2)
        + 3.0 * network.n_entities * hidden**2,
        2.0 * _FLOAT * network.n_entities * hidden,
    )
    return bench.pair("generation", run_plain, run_ours, check, work=work, target=8.0, once=once,
                      share=bench.n_rows / network.n_rows)


@torch.no_grad()
def generated_top_of(network: DiffKGNetwork, rows: Tensor) -> Tensor:
    """Top columns of chosen rows."""
    settings = network.settings
    return generate_top_k(network.denoiser, network.diffusion, network.graph, rows,
                          settings.rebuild_k, settings.diffusion_batch_size)


def rebuilding_phase(bench: Bench, relations_at_hand: bool = False) -> Pair:
    """From the top columns of every row to the rebuilt graph.

    The plain form makes a Python set of the columns and looks them up in a dict of the edges.
    """
    graph = bench.problem.graph
    n_rows, k = graph.n_entities, bench.settings.rebuild_k
    # Columns that are often edges, as a trained denoiser's are.
    width = graph.indptr.diff().clamp(min=1).unsqueeze(1)
    pick = (torch.rand(n_rows, k, generator=_generator()) * width).long()
    place = (graph.indptr[:-1].unsqueeze(1) + pick).clamp(max=graph.n_edges - 1)
    top = graph.tail[place]
    edges = edges_of(graph)
    prepared = reference.relation_of_pairs(edges)

    def run_plain() -> list[tuple[int, int, int]]:
        relations = prepared if relations_at_hand else reference.relation_of_pairs(edges)
        return reference.rebuild(top, relations)

    def check() -> float:
        rebuilt = graph.rebuild(top)
        ours = torch.stack([rebuilt.head, rebuilt.tail, rebuilt.relation], 1)
        expected = torch.tensor(run_plain()).reshape(-1, 3)
        if not torch.equal(ours, expected):
            raise Disagreement("rebuilding: the graphs differ")
        return 0.0

    work = Work(0.0, n_rows * k * 2 * 8.0 + graph.n_edges * 8.0)
    name = "rebuilding" + (", dict at hand" if relations_at_hand else "")
    return bench.pair(name, run_plain, lambda: graph.rebuild(top), check, work=work, target=50.0)


def rebuilding_phase_with_dict(bench: Bench) -> Pair:
    """As :func:`rebuilding_phase`, the plain form's dict made beforehand, once for all epochs."""
    return rebuilding_phase(bench, relations_at_hand=True)


# ---- recommender --------------------------------------------------------------------------------


def step_phase(bench: Bench) -> Pair:
    """One step of the recommender: both views, the objective, gradients, Adam."""
    network, settings = bench.network, bench.settings
    network.train()
    model = PlainModel(network)
    optimizer = torch.optim.Adam(network.recommender_parameters(), lr=1e-3, fused=True)
    batch = bench.batch

    def run_ours() -> Tensor:
        optimizer.zero_grad()
        loss = torch.stack(network.recommender_losses(*batch)).sum()
        loss.backward()
        optimizer.step()
        return loss

    def check() -> float:
        network.eval()
        model.settings = replace(settings, message_dropout=0.0)
        ours, expected = torch.stack(network.recommender_losses(*batch)), model.loss(*batch)
        network.train()
        model.settings = settings
        return compare("step", expected.reshape(1), ours.sum().reshape(1), _TOLERANCE)

    n_parameters = sum(p.numel() for p in network.recommender_parameters())
    view = attention_work(bench) + propagation_work(bench)
    # Adam reads four arrays and writes three.
    work = view + view + contrast_work(bench) + Work(0.0, 7.0 * _FLOAT * n_parameters)
    return bench.pair("recommender step", lambda: model.step(*batch), run_ours, check, work=work)


PHASES: dict[str, Callable[[Bench], Pair]] = {
    "attention": attention_phase,
    "propagation": propagation_phase,
    "contrast": contrast_phase,
    "step": step_phase,
    "diffusion": diffusion_phase,
    "generation": generation_phase,
    "rebuilding": rebuilding_phase,
    "rebuilding-dict": rebuilding_phase_with_dict,
}
# The plain form holds a dense entity × entity matrix.
DENSE_PHASES = ("diffusion",)
