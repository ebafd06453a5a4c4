"""What is refused at the door because RecBole would read a pickle, or could not run."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from diffkg_recbole.config import Config
from diffkg_recbole.config.pickles import PICKLE_KEYS
from diffkg_recbole.data import create_dataset
from diffkg_recbole.errors import ConfigurationError, UserError

DATA = str(Path(__file__).parents[2] / "atomic_data")


class Planted:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return Path.touch, (self.target,)


@pytest.mark.parametrize("key", PICKLE_KEYS)
def test_no_key_may_name_a_pickle(tmp_path, key):
    model = {"use_pretrain": "NeuMF", "mf_pretrain_path": "NeuMF", "mlp_pretrain_path": "NeuMF",
             "pretrain_path": "NAIS", "pre_model_path": "ConvNCF"}.get(key, "BPR")
    planted = tmp_path / "x.pth"
    planted.write_bytes(pickle.dumps(Planted(tmp_path / "ran")))
    value = True if key.startswith(("use", "save")) else str(planted)
    with pytest.raises(ConfigurationError, match=rf"'{key}'.*a pickle, which can run code"):
        Config(model, "tiny", None, {"data_path": DATA, key: value})
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("model", ["BPR", "KGAT"])
def test_a_stored_dataset_is_never_unpickled(tmp_path, model):
    for name in ("tiny-Dataset.pth", "tiny-KnowledgeBasedDataset.pth", "tiny-GeneralDataset.pth",
                 "tiny-KnowledgeDataset.pth"):
        (tmp_path / name).write_bytes(pickle.dumps(Planted(tmp_path / "ran")))
    create_dataset(Config(model, "tiny", None, {
        "data_path": DATA, "checkpoint_dir": str(tmp_path), "cache_dataset": False}))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(("model", "kind"), [
    ("FM", "context"), ("DeepFM", "context"), ("SASRec", "sequential"), ("GRU4Rec", "sequential")])
def test_models_of_other_kinds_are_refused_in_one_sentence(model, kind):
    with pytest.raises(UserError, match=rf"{model} is a {kind} model; this plugin ranks"):
        Config(model, "tiny", None, {"data_path": DATA})
