"""Two Gloo processes train as one does: same losses, metrics, parameters and graph."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from recbole.data.interaction import Interaction
from torch import nn

import diffkg_recbole
from diffkg_recbole.config import Config
from diffkg_recbole.errors import UserError
from diffkg_recbole.evaluation import evaluator
from diffkg_recbole.evaluation.evaluator import divided_users
from diffkg_recbole.parallel import Part, gather_rows, process_rows, sum_gradients
from diffkg_recbole.quick_start import prepare, run_recbole
from diffkg_recbole.trainer.loop import WithoutWrapper
from tests.data.synthetic import write_synthetic

WORLD = 2
# 532 interactions in batches of 53: uneven parts (27 and 26), and a last batch of 2 rows.
COMMON = {"epochs": 3, "train_batch_size": 53, "learning_rate": 0.01, "eval_step": 1,
          "embedding_size": 8, "use_gpu": False, "cache_dataset": False}
DIFFKG = {"denoiser_hidden_sizes": [16], "diffusion_batch_size": 31, "rebuild_k": 3,
          "triplet_num": 5}
CASES = {
    "BPR": ("BPR", {"train_batch_size": 59}),  # the last batch has 1 row, for two processes
    "reciprocal": ("BPR", {"metrics": ["Recall", "GAUC", "ItemCoverage"], "topk": [10],
                           "valid_metric": "Recall@10"}),
    "uni": ("BPR", {"eval_args": {"split": {"RS": [8, 1, 1]}, "order": "RO", "group_by": "user",
                                  "mode": "uni20"}}),
    "DiffKG": ("DiffKG", DIFFKG),
    "noised": ("DiffKG", {**DIFFKG, "sampling_steps": 2, "diffusion_every": 2}),
    "KGCL": ("KGCL", {}),
    # Interactions and triples at once: exact where both have the same parts, so even batches.
    "CFKG": ("CFKG", {"train_batch_size": 64}),
    # In turn; the penalty is a norm over the batch and no mean over rows.
    "KGAT": ("KGAT", {"reg_weight": 0.1}),
    "KGIN": ("KGIN", {"reg_weight": 0.1}),
    "LightGCN": ("LightGCN", {"reg_weight": 0.1}),
    "MultiVAE": ("MultiVAE", {"dropout_prob": 0.0}),  # whole users; a draw for each of them
}
SINGLE_PRECISION = ("KGAT", "KGIN", "LightGCN", "MultiVAE")  # RecBole's models make float32 values
SAME_DRAWS = [name for name in CASES if name != "MultiVAE"]


def train(name: str, values: dict, device_values: dict) -> dict:
    """Train a case in this process; returns what two processes must agree on."""
    model_name, extra = CASES[name]
    torch.set_default_dtype(torch.float32 if name in SINGLE_PRECISION else torch.float64)
    config = Config(model_name, "synthetic", config_dict={
        **values, **COMMON, **extra, **device_values})
    try:
        experiment = prepare(config)
        model = experiment.build_model()
        trainer = experiment.build_trainer(model)
        reports: list[dict] = []
        trainer.on_epoch = reports.append
        trainer.fit(experiment.train_data, experiment.valid_data, saved=False)
        test = trainer.evaluate(experiment.test_data, load_best_model=False)
        for report in reports:
            report.pop("seconds")
        network = getattr(model, "network", None)
        graph = network.denoised_graph.state() if hasattr(network, "denoised_graph") else {}
        return {"reports": reports, "test": dict(test), "graph": graph,
                "users": len(trainer.evaluator.ranked.items),
                "items": torch.from_numpy(trainer.evaluator.ranked.items),
                "parameters": {n: p.detach() for n, p in model.named_parameters()},
                "draws": [torch.get_rng_state(),
                          torch.from_numpy(np.random.get_state()[1].astype(np.int64))]}
    finally:
        if not config["single_spec"]:
            torch.distributed.destroy_process_group()


def collectives(rank: int, folder: str) -> list:
    """Weighted gradients, and gathered rows, of parameters and rows known to the test."""
    torch.distributed.init_process_group(
        "gloo", rank=rank, world_size=WORLD, init_method=Path(folder, "meet").as_uri())
    used, unused, frozen, partly = (nn.Parameter(torch.ones(2)) for _ in range(4))
    frozen.requires_grad_(False)
    used.grad = torch.tensor([1.0, 10.0]) * (rank + 1)
    if rank == 1:
        partly.grad = torch.tensor([4.0, 8.0])
    sum_gradients([used, unused, frozen, partly], [0.75, 0.25][rank])
    rows = gather_rows(torch.arange(14).view(7, 2)[process_rows(7, rank, WORLD)], 7)
    whole = gather_rows(torch.tensor([[5]]), 1)  # fewer rows than processes
    torch.distributed.destroy_process_group()
    return [used.grad, unused.grad, frozen.grad, partly.grad, rows, whole]


def _train_all(rank: int, folder: str, values: dict, world: int, names: list[str]) -> None:
    torch.set_num_threads(1)
    if world == WORLD:
        torch.save(collectives(rank, folder), f"{folder}/collectives-{rank}.pt")
    for name in names:
        parallel = {"local_rank": rank, "world_size": world, "nproc": world, "offset": 0,
                    "ip": "localhost", "port": f"{folder}/{name}"}
        torch.save(train(name, values, parallel), f"{folder}/{name}-{rank}.pt")


@pytest.fixture(scope="module")
def values(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    values = write_synthetic(folder, n_items=61)
    source = folder / "synthetic"
    lines = [line for part in ("train", "valid", "test") for line in
             (source / f"synthetic.{part}.inter").read_text().splitlines()[1:]]
    (source / "synthetic.inter").write_text("user_id:token\titem_id:token\n" + "\n".join(lines))
    return {**values, "benchmark_filename": None, "checkpoint_dir": str(folder / "saved")}


@pytest.fixture(scope="module")
def processes(tmp_path_factory, values):
    """What each of two processes says, by case."""
    folder = str(tmp_path_factory.mktemp("processes"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        torch.multiprocessing.spawn(_train_all, args=(folder, values, WORLD, list(CASES)),
                                    nprocs=WORLD)
    return {name: [torch.load(f"{folder}/{name}-{rank}.pt", weights_only=False)
                   for rank in range(WORLD)] for name in [*CASES, "collectives"]}


@pytest.fixture
def alone(values, tmp_path, monkeypatch):
    """Train a case in a single process, in the same precision."""
    monkeypatch.chdir(tmp_path)
    before = torch.get_default_dtype()
    yield lambda name: train(name, values, {})
    torch.set_default_dtype(before)


def assert_close(left, right):
    """Equal but for the rounding of sums, all the way down."""
    if isinstance(left, dict):
        assert list(left) == list(right)
        for key in left:
            assert_close(left[key], right[key])
    elif isinstance(left, (list, tuple)):
        assert len(left) == len(right)
        for a, b in zip(left, right):
            assert_close(a, b)
    elif isinstance(left, torch.Tensor) and left.is_floating_point():
        tolerance = 1e-3 if left.dtype == torch.float32 else 1e-6
        torch.testing.assert_close(left, right, rtol=tolerance, atol=tolerance / 100)
    elif isinstance(left, torch.Tensor):
        assert torch.equal(left, right)
    elif isinstance(left, float):
        assert left == pytest.approx(right, rel=1e-6, abs=1e-12)
    else:
        assert left == right


@pytest.mark.parametrize("name", SAME_DRAWS)
def test_two_processes_train_and_rank_as_one(name, processes, alone):
    one, two = alone(name), processes[name][0]
    assert len(one["reports"]) == 3
    assert_close([r["losses"] for r in two["reports"]], [r["losses"] for r in one["reports"]])
    assert_close(two["reports"], one["reports"])
    assert_close(two["test"], one["test"])
    assert_close(two["graph"], one["graph"])
    assert_close(two["parameters"], one["parameters"])
    if name != "uni":  # there every process evaluates every user
        assert torch.equal(two["items"], one["items"])


@pytest.mark.slow
def test_four_processes_train_and_rank_as_one(values, alone, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ["DiffKG", "KGCL", "KGAT", "KGIN", "LightGCN"]
    torch.multiprocessing.spawn(
        _train_all, args=(str(tmp_path), values, 4, names), nprocs=4)
    for name in names:
        one = alone(name)
        for rank in range(4):
            four = torch.load(tmp_path / f"{name}-{rank}.pt", weights_only=False)
            for key in ("reports", "test", "graph", "parameters"):
                assert_close(four[key], one[key])
            assert torch.equal(four["items"], one["items"])


@pytest.mark.parametrize("name", list(CASES))
def test_the_processes_stay_exactly_alike(name, processes):
    first, second = processes[name]
    for key in ("reports", "test"):
        assert first[key] == second[key]
    for key in ("graph", "parameters"):
        assert list(first[key]) == list(second[key])
        for part in first[key]:
            assert torch.equal(first[key][part], second[key][part]), part
    assert torch.equal(first["items"], second["items"])
    if name in SAME_DRAWS:
        for a, b in zip(first["draws"], second["draws"]):
            assert torch.equal(a, b)
    if name in ("DiffKG", "noised"):
        assert len(first["graph"]["head"]) > 0


def _die_in_the_second_epoch(rank: int, settings: dict, store: str, meeting_point: str) -> None:
    from diffkg_recbole.trainer.diffkg import DiffKGSchedule

    train_denoiser = DiffKGSchedule.train_denoiser

    def die(self, order, epoch, show=False):
        if epoch == 1:
            raise KeyboardInterrupt
        train_denoiser(self, order, epoch, show)

    DiffKGSchedule.train_denoiser = die
    parallel = {"local_rank": rank, "world_size": WORLD, "nproc": WORLD, "offset": 0,
                "ip": "localhost", "port": meeting_point}
    try:
        run_recbole("DiffKG", "synthetic", config_dict={**settings, **parallel}, store=store)
    except KeyboardInterrupt:
        Path(f"{meeting_point}-{rank}-died").touch()


@pytest.mark.parametrize("model", ["BPR", "DiffKG"])
def test_a_parallel_run_leaves_the_folder_of_a_single_one(model, values, tmp_path, monkeypatch):
    """DiffKG's is interrupted, and goes on where it stopped."""
    monkeypatch.chdir(tmp_path)
    settings = {**values, **COMMON, **(DIFFKG if model == "DiffKG" else {}), "epochs": 2}
    results, folders = [], []
    for processes in (1, 2):
        store = tmp_path / f"runs{processes}"
        if processes == 2 and model == "DiffKG":
            torch.multiprocessing.spawn(_die_in_the_second_epoch, nprocs=WORLD, args=(
                settings, str(store), str(tmp_path / "meet")))
            assert all((tmp_path / f"meet-{rank}-died").exists() for rank in range(WORLD))
            assert len(list(store.glob("*/last.pth"))) == 1
        results.append(diffkg_recbole.run(model, "synthetic", config_dict=settings,
                                          nproc=processes, store=store))
        folders.extend(p for p in store.iterdir() if not p.name.startswith("."))
    assert len(folders) == 2
    assert_close(dict(results[1]["test_result"]), dict(results[0]["test_result"]))
    rows = [[json.loads(line) for line in (folder / "epochs.jsonl").read_text().splitlines()]
            for folder in folders]
    assert_close(*([{**row, "seconds": None} for row in part] for part in rows))
    one, two = (json.loads((folder / "run.json").read_text()) for folder in folders)
    assert two["status"] == "finished"
    assert (two["fingerprint"], two["epochs_run"]) == (one["fingerprint"], one["epochs_run"])
    for table in ("users", "pairs", "recommendations"):
        left, right = (pd.read_parquet(folder / f"{table}.parquet") for folder in folders)
        pd.testing.assert_frame_equal(left, right)
    if model == "BPR":
        again = diffkg_recbole.run(model, "synthetic", config_dict=settings, nproc=2,
                                   store=tmp_path / "runs2")
        assert dict(again["test_result"]) == dict(results[1]["test_result"])


def test_a_users_mistake_in_a_parallel_run_is_one_sentence(values, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # (a group of one process: it starts sooner)
    with pytest.raises(UserError, match="dataset folder 'absent/synthetic' not found"):
        diffkg_recbole.run("BPR", "synthetic", nproc=1, world_size=1,
                           config_dict={**values, "data_path": "absent"})


# ---- parts --------------------------------------------------------------------------------------


@pytest.mark.parametrize("world", [1, 2, 3, 7])
@pytest.mark.parametrize("n_rows", [1, 2, 6, 7, 20, 53])
def test_parts_cover_a_batch_and_weigh_one(n_rows, world):
    parts = [Part.of(n_rows, rank, world) for rank in range(world)]
    assert sum(part.weight for part in parts) == pytest.approx(1)
    if n_rows < world:
        assert all(part.is_whole and part.share == 1 for part in parts)
        return
    assert [row for part in parts for row in range(n_rows)[part.rows]] == list(range(n_rows))
    sizes = [part.end - part.begin for part in parts]
    assert max(sizes) - min(sizes) <= 1
    assert sum(part.share for part in parts) == pytest.approx(1)


@pytest.mark.parametrize("n_rows", [0, 1, 2, 5, 9])
def test_pieces_cover_everything_once(n_rows):
    rows = [row for rank in range(3) for row in range(n_rows)[process_rows(n_rows, rank, 3)]]
    assert rows == list(range(n_rows))


@pytest.mark.parametrize("n_rows", [1, 2, 5, 8])
@pytest.mark.parametrize("world", [2, 3])
def test_weighted_gradients_of_the_parts_are_the_batchs(n_rows, world):
    """A mean over rows, a sum over rows divided by the share, and a term without rows."""
    torch.manual_seed(0)
    weight = torch.randn(4, dtype=torch.float64, requires_grad=True)
    rows = torch.randn(n_rows, 4, dtype=torch.float64)

    def loss(rows, share=1.0):
        score = (rows @ weight).square()
        return score.mean() + score.sum() / share + weight.square().sum()

    (expected,) = torch.autograd.grad(loss(rows), weight)
    total = torch.zeros_like(expected)
    for part in (Part.of(n_rows, rank, world) for rank in range(world)):
        total += part.weight * torch.autograd.grad(loss(rows[part.rows], part.share), weight)[0]
    torch.testing.assert_close(total, expected)


def test_gradients_and_rows_of_the_processes(processes):
    for used, unused, frozen, partly, rows, whole in processes["collectives"]:
        assert used.tolist() == [0.75 + 0.5, 7.5 + 5]
        assert unused is None
        assert frozen is None
        assert partly.tolist() == [1.0, 2.0]
        assert torch.equal(rows, torch.arange(14).view(7, 2))
        assert whole.tolist() == [[5]]


def test_a_trainer_with_a_loop_of_its_own_is_refused():
    trainer = WithoutWrapper({"single_spec": True, "model": "NCL"}, nn.Linear(1, 1))
    with pytest.raises(UserError, match="NCL cannot be trained data parallel"):
        trainer.set_reduce_hook()


def test_users_are_divided_only_for_metrics_that_can_be_put_together(monkeypatch):
    divided, whole = {"metrics": ["Recall", "NDCG"]}, {"metrics": ["Recall", "AUC"]}
    assert divided_users({**divided, "single_spec": True}, 5) == slice(0, 5)
    for rank, own in enumerate([slice(0, 3), slice(3, 5)]):
        monkeypatch.setattr(evaluator, "rank_and_world", lambda config, rank=rank: (rank, WORLD))
        assert divided_users(divided, 5) == own
        assert divided_users(whole, 5) == slice(0, 5)


def test_batches_reach_the_device_as_they_are():
    from diffkg_recbole.trainer.loop import _to_device

    batch = Interaction({"user_id": torch.arange(3), "rating": torch.rand(3)})
    moved = _to_device(batch, torch.device("cpu"))
    assert list(moved.interaction) == ["user_id", "rating"]
    assert torch.equal(moved["rating"], batch["rating"])
