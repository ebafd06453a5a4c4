"""Plans for tests, on the small data set that the package ships."""

from __future__ import annotations

from pathlib import Path

from diffkg_recbole.compare.file import read_comparison
from diffkg_recbole.compare.plan import Plan, make_plan
from diffkg_recbole.compare.planned import PlannedRun
from diffkg_recbole.store import RunRecord, RunStore
from tests.run_folders import fingerprint, users_table


def plan_of(folder: Path, text: str) -> Plan:
    """Plan of a comparison file with this text, with the store ``runs`` beside it."""
    path = folder / "comparison.yaml"
    path.write_text(text, encoding="utf-8")
    return make_plan(read_comparison(path), RunStore(folder / "runs"))


def record_as_finished(
    plan: Plan, run: PlannedRun, value: float = 0.5, *, seconds: float = 30.0, epochs: int = 1
) -> RunRecord:
    """Put a result of a planned run into the store, as its training would."""
    from diffkg_recbole.config import Config

    settings = {**run.settings}
    config = Config(run.model, run.dataset, None, settings).plain()
    record = {"model": run.model, "dataset": run.dataset, "label": run.label, "seed": run.seed,
              "split_seed": run.split_seed, "protocol": plan.comparison.protocol,
              "fingerprint": fingerprint(), "data_files": run.files,
              "code": {"hash": run.code}, "device": run.device}
    with plan.store.open({"configuration": config, "fingerprint": fingerprint()}, record) as open_:
        open_.write_config(config)
        open_.append_epoch({"epoch": 0, "losses": {"bpr": 1.0}, "valid": {"recall@20": value},
                            "seconds": {"train": 1.0, "valid": 1.0}})
        metrics = {"recall@20": value, "ndcg@20": value}
        open_.finish({"epoch": 0, "epochs_run": epochs, "valid": metrics, "test": metrics,
                      "cost": {"seconds_total": seconds}}, users=users_table({"a": value}))
    return RunRecord(open_.folder)
