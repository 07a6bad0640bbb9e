"""With an identity: which credential is made of which settings, and that an app opens the store it was told to."""

import asyncio
from pathlib import Path

import pytest
from azure.core.pipeline.transport import AioHttpTransport
from azure.identity.aio import DefaultAzureCredential, ManagedIdentityCredential

from durablegraph import BlobCheckpointSaver
from durablegraph.errors import ConfigurationError
from durablegraph.opening import open_services, stored_objects
from durablegraph.settings import Settings
from durablegraph.storage import azure_opening, opening
from durablegraph.storage.azure_blob import BlobObjectStore
from durablegraph.storage.checkpoints import saver as saver_module
from durablegraph.storage.connections import IdentityConnection, app_connection
from tests.unit.graphs.driving import chain

NAME = "AzureWebJobsStorage__"
SHOP = {f"{NAME}accountName": "shop"}


def connected(settings) -> IdentityConnection:
    connection = app_connection(settings, local_path=Path("objects.db"))
    assert isinstance(connection, IdentityConnection)
    return connection


@pytest.fixture
def made(monkeypatch):
    """Which credentials are made, and with what: the real classes, watched."""
    made = []

    def watched(kind):
        def make(**given):
            made.append((kind, given))
            return kind(**given)

        return make

    classes = (watched(ManagedIdentityCredential), watched(DefaultAzureCredential))
    monkeypatch.setattr(azure_opening, "_identity_classes", lambda: classes)
    return made


@pytest.mark.parametrize(
    ("settings", "kind", "given"),
    [
        ({}, DefaultAzureCredential, {}),
        ({"credential": "managedidentity"}, ManagedIdentityCredential, {}),
        ({"credential": "ManagedIdentity", "clientId": "12"}, ManagedIdentityCredential, {"client_id": "12"}),
        ({"clientId": "12"}, DefaultAzureCredential, {"managed_identity_client_id": "12"}),
    ],
)
async def test_the_settings_choose_the_credential(made, settings, kind, given):
    connection = connected({**SHOP, **{f"{NAME}{name}": value for name, value in settings.items()}})
    opened = azure_opening._open_with_identity(connection, AioHttpTransport())
    assert made == [(kind, given)]
    assert opened.container.account_name == "shop"
    assert opened.container.container_name == "langgraph-checkpoints"
    await opened.container.close()
    await asyncio.gather(*(close() for close in opened.also_close))


async def test_an_address_of_its_own_is_where_the_blobs_are(made):
    addresses = {f"{NAME}{kind}ServiceUri": f"https://{kind}.example" for kind in ("blob", "queue", "table")}
    opened = azure_opening._open_with_identity(connected(addresses), AioHttpTransport())
    assert opened.container.url == "https://blob.example/langgraph-checkpoints"
    await opened.container.close()
    await asyncio.gather(*(close() for close in opened.also_close))


@pytest.mark.parametrize("environment", [SHOP, {"AzureWebJobsStorage": "UseDevelopmentStorage=true"}])
def test_an_app_opens_the_account_and_the_container_of_its_settings(environment, tmp_path):
    objects = stored_objects(Settings(container="mine"), environment, tmp_path)
    assert isinstance(objects, BlobObjectStore)
    assert "container mine at http" in objects._name


def test_an_app_that_lacks_an_address_refuses_to_start_and_names_it(tmp_path):
    environment = {f"{NAME}{kind}ServiceUri": f"https://{kind}.example" for kind in ("blob", "table")}
    (tmp_path / "langgraph.json").write_text('{"graphs": {"one": "./one.py:graph"}}')
    with pytest.raises(ConfigurationError, match="AzureWebJobsStorage__queueServiceUri missing"):
        open_services(Settings(), environment, tmp_path)


@pytest.fixture
def connections(monkeypatch):
    """The connections that savers open stores on."""
    seen = []

    def watched(connection):
        seen.append(connection)
        return opening.open_store(connection)

    monkeypatch.setattr(saver_module, "open_store", watched)
    return seen


@pytest.mark.parametrize(
    ("environment", "address"),
    [
        (
            {"AZURE_STORAGE_CONNECTION_STRING": "UseDevelopmentStorage=true", "AzureWebJobsStorage": "nonsense"},
            "http://127.0.0.1:10000/devstoreaccount1",
        ),
        ({"AzureWebJobsStorage": "UseDevelopmentStorage=true"}, "http://127.0.0.1:10000/devstoreaccount1"),
        (SHOP, "https://shop.blob.core.windows.net"),
    ],
)
def test_a_saver_alone_is_opened_from_the_environment(connections, environment, address):
    with BlobCheckpointSaver.from_environment(environment, container="mine"):
        assert [(each.blob_address, each.container) for each in connections] == [(address, "mine")]


def test_a_saver_alone_takes_the_environment_of_the_process(connections, monkeypatch):
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", "UseDevelopmentStorage=true")
    with BlobCheckpointSaver.from_environment():
        assert [each.container for each in connections] == ["langgraph-checkpoints"]


def test_a_saver_alone_without_an_account_says_what_to_set():
    with pytest.raises(ConfigurationError, match="neither AZURE_STORAGE_CONNECTION_STRING nor AzureWebJobsStorage"):
        BlobCheckpointSaver.from_environment({})


async def test_threads_are_kept_in_the_account_of_the_environment(azurite):
    at = {"configurable": {"thread_id": "t"}}
    environment = {"AZURE_STORAGE_CONNECTION_STRING": azurite}
    for _ in range(2):
        async with BlobCheckpointSaver.from_environment(environment, container="from-environment") as saver:
            graph = chain(("a", lambda _: {"out": ["a"]}), checkpointer=saver)
            found = await graph.ainvoke({"out": []}, at)
    assert found == {"out": ["a", "a"]}
