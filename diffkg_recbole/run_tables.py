"""What one run leaves behind: from trainer and loaders to the tables of a run folder."""

from __future__ import annotations

import resource
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from recbole.utils import ModelType

from diffkg_recbole.evaluation import RankedUsers
from diffkg_recbole.store import data_files, environment


def run_label(config: Any) -> str:
    """Row name in tables: the model, and what deviates from its plain form."""
    if config["label"]:
        return str(config["label"])
    kg = config["kg"]
    notes = [] if kg in (None, "original") else [f"kg: {kg}"]
    describe = getattr(config.model_class, "variant_of", None)
    variant = describe(config) if describe else None
    if variant:
        notes.append(variant)
    return ", ".join([config["model"], *notes])


def evaluation_mode(config: Any) -> str:
    """Among which items a run ranks: ``full``, or RecBole's mode such as ``uni100``.

    Where validation ranks among other items than the test, both are named.
    """
    valid, test = (config["eval_args"]["mode"][part] for part in ("valid", "test"))
    return test if valid == test else f"{test}, validation {valid}"


def run_record(config: Any, prints: dict[str, Any], command: list[str]) -> dict[str, Any]:
    """What ``run.json`` says from the start."""
    describe = getattr(config.model_class, "variant_of", None)
    return {
        "label": run_label(config), "model": config["model"], "dataset": config["dataset"],
        "protocol": config["eval_protocol"], "kg": config["kg"] or "original",
        "variant": describe(config) if describe else None,
        "reads_graph": config["MODEL_TYPE"] == ModelType.KNOWLEDGE,
        "evaluation": evaluation_mode(config), "device": config["device"].type,
        "seed": config["seed"], "split_seed": config["split_seed"],
        "test_selected": config["eval_protocol"] == "authors",
        "fingerprint": prints, "data_files": data_files(config["data_path"], config["dataset"]),
        "command": command, **environment(config.model_class),
    }


def peak_memory() -> dict[str, float]:
    """Peak memory of this process so far, in MB (10^6 bytes): host, and GPU where one is used."""
    unit = 1 if sys.platform == "darwin" else 1024
    host = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
    gpu = torch.cuda.max_memory_allocated() / 1e6 if torch.cuda.is_available() else 0.0
    return {"peak_host_mb": round(host, 1), "peak_gpu_mb": round(gpu, 1)}


def _occurrences(part: Any, field: str, size: int) -> np.ndarray:
    return np.bincount(part.inter_feat[field].numpy(), minlength=size)


def user_table(ranked: RankedUsers, loader: Any, train: Any, config: Any) -> pd.DataFrame:
    """One row per test user: token, training interactions, every metric at full precision."""
    users = loader.uid_list.numpy()
    n_train = _occurrences(train, train.uid_field, train.user_num)[users]
    frame = pd.DataFrame({"user": train.field2id_token[train.uid_field][users].astype(str),
                          "n_train": n_train})
    return frame.assign(**ranked.per_user(config["metrics"], config["topk"]))


def pair_table(ranked: RankedUsers, loader: Any, train: Any, dataset: Any) -> pd.DataFrame:
    """One row per test pair: its rank in the user's top-K list (0 = not in it), the item's
    training interactions and triples (a triple counts for its head and for its tail)."""
    users = loader.uid_list.numpy()
    row, item = (t.numpy() for t in loader.positives.of(users))
    n_items, width = train.item_num, ranked.items.shape[1]
    listed = np.where(ranked.hit)
    keys = listed[0] * n_items + ranked.items[listed]
    order = np.argsort(keys)
    wanted = row * n_items + item
    place = np.searchsorted(keys[order], wanted)
    place[place == len(keys)] = 0
    found = keys[order][place] == wanted if len(keys) else np.zeros(len(wanted), bool)
    rank = np.where(found, listed[1][order][place] + 1, 0) if len(keys) else np.zeros(len(wanted))
    triples = np.zeros(n_items, dtype=np.int64)
    if hasattr(dataset, "kg_feat"):
        for ends in (dataset.head_entities, dataset.tail_entities):
            triples += np.bincount(ends[ends < n_items], minlength=n_items)
    assert rank.max(initial=0) <= width
    user_tokens = train.field2id_token[train.uid_field][users].astype(str)
    return pd.DataFrame({
        "user": user_tokens[row],
        "item": train.field2id_token[train.iid_field][item].astype(str),
        "rank": rank.astype(np.int32),
        "item_popularity": _occurrences(train, train.iid_field, n_items)[item],
        "item_triples": triples[item],
    })


def recommendation_table(ranked: RankedUsers, loader: Any, train: Any) -> pd.DataFrame:
    """One row per test user: the tokens of its top-K items, best first."""
    tokens = train.field2id_token[train.iid_field].astype(str)
    users = train.field2id_token[train.uid_field][loader.uid_list.numpy()].astype(str)
    lists = [[t for t, i in zip(names, ids) if i > 0]
             for names, ids in zip(tokens[ranked.items].tolist(), ranked.items.tolist())]
    return pd.DataFrame({"user": users, "items": lists})


def has_tables(config: Any, loader: Any) -> bool:
    """Whether a run keeps tables: they are wanted, and every item is ranked."""
    return config["save_recommendations"] and hasattr(loader, "positives")


def tables(
    ranked: RankedUsers | None, loader: Any, train: Any, dataset: Any, config: Any
) -> dict[str, pd.DataFrame]:
    """The tables of a run by name; none where it keeps none or ranked nothing."""
    if ranked is None or not has_tables(config, loader):
        return {}
    return {
        "users": user_table(ranked, loader, train, config),
        "pairs": pair_table(ranked, loader, train, dataset),
        "recommendations": recommendation_table(ranked, loader, train),
    }


def stored_result(record: Mapping[str, Any], config: Any) -> dict[str, Any]:
    """What ``run_recbole`` returned when the run of a record finished."""
    valid = record["valid"]
    return {
        "best_valid_score": valid.get(config["valid_metric"].lower()),
        "valid_score_bigger": config["valid_metric_bigger"],
        "best_valid_result": valid,
        "test_result": record["test"],
    }


def summary(
    trainer: Any, epochs: list[dict[str, Any]], test: dict, test_seconds: float
) -> dict[str, Any]:
    """Result and cost of a finished run, as ``run.json`` keeps them.

    Args:
        epochs: reports of all trained epochs, those before an interruption included.
        test_seconds: seconds of the final evaluation. ``seconds_total`` adds to it the training
            and validation of all epochs; reading the data is not in it.
    """
    trained = sum(report["seconds"].get("train", 0.0) for report in epochs)
    validated = sum(report["seconds"].get("valid", 0.0) for report in epochs)
    parameters = (p.numel() for p in trainer.model.parameters() if p.requires_grad)
    return {
        "epoch": trainer.best_epoch,
        "epochs_run": epochs[-1]["epoch"] + 1 if epochs else 0,
        "valid": dict(trainer.best_valid_result or {}),
        "test": dict(test or {}),
        "cost": {
            "parameters": sum(parameters),
            "seconds_total": round(trained + validated + test_seconds, 2),
            "seconds_per_epoch": round(trained / len(epochs), 4) if epochs else None,
            **peak_memory(),
        },
    }
