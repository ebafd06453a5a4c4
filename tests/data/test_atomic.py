"""Atomic files are read rightly, or refused with file, line and field."""

import os

import numpy as np
import pytest

from diffkg_recbole.config import Config
from diffkg_recbole.data import create_dataset
from diffkg_recbole.data.atomic import MAX_TOKEN_BYTES, Wanted, read_atomic
from diffkg_recbole.errors import ConfigurationError, DataError
from tests.data.small import LINKS, write_small

HEAD = b"user_id:token\titem_id:token\n"
IDS = Wanted(ids=("user_id", "item_id"))


def read(tmp_path, content, wanted=IDS, **options):
    path = tmp_path / "m.inter"
    path.write_bytes(content)
    frame, _ = read_atomic(path, wanted, **options)
    return frame


@pytest.mark.parametrize("content", [
    HEAD + b"u1\ti1\nu2\ti2\n", HEAD + b"u1\ti1\nu2\ti2",
    b"\xef\xbb\xbf" + HEAD + b"u1\ti1\nu2\ti2",
    (HEAD + b"u1\ti1\nu2\ti2\n").replace(b"\n", b"\r\n"),
    (HEAD + b"u1\ti1\nu2\ti2\n").replace(b"\n", b"\r"),
    HEAD + b"\nu1\ti1\n\n\nu2\ti2\n\n",
], ids=["plain", "no final newline", "mark", "CRLF", "CR", "blank lines"])
def test_the_same_pairs(tmp_path, content):
    assert read(tmp_path, content).to_numpy().tolist() == [["u1", "i1"], ["u2", "i2"]]


@pytest.mark.parametrize("token", ['"', '"a', 'a"b"', "'", "NA", "null", "nan", " a", "a ", "#x",
                                   "\u2028", "\x85", "ü", "1e5", "0x1", "True"])
def test_tokens_are_read_as_they_are(tmp_path, token):
    lines = f"{token}\ti1\nu2\t{token}\nu3\ti3\n"
    frame = read(tmp_path, HEAD + lines.encode())
    assert frame.to_numpy().tolist() == [[token, "i1"], ["u2", token], ["u3", "i3"]]


@pytest.mark.parametrize(("content", "message"), [
    (HEAD + b"\ti3\nu1\ti1\nu2\t\nu3\ti2\n",
     r"lines 2 and 4: empty field 'user_id' \(line 2\) and 'item_id' \(line 4\)"),
    (HEAD + b"u1\ti1\n\n\t\n", r"line 4: empty field 'user_id' \(line 4\) and 'item_id'"),
    (HEAD + b"u1\ti1\nu2\t  \n", r"line 3: empty field 'item_id'"),
    (HEAD + b"u1\ti1\n" + b"\tx\n" * 9, r"lines 3, 4, 5, 6 and 7: empty .*\(9 such lines\)"),
    (HEAD + b"u1\ti1\tx\n", "line 2: has 3 columns; expected 2 columns"),
    (HEAD + b"u1\ti1\nu2\nu3\n", "lines 3 and 4: has 1 column; expected 2"),
    (HEAD + b"u1\ti1\n[PAD]\ti2\n", r"line 3: field 'user_id' holds \[PAD\]"),
    (HEAD + b"u1\t[PAD]\n", r"line 2: field 'item_id' holds \[PAD\]"),
    (HEAD + b"u1\ti\xff1\n", r"line 2: is not utf-8 text \(byte FF\)"),
    (HEAD + b"u1\ti1\nu\x001\ti1\n", "line 3: holds a NUL byte"),
    (HEAD + b"u1\ti1\nu\r1\ti1\n", "line 3: holds a carriage return inside a line"),
    (HEAD.decode().encode("utf-16"), "line 1: is not utf-8 text"),
    (b"", "m.inter: is empty"), (b"\n \n", "m.inter: is empty"), (b"\xef\xbb\xbf", "is empty"),
    (b"users:token\titem_id:token\nu\ti\n", r"line 1: has no column 'user_id'.* user_id:token"),
    (b"user_id:token\titemid:token\nu\ti\n", r"no column 'item_id' \(did you mean 'itemid'\?\)"),
    (b"user_id:token\tuser_id:token\nu\ti\n", "line 1: column 'user_id' stands twice"),
    (b"user_id:token\nu\n", "line 1: has no column 'item_id'"),
    (b"user_id:float\titem_id:token\n1\ti\n", "line 1: column 'user_id' has type float"),
    (b"user_id:token\titem_id:token_seq\n1\ti\n", "column 'item_id' has type token_seq"),
    (b"user_id\titem_id\nu\ti\n", "column 'user_id' has no known type"),
    (b"user_id:text\titem_id:token\nu\ti\n", "column 'user_id:text' has no known type"),
    (b":token\titem_id:token\nu\ti\n", "column ':token' has no known type"),
    (b"u1\ti1\nu2\ti2\n", "line 1: column 'u1' has no known type"),
    (HEAD + b"u1\t" + b"i" * (MAX_TOKEN_BYTES + 1) + b"\n", "line 2: field 'item_id' holds 65537"),
], ids=lambda value: value[:40] if isinstance(value, str) else "")
def test_what_does_not_fit_is_refused(tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        read(tmp_path, content)


@pytest.mark.parametrize("word", ["abc", "nan", "inf", "-Infinity", "1e999", "4,5", "True", "0x1F"])
@pytest.mark.parametrize("kind", ["float", "float_seq"])
def test_numbers_are_finite(tmp_path, kind, word):
    content = f"user_id:token\titem_id:token\tx:{kind}\nu\ti\t1\nu\tj\t{word}\nu\tk\t\n".encode()
    with pytest.raises(DataError, match=rf"line 3: field 'x' holds '{word}'; expected .*finite"):
        read(tmp_path, content)
    unread = Wanted({"user_id", "item_id"}, None, IDS.ids)
    assert read(tmp_path, content, unread).columns.tolist() == ["user_id", "item_id"]
    unread = Wanted(None, {"x"}, IDS.ids)
    assert read(tmp_path, content, unread).columns.tolist() == ["user_id", "item_id"]


def test_numbers_and_sequences(tmp_path):
    frame = read(tmp_path, b"a:token\tx:float\ts:token_seq\tv:float_seq\n"
                           b'A\t-2.5e1\tp "q  r\t1 2.5\nB\t\t\t\n', Wanted())
    assert frame["x"].tolist()[0] == -25
    assert np.isnan(frame["x"][1])
    assert [values.tolist() for values in frame["s"]] == [["p", '"q', "r"], []]
    assert [values.tolist() for values in frame["v"]] == [[1, 2.5], []]
    with pytest.raises(DataError, match=r"line 2: field 's' holds \[PAD\]"):
        read(tmp_path, b"a:token\ts:token_seq\nA\tx [PAD]\n", Wanted())


@pytest.mark.parametrize(("separator", "encoding"), [
    (",", "utf-8"), ("|", "latin-1"), ("::", "utf-8"), ("\t", "utf-16"), ("§", "cp1252"),
    (" ", "utf-8-sig")])
def test_separator_and_encoding_are_respected(tmp_path, separator, encoding):
    text = f"user_id:token{separator}item_id:token\nü1{separator}i1\nu2{separator}i2\n"
    frame = read(tmp_path, text.encode(encoding), separator=separator, encoding=encoding)
    assert frame.to_numpy().tolist() == [["ü1", "i1"], ["u2", "i2"]]


@pytest.mark.parametrize("options", [{"encoding": "no-such"}, {"encoding": "hex"},
                                     {"separator": ""}, {"separator": "\n"}])
def test_unknown_encodings_and_separators(tmp_path, options):
    with pytest.raises(ConfigurationError):
        read(tmp_path, HEAD + b"u\ti\n", **options)


def test_a_column_that_load_col_names_must_be_there(tmp_path):
    with pytest.raises(DataError, match=r"no column 'stars'.*load_col"):
        read(tmp_path, HEAD + b"u\ti\n", Wanted({"user_id", "item_id", "stars"}, None, IDS.ids))
    with pytest.raises(DataError, match="column 'item_id' is not loaded"):
        read(tmp_path, HEAD + b"u\ti\n", Wanted({"user_id"}, None, IDS.ids))


# ---- whole datasets ---------------------------------------------------------------------------

def build(values, model="CFKG", **extra):
    return create_dataset(Config(model, "small", config_dict={**values, **extra}))


@pytest.mark.parametrize(("suffix", "old", "new", "message"), [
    ("kg", "e2\tr1\tx", "e2\tr1\t", r"small.kg, line 3: empty field 'tail_id'"),
    ("kg", "e2\tr1\tx", "e2\t\tx", r"small.kg, line 3: empty field 'relation_id'"),
    ("kg", "e2\tr1\tx", "e2\t[UI-Relation]\tx", r"line 3: field 'relation_id' holds \[UI-Rel"),
    ("link", "2\te2", "2\t", r"small.link, line 3: empty field 'entity_id'"),
    ("link", "2\te2", "\te2", r"small.link, line 3: empty field 'item_id'"),
    ("item", "3\n", "[PAD]\n", r"small.item, line 4: field 'item_id' holds \[PAD\]"),
    ("valid.inter", "b\t1", "b\t", r"small.valid.inter, line 3: empty field 'item_id'"),
    ("link", "entity_id", "entity", r"small.link, line 1: has no column 'entity_id'"),
    ("kg", "tail_id", "tail", r"small.kg, line 1: has no column 'tail_id'"),
])
def test_every_file_is_checked(tmp_path, suffix, old, new, message):
    values = write_small(tmp_path)
    path = tmp_path / f"small/small.{suffix}"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    for _ in range(2):  # nothing of it is kept
        with pytest.raises(DataError, match=message):
            build(values)


@pytest.mark.parametrize("suffix", ["train.inter", "user", "item", "kg", "link"])
@pytest.mark.parametrize("kind", ["pipe", "folder", "dangling", "device"])
def test_what_is_no_file_is_refused_at_once(tmp_path, suffix, kind):
    values = write_small(tmp_path)
    path = tmp_path / f"small/small.{suffix}"
    path.unlink(missing_ok=True)
    {"pipe": lambda: os.mkfifo(path), "folder": path.mkdir,
     "dangling": lambda: path.symlink_to(tmp_path / "nothing"),
     "device": lambda: path.symlink_to("/dev/zero")}[kind]()
    with pytest.raises(DataError, match=rf"small.{suffix}: (is a|cannot be read)"):
        build(values)


@pytest.mark.parametrize(("links", "message"), [
    ([(f"x{n}", f"e{n % 4 + 1}") for n in range(9)],
     r"it has items such as 'x0', 'x1', 'x2', the interactions or the item file '1', '2', '3'"),
    ([(i, f"http://x/{e}") for i, e in LINKS],
     r"entities such as 'http://x/e1', 'http://x/e2', .*, the graph 'e1', 'e2', 'e3'"),
    ([], "small.link: holds no link"),
])
@pytest.mark.parametrize("benchmark", [["train", "valid", "test"], None])
def test_links_that_join_nothing_are_refused(tmp_path, links, message, benchmark):
    values = write_small(tmp_path)
    folder = tmp_path / "small"
    (folder / "small.inter").write_text((folder / "small.train.inter").read_text())
    (folder / "small.link").write_text(
        "item_id:token\tentity_id:token\n" + "".join(f"{i}\t{e}\n" for i, e in links))
    with pytest.raises(DataError, match=message):
        build(values, benchmark_filename=benchmark)


@pytest.mark.parametrize(("links", "warned"), [(LINKS[:2], True), (LINKS[:3], False)])
def test_few_linked_items_are_told_once(tmp_path, caplog, links, warned):
    values = write_small(tmp_path)
    (tmp_path / "small/small.link").write_text(
        "item_id:token\tentity_id:token\n" + "".join(f"{i}\t{e}\n" for i, e in links))
    for _ in range(2):  # parsed, then from the cache
        caplog.clear()
        with caplog.at_level("WARNING"):
            build(values)
        assert caplog.text.count("only 2 of 6 items (33%) are linked to a triple") == warned


@pytest.mark.parametrize("filters", [
    {"val_interval": {"rating": "[4,inf)"}}, {"user_inter_num_interval": "[2,inf)"},
    {"item_inter_num_interval": "[2,inf)"}, {"threshold": {"rating": 4}}, {"rm_dup_inter": "last"},
], ids=str)
def test_filters_of_given_parts_are_refused(tmp_path, filters):
    values = write_small(tmp_path)
    with pytest.raises(ConfigurationError, match=f"{next(iter(filters))}.*benchmark_filename"):
        build(values, "BPR", **filters)


def test_a_user_or_item_that_stands_twice(tmp_path):
    values = write_small(tmp_path)
    load = {"inter": ["user_id", "item_id"], "item": ["item_id", "kind"]}
    path = tmp_path / "small/small.item"
    path.write_text("item_id:token\tkind:token\n1\ta\n2\tb\n1\ta\n")
    assert build(values, "BPR", load_col=load).item_num == 6
    path.write_text("item_id:token\tkind:token\n1\ta\n2\tb\n1\tc\n")
    with pytest.raises(DataError, match="'1' stands twice in 'item_id', with different values"):
        build(values, "BPR", load_col=load)


def test_parts_with_different_types_are_refused(tmp_path):
    values = write_small(tmp_path)
    for part, kind in (("train", "float"), ("valid", "token"), ("test", "float")):
        (tmp_path / f"small/small.{part}.inter").write_text(
            f"user_id:token\titem_id:token\tx:{kind}\na\t1\t3\n")
    with pytest.raises(DataError, match=r"valid.inter, line 1: column 'x' has type token"):
        build(values, "BPR", load_col={"inter": ["user_id", "item_id", "x"]})


def test_an_undivided_file_without_a_line_below_the_header(tmp_path):
    values = write_small(tmp_path)
    (tmp_path / "small/small.inter").write_bytes(HEAD)
    with pytest.raises(DataError, match=r"small.inter: holds no interaction"):
        build(values, "BPR", benchmark_filename=None)
