"""Stores with invented runs, written once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from diffkg_recbole.report import Report, build_report
from diffkg_recbole.store import RunStore
from tests.report.fake_runs import FakeRun, write_fake_run, write_showcase

HOSTILE = ('<img src=x onerror=alert(1)> "\'&|`*_ {{7*7}} %{x} $x$ \\end{table} '
           '\x1b[31m\u202e=1+1 </script><script>document.title="taken"</script>')
"""Text that tries to break out of every format."""


@pytest.fixture(scope="session")
def showcase_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_showcase(tmp_path_factory.mktemp("showcase"), seeds=(1, 2), users=600)


@pytest.fixture(scope="session")
def showcase(showcase_store: Path) -> Report:
    return build_report(*RunStore(showcase_store).scan(), title="A showcase")


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Hostile names and errors everywhere, a row without files, an unreadable folder."""
    store = tmp_path_factory.mktemp("hostile")
    data = {"dataset": HOSTILE, "users": 60, "items": 40, "protocol": "recbole"}
    write_fake_run(store, FakeRun("BPR", label=HOSTILE, config={"note": HOSTILE}, **data))
    write_fake_run(store, FakeRun("KGAT", 0.4, kg="original", variant=HOSTILE, **data))
    write_fake_run(store, FakeRun("KGAT", 0.3, kg="original", **data))
    bare = write_fake_run(store, FakeRun("KGIN", 0.2, kg="original", **data))
    for name in ("users.parquet", "pairs.parquet", "audit.json", "epochs.jsonl"):
        (bare / name).unlink()
    write_fake_run(store, FakeRun("SGL", broken=HOSTILE, **data))
    (store / "torn <b>").mkdir()
    (store / "torn <b>" / "run.json").write_text("{")
    return build_report(*RunStore(store).scan(), title=HOSTILE)


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Runs on data of the size of a public set, under the authors' protocol."""
    store = tmp_path_factory.mktemp("published")
    for fake in (FakeRun("LightGCN", 0.1), FakeRun("DiffKG", 0.12, kg="original"),
                 FakeRun("DiffKG", 0.11, kg="none"), FakeRun("KGIN", 0.11, kg="original")):
        write_fake_run(store, replace(fake, dataset="last-fm", claimed=(23_566, 48_123),
                                      protocol="authors"))
    return build_report(*RunStore(store).scan())
