import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durablegraph.storage.checkpoints.names import LONGEST_PART, LogNames, from_part, heads, thread_path, to_part
from durablegraph.storage.objects import check_key

ANY_TEXT = st.text(st.characters(), max_size=300)


@given(ANY_TEXT)
def test_a_part_is_safe_in_any_store_and_leads_back_to_its_text(text: str) -> None:
    part = to_part(text)
    assert re.fullmatch(r"=[A-Za-z0-9_~-]*", part)
    assert len(part) <= LONGEST_PART
    assert from_part(part) in (text, None)


@given(ANY_TEXT, ANY_TEXT)
def test_different_texts_have_different_parts(one: str, other: str) -> None:
    assert (to_part(one) == to_part(other)) == (one == other)


@pytest.mark.parametrize("text", ["", ".", "..", "a/b", "%2F", "\x00", "\ud800", "Ä", "x" * 10_000, "~" * 200])
def test_every_key_of_any_thread_and_namespace_is_a_key_of_the_port(text: str) -> None:
    log = LogNames("prefix/of/some/app/", text, text[::-1])
    for key in (log.head, log.objects + "x/" + "0" * 24, log.run_marker(text), log.own_run_marker(text)):
        check_key(key)


def test_two_long_texts_that_begin_alike_are_kept_apart() -> None:
    assert to_part("x" * 700) != to_part("x" * 701)


def test_the_heads_of_one_thread_do_not_begin_like_those_of_another() -> None:
    assert not LogNames("", "p-10", "").head.startswith(heads("", "p-1"))
    assert LogNames("", "p-1", "n").head.startswith(heads("", "p-1"))


def test_threads_are_spread_over_the_key_space() -> None:
    assert len({thread_path(f"user-{n}")[:2] for n in range(500)}) > 200
