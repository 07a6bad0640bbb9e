"""`store` of langgraph.json: the index, the times to live, and what is said when they are wrong."""

import json
import sys
import textwrap
from datetime import timedelta

import pytest

from durablegraph import keeping
from durablegraph.errors import ConfigurationError
from durablegraph.graphs.langgraph_json import read
from durablegraph.graphs.registry import Registry
from durablegraph.storage.memory import MemoryObjectStore

EMBED = """
    from langchain_core.embeddings import Embeddings

    def letters(texts):
        return [[float(text.count(letter)) for letter in "abc"] for text in texts]

    async def aletters(texts):
        return letters(texts)

    class Letters(Embeddings):
        def embed_documents(self, texts):
            return letters(texts)

        def embed_query(self, text):
            return letters([text])[0]

    instance = Letters()
    number = 7
"""
INDEX = {"embed": "./embed.py:letters", "dims": 3}


@pytest.fixture
def items(tmp_path):
    """The app's long-term memory, for what its langgraph.json says."""
    before, path = set(sys.modules), list(sys.path)
    (tmp_path / "embed.py").write_text(textwrap.dedent(EMBED))

    def opened(store):
        file = tmp_path / "langgraph.json"
        file.write_text(json.dumps({"graphs": {"g": "./g.py:graph"}, "store": store}))
        return keeping.item_store(MemoryObjectStore(), Registry.from_file(file))

    yield opened
    sys.path[:] = path
    for name in set(sys.modules) - before:
        if name == "embed":
            del sys.modules[name]


async def found(items, query, **more):
    return [item.key for item in await items.asearch(("notes",), query=query, **more)]


@pytest.mark.parametrize("attribute", ["letters", "aletters", "instance"])
async def test_an_embedding_of_the_app_makes_an_index(items, attribute):
    store = items({"index": {**INDEX, "embed": f"./embed.py:{attribute}"}})
    for key, text in {"first": "aaaa", "second": "bbbb", "third": "cccc"}.items():
        await store.aput(("notes",), key, {"text": text})
    assert (await found(store, "bb"))[0] == "second"
    assert (await store.asearch(("notes",), query="cc"))[0].score == pytest.approx(1.0, abs=0.2)


async def test_only_the_named_fields_are_embedded(items):
    store = items({"index": {**INDEX, "fields": ["title"]}})
    await store.aput(("notes",), "first", {"title": "a", "text": "cccccc"})
    await store.aput(("notes",), "second", {"title": "c", "text": "aaaaaa"})
    assert await found(store, "c") == ["second", "first"]


async def test_without_an_index_a_query_ranks_nothing(items):
    store = items({})
    await store.aput(("notes",), "first", {"text": "a"})
    assert (await store.asearch(("notes",), query="a"))[0].score is None


def test_times_to_live_are_given_on(items):
    store = items({"ttl": {"default_ttl": 60, "refresh_on_read": False, "sweep_interval_minutes": 5}})
    assert store.ttl_config == {"default_ttl": 60, "refresh_on_read": False, "sweep_interval_minutes": 5}
    assert items({}).ttl_config is None


async def test_an_item_lives_as_long_as_the_file_says(items):
    store = items({"ttl": {"default_ttl": 60}})
    await store.aput(("notes",), "first", {"text": "a"})
    (entry,) = await store.asearch(("notes",))
    assert await store.sweep(entry.created_at + timedelta(minutes=59), limit=10) == 0
    assert await store.sweep(entry.created_at + timedelta(minutes=61), limit=10) == 1


@pytest.mark.parametrize(
    ("store", "said"),
    [
        ([], r'"store" is \[\]; expected an object'),
        ({"indx": {}}, '"store" has the members indx; expected only index, ttl'),
        ({"index": {"dims": 3}}, '"store.index.embed" is null; expected "provider:model"'),
        ({"index": {"embed": "openai", "dims": 3}}, '"store.index.embed" is "openai"'),
        ({"index": {"embed": "./embed.py:a-b", "dims": 3}}, "the name of a variable or function"),
        ({"index": {"embed": "./embed.py:letters"}}, '"store.index.dims" is null; expected the number'),
        ({"index": {**INDEX, "dims": 0}}, '"store.index.dims" is 0'),
        ({"index": {**INDEX, "dims": True}}, '"store.index.dims" is true'),
        ({"index": {**INDEX, "fields": "text"}}, '"store.index.fields" is "text"; expected a list'),
        ({"index": {**INDEX, "field": ["a"]}}, '"store.index" has the members field'),
        ({"ttl": {"default_ttl": "1h"}}, '"store.ttl.default_ttl" is "1h"; expected a number of minutes above 0'),
        ({"ttl": {"default_ttl": -1}}, '"store.ttl.default_ttl" is -1'),
        ({"ttl": {"refresh_on_read": "no"}}, '"store.ttl.refresh_on_read" is "no"; expected true or false'),
    ],
)
def test_a_wrong_member_is_named_when_the_file_is_read(tmp_path, store, said):
    file = tmp_path / "langgraph.json"
    file.write_text(json.dumps({"graphs": {"g": "./g.py:graph"}, "store": store}))
    with pytest.raises(ConfigurationError, match=said) as refused:
        read(file)
    assert str(file) in str(refused.value)


@pytest.mark.parametrize(
    ("embed", "said"),
    [
        ("./missing.py:letters", "the embeddings of langgraph.json .*does not exist"),
        ("./embed.py:letter", "has no 'letter'"),
        ("./embed.py:number", "are a value of type int; expected a function"),
        ("./embed.py:Letters", "are the class Letters; expected a function"),
        ("nobody:model", "'nobody:model', which cannot be made"),
        ("openai:text-embedding-3-small", "cannot be made: .*api_key|OPENAI_API_KEY"),
        ("cohere:embed-v4", r"needs a package that is not installed .*durablegraph\[models\]"),
    ],
)
def test_embeddings_that_cannot_be_made_say_why(items, monkeypatch, embed, said):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ConfigurationError, match=said):
        items({"index": {**INDEX, "embed": embed}})


async def test_a_model_of_a_provider_is_made_by_its_name(items, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    store = items({"index": {"embed": "openai:text-embedding-3-small", "dims": 1536}})
    assert type(store.index_config["embed"]).__name__ == "OpenAIEmbeddings"
    assert store.index_config["embed"].model == "text-embedding-3-small"


async def test_vectors_of_another_length_than_the_file_says_are_refused(items):
    store = items({"index": {**INDEX, "dims": 4}})
    with pytest.raises(ConfigurationError, match="expected the 4 that `dims`"):
        await store.aput(("notes",), "first", {"text": "a"})
