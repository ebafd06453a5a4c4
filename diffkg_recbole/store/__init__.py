"""Run folders: written atomically, named by what determines the result, read by the reports."""

from diffkg_recbole.store.environment import (
    code_hash,
    code_state,
    code_version,
    environment,
)
from diffkg_recbole.store.file_hashes import data_files, graph_hash
from diffkg_recbole.store.identity import determining, run_id
from diffkg_recbole.store.key_classes import makes_result
from diffkg_recbole.store.reading import CorruptRunError, RunRecord
from diffkg_recbole.store.store import DEFAULT_STORE, RunStore, Scan, folder_name
from diffkg_recbole.store.writing import Run, RunBusyError

__all__ = [
    "DEFAULT_STORE",
    "CorruptRunError",
    "Run",
    "RunBusyError",
    "RunRecord",
    "RunStore",
    "Scan",
    "code_hash",
    "code_state",
    "code_version",
    "data_files",
    "determining",
    "environment",
    "folder_name",
    "graph_hash",
    "makes_result",
    "run_id",
]
