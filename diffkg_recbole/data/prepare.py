"""From configuration to loaders: the dataset, its parts under a protocol, samplers, batches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from recbole.data.dataloader import NegSampleEvalDataLoader
from recbole.data.utils import create_samplers as recbole_create_samplers
from recbole.data.utils import get_dataloader
from recbole.utils import ModelType

from diffkg_recbole.data.atomic_text import check_regular_files
from diffkg_recbole.data.dataset import GeneralDataset, KnowledgeDataset
from diffkg_recbole.data.eval_loader import FullSortLoader
from diffkg_recbole.data.recbole_errors import told
from diffkg_recbole.data.sampler import KnowledgeSampler, PairSampler
from diffkg_recbole.data.train_loader import TRAIN_LOADERS, KnowledgeLoader, SingleProcess
from diffkg_recbole.errors import UserError


def create_dataset(config: Any) -> Any:
    """Dataset of the configured model: all interactions, whatever the model's type.

    RecBole's function of this name is not used: it unpickles a file where it finds one.

    Raises:
        UserError: a knowledge model on a dataset without a graph, or a file that does not fit.
    """
    check_regular_files(config["data_path"], config["dataset"])
    if config["MODEL_TYPE"] == ModelType.KNOWLEDGE:
        graph = Path(config["data_path"]) / f"{config['dataset']}.kg"
        if graph.parent.is_dir() and not graph.is_file():
            raise UserError(
                f"{config['model']} is a knowledge model, but dataset '{config['dataset']}' has "
                f"no graph: {graph} does not exist"
            )
        with told(config):
            return KnowledgeDataset(config)
    with told(config):
        return GeneralDataset(config)


def _samplers(config: Any, dataset: Any, parts: list[Any]) -> list[Any]:
    """Samplers of the three phases; RecBole's own where repeated interactions are allowed."""
    if config["repeatable"]:
        return list(recbole_create_samplers(config, dataset, parts))
    phases = ["train", "valid", "test"]
    sampler = None
    samplers: list[Any] = []
    for phase in phases:
        arguments = config[f"{phase}_neg_sample_args"]
        distribution = arguments["distribution"]
        if distribution == "none" or (phase != "train" and arguments["sample_num"] == "none"):
            samplers.append(None)
            continue
        if sampler is None:
            sampler = PairSampler(phases, parts, distribution, arguments.get("alpha", 1.0))
        sampler.set_distribution(distribution)
        samplers.append(sampler.set_phase(phase))
    return samplers


def _eval_loader(config: Any, phase: str, parts: list[Any], sampler: Any) -> Any:
    train, valid, test = parts
    part = valid if phase == "valid" else test
    if config["eval_args"]["mode"][phase] != "full":
        # Every process evaluates all users: RecBole's division would count some of them twice.
        alone = config if config["single_spec"] else SingleProcess(config)
        return NegSampleEvalDataLoader(alone, part, sampler, shuffle=False)
    authors = config["eval_protocol"] == "authors"
    masked = [train] if phase == "valid" or authors else [train, valid]
    return FullSortLoader(
        config, part, masked, unmask_positives=config["eval_protocol"] == "recbole"
    )


def data_preparation(config: Any, dataset: Any) -> tuple[Any, Any, Any]:
    """Loaders of the train, validation and test part.

    Raises:
        UserError: a part is empty.
    """
    with told(config):
        parts = dataset.build()
    for name, part in zip(("training", "validation", "test"), parts):
        if len(part) == 0:
            raise UserError(f"the {name} part of '{config['dataset']}' holds no interaction")
    samplers = _samplers(config, dataset, parts)
    recbole_loader = get_dataloader(config, "train")
    train_loader = TRAIN_LOADERS.get(recbole_loader, recbole_loader)
    if train_loader is KnowledgeLoader:
        arguments = config["train_neg_sample_args"]
        triple_sampler = KnowledgeSampler(dataset, arguments["distribution"], arguments["alpha"])
        train = train_loader(config, parts[0], samplers[0], triple_sampler, shuffle=True)
    else:
        train = train_loader(config, parts[0], samplers[0], shuffle=config["shuffle"])
    valid = _eval_loader(config, "valid", parts, samplers[1])
    test = _eval_loader(config, "test", parts, samplers[2])
    valid.train_part = test.train_part = parts[0]  # some metrics count its interactions
    return train, valid, test
