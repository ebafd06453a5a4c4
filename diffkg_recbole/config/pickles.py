"""Keys with which RecBole would load a pickle, which can run any code: none may be set.

RecBole unpickles a stored dataset or loaders (``recbole.data.utils``), and some of its models load
other models with ``torch.load`` (NeuMF, NAIS, ConvNCF, RaCT) or an object array with
``numpy.load`` (LDiffRec with several categories).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from diffkg_recbole.errors import ConfigurationError

PICKLE_KEYS = ("dataset_save_path", "dataloaders_save_path", "save_dataset", "save_dataloaders",
               "pretrain_path", "pre_model_path", "mf_pretrain_path", "mlp_pretrain_path",
               "use_pretrain")


def refuse_pickles(configuration: Mapping[str, Any], sources: Mapping[str, str]) -> None:
    """Raise for the first key that names a pickled file.

    Raises:
        ConfigurationError: naming the key.
    """
    for key in PICKLE_KEYS:
        if configuration.get(key):
            raise ConfigurationError(key, configuration[key], "no value: RecBole would read or "
                                     "write a pickle, which can run code", sources.get(key))
    if configuration.get("model") == "LDiffRec" and configuration.get("n_cate", 1) != 1:
        raise ConfigurationError("n_cate", configuration["n_cate"], "1: with more, RecBole reads a "
                                 "pickled item_emb.npy, which can run code", sources.get("n_cate"))
