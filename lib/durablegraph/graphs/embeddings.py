"""The vector index of long-term memory, from what ``store.index`` of ``langgraph.json`` names."""

from pathlib import Path
from typing import Any

from langchain_core.embeddings import Embeddings
from langgraph.store.base import IndexConfig, TTLConfig

from durablegraph.errors import ConfigurationError
from durablegraph.graphs.app_storage import IndexSettings, TtlSettings
from durablegraph.graphs.loader import imported, kind_of
from durablegraph.graphs.sources import Source

_WHAT = "the embeddings of langgraph.json"


def index_config(settings: IndexSettings, folder: Path) -> IndexConfig:
    """The index as LangGraph's stores take it. Raises ConfigurationError for embeddings that cannot be made."""
    found = (
        _of_the_app(settings.embed, folder) if isinstance(settings.embed, Source) else _of_a_provider(settings.embed)
    )
    config: IndexConfig = {"embed": found, "dims": settings.dims}
    if settings.fields:
        config["fields"] = list(settings.fields)
    return config


def ttl_config(settings: TtlSettings) -> TTLConfig:
    """The times to live as LangGraph's stores take them."""
    config: TTLConfig = {"refresh_on_read": settings.refresh_on_read, "default_ttl": settings.default_ttl}
    if settings.sweep_interval_minutes is not None:
        config["sweep_interval_minutes"] = max(1, round(settings.sweep_interval_minutes))
    return config


def _of_the_app(source: Source, folder: Path) -> Any:
    found = imported(_WHAT, source, folder)
    if isinstance(found, type) or not (callable(found) or isinstance(found, Embeddings)):
        raise ConfigurationError(
            f"{_WHAT} ({source.place}:{source.attribute}) are {kind_of(found)}; expected a function (sync or async) "
            "from a list of texts to a list of vectors, or LangChain's Embeddings."
        )
    return found


def _of_a_provider(name: str) -> Embeddings:
    try:
        from langchain.embeddings import init_embeddings  # noqa: PLC0415 -- an extra

        return init_embeddings(name)
    except ImportError as error:
        raise ConfigurationError(
            f"{_WHAT} are {name!r}, which needs a package that is not installed ({error}). Install "
            "durablegraph[models], and the package of the provider."
        ) from error
    except Exception as error:  # providers raise errors of their own
        raise ConfigurationError(
            f'{_WHAT} are {name!r}, which cannot be made: {type(error).__name__}: {error}. Expected "provider:model", '
            "and the provider's key in the environment."
        ) from error
