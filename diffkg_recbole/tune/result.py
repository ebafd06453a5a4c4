"""What a search leaves for others: the command of its best setting, and a file with it."""

from __future__ import annotations

import shlex
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import yaml

from diffkg_recbole.errors import UserError
from diffkg_recbole.files import replacing
from diffkg_recbole.store import code_version, makes_result
from diffkg_recbole.text import flag_text
from diffkg_recbole.tune.search import Search, word_key
from diffkg_recbole.tune.space import BUDGET_KEYS, QUESTION_KEYS
from diffkg_recbole.tune.study import RESULT, Study
from diffkg_recbole.tune.trials_view import ends_reached, outcomes

MARK = "# Written by diffkg-recbole tune; a later search replaces this file."


def default_path(model: str, dataset: str) -> Path:
    """Where the chosen settings of a model belong."""
    return Path("configs") / "models" / model / f"{dataset}.yaml"


def check_writable(path: Path) -> None:
    """Refuse to replace a file that no search wrote.

    Raises:
        UserError: it exists and is somebody's work, or is no file.
    """
    if not path.exists():
        return
    try:
        ours = path.read_text(encoding="utf-8").startswith(MARK)
    except (OSError, UnicodeDecodeError):
        ours = False
    if not ours:
        raise UserError(f"{path} was not written by a search and is not replaced; remove it, or "
                        "name another file with --write=<file>")


def best_settings(study: Study) -> dict[str, Any]:
    """Configuration of the best trial: searched values, then what the budget said."""
    return {**study.ranked[0].user_attrs[RESULT]["settings"], **study.search.settings}


def _flag(key: str, value: Any) -> str:
    return shlex.quote(f"--{key}={flag_text(value)}")


def train_command(study: Study, written: Path | None) -> str:
    """What trains and tests the best setting; its validation score is that of the search."""
    search = study.search
    words = [shlex.quote(word) for word in search.words]
    files = [*search.files, *([str(written)] if written else [])]
    if files:
        words.append(shlex.quote(f"--config_files={' '.join(files)}"))
    given = {word_key(word) for word in search.words}
    missing = best_settings(study) if written is None else search.settings
    words += [_flag(key, value) for key, value in missing.items() if key not in given]
    start = f"diffkg-recbole train --model={search.model} --dataset={search.dataset}"
    return " ".join([start, *words])


def tune_command(search: Search) -> str:
    """The command that makes this search, without what lies on one machine alone."""
    words = [f"diffkg-recbole tune --model={search.model} --dataset={search.dataset}"]
    if search.trials != search.budget.trials:
        words.append(f"--trials={search.trials}")
    if search.space_file.name != f"{search.model}.yaml":
        words.append(shlex.quote(f"--space={search.space_file}"))
    if search.files:
        words.append(shlex.quote(f"--config_files={' '.join(search.files)}"))
    words += [shlex.quote(word) for word in search.words
              if makes_result(word_key(word))]
    return " ".join(words)


def settings_file_text(study: Study) -> str:
    """Text of the file: what was searched, how, and with what result, as comments.

    The budget is a comment: how long a setting was tried is no reason to train it no longer.
    """
    search, best = study.search, study.ranked[0]
    notes, counts = best.user_attrs[RESULT], search.fingerprint["counts"]
    config = search.configuration
    epochs, patience = config["epochs"], config["stopping_step"]
    jobs = max(trial.user_attrs[RESULT]["jobs"] for trial in study.trials)
    today = datetime.now(timezone.utc).date().isoformat()
    head = [
        MARK,
        f"# {search.model} on {search.dataset}: the best of a search on validation data alone.",
        f"#   {tune_command(search)}",
        f"# trials    {outcomes(study)}" + (f", up to {jobs} at once" if jobs > 1 else ""),
        f"# budget    at most {epochs} epochs a trial, ended after {patience} without gain",
        f"# seed      {search.seed}, split seed {config['split_seed']}",
        f"# protocol  {config['eval_protocol']}",
        f"# data      fingerprint {search.fingerprint['all']}",
        f"#           {counts['users']} users, {counts['items']} items, {counts['train']} training "
        f"and {counts['valid']} validation pairs",
        f"# score     {search.metric} {best.value:.6f} on validation data, epoch {notes['epoch']}",
        *_score_of_defaults(study),
        *(f"# note      {note}" for note in ends_reached(search, best)),
        f"# date      {today}, diffkg-recbole {code_version()}",
    ]
    body = [_line(p.key, notes["settings"][p.key], f"of {p}") for p in search.space.parameters]
    elsewhere = QUESTION_KEYS | BUDGET_KEYS
    body += [_line(key, config[key], "the same in every trial")
             for key in map(word_key, search.words) if makes_result(key) and key not in elsewhere]
    return "\n".join([*head, *body]) + "\n"


def _score_of_defaults(study: Study) -> list[str]:
    """What the search gained over the model's own values, where those were tried."""
    for trial in study.trials:
        notes = trial.user_attrs[RESULT]
        score = notes.get("score")  # a failed trial has none
        if notes["settings"] == study.search.defaults and score is not None:
            return [f"# default   {study.search.metric} {score:.6f} with the model's own values of "
                    "the keys below"]
    return []


def _line(key: str, value: Any, remark: str) -> str:
    text = yaml.safe_dump([value], default_flow_style=True, width=10_000).strip()[1:-1]
    return f"{key}: {text}  # {remark}"


def write_settings(study: Study, path: Path) -> None:
    """Write the best setting, atomically."""
    check_writable(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part:
        part.write_text(settings_file_text(study), encoding="utf-8",
                        errors="backslashreplace")
