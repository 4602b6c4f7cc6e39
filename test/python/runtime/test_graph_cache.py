"""The table of graphs: what is kept, what goes, and what is not worth a capture."""

from __future__ import annotations

from ix.runtime.graph_cache import GraphCache


def call(cache: GraphCache, key: int) -> str:
    """A call as an executable makes it: replayed, captured or launched directly."""
    if cache.find(key) is not None:
        return "replayed"
    if cache.admits(key):
        cache.add(key, object())
        return "captured"
    return "direct"


def test_while_there_is_room_every_key_is_captured() -> None:
    cache = GraphCache(3)
    assert [call(cache, k) for k in (1, 2, 3, 1, 2, 3)] == ["captured"] * 3 + [
        "replayed"
    ] * 3
    assert len(cache) == 3


def test_the_graph_that_was_not_used_for_longest_goes() -> None:
    cache = GraphCache(2)
    for key in (1, 2, 1):
        call(cache, key)
    assert [call(cache, 3), call(cache, 3)] == ["direct", "captured"]  # 2 goes
    assert call(cache, 1) == "replayed"
    assert call(cache, 2) == "direct" and len(cache) == 2


def test_keys_that_never_repeat_drive_nothing_out() -> None:
    cache = GraphCache(4)
    for key in range(4):
        call(cache, key)
    assert {call(cache, key) for key in range(100, 1000)} == {"direct"}
    assert [call(cache, key) for key in range(4)] == ["replayed"] * 4
    assert call(cache, 100) == "direct"  # long forgotten
    assert call(cache, 999) == "captured"


def test_clear() -> None:
    cache = GraphCache(1)
    call(cache, 1)
    call(cache, 2)
    cache.clear()
    assert len(cache) == 0 and call(cache, 2) == "captured"
