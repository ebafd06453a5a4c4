"""What RecBole raises of filters and columns that do not fit the data, as one sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from diffkg_recbole.errors import UserError
from diffkg_recbole.text import one_line

_NAMES_COLUMNS = ("val_interval", "threshold", "normalize_field", "discretization", "seq_len",
                  "alias_of_user_id", "alias_of_item_id", "alias_of_entity_id",
                  "alias_of_relation_id", "preload_weight", "unused_col", "numerical_features",
                  "additional_feat_suffix")
_FILTERS = ("val_interval", "user_inter_num_interval", "item_inter_num_interval")
_EVERYTHING: tuple = (None, {}, [], "[0,inf)")


@contextmanager
def told(config: Any) -> Iterator[None]:
    """Turn an exception that RecBole's own data code raises into a :class:`UserError`.

    Exceptions of other code pass: they are no statement about the user's data.
    """
    try:
        yield
    except (ValueError, KeyError, TypeError, IndexError, NotImplementedError) as error:
        if not _raised_by_recbole(error):
            raise
        raise UserError(_sentence(error, config)) from error


def _raised_by_recbole(error: BaseException) -> bool:
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    return frame is not None and str(frame.tb_frame.f_globals.get("__name__")).startswith(
        "recbole.")


def _sentence(error: Exception, config: Any) -> str:
    beginning = f"data set '{config['dataset']}'"
    if "feat is empty" in str(error):
        given = [f"{key} {config[key]}" for key in _FILTERS if config[key] not in _EVERYTHING]
        return f"{beginning}: nothing is left after {' and '.join(given) or 'the filters'}"
    word = re.search(r"[Ff]ield \[([^\]]+)\]", str(error))
    column = str(error.args[0]) if isinstance(error, KeyError) else word and word.group(1)
    keys = [key for key in _NAMES_COLUMNS
            if column and config[key] and re.search(rf"\b{re.escape(column)}\b", str(config[key]))]
    if keys:
        return (f"{beginning}: {' and '.join(keys)} names the column '{column}', which is not "
                "loaded; expected a column that load_col names")
    return f"{beginning} does not fit its settings: {one_line(error)}"
