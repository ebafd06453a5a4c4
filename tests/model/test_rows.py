from __future__ import annotations

import pytest
import torch

from diffkg_recbole.model.rows import SparseRows
from tests.denoisers import graph_of, random_matrix


@pytest.fixture
def matrix() -> torch.Tensor:
    return random_matrix(12, density=0.3)


ORDER = torch.tensor([5, 0, 11, 5, 3, 1, 10, 7])


def test_picks_rows_in_any_order_with_repeats(matrix):
    rows = SparseRows.of(graph_of(matrix), ORDER)
    assert rows.n_rows == len(ORDER)
    assert torch.equal(rows.dense(torch.float64), matrix[ORDER])


def test_no_row(matrix):
    rows = SparseRows.of(graph_of(matrix), torch.empty(0, dtype=torch.int64))
    assert rows.dense().shape == (0, 12)
    assert list(rows.blocks(3)) == []


@pytest.mark.parametrize("size", [1, 3, 8, 100])
def test_blocks_are_consecutive_rows(matrix, size):
    rows = SparseRows.of(graph_of(matrix), ORDER)
    blocks = list(rows.blocks(size))
    weights = torch.arange(24, dtype=torch.float64).view(12, 2)
    assert [block.n_rows for block in blocks] == [len(part) for part in ORDER.split(size)]
    for block, part in zip(blocks, ORDER.split(size)):
        assert torch.equal(block.dense(torch.float64), matrix[part])
        assert torch.equal(block.row_of_ones(), matrix[part].nonzero()[:, 0])
        assert torch.equal(block.product(weights), matrix[part] @ weights)


def test_product_equals_the_dense_one(matrix):
    dense = torch.randn(12, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    rows = SparseRows.of(graph_of(matrix), ORDER)
    torch.testing.assert_close(rows.product(dense), matrix[ORDER] @ dense, rtol=0, atol=1e-14)


@pytest.mark.parametrize("clash", [False, True], ids=["mixed keys", "every sum clashes"])
def test_distinct_keeps_each_different_row_once(matrix, clash):
    rows = SparseRows.of(graph_of(matrix), ORDER)
    kept, copy_of = rows.distinct(torch.zeros(12, dtype=torch.int64) if clash else None)
    dense = matrix[ORDER]
    assert torch.equal(dense[kept][copy_of], dense)
    assert torch.equal(kept, kept.unique())
    if not clash:
        assert kept.numel() == torch.unique(dense, dim=0).shape[0] < len(ORDER)


def test_rows_with_equal_sums_are_not_confused():
    matrix = torch.tensor([[1, 0, 0, 1], [0, 1, 1, 0], [1, 0, 0, 1], [0, 0, 0, 1]])
    rows = SparseRows.of(graph_of(matrix), torch.arange(4))
    kept, copy_of = rows.distinct(torch.tensor([0, 1, 2, 3]))  # three rows sum to 3
    assert torch.equal(matrix[kept][copy_of], matrix)
