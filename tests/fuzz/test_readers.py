"""Whatever stands in a file from outside: it is read, or refused in one sentence that names it."""

from __future__ import annotations

import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from diffkg_recbole.errors import UserError
from tests.fuzz.readers import HOSTILE, KINDS, READERS, mutated, try_damage

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
