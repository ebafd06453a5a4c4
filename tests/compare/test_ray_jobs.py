"""Runs on a real Ray cluster of four raylets, with a node and the caller killed."""

from __future__ import annotations

import sys
import types

import pytest

from diffkg_recbole.compare.ray_jobs import RayLauncher, import_ray
from diffkg_recbole.errors import UserError

try:
    import_ray()
    _WHY = ""
except UserError as error:
    _WHY = str(error)
needs_ray = pytest.mark.skipif(bool(_WHY), reason=_WHY)


@pytest.fixture(scope="module")
def cluster():
    from benchmarks.cluster import make_cluster

    made, nodes = make_cluster()
    yield made, nodes
    made.shutdown()


@needs_ray
@pytest.mark.slow
def test_a_killed_caller_loses_no_run(cluster, tmp_path):
    from benchmarks.cluster import comparison, driver_killed

    result = driver_killed(comparison(tmp_path, 4, 5), tmp_path / "runs", 4, cluster[0])
    assert result["open_at_kill"] > 0, "nothing was left to take over"
    assert (result["status"], result["lost"], result["twice"]) == (0, 0, 0)


@needs_ray
@pytest.mark.slow
def test_a_killed_node_loses_no_run(cluster, tmp_path):
    from benchmarks.cluster import comparison, node_killed

    made, nodes = cluster
    result = node_killed(comparison(tmp_path, 4, 5), tmp_path / "runs", 4, made, nodes[0])
    assert result["on_the_node"] > 0, "the node had nothing to lose"
    assert (result["status"], result["lost"], result["twice"]) == (0, 0, 0)


def test_a_dashboards_address_is_refused(tmp_path):
    with pytest.raises(UserError, match="is the address of a dashboard"):
        RayLauncher("http://head:8265", tmp_path)


def test_the_ray_that_recbole_asks_for_is_refused_with_the_line_that_works(tmp_path, monkeypatch):
    old = types.ModuleType("ray")
    old.__version__ = "2.6.3"
    monkeypatch.setitem(sys.modules, "ray", old)
    with pytest.raises(UserError, match=r"\(here is 2\.6\.3\): pip install 'ray>=2\.50'"):
        RayLauncher("auto", tmp_path)


def test_without_ray_the_line_that_works_is_said(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"pip install 'ray>=2\.50'"):
        RayLauncher("auto", tmp_path)
