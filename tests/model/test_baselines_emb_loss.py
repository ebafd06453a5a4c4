"""The penalty on embeddings equals RecBole's, value and gradient."""

from __future__ import annotations

import pytest
import torch
from recbole.model.loss import EmbLoss as RecBoleEmbLoss

from diffkg_recbole.model.baselines.emb_loss import EmbLoss
from diffkg_recbole.parallel import Part, doing


def embeddings(n_rows=7):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(n_rows, 3, generator=generator).requires_grad_() for _ in range(3)]


@pytest.mark.parametrize("require_pow", [False, True])
@pytest.mark.parametrize("norm", [1, 2, 3])
def test_equals_recboles(norm, require_pow):
    results = []
    for loss in (EmbLoss(norm), RecBoleEmbLoss(norm)):
        tables = embeddings()
        value = loss(*tables, require_pow=require_pow)
        results.append([value.detach(), *torch.autograd.grad(value.sum(), tables)])
    for ours, theirs in zip(*results):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("require_pow", [False, True])
@pytest.mark.parametrize("world", [2, 3])
def test_weighted_parts_add_up_to_the_batch(world, require_pow, monkeypatch):
    loss, tables = EmbLoss(), embeddings()
    wanted = loss(*tables, require_pow=require_pow)
    gradients = torch.autograd.grad(wanted.sum(), tables)
    squares = torch.stack([table.detach().square().sum() for table in tables])
    monkeypatch.setattr("diffkg_recbole.parallel.sum_over_processes", lambda mine: squares)
    value = torch.zeros(1)
    for part in (Part.of(7, rank, world) for rank in range(world)):
        with doing(part):
            term = loss(*(t[part.rows] for t in tables), require_pow=require_pow) * part.weight
        value += term.detach()
        term.sum().backward()
    torch.testing.assert_close(value, wanted.detach())
    for table, gradient in zip(tables, gradients):
        torch.testing.assert_close(table.grad, gradient)
