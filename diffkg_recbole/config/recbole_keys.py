"""RecBole's own keys, checked below the first level too, before RecBole reads them.

RecBole uses its default for a misspelt inner key and raises whatever comes for a wrong value. A
check here says in words what was expected, or None where the value is right.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from recbole.evaluator.register import metrics_dict

from diffkg_recbole.errors import ConfigurationError
from diffkg_recbole.settings import boolean, integer, number, rule_of
from diffkg_recbole.text import near_names

Check = Callable[[Any], "str | None"]
FILES = ("inter", "user", "item", "kg", "link")
LEARNERS = ("adam", "adamw", "sgd", "adagrad", "rmsprop", "sparse_adam")
LEVELS = ("debug", "info", "warning", "error", "critical")
_INTERVAL = re.compile(r"[\[(]\s*([^,\[\]()]+),\s*([^,\[\]()]+)[\])]")
_LARGEST = 2**31 - 1


# ---- what a value may be -----------------------------------------------------------------------


def ruled(declared: Any) -> Check:
    """What a declared key (:mod:`diffkg_recbole.settings`) accepts."""
    rule = rule_of(declared)

    def check(value: Any) -> str | None:
        try:
            rule.convert(value)
        except ValueError:
            return rule.expected
        return None
    return check


flag = ruled(boolean(""))


def whole(low: int, high: int = _LARGEST) -> Check:
    """An integer in a closed interval."""
    return ruled(integer("", low=low, high=high))


def real(low: float, *, open_low: bool = False) -> Check:
    """A finite number from ``low`` on."""
    return ruled(number("", low=low, open_low=open_low))


def finite(value: Any) -> str | None:
    """Any number but infinity and not-a-number."""
    return ruled(number(""))(value) and "a finite number"


def text(value: Any) -> str | None:
    """Words without control characters."""
    right = isinstance(value, str) and value.strip() and value.isprintable()
    return None if right else "a text"


def field_name(value: Any) -> str | None:
    """A column's name as a header can bear it."""
    right = text(value) is None and not set(value) & set(":\t,")
    return None if right else "the name of a column, without ':'"


def one_of(words: Collection[str], lower: bool = False) -> Check:
    """One of some words."""
    def check(value: Any) -> str | None:
        if isinstance(value, str) and (value.lower() if lower else value) in words:
            return None
        return f"one of {', '.join(words)}{near_names(str(value), words)}"
    return check


def several(check: Check, *, least: int = 0, most: int | None = None) -> Check:
    """A list of values."""
    def check_all(value: Any) -> str | None:
        if not isinstance(value, (list, tuple)) or len(value) < least or (
                most is not None and len(value) > most):
            count = f" of {least}" if most == least else f" of at least {least}" if least else ""
            return f"a list{count}"
        problems = (check(element) for element in value)
        wrong = next((problem for problem in problems if problem), None)
        return wrong and f"a list, each {wrong}"
    return check_all


def either(*checks: Check) -> Check:
    """A value that is right for one of several checks."""
    def check(value: Any) -> str | None:
        found = [one(value) for one in checks]
        return None if None in found else " or ".join(str(problem) for problem in found)
    return check


def nothing(value: Any) -> str | None:
    """YAML's null, or the word for it."""
    return None if value is None or value == "None" else "null"


def mapping(inner: Mapping[str, Check]) -> Check:
    """``key: value`` pairs of known keys."""
    def check(value: Any) -> str | None:
        if not isinstance(value, Mapping):
            return f"'key: value' pairs of {', '.join(inner)}"
        for key, part in value.items():
            if key not in inner:
                return f"the keys {', '.join(inner)}; {key!r} is none{near_names(str(key), inner)}"
            problem = inner[key](part)
            if problem:
                return f"{problem} for {key!r}, which is {part!r}"
        return None
    return check


def by_name(check: Check, least: int = 0) -> Check:
    """``name: value`` pairs, any names."""
    def check_all(value: Any) -> str | None:
        if not isinstance(value, Mapping) or len(value) < least:
            return "'name: value' pairs"
        for key, part in value.items():
            problem = field_name(key) or check(part)
            if problem:
                return f"{problem} for {key!r}, which is {part!r}"
        return None
    return check_all


def interval(value: Any) -> str | None:
    """RecBole's intervals: ``[4,inf)``, or several with semicolons between.

    RecBole reads their text; the words ``[4,9]`` of a command line are a list until then.
    """
    expected = "an interval such as '[4,inf)' or '(0,1];[3,4)', its lower end first"
    if not isinstance(value, (str, list, tuple)):
        return expected
    for part in str(value).split(";"):
        match = _INTERVAL.fullmatch(part.strip())
        try:
            low, high = (float(end) for end in match.groups()) if match else (1.0, 0.0)
        except ValueError:
            return expected
        if not low <= high:
            return expected
    return None


def _ratios(value: Any) -> str | None:
    problem = several(real(0), least=2, most=3)(value)
    if problem or not sum(value) > 0:
        return "two or three shares for train, validation and test, such as [0.8, 0.1, 0.1]"
    return None


def _mode(value: Any) -> str | None:
    right = isinstance(value, str) and re.fullmatch(r"full|labeled|(uni|pop)[1-9]\d{0,8}", value)
    return None if right else "full, labeled, uni<N> or pop<N> (such as uni100)"


def _split(value: Any) -> str | None:
    problem = mapping({"RS": _ratios,
                       "LS": one_of(("valid_and_test", "valid_only", "test_only"))})(value)
    if problem is None and len(value) != 1:
        return "one way to split, RS or LS"
    return problem


def _codec(value: Any) -> str | None:
    try:
        codecs.lookup(value)
        return None
    except (LookupError, TypeError, ValueError):
        return "the name of an encoding, such as utf-8 or latin-1"


def _devices(value: Any) -> str | None:
    right = re.fullmatch(r"\s*(-?\d{1,4}\s*(,\s*-?\d{1,4}\s*)*)?", str(value))
    return None if right and not isinstance(value, bool) else "numbers of GPUs, such as 0 or '0,1'"


def _separator(value: Any) -> str | None:
    right = isinstance(value, str) and 0 < len(value) <= 10 and "\n" not in value
    return None if right else "one to ten characters"


# ---- the keys ------------------------------------------------------------------------------------

_columns = either(nothing, mapping(dict.fromkeys(FILES, either(
    one_of(("*",)), several(field_name)))))
_names = either(nothing, several(field_name))

CHECKS: dict[str, Check] = {
    "gpu_id": _devices,
    "worker": whole(0, 1024),
    "state": either(nothing, one_of(LEVELS, lower=True)),
    **dict.fromkeys(("use_gpu", "reproducibility", "show_progress", "log_wandb", "shuffle",
                     "require_pow", "enable_amp", "enable_scaler", "repeatable", "kg_reverse_r",
                     "filter_inter_by_user_or_item"), flag),
    **dict.fromkeys(("data_path", "checkpoint_dir", "wandb_project"), text),
    "learner": one_of(LEARNERS, lower=True),
    "clip_grad_norm": either(nothing, mapping({
        "max_norm": real(0, open_low=True), "norm_type": real(0, open_low=True),
        "error_if_nonfinite": flag, "foreach": either(nothing, flag)})),
    "train_neg_sample_args": either(nothing, mapping({
        "distribution": either(nothing, one_of(("uniform", "popularity", "none"))),
        "sample_num": either(one_of(("none",)), whole(1)), "dynamic": flag,
        "alpha": either(one_of(("none",)), real(0)), "candidate_num": whole(0)})),
    "eval_args": mapping({
        "split": _split, "group_by": either(nothing, one_of(("user", "none"))),
        "order": one_of(("RO", "TO")), "mode": either(_mode, mapping({
            "valid": _mode, "test": _mode}))}),
    "metrics": either(one_of(metrics_dict, lower=True),
                      several(one_of(metrics_dict, lower=True), least=1)),
    "topk": either(whole(1), several(whole(1), least=1)),
    "valid_metric": text,
    **dict.fromkeys(("eval_batch_size", "MAX_ITEM_LIST_LENGTH"), whole(1)),
    **dict.fromkeys(("loss_decimal_place", "metric_decimal_place"), whole(0, 100)),
    **dict.fromkeys(("field_separator", "seq_separator"), _separator),
    "encoding": _codec,
    **dict.fromkeys(("USER_ID_FIELD", "ITEM_ID_FIELD", "RATING_FIELD", "TIME_FIELD", "LABEL_FIELD",
                     "ITEM_LIST_LENGTH_FIELD", "POSITION_FIELD", "HEAD_ENTITY_ID_FIELD",
                     "TAIL_ENTITY_ID_FIELD", "RELATION_ID_FIELD", "ENTITY_ID_FIELD", "NEG_PREFIX",
                     "LIST_SUFFIX"), field_name),
    **dict.fromkeys(("load_col", "unload_col", "unused_col"), _columns),
    **dict.fromkeys(("alias_of_user_id", "alias_of_item_id", "alias_of_entity_id",
                     "alias_of_relation_id", "normalize_field", "numerical_features"), _names),
    "seq_len": either(nothing, by_name(whole(1))),
    "threshold": either(nothing, by_name(finite)),
    "rm_dup_inter": either(nothing, one_of(("first", "last"))),
    "val_interval": either(nothing, by_name(interval)),
    **dict.fromkeys(("user_inter_num_interval", "item_inter_num_interval",
                     "entity_kg_num_interval", "relation_kg_num_interval"),
                    either(nothing, interval)),
    "preload_weight": either(nothing, by_name(field_name)),
    "normalize_all": either(nothing, flag),
    "discretization": either(nothing, by_name(mapping({
        "method": one_of(("ED", "LD")), "bucket": whole(1)}))),
    "additional_feat_suffix": either(nothing, field_name, several(field_name)),
    "benchmark_filename": either(nothing, several(field_name, least=2, most=3)),
    "label": either(nothing, lambda value: None if isinstance(value, str) else "a text"),
}


def check_recbole_keys(config: Mapping[str, Any], sources: Mapping[str, str]) -> None:
    """Check RecBole's own keys and how they fit each other.

    Args:
        config: resolved values, as RecBole has merged them and not yet read them.
        sources: where a key's value came from.

    Raises:
        ConfigurationError: naming key, value, what was expected and source.
    """
    for key, check in CHECKS.items():
        if key in config:
            problem = check(config[key])
            if problem:
                raise ConfigurationError(key, config[key], problem, sources.get(key))
    _check_valid_metric(config, sources)


def _check_valid_metric(config: Mapping[str, Any], sources: Mapping[str, str]) -> None:
    """Early stopping needs a metric that the evaluation computes."""
    name, at, cutoff = str(config["valid_metric"]).partition("@")
    metrics, topk = config["metrics"], config["topk"]
    metrics = [metrics] if isinstance(metrics, str) else metrics
    topk = [topk] if isinstance(topk, int) else topk
    expected = None
    if name.lower() not in {metric.lower() for metric in metrics}:
        expected = f"one of the metrics {', '.join(metrics)}{near_names(name, metrics)}"
    elif at and not (cutoff.isdecimal() and int(cutoff) in topk):
        expected = f"a cut-off that is in topk {list(topk)}"
    if expected:
        raise ConfigurationError("valid_metric", config["valid_metric"], expected,
                                 sources.get("valid_metric"))
