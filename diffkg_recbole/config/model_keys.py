"""Which configuration keys and values a model accepts, known without reading any data."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from recbole.utils import ModelType

from diffkg_recbole.config.config import PROPERTIES
from diffkg_recbole.config.general import GeneralSettings
from diffkg_recbole.config.known_keys import RECBOLE_PROPERTIES, known_keys
from diffkg_recbole.config.plain_yaml import read_yaml
from diffkg_recbole.config.recbole_keys import CHECKS
from diffkg_recbole.errors import shown
from diffkg_recbole.model import get_model
from diffkg_recbole.model.recbole_settings import settings_of
from diffkg_recbole.settings import Rule
from diffkg_recbole.text import near_names


class ModelKeys:
    """Keys of one model.

    Args:
        model: its name.

    Raises:
        UserError: there is no such model.
    """

    def __init__(self, model: str) -> None:
        self.model = model
        model_class: Any = get_model(model)
        self.reads_graph = model_class.type == ModelType.KNOWLEDGE
        declared = settings_of(model, model_class)
        self._rules: dict[str, Rule] = {
            **GeneralSettings.rules(), **(declared.rules() if declared else {})}
        files = [folder / "model" / f"{model}.yaml" for folder in (RECBOLE_PROPERTIES, PROPERTIES)]
        plugin_files = [PROPERTIES / "overall.yaml", *files]
        plugin_keys = {key for file in plugin_files if file.is_file() for key in read_yaml(file)[0]}
        self._known = known_keys(model, model_class, plugin_keys | set(self._rules))

    @staticmethod
    @lru_cache(maxsize=128)
    def of(model: str) -> ModelKeys:
        """The keys of a model, looked up once."""
        return ModelKeys(model)

    def has(self, key: str) -> bool:
        """Whether the model, RecBole or the plugin reads the key."""
        return key in self._known

    def problem(self, key: str, value: Any) -> str | None:
        """What is wrong with a setting, in words; None if nothing is."""
        if not self.has(key):
            return f"{self.model} has no setting '{key}'{near_names(key, self._known)}"
        rule = self._rules.get(key)
        if rule is None:
            expected = CHECKS[key](value) if key in CHECKS else None
            return expected and self._refusal(key, value, expected)
        try:
            rule.convert(value)
        except ValueError:
            return self._refusal(key, value, rule.expected)
        return None

    @staticmethod
    def _refusal(key: str, value: Any, expected: str) -> str:
        return f"setting '{key}': {shown(value)} is not allowed; expected {expected}"
