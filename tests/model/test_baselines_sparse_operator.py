"""Normalised adjacencies and the operator that stands for them."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from diffkg_recbole.model.baselines.sparse_operator import (
    OperatorDropout,
    SparseOperator,
    bipartite_adjacency,
    normalise_rows,
    normalise_symmetric,
)
from tests.tiny_models import build, experiment, interactions

# A pair twice, a user and two items without a pair.
USERS = np.array([1, 1, 2, 4, 4, 1])
ITEMS = np.array([0, 3, 3, 1, 0, 0])
N_USERS, N_ITEMS = 5, 6


def dense_adjacency(pairs, n_users, n_items):
    a = np.zeros((n_users + n_items, n_users + n_items))
    for user, item in pairs:
        a[user, n_users + item] = a[n_users + item, user] = 1.0
    return a


@pytest.fixture
def adjacency():
    return bipartite_adjacency(USERS, ITEMS, N_USERS, N_ITEMS)


def test_repeated_pairs_count_once(adjacency):
    wanted = dense_adjacency(zip(USERS, ITEMS), N_USERS, N_ITEMS)
    np.testing.assert_array_equal(adjacency.toarray(), wanted)


@pytest.mark.parametrize("epsilon", [0.0, 1e-7])
def test_symmetric_normalisation(adjacency, epsilon):
    a = adjacency.toarray().astype(np.float64)
    with np.errstate(divide="ignore"):
        scale = (a.sum(axis=1) + epsilon) ** -0.5
    scale[np.isinf(scale)] = 0.0
    result = normalise_symmetric(adjacency, epsilon).toarray()
    np.testing.assert_allclose(result, scale[:, None] * a * scale, rtol=1e-12)


def test_row_normalisation(adjacency):
    result = normalise_rows(adjacency).toarray()
    sums = result.sum(axis=1)
    np.testing.assert_allclose(sums[adjacency.getnnz(axis=1) > 0], 1.0)
    assert (sums[adjacency.getnnz(axis=1) == 0] == 0.0).all()
    a = adjacency.toarray()
    np.testing.assert_allclose(result[1], a[1] / a[1].sum())


def test_operator_multiplies_and_differentiates_as_its_matrix():
    matrix = sp.random(7, 9, density=0.4, random_state=3, dtype=np.float32)
    operator = SparseOperator.from_scipy(matrix)
    torch.testing.assert_close(operator.dense(), torch.from_numpy(matrix.toarray()))
    x = torch.randn(9, 4, requires_grad=True)
    twin = x.detach().clone().requires_grad_()
    result, wanted = torch.sparse.mm(operator, x), operator.dense() @ twin
    torch.testing.assert_close(result, wanted)
    weight = torch.randn_like(wanted)
    (result * weight).sum().backward()
    (wanted * weight).sum().backward()
    torch.testing.assert_close(x.grad, twin.grad)


def test_operator_takes_part_in_no_other_function():
    operator = SparseOperator.from_scipy(sp.eye(3))
    with pytest.raises(TypeError):
        torch.mm(operator, torch.zeros(3, 1))
    assert torch.equal(copy.deepcopy(operator).dense(), torch.eye(3))
    assert operator.to("cpu") is operator


def test_dropout_keeps_the_expectation_and_the_pattern():
    operator = SparseOperator.from_scipy(sp.csr_matrix(np.ones((200, 100), dtype=np.float32)))
    dropout = OperatorDropout(0.25)
    torch.manual_seed(0)
    values = dropout(operator).values
    assert values.unique().tolist() == pytest.approx([0.0, 1 / 0.75])
    assert values.mean().item() == pytest.approx(1.0, abs=0.02)
    assert dropout.eval()(operator) is operator
    assert OperatorDropout(0.0)(operator) is operator


@pytest.mark.parametrize("name", ["LightGCN", "GCMC", "NGCF"])
def test_models_of_interactions_have_the_symmetric_adjacency(name):
    exp = experiment(name)
    model = exp.build_model()
    matrix = model.Graph if name == "GCMC" else model.norm_adj_matrix
    a = dense_adjacency(interactions(exp.train), model.n_users, model.n_items)
    scale = (a.sum(axis=1) + 1e-7) ** -0.5
    dense = (matrix.to_dense() if isinstance(matrix, torch.Tensor) else matrix.dense()).numpy()
    np.testing.assert_allclose(dense, scale[:, None] * a * scale, rtol=1e-6)


@pytest.mark.parametrize("name", ["KGIN", "MCCLK"])
@pytest.mark.parametrize("mode", ["si", "bi"])
def test_knowledge_models_have_users_and_entities_in_one_adjacency(name, mode):
    exp = experiment(name)
    model = exp.build_model()
    inter = exp.train.inter_matrix(form="coo")
    model.inter_matrix = inter
    block, graph = model.get_norm_inter_matrix(mode)
    a = dense_adjacency(interactions(exp.train), model.n_users, model.n_entities)
    degree = np.maximum(a.sum(axis=1), 1.0)
    wanted = a / degree[:, None] if mode == "si" else a / np.sqrt(np.outer(degree, degree))
    np.testing.assert_allclose(graph.dense().numpy(), wanted, rtol=1e-6)
    np.testing.assert_allclose(block.dense().numpy(), wanted[: model.n_users, model.n_users:],
                               rtol=1e-6)


def test_sgl_propagates_as_recbole():
    model = build("SGL")
    matrix = torch.from_numpy(model.create_adjust_matrix(is_sub=False).toarray()).float()
    torch.testing.assert_close(model.train_graph.dense(), matrix)
    x = torch.cat([model.user_embedding.weight, model.item_embedding.weight])
    layers = [x]
    for _ in range(model.n_layers):
        layers.append(matrix @ layers[-1])
    users, items = model.forward(model.train_graph)
    torch.testing.assert_close(torch.cat([users, items]), torch.stack(layers).mean(dim=0))
