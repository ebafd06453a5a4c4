"""Wrong values of every kind end in one sentence at the door, wherever they come from."""

from __future__ import annotations

import random
import string
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diffkg_recbole.config import Config
from diffkg_recbole.config.plain_yaml import MOST_BYTES, MOST_DEPTH, parse_word, read_yaml
from diffkg_recbole.config.recbole_keys import CHECKS
from diffkg_recbole.errors import ConfigurationError, DataError, UserError

DATA = str(Path(__file__).parents[2] / "atomic_data")

WRONG = [
    ("eval_args", {"splits": {"RS": [0.5, 0.25, 0.25]}}, "did you mean 'split'"),
    ("eval_args", {"split": {"LK": 1}}, "'LK' is none"),
    ("eval_args", {"split": {"RS": [0.5, -0.25, 0.25]}}, "shares"),
    ("eval_args", {"split": {"RS": [0, 0, 0]}}, "shares"),
    ("eval_args", {"split": {"RS": [1]}}, "shares"),
    ("eval_args", {"split": {"RS": "0.8"}}, "shares"),
    ("eval_args", {"split": {"RS": [0.8, 0.1, 0.1], "LS": "valid_only"}}, "one way to split"),
    ("eval_args", {"split": {"LS": "valid"}}, "valid_and_test"),
    ("eval_args", {"order": "TS"}, "RO, TO"),
    ("eval_args", {"order": None}, "RO, TO"),
    ("eval_args", {"group_by": "users"}, "did you mean 'user'"),
    ("eval_args", {"mode": "fulll"}, "full, labeled"),
    ("eval_args", {"mode": "uni"}, "full, labeled"),
    ("eval_args", {"mode": "uni0"}, "full, labeled"),
    ("eval_args", {"mode": {"valid": "full", "tests": "full"}}, "full, labeled"),
    ("eval_args", {"mode": {"valid": "full", "test": 100}}, "full, labeled"),
    ("eval_args", [1], "'key: value' pairs"),
    ("eval_args", None, "'key: value' pairs"),
    ("eval_args", {1: 2}, "1 is none"),
    ("train_neg_sample_args", {"distribtion": "popularity", "sample_num": 1},
     "did you mean 'distribution'"),
    ("train_neg_sample_args", {"distribution": "zipf"}, "uniform, popularity"),
    ("train_neg_sample_args", {"distribution": "uniform", "sample_num": 0}, "'sample_num'"),
    ("train_neg_sample_args", {"distribution": "uniform", "sample_num": 1.5}, "'sample_num'"),
    ("train_neg_sample_args", {"distribution": "uniform", "alpha": float("nan")}, "'alpha'"),
    ("train_neg_sample_args", {"distribution": "uniform", "dynamic": "yes"}, "'dynamic'"),
    ("train_neg_sample_args", {"distribution": "uniform", "candidate_num": -1}, "candidate_num"),
    ("train_neg_sample_args", "uniform", "'key: value' pairs"),
    ("load_col", {"inters": ["user_id"]}, "did you mean 'inter'"),
    ("load_col", {"inter": "user_id"}, "a list"),
    ("load_col", {"inter": [1]}, "name of a column"),
    ("load_col", {"inter": ["user_id:token"]}, "without ':'"),
    ("load_col", ["user_id"], "'key: value' pairs"),
    ("unload_col", {"kgs": []}, "did you mean 'kg'"),
    ("unused_col", "all", "'key: value' pairs"),
    ("clip_grad_norm", 5, "max_norm"),
    ("clip_grad_norm", {"max_norm": 0}, "'max_norm'"),
    ("clip_grad_norm", {"max_norm": float("inf")}, "'max_norm'"),
    ("clip_grad_norm", {"maxnorm": 5}, "did you mean 'max_norm'"),
    ("worker", -1, "[0, 1024]"), ("worker", 1.5, "an integer"), ("worker", True, "an integer"),
    ("worker", 10**9, "[0, 1024]"),
    ("gpu_id", "zero", "numbers of GPUs"), ("gpu_id", True, "numbers of GPUs"),
    ("gpu_id", "0;1", "numbers of GPUs"),
    ("encoding", "utf-88", "encoding"), ("encoding", 8, "encoding"),
    ("encoding", "a\0b", "encoding"),
    ("field_separator", "", "one to ten"), ("field_separator", 1, "one to ten"),
    ("field_separator", "\n", "one to ten"), ("seq_separator", None, "one to ten"),
    ("metrics", [], "at least 1"), ("metrics", ["Recal"], "did you mean 'recall'"),
    ("metrics", "Recal", "did you mean 'recall'"), ("metrics", [20], "one of"),
    ("metrics", {"Recall": 20}, "a list"), ("metrics", None, "a list"),
    ("topk", 0, "[1, "), ("topk", [], "at least 1"), ("topk", [10, 0], "[1, "),
    ("topk", [10, "20"], "an integer"), ("topk", None, "an integer"), ("topk", -5, "[1, "),
    ("topk", 10**12, "[1, "), ("topk", float("nan"), "an integer"),
    ("valid_metric", "Recal@20", "did you mean 'Recall'"), ("valid_metric", "Recall@30", "topk"),
    ("valid_metric", "Recall@", "topk"), ("valid_metric", "Recall@x", "topk"),
    ("valid_metric", "Recall@20@20", "topk"), ("valid_metric", None, "a text"),
    ("valid_metric", 20, "a text"), ("valid_metric", "", "a text"),
    ("eval_batch_size", 0, "[1, "), ("eval_batch_size", None, "an integer"),
    ("metric_decimal_place", -1, "[0, 100]"), ("loss_decimal_place", 1.5, "[0, 100]"),
    ("learner", "adamm", "did you mean 'adam'"), ("learner", None, "adam"), ("learner", 3, "adam"),
    ("state", "inf", "did you mean 'info'"), ("state", 3, "info"),
    ("use_gpu", "yes", "True or False"), ("reproducibility", 1, "True or False"),
    ("show_progress", None, "True or False"), ("shuffle", "no", "True or False"),
    ("repeatable", 0, "True or False"), ("require_pow", "", "True or False"),
    ("enable_amp", 2, "True or False"), ("log_wandb", "x", "True or False"),
    ("filter_inter_by_user_or_item", "both", "True or False"),
    ("USER_ID_FIELD", "", "name of a column"), ("USER_ID_FIELD", None, "name of a column"),
    ("ITEM_ID_FIELD", "item:token", "without ':'"), ("TIME_FIELD", 3, "name of a column"),
    ("RATING_FIELD", ["a"], "name of a column"), ("HEAD_ENTITY_ID_FIELD", "a\tb", "without ':'"),
    ("NEG_PREFIX", "", "name of a column"), ("LIST_SUFFIX", None, "name of a column"),
    ("threshold", 4, "'name: value' pairs"), ("threshold", {"rating": "4"}, "finite number"),
    ("threshold", {"rating": float("nan")}, "finite number"), ("threshold", {3: 4}, "column"),
    ("rm_dup_inter", "firs", "did you mean 'first'"), ("rm_dup_inter", True, "first, last"),
    ("val_interval", "[4,inf)", "'name: value' pairs"), ("val_interval", {"rating": 4}, "[4,inf)"),
    ("val_interval", {"rating": "4,inf"}, "[4,inf)"),
    ("val_interval", {"rating": "[inf,4)"}, "lower end first"),
    ("val_interval", {"rating": "[a,b]"}, "[4,inf)"),
    ("user_inter_num_interval", 5, "[4,inf)"), ("user_inter_num_interval", "5", "[4,inf)"),
    ("item_inter_num_interval", "[5,", "[4,inf)"), ("item_inter_num_interval", "", "[4,inf)"),
    ("entity_kg_num_interval", "[10,inf", "[4,inf)"),
    ("relation_kg_num_interval", "[nan,inf)", "[4,inf)"),
    ("alias_of_user_id", "friend_id", "a list"), ("alias_of_item_id", [3], "name of a column"),
    ("normalize_field", "rating", "a list"), ("normalize_all", "yes", "True or False"),
    ("numerical_features", {"a": 1}, "a list"), ("seq_len", {"a": 0}, "[1, "),
    ("seq_len", 5, "'name: value' pairs"), ("preload_weight", ["a"], "'name: value' pairs"),
    ("discretization", {"a": {"method": "XX"}}, "ED, LD"),
    ("discretization", {"a": {"methods": "ED"}}, "did you mean 'method'"),
    ("benchmark_filename", "train", "a list"), ("benchmark_filename", ["train"], "at least 2"),
    ("benchmark_filename", [1, 2, 3], "name of a column"),
    ("MAX_ITEM_LIST_LENGTH", 0, "[1, "), ("data_path", 3, "a text"), ("data_path", "", "a text"),
    ("checkpoint_dir", None, "a text"), ("label", 3, "a text"),
    ("epochs", -1, "[0, "), ("epochs", 1.5, "an integer"), ("epochs", "ten", "an integer"),
    ("train_batch_size", 0, "[1, "), ("train_batch_size", None, "an integer"),
    ("learning_rate", 0, "(0, "), ("learning_rate", float("nan"), "a number"),
    ("learning_rate", float("inf"), "a number"), ("learning_rate", 10**400, "a number"),
    ("learning_rate", "1e-3x", "a number"), ("learning_rate", True, "a number"),
    ("weight_decay", -0.1, "[0, "), ("weight_decay", [0], "a number"),
    ("eval_step", -1, "[0, "), ("stopping_step", -1, "[0, "), ("stopping_step", None, "integer"),
    ("seed", -1, "[0, "), ("seed", 2**32, "[0, "), ("split_seed", "x", "an integer"),
    ("eval_memory_mb", 0, "[1, "), ("eval_protocol", "cleen", "clean"), ("kg", "nothing", "none"),
    ("save_recommendations", "yes", "True or False"), ("cache_dataset", 1, "True or False"),
    ("epoch", 3, "did you mean 'epochs'"), ("learning_rte", 0.1, "did you mean 'learning_rate'"),
]


@pytest.mark.parametrize(("key", "value", "expected"), WRONG,
                         ids=[f"{key}={str(value)[:40]}" for key, value, _ in WRONG])
def test_a_wrong_value_from_a_dictionary(key, value, expected):
    with pytest.raises(ConfigurationError) as error:
        Config("BPR", "tiny", None, {"data_path": DATA, key: value})
    message = str(error.value)
    assert "\n" not in message
    assert f"'{key}'" in message
    assert expected in message


def _as_word(value):
    return value if isinstance(value, str) else repr(value)


@pytest.mark.parametrize(("key", "value", "expected"), WRONG[::3])
def test_a_wrong_value_from_the_command_line(key, value, expected):
    words = [f"--{key}={_as_word(value)}"]
    if not words[0].startswith("--data_path"):
        words.append(f"--data_path={DATA}")
    with pytest.raises(UserError, match=f"'{key}'"):
        Config("BPR", "tiny", None, None, words)


@pytest.mark.parametrize(("text", "line", "expected"), [
    ("epochs: 1\nlearning_rate: 2024-13-45\n", 2, "2024-13-45"),
    ("epochs: 2024-01-02\n", 1, "date"),
    ("epochs: 0x_\n", 1, "0x_"),
    ("epochs: !!int abc\n", 1, "abc"),
    ("epochs: !!python/object/apply:os.system [true]\n", 1, "tag"),
    ("epochs: !!binary '@@'\n", 1, "@@"),
    ("epochs: !!set {a: null}\n", 1, "tag"),
    ("epochs: !!timestamp x\n", 1, "'x'"),
    ("1: 2\n", 1, "key 1 is no text"),
    ("null: 2\n", 1, "no text"),
    ("true: 2\n", 1, "no text"),
    ("[a, b]: 2\n", 1, "no text"),
    ("base: {epochs: 1}\n<<: {epochs: 1}\n", 2, "merge key"),
    ("a: &x 1\nb: *x\n", 2, "alias '*x'"),
    ("a: &x [1]\nb: [*x, *x]\n", 2, "alias '*x'"),
    ("epochs: 1\nepochs: 2\n", 2, "stands twice"),
    ("eval_args: {order: RO, order: TO}\n", 1, "stands twice"),
    ("eval_args:\n  order: RO\n  order: TO\n", 3, "stands twice"),
    ("epochs: [\n", 2, "is not valid YAML"),
    ("epochs: 'a\n", 2, "is not valid YAML"),
    ("epochs: @\n", 1, "is not valid YAML"),
    ("epochs: 1\n  x: 2\n", 2, "is not valid YAML"),
    ("--- 1\n--- 2\n", 2, "is not valid YAML"),
    ("- epochs\n", 1, "holds a list"),
    ("epochs\n", 1, "holds a str"),
    ("3\n", 1, "holds a int"),
    ("epochs: " + "[" * 3000 + "]" * 3000 + "\n", 1, f"at most {MOST_DEPTH} levels"),
    ("a: " + "{b: " * 3000 + "1" + "}" * 3000 + "\n", 1, f"at most {MOST_DEPTH} levels"),
    ("epochs: " + "1" * 10_000 + "\n", 1, "1111"),
    ("x: " + "a" * MOST_BYTES + "\n", None, "too large"),
    ("a: 1\nepochs: \x00\n", 2, "character '\\x00'"),
    ("epochs: \x1b[31m\n", 1, "character '\\x1b'"),
])
def test_a_wrong_yaml_file(tmp_path, text, line, expected):
    file = tmp_path / "own.yaml"
    file.write_text(text)
    with pytest.raises(DataError) as error:
        read_yaml(file)
    message = str(error.value)
    assert expected in message
    assert message.startswith(str(file))
    assert "\n" not in message
    if line is not None:
        assert f"line {line}:" in message


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"epochs: \xff\n", b"\x80abc: 1\n"])
def test_bytes_that_are_no_text(tmp_path, content):
    (tmp_path / "own.yaml").write_bytes(content)
    with pytest.raises(DataError, match=r"own\.yaml.*UTF-8"):
        read_yaml(tmp_path / "own.yaml")


def test_what_is_no_file(tmp_path):
    import os

    os.mkfifo(tmp_path / "pipe.yaml")
    for name in ("pipe.yaml", "."):
        with pytest.raises(DataError, match="is no regular file"):
            read_yaml(tmp_path / name)
    with pytest.raises(DataError, match="is no regular file"):
        read_yaml("/dev/zero")
    with pytest.raises(DataError, match="not found"):
        read_yaml(tmp_path / "missing.yaml")
    with pytest.raises(DataError, match="cannot be read"):
        read_yaml(tmp_path / ("x" * 300))


def test_a_message_of_a_file_names_its_line(tmp_path):
    file = tmp_path / "own.yaml"
    file.write_text(f"data_path: {DATA}\n\neval_args: {{order: TS}}\n")
    with pytest.raises(ConfigurationError, match=r"own\.yaml, line 3"):
        Config("BPR", "tiny", [str(file)])


def test_a_huge_value_is_shown_in_part():
    with pytest.raises(ConfigurationError) as error:
        Config("BPR", "tiny", None, {"data_path": DATA, "topk": ["x" * 100] * 10_000})
    assert len(str(error.value)) < 500


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.text(max_size=200))
def test_any_text_is_plain_data_or_refused(tmp_path_factory, text):
    file = tmp_path_factory.mktemp("yaml") / "any.yaml"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        values, lines = read_yaml(file)
    except DataError as error:
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert set(values) == set(lines)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.text(max_size=60))
def test_any_word_of_a_command_line_is_a_value(word):
    value = parse_word(word)
    assert isinstance(value, (str, int, float, list, tuple, dict, bool, type(None)))


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: (st.lists(inner, max_size=3)
                   | st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=8)


@settings(max_examples=500, deadline=None, derandomize=True)
@given(st.sampled_from(sorted(CHECKS)), _VALUES)
def test_a_check_takes_any_value(key, value):
    problem = CHECKS[key](value)
    assert problem is None or (isinstance(problem, str) and problem)


def test_a_value_that_would_run_is_only_a_text(tmp_path):
    ran = tmp_path / "ran"
    for word in (f"__import__('pathlib').Path({str(ran)!r}).touch()", f"open({str(ran)!r}, 'w')",
                 f"[x for x in [open({str(ran)!r}, 'w')]]", f"(lambda: open({str(ran)!r}, 'w'))()"):
        assert parse_word(word) == word
        with pytest.raises(ConfigurationError):
            Config("BPR", "tiny", None, {"data_path": DATA, "epochs": word})
    assert not ran.exists()


def test_random_bytes_are_refused_or_read(tmp_path):
    draw = random.Random(3)
    for number in range(200):
        file = tmp_path / f"{number}.yaml"
        file.write_bytes(bytes(draw.randrange(256) for _ in range(draw.randrange(60)))
                         if number % 2 else
                         "".join(draw.choice(string.printable) for _ in range(60)).encode())
        try:
            read_yaml(file)
        except DataError as error:
            assert str(error).startswith(str(file))  # noqa: PT017
