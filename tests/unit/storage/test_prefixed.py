"""Several apps in one container: what a prefix may be, and that nobody touches another's objects."""

import pytest

from durablegraph import BlobCheckpointSaver
from durablegraph.errors import ConfigurationError
from durablegraph.storage.memory import MemoryObjectStore
from durablegraph.storage.prefixed import PrefixedStore, checked_prefix


@pytest.mark.parametrize("prefix", ["runs", "a/live", "h/x", "/index/", "d", "x/items/y", "erasures"])
def test_a_prefix_that_another_app_would_take_for_its_own_objects_is_refused(prefix):
    for refused in (lambda: PrefixedStore(MemoryObjectStore(), prefix), lambda: checked_prefix(prefix)):
        with pytest.raises(ConfigurationError, match="choose another name"):
            refused()
    with pytest.raises(ConfigurationError, match="choose another name"):
        BlobCheckpointSaver(MemoryObjectStore(), prefix=prefix)


@pytest.mark.parametrize("prefix", ["a b", "a//b", ".", "a/..", "ä", "x" * 201, "a\\b", "a?b"])
def test_a_prefix_that_no_key_can_have_is_refused(prefix):
    with pytest.raises(ConfigurationError, match="expected at most 200"):
        PrefixedStore(MemoryObjectStore(), prefix)


@pytest.mark.parametrize("prefix", ["a", "a/b", "/team/app-1/", "runs2", "my.app", "a=b~c"])
async def test_any_other_prefix_stands_before_every_key(prefix):
    whole = MemoryObjectStore()
    store = PrefixedStore(whole, prefix)
    await store.put("k/1", b"x")
    assert [entry.key async for entry in whole.list("")] == [f"{prefix.strip('/')}/k/1"]
    assert [entry.key async for entry in store.list("k/")] == ["k/1"]
    assert (await store.get("k/1")).key == "k/1"
