"""One case for every model: a new model adds one line to MODELS."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from recbole.utils import ModelType

from diffkg_recbole.model import get_model
from diffkg_recbole.quick_start import Experiment, load_data_and_model
from tests.tiny_models import experiment, full_scores, pair_scores, randomise


@dataclass(frozen=True)
class Case:
    """What the tests must know of a model.

    Attributes:
        name: model name.
        settings: configuration beside the common one.
        trains: it has parameters to fit (otherwise there is no loss that could fall).
        derived: tensors of its state that follow from the graph, not from training.
        entity_values: tensors of its state whose values are entity ids.
    """

    name: str
    settings: dict[str, Any] = field(default_factory=dict)
    trains: bool = True
    derived: tuple[str, ...] = ()
    entity_values: tuple[str, ...] = ()


# For models that the common settings bring past a random ranking only after more than two epochs.
FAST = {"learning_rate": 0.05, "train_batch_size": 64}
MODELS = [
    Case("BPR", FAST),
    Case("NeuMF"),
    Case("GCMC"),
    Case("LightGCN"),
    Case("NGCF"),
    Case("SGL", FAST),
    Case("MultiVAE"),
    Case("DiffRec", {"learning_rate": 0.005, "train_batch_size": 64, "reweight": False}),
    Case("Pop", trains=False),
    Case("ItemKNN", trains=False),
    Case("EASE", trains=False),
    Case("SLIMElastic", {"alpha": 0.01, "l1_ratio": 0.1}, trains=False),
    Case("CKE", {**FAST, "epochs": 10}),
    Case("CFKG", FAST),
    Case("KTUP", {**FAST, "epochs": 20}),
    Case("KGCN", entity_values=("adj_entity",)),
    Case("KGNNLS", FAST, entity_values=("adj_entity",)),
    Case("KGAT", derived=("attention",)),
    Case("KGIN"),
    Case("MCCLK"),
    Case("RippleNet", entity_values=("ripple_set",)),
    Case("MKR", {"kge_interval": 1, "learning_rate": 0.05, "epochs": 10}),
    Case("DiffKG", {"triplet_num": -1, "denoiser_hidden_sizes": [16]}),
    Case("KGCL"),
]
COMMON = {"learning_rate": 0.02, "epochs": 2, "train_batch_size": 128}
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(
    not torch.cuda.is_available(), reason="no GPU"))]


KNOWLEDGE_MODELS = [c for c in MODELS if get_model(c.name).type == ModelType.KNOWLEDGE]
named = {"ids": lambda value: value.name if isinstance(value, Case) else str(value)}


def prepared(case: Case, **settings: Any) -> Experiment:
    return experiment(case.name, **{**COMMON, **case.settings, **settings})


def random_recall(exp: Experiment, k: int) -> float:
    """Expected recall@k of a uniformly random ranking of what is not masked."""
    loader = exp.test_data
    users = loader.uid_list.numpy()
    masked = np.bincount(loader.history.of(users)[0].numpy(), minlength=len(users))
    return float(np.minimum(1.0, k / (exp.train.item_num - 1 - masked)).mean())


@pytest.fixture(params=DEVICES)
def device(request):
    return request.param


@pytest.mark.parametrize("case", MODELS, **named)
def test_trains_ranks_and_reloads(case, device, tmp_path):
    exp = prepared(case, checkpoint_dir=str(tmp_path), use_gpu=device == "cuda")
    model = exp.build_model()
    trainer = exp.build_trainer(model)
    trainer.fit(exp.train_data, exp.valid_data, saved=True)
    assert not torch.is_anomaly_enabled(), "some import has slowed autograd down"
    if case.trains:
        assert trainer.train_loss_dict[1] < trainer.train_loss_dict[0]

    result = trainer.evaluate(exp.test_data)
    assert result["recall@10"] > 1.2 * random_recall(exp, 10)
    ranked = trainer.evaluator.ranked.items
    assert ranked.shape == (len(exp.test_data.uid_list), 20)
    assert (ranked > 0).all(), "[PAD] was recommended"

    users = torch.arange(1, 30, device=model.device)
    scores = scores_of(model, users)
    assert scores.isfinite().all()
    # Sums on a GPU may differ in their last digits from call to call.
    exact = {"rtol": 0.0, "atol": 0.0} if device == "cpu" else {"rtol": 1e-4, "atol": 1e-5}
    torch.testing.assert_close(scores_of(model, users), scores, **exact)
    torch.testing.assert_close(
        scores, pair_scores(model, users)[:, 1:].to(scores.dtype), rtol=1e-4, atol=1e-5
    )
    again = load_data_and_model(trainer.saved_model_file)[1].eval()
    torch.testing.assert_close(scores_of(again, users), scores, **exact)


def scores_of(model: torch.nn.Module, users: torch.Tensor) -> torch.Tensor:
    """Scores of all items but [PAD], [users, items]."""
    try:
        return full_scores(model, users)[:, 1:]
    except NotImplementedError:  # the trainer then scores pairs
        return pair_scores(model, users)[:, 1:]


@pytest.mark.parametrize("case", KNOWLEDGE_MODELS, **named)
def test_ids_of_entities_do_not_matter(case):
    """Other ids for the entities that are no items, parameters moved along: the same scores."""
    exp, other = prepared(case), prepared(case)
    n_items, n_entities = exp.train.item_num, exp.train.entity_num
    new_id = torch.cat([
        torch.arange(n_items),
        n_items + torch.randperm(n_entities - n_items, generator=torch.manual_seed(3)),
    ])
    graph = other.train.kg_feat.interaction
    for end in ("head_id", "tail_id"):
        graph[end] = new_id[graph[end]]
    model, moved = exp.build_model().eval(), other.build_model().eval()
    randomise(model, scale=0.3)

    def move(name: str, tensor: torch.Tensor) -> torch.Tensor:
        """A tensor of the state as it is after the change of ids."""
        ids = new_id[tensor.long()].to(tensor.dtype) if name in case.entity_values else tensor
        rows = rows_of(len(tensor)) if tensor.dim() else None
        if rows is None:
            return ids
        result = torch.empty_like(ids)
        result[rows] = ids
        return result

    def rows_of(n: int) -> torch.Tensor | None:
        """New row of each row of a table of entities, or of users and entities; else None."""
        n_users = exp.train.user_num
        compact = new_id[1:] - 1  # models without [PAD]
        tables = {
            n_entities: new_id,
            n_entities - 1: compact,
            n_users - 1 + n_entities - 1: torch.cat([
                torch.arange(n_users - 1), n_users - 1 + compact
            ]),
        }
        return tables.get(n)

    state = moved.state_dict()
    state.update({
        name: move(name, value) for name, value in model.state_dict().items()
        if isinstance(value, torch.Tensor) and name not in case.derived
    })
    moved.load_state_dict(state)
    moved.load_other_parameter({
        name: move(name, value) for name, value in model.other_parameter().items()
        if isinstance(value, torch.Tensor)
    })
    users = torch.arange(1, 30)
    assert not torch.equal(new_id, torch.arange(n_entities))
    torch.testing.assert_close(
        scores_of(moved, users), scores_of(model, users), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("kg", ["none", "random"])
@pytest.mark.parametrize("case", KNOWLEDGE_MODELS, **named)
def test_knowledge_models_run_with_graph_controls(case, kg, tmp_path):
    exp = prepared(case, kg=kg, checkpoint_dir=str(tmp_path))
    trainer = exp.build_trainer(exp.build_model())
    trainer.fit(exp.train_data, exp.valid_data, saved=False)
    assert all(np.isfinite(loss) for loss in trainer.train_loss_dict.values())
    assert scores_of(trainer.model.eval(), torch.arange(1, 30)).isfinite().all()
    assert exp.config.plain()["kg"] == kg
