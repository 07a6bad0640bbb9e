"""LangGraph's own on the app's storage: the saver of checkpoints, long-term memory, the cache of nodes' results."""

from durablegraph.graphs.embeddings import index_config, ttl_config
from durablegraph.graphs.registry import Registry
from durablegraph.services import Kept
from durablegraph.storage.checkpoints import BlobCheckpointSaver
from durablegraph.storage.checkpoints.serde import AllowedTypes, AppSerializer
from durablegraph.storage.items import ItemStore
from durablegraph.storage.node_cache import NodeCache
from durablegraph.storage.objects import ObjectStore


def kept(objects: ObjectStore, types: AllowedTypes, graphs: Registry) -> Kept:
    """What is kept in `objects`, values rebuilt as these types; raises ConfigurationError for embeddings that fail."""
    return Kept(
        saver=BlobCheckpointSaver(objects, serde=AppSerializer(types)),
        items=item_store(objects, graphs),
        node_cache=NodeCache(objects, serde=AppSerializer(types)),
    )


def item_store(objects: ObjectStore, graphs: Registry) -> ItemStore:
    """Long-term memory as `store` of langgraph.json says; raises ConfigurationError for embeddings that fail."""
    store = graphs.store
    return ItemStore(
        objects,
        index=index_config(store.index, graphs.folder) if store.index else None,
        ttl=ttl_config(store.ttl) if store.ttl else None,
    )
