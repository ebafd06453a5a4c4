"""The columnar files of a run: per-user metrics, test pairs, recommendation lists."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from diffkg_recbole.files import replacing

PAIRS = pa.schema([
    ("user", pa.string()),
    ("item", pa.string()),
    ("rank", pa.int32()),  # 1-based place in the top-K list, 0 = not in it
    ("item_popularity", pa.int64()),  # training interactions of the item
    ("item_triples", pa.int64()),
])
RECOMMENDATIONS = pa.schema([("user", pa.string()), ("items", pa.list_(pa.string()))])


def users_schema(users: pd.DataFrame) -> pa.Schema:
    """``user``, ``n_train``, then every other column as a float64 metric."""
    metrics = [name for name in users.columns if name not in ("user", "n_train")]
    return pa.schema([
        ("user", pa.string()), ("n_train", pa.int64()), *((name, pa.float64()) for name in metrics)
    ])


def write_table(path: Path, frame: pd.DataFrame, schema: pa.Schema) -> None:
    """Write ``frame`` as Parquet with exactly the columns of ``schema``, atomically.

    Raises:
        ValueError: if columns are missing or superfluous, or a value does not fit its column.
    """
    expected = [field.name for field in schema]
    if sorted(frame.columns) != sorted(expected):
        raise ValueError(f"{path.name} needs the columns {expected}, got {list(frame.columns)}")
    try:
        table = pa.Table.from_pandas(frame[expected], schema=schema, preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise ValueError(f"{path.name}: {error}") from error
    with replacing(path) as part:
        pq.write_table(table, part)


def read_table(path: Path) -> pd.DataFrame:
    """Read a Parquet file as a data frame."""
    return pq.read_table(path).to_pandas()
