"""Whatever stands in a file from outside: it is read, or refused in one sentence that names it."""

from __future__ import annotations

import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from diffkg_recbole.errors import UserError
from tests.fuzz.__main__ import main
from tests.fuzz.readers import (
    HOSTILE,
    KINDS,
    READERS,
    Reader,
    mutated,
    no_longer_than,
    try_damage,
)

DAMAGES = st.lists(
    st.tuples(st.sampled_from(KINDS), st.floats(0, 1), st.integers(1, 60),
              st.binary(min_size=1, max_size=8) | st.sampled_from(HOSTILE)),
    min_size=1, max_size=3)


@pytest.mark.parametrize("name", READERS)
def test_damaged_bytes_are_read_or_refused(tmp_path_factory, name):
    reader = READERS[name]
    sound = tmp_path_factory.mktemp("sound")
    place = reader.make(sound).relative_to(sound)
    content = (sound / place).read_bytes()
    folder = shutil.copytree(sound, tmp_path_factory.mktemp("whole") / "x")
    expected = try_damage(reader, folder / place, content)
    assert not isinstance(expected, UserError), expected

    @settings(max_examples=25, deadline=None, derandomize=True, database=None,
              suppress_health_check=list(HealthCheck))
    @given(DAMAGES | st.binary(max_size=60))
    def check(drawn: list | bytes) -> None:
        damaged = drawn if isinstance(drawn, bytes) else mutated(content, drawn)
        shutil.rmtree(folder)
        shutil.copytree(sound, folder)
        found = try_damage(reader, folder / place, damaged)
        if reader.sealed and not isinstance(found, UserError):
            assert found == expected

    check()


@pytest.mark.parametrize("error", [
    KeyError("x"), RecursionError(), UserError("says no file"), UserError("x.yaml: two\nlines")])
def test_what_is_no_refusal_is_noticed(tmp_path, error):
    """Without this, a check that is deaf would pass every reader."""
    def read(path):
        raise error

    with pytest.raises((type(error), AssertionError)) as found:
        try_damage(Reader(lambda folder: folder, read), tmp_path / "x.yaml", b"")
    assert isinstance(error, UserError) == isinstance(found.value, AssertionError)


def test_a_hang_ends():
    def hang():
        with no_longer_than(1):
            while True:
                pass

    with pytest.raises(TimeoutError):
        hang()


def test_the_long_run_at_random(capsys):
    assert main(["--random", "--reader", "s", "--runs", "20"]) == 0
    out = capsys.readouterr().out
    for name in ("settings", "search space", "study journal"):
        assert f"{name}: 20 inputs, 0 problems" in out
    with pytest.raises(SystemExit) as end:
        main(["--random", "--reader", "nothing"])
    assert end.value.code == 2
