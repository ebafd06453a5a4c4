"""RecBole's ``Config`` for this plugin: finds the plugin's models and checks what it is given."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from recbole.config import Config as RecBoleConfig
from recbole.utils import ModelType, argument_list

from diffkg_recbole.config.general import GeneralSettings
from diffkg_recbole.config.known_keys import known_keys, refuse_unknown
from diffkg_recbole.config.pickles import refuse_pickles
from diffkg_recbole.config.plain_yaml import ConfigLoader, parse_word, read_yaml
from diffkg_recbole.config.recbole_keys import check_recbole_keys
from diffkg_recbole.errors import UserError
from diffkg_recbole.model.recbole_settings import settings_of
from diffkg_recbole.shipped_files import config_folder, shipped_root
from diffkg_recbole.text import checked_dataset_name

RANKING_TYPES = (ModelType.GENERAL, ModelType.TRADITIONAL, ModelType.KNOWLEDGE)
_EXPECTED = "expected"  # counts in a dataset's file, for the converter: no key of a run
PROPERTIES = Path(__file__).parents[1] / "properties"


def dataset_config(dataset: str) -> Path:
    """Configuration file of a dataset: of the working directory, else the shipped one."""
    here = Path("configs") / "datasets" / f"{dataset}.yaml"
    return here if here.is_file() else config_folder() / "datasets" / f"{dataset}.yaml"


class Config(RecBoleConfig):
    """Configuration of one run.

    Order of precedence, lowest first: RecBole's property files, the plugin's
    (``properties/overall.yaml``, ``properties/model/<Model>.yaml``), the dataset's
    (``configs/datasets/<dataset>.yaml``), ``config_file_list``, ``config_dict``,
    ``command_line``.

    Args:
        model: model name or class.
        dataset: dataset name.
        config_file_list: YAML files.
        config_dict: values by key.
        command_line: words ``--key=value``. Unlike RecBole's, this class never reads
            ``sys.argv`` by itself: the flags of a larger program are not its business.

    Raises:
        UserError: a file is missing, a key is unknown, a value lies outside its range, or the
            model does not exist. The message names file and line, or the flag.
    """

    def __init__(
        self,
        model: str | type | None = None,
        dataset: str | None = None,
        config_file_list: Sequence[str] | None = None,
        config_dict: dict[str, Any] | None = None,
        command_line: Sequence[str] = (),
    ) -> None:
        self._command_line = list(command_line)
        self.sources: dict[str, str] = {}
        super().__init__(
            model, dataset, list(config_file_list or []), dict(config_dict or {})
        )
        self._validate()

    # ---- what differs from RecBole: nothing outside this object is changed ----------------

    def compatibility_settings(self) -> None:
        """RecBole sets aliases inside ``numpy`` here; the plugin needs none of them."""

    def _init_parameters_category(self) -> None:
        # Copies: RecBole appends a dataset's keys to the module's own list.
        self.parameters = {
            group: list(getattr(argument_list, f"{group.lower()}_arguments"))
            for group in ("General", "Training", "Evaluation", "Dataset")
        }

    def _build_yaml_loader(self) -> type:
        return ConfigLoader

    def _convert_config_dict(self, config_dict: dict[str, Any]) -> dict[str, Any]:
        return {
            key: parse_word(value) if isinstance(value, str) else value
            for key, value in config_dict.items()
        }

    def _load_config_files(self, file_list: Sequence[str] | None) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        for file in file_list or []:
            values, lines = read_yaml(file)
            values.pop(_EXPECTED, None)
            merged.update(values)
            self.sources.update({key: f"{file}, line {lines[key]}" for key in values})
        return merged

    def _load_variable_config_dict(self, config_dict: dict[str, Any]) -> dict[str, Any]:
        for key in config_dict:
            self.sources.pop(key, None)
        return super()._load_variable_config_dict(config_dict)

    def _load_cmd_line(self) -> dict[str, Any]:
        values: dict[str, str] = {}
        for word in self._command_line:
            key, equals, value = word[2:].partition("=")
            if not word.startswith("--") or not equals or not key:
                raise UserError(f"argument '{word}' is not understood; expected --key=value")
            if values.get(key, value) != value:
                raise UserError(f"argument --{key} is given twice with different values")
            values[key] = value
            self.sources[key] = "command line"
        return self._convert_config_dict(values)

    # ---- the plugin's models and files ------------------------------------------------------

    def _get_model_and_dataset(
        self, model: str | type | None, dataset: str | None
    ) -> tuple[str, type, str]:
        from diffkg_recbole.model import get_model

        model = model or self.external_config_dict.get("model")
        dataset = dataset or self.external_config_dict.get("dataset")
        if model is None or dataset is None:
            missing = "model" if model is None else "dataset"
            raise UserError(f"no {missing} is named; give --{missing}=<name>")
        dataset = checked_dataset_name(str(dataset))
        if isinstance(model, str):
            return model, get_model(model), dataset
        return model.__name__, model, dataset

    def _load_internal_config_dict(self, model: str, model_class: type, dataset: str) -> None:
        super()._load_internal_config_dict(model, model_class, dataset)
        dataset_file = dataset_config(dataset)
        for path in (PROPERTIES / "overall.yaml", PROPERTIES / "model" / f"{model}.yaml",
                     dataset_file):
            if path.is_file():
                values, lines = read_yaml(path)
                values.pop(_EXPECTED, None)
                self.internal_config_dict.update(values)
                for key in values:
                    if key not in self.external_config_dict:
                        self.sources[key] = f"{path.name}, line {lines[key]}"

    def _set_default_parameters(self) -> None:
        self._check_model_type()
        self._check_keys()
        check_recbole_keys(self.final_config_dict, self.sources)
        self._load_time_where_it_orders()
        self._find_data()
        try:
            super()._set_default_parameters()
        except (NotImplementedError, ValueError, TypeError, RuntimeError) as error:
            raise UserError(f"configuration: {error}") from None

    def _check_keys(self) -> None:
        settings_class = settings_of(self.model, self.model_class)
        plugin_keys = set(GeneralSettings.rules()) | set(self.internal_config_dict)
        if settings_class is not None:
            plugin_keys |= set(settings_class.rules())
        known = known_keys(self.model, self.model_class, plugin_keys)
        refuse_unknown(self.external_config_dict, known, self.sources)

    def _load_time_where_it_orders(self) -> None:
        """A split by time needs the column that says when."""
        values = self.final_config_dict
        columns = (values.get("load_col") or {}).get("inter")
        time = values["TIME_FIELD"]
        by_time = (values.get("eval_args") or {}).get("order") == "TO"
        if by_time and isinstance(columns, (list, tuple)) and time not in columns:
            values["load_col"] = {**values["load_col"], "inter": [*columns, time]}

    def _find_data(self) -> None:
        """A relative ``data_path`` that is not here is looked for beside the shipped configs."""
        path = Path(str(self.final_config_dict.get("data_path", "")))
        beside = shipped_root() / path
        if not path.is_absolute() and not (path / self.dataset).exists() and (
            beside / self.dataset
        ).exists():
            self.final_config_dict["data_path"] = str(beside)

    def _validate(self) -> None:
        refuse_pickles(self.final_config_dict, self.sources)
        GeneralSettings.from_config(self, self.sources)
        settings_class = settings_of(self.model, self.model_class)
        if settings_class is not None:
            settings_class.from_config(self, self.sources)

    def _check_model_type(self) -> None:
        kind = getattr(self.model_class, "type", ModelType.GENERAL)
        if kind not in RANKING_TYPES:
            raise UserError(
                f"{self.model} is a {kind.name.lower().replace('_', '-')} model; this plugin ranks "
                "items from interactions and a graph, with RecBole's general and knowledge models")

    # ---- devices ------------------------------------------------------------------------------

    def _init_device(self) -> None:
        values = self.final_config_dict
        if "local_rank" not in values:
            super()._init_device()
            if not values["use_gpu"]:  # RecBole takes the GPU even so
                values["device"] = torch.device("cpu")
            return
        self._init_distributed()

    def _init_distributed(self) -> None:
        """Data parallel: NCCL where every process has a GPU of its own, Gloo otherwise.

        The processes meet at ``port`` of ``ip``, or where it is no number, in a file of that
        name, which needs no free port.
        """
        values = self.final_config_dict
        rank, port = values["local_rank"], str(values["port"])
        values["gpu_id"] = str(values["gpu_id"])
        gpus = torch.cuda.device_count() if values["use_gpu"] else 0
        on_gpu = gpus >= values["nproc"]
        torch.distributed.init_process_group(
            backend="nccl" if on_gpu else "gloo",
            rank=rank + values["offset"],
            world_size=values["world_size"],
            init_method=f"tcp://{values['ip']}:{port}" if port.isdigit() else Path(port).as_uri(),
        )
        values["single_spec"] = False
        values["device"] = torch.device("cuda", rank) if on_gpu else torch.device("cpu")
        if on_gpu:
            torch.cuda.set_device(rank)
        if rank != 0:
            values.update(state="error", show_progress=False, verbose=False)

    # ---- plain data -----------------------------------------------------------------------------

    def plain(self) -> dict[str, Any]:
        """The resolved configuration as plain data (str, numbers, lists, dicts, None).

        Given to ``Config(config_dict=...)`` it makes the same configuration again.
        """
        values = {key: _plain(value) for key, value in sorted(self.final_config_dict.items())
                  if key not in _DERIVED}
        values["data_path"] = str(Path(values["data_path"]).parent)  # RecBole appended the name
        return values


# Set by RecBole or the plugin from other keys or the machine; not part of a configuration.
_DERIVED = {
    "device", "MODEL_TYPE", "MODEL_INPUT_TYPE", "eval_type", "valid_metric_bigger",
    "valid_neg_sample_args", "test_neg_sample_args", "single_spec", "local_rank",
}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [_plain(v) for v in value]
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    return str(value)
