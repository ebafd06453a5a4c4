"""RippleNet's scores and loss, against NumPy and against RecBole's own class."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
import torch
from recbole.data.interaction import Interaction

from diffkg_recbole.model.baselines import ripplenet
from tests.tiny_models import (
    experiment,
    full_scores,
    numpy64,
    pair_scores,
    randomise,
    recbole_model,
)


@pytest.fixture
def exp():
    return experiment("RippleNet", n_memory=4, kg_weight=0.3, reg_weight=0.01, embedding_size=6)


@pytest.fixture
def model(exp):
    made = exp.build_model().eval()
    randomise(made)
    return made


def softmax(x):
    e = np.exp(x - x.max())
    return e / e.sum()


def score(model, user, item):
    """RippleNet §3.3 for one pair, hop by hop and memory by memory."""
    e, d = numpy64(model.entity_embedding.weight), model.embedding_size
    matrices = numpy64(model.relation_embedding.weight).reshape(-1, d, d)
    transform = numpy64(model.transform_matrix.weight)
    v, response = e[item], np.zeros(d)
    for heads, relations, tails in model.ripple_set[user].tolist():
        p = softmax(np.array([v @ (matrices[r] @ e[h]) for h, r in zip(heads, relations)]))
        answer = sum(p_i * e[t] for p_i, t in zip(p, tails))
        v, response = transform @ (v + answer), response + answer
    return v @ response


def test_scores_of_pairs_and_of_all_items(model):
    users = torch.tensor([3, 1, 7])
    wanted = np.array([[score(model, u, i) for i in range(model.n_items)] for u in users.tolist()])
    np.testing.assert_allclose(numpy64(full_scores(model, users)), wanted, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(numpy64(pair_scores(model, users)), wanted, rtol=1e-4, atol=1e-4)


def test_scores_do_not_depend_on_the_block(model, monkeypatch):
    users = torch.arange(1, 12)
    wanted = full_scores(model, users)
    monkeypatch.setattr(ripplenet, "_NUMBERS_PER_BLOCK", 1)
    torch.testing.assert_close(full_scores(model, users), wanted)


def test_equal_to_recboles_class(exp, model):
    """Loss, every gradient and scores, with the same parameters and memories."""
    theirs = recbole_model("RippleNet", exp)
    theirs.load_state_dict(model.state_dict())
    theirs.ripple_set = defaultdict(list, {
        user: [tuple(memory) for memory in model.ripple_set[user].long()]
        for user in range(model.n_users)
    })
    generator = torch.Generator().manual_seed(0)
    n = 70  # users occur several times
    batch = Interaction({
        "user_id": torch.randint(1, 20, (n,), generator=generator),
        "item_id": torch.randint(1, model.n_items, (n,), generator=generator),
        "label": torch.randint(0, 2, (n,), generator=generator).float(),
    })
    losses = [m.calculate_loss(batch) for m in (model, theirs)]
    torch.testing.assert_close(losses[0].squeeze(), losses[1].squeeze(), rtol=1e-5, atol=1e-6)
    for loss in losses:
        loss.backward()
    other = dict(theirs.named_parameters())
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, other[name].grad, rtol=1e-4, atol=1e-6)
    users = torch.arange(1, 9)
    torch.testing.assert_close(full_scores(model, users), full_scores(theirs, users),
                               rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(pair_scores(model, users), pair_scores(theirs, users),
                               rtol=1e-4, atol=1e-4)


def test_memories_are_plain_data_in_the_checkpoint(exp, model):
    other = exp.build_model().eval()
    other.ripple_set = torch.zeros_like(other.ripple_set)
    other.load_state_dict(model.state_dict())
    other.load_other_parameter(model.other_parameter())
    assert isinstance(model.other_parameter()["ripple_set"], torch.Tensor)
    users = torch.arange(1, 9)
    assert torch.equal(full_scores(other, users), full_scores(model, users))
