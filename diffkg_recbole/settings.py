"""Declared configuration keys: what each accepts, checked once at the door.

A component declares its keys as a frozen dataclass derived from :class:`Settings`; each field
carries its rule and one sentence of documentation::

    @dataclass(frozen=True)
    class MySettings(Settings):
        keep_rate: float = number("Share of rebuilt edges that is kept.", low=0, high=1)

    settings = MySettings.from_config(config)     # ConfigurationError names key, value, range
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from diffkg_recbole.errors import ConfigurationError

_RULE = "rule"
S = TypeVar("S", bound="Settings")


@dataclass(frozen=True)
class Rule:
    """What a key accepts: ``convert`` returns the value or raises ``ValueError``."""

    expected: str
    description: str
    convert: Callable[[Any], Any]
    symbol: str = ""


def _field(rule: Rule, default: Any) -> Any:
    metadata = {_RULE: rule}
    if default is dataclasses.MISSING:
        return dataclasses.field(metadata=metadata)
    if isinstance(default, list):
        return dataclasses.field(default_factory=lambda: list(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _interval(low: float | None, high: float | None, open_low: bool, open_high: bool) -> str:
    if low is None and high is None:
        return ""
    def shown(end: float) -> str:
        return str(end) if isinstance(end, int) else f"{end:g}"

    left = "(-inf" if low is None else f"{'(' if open_low else '['}{shown(low)}"
    right = "inf)" if high is None else f"{shown(high)}{')' if open_high else ']'}"
    return f" in {left}, {right}"


def number(
    description: str,
    default: Any = dataclasses.MISSING,
    *,
    low: float | None = None,
    high: float | None = None,
    open_low: bool = False,
    open_high: bool = False,
    symbol: str = "",
) -> Any:
    """A finite real number in an interval (ends belong to it unless ``open_*``)."""

    def convert(value: Any) -> float:
        if not _is_number(value) or not -sys.float_info.max <= value <= sys.float_info.max:
            raise ValueError
        if low is not None and (value < low or (open_low and value == low)):
            raise ValueError
        if high is not None and (value > high or (open_high and value == high)):
            raise ValueError
        return float(value)

    expected = "a number" + _interval(low, high, open_low, open_high)
    return _field(Rule(expected, description, convert, symbol), default)


def integer(
    description: str,
    default: Any = dataclasses.MISSING,
    *,
    low: int | None = None,
    high: int | None = None,
    also: tuple[Any, ...] = (),
    symbol: str = "",
) -> Any:
    """An integer in a closed interval, or one of the values ``also``."""

    def convert(value: Any) -> int:
        if any(value is other or (value == other and type(value) is type(other))
               for other in also):
            return value
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError
        if (low is not None and value < low) or (high is not None and value > high):
            raise ValueError
        return value

    expected = "an integer" + _interval(low, high, False, False)
    expected += "".join(f", or {'null' if other is None else other}" for other in also)
    return _field(Rule(expected, description, convert, symbol), default)


def integers(
    description: str, default: Any = dataclasses.MISSING, *, low: int = 1, symbol: str = ""
) -> Any:
    """A non-empty list of integers, each at least ``low``."""

    def convert(value: Any) -> list[int]:
        ok = isinstance(value, (list, tuple)) and len(value) > 0
        if not ok or any(
            not isinstance(v, int) or isinstance(v, bool) or v < low for v in value
        ):
            raise ValueError
        return list(value)

    expected = f"a list of integers of at least {low}, such as [1000]"
    return _field(Rule(expected, description, convert, symbol), default)


def numbers(
    description: str, default: Any = dataclasses.MISSING, *, length: int, low: float = 0
) -> Any:
    """A list of ``length`` finite numbers, each at least ``low``."""

    def convert(value: Any) -> list[float]:
        right = isinstance(value, (list, tuple)) and len(value) == length and all(
            _is_number(v) and low <= v <= sys.float_info.max for v in value)
        if not right:
            raise ValueError
        return [float(v) for v in value]

    return _field(Rule(f"a list of {length} numbers of at least {low:g}", description, convert),
                  default)


def choice(
    description: str, default: Any, values: tuple[Any, ...], *, symbol: str = ""
) -> Any:
    """One of the listed values. The word ``none`` also matches an absent value (YAML's null)."""

    def convert(value: Any) -> Any:
        if value is None and "none" in values:
            return "none"
        for allowed in values:
            if value == allowed and isinstance(value, bool) == isinstance(allowed, bool):
                return allowed
        raise ValueError

    expected = "one of " + ", ".join(str(v) for v in values)
    return _field(Rule(expected, description, convert, symbol), default)


def boolean(description: str, default: Any = dataclasses.MISSING, *, symbol: str = "") -> Any:
    """True or False."""

    def convert(value: Any) -> bool:
        if not isinstance(value, bool):
            raise ValueError
        return value

    return _field(Rule("True or False", description, convert, symbol), default)


def rule_of(declared: Any) -> Rule:
    """The rule of a declared key, such as ``integer("", low=1)``."""
    return declared.metadata[_RULE]


class Settings:
    """Base of declared settings (subclasses are frozen dataclasses)."""

    @classmethod
    def rules(cls) -> dict[str, Rule]:
        """Rule of every declared key."""
        fields = dataclasses.fields(cls)  # type: ignore[arg-type]
        return {f.name: rule_of(f) for f in fields}

    @classmethod
    def from_config(
        cls: type[S], config: Mapping[str, Any] | Any, sources: Mapping[str, str] | None = None
    ) -> S:
        """Checked settings from a configuration.

        Args:
            config: anything with ``key in config`` and ``config[key]`` (a RecBole ``Config``
                or a dict). Keys that are absent take the declared default.
            sources: where a key's value came from, for the message.

        Raises:
            ConfigurationError: naming key, value, allowed range and source.
        """
        values = {}
        for field in dataclasses.fields(cls):  # type: ignore[arg-type]
            rule = rule_of(field)
            if field.name in config:
                value = config[field.name]
                try:
                    values[field.name] = rule.convert(value)
                except ValueError:
                    source = (sources or {}).get(field.name)
                    raise ConfigurationError(field.name, value, rule.expected, source) from None
        return cls(**values)
