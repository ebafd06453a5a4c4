"""Mixed precision (``enable_amp``), on the CPU, which has bfloat16: the test device has none."""

from __future__ import annotations

import pytest
import torch

from diffkg_recbole.model.sparse import CsrPattern, row_starts, segment_softmax, weighted_sum
from tests.test_every_model import COMMON, MODELS, named
from tests.tiny_models import experiment


@pytest.mark.parametrize("case", [c for c in MODELS if c.trains], **named)
def test_every_model_trains_in_mixed_precision(case, tmp_path):
    losses = []
    for mixed in (False, True):
        settings = {**COMMON, **case.settings, "epochs": 1, "enable_amp": mixed}
        exp = experiment(case.name, **settings, checkpoint_dir=str(tmp_path))
        trainer = exp.build_trainer(exp.build_model())
        trainer.fit(exp.train_data, exp.valid_data, saved=False)
        loss = trainer.train_loss_dict[0]
        losses.append(sum(loss) if isinstance(loss, tuple) else loss)
        assert all(p.dtype == torch.float32 for p in trainer.model.parameters())
    assert losses[1] == pytest.approx(losses[0], rel=0.02)


def test_sparse_products_are_made_in_full_precision():
    rows = torch.tensor([0, 0, 1, 2, 2])
    pattern = CsrPattern(row_starts(rows, 3), torch.tensor([0, 2, 1, 0, 1]), 3, rows)
    generator = torch.Generator().manual_seed(0)
    scores, x = torch.randn(5, generator=generator), torch.randn(3, 32, generator=generator)
    x = x.bfloat16().float().requires_grad_()
    wanted = weighted_sum(pattern, segment_softmax(pattern, scores), x)
    (wanted_gradient,) = torch.autograd.grad(wanted.sum(), x)
    with torch.autocast("cpu", torch.bfloat16):
        found = weighted_sum(pattern, segment_softmax(pattern, scores), x.bfloat16())
    (gradient,) = torch.autograd.grad(found.sum(), x)
    assert torch.equal(found, wanted)
    torch.testing.assert_close(gradient, wanted_gradient, rtol=1e-2, atol=1e-2)
