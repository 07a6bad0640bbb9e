"""Which store settings choose, and what is said when they are wrong."""

import sys
from pathlib import Path

import pytest

from durablegraph.errors import ConfigurationError
from durablegraph.storage.azure_blob import BlobObjectStore
from durablegraph.storage.connections import (
    BlobConnection,
    IdentityConnection,
    SqliteConnection,
    app_connection,
    saver_connection,
    string_connection,
)
from durablegraph.storage.opening import open_store
from durablegraph.storage.sqlite import SqliteObjectStore

HERE = Path("state/objects.db")
KEY = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA=="
ACCOUNT = f"DefaultEndpointsProtocol=https;AccountName=shop;AccountKey={KEY};EndpointSuffix=core.windows.net"
SIGNATURE = "sv=2022-11-02&ss=b&sig=c2VjcmV0LXNpZw%3D%3D"


@pytest.mark.parametrize("value", [None, "", "  ", "local", "Local"])
def test_no_account_means_sqlite_at_the_path_given(value: str | None) -> None:
    settings = {} if value is None else {"AzureWebJobsStorage": value}
    assert app_connection(settings, local_path=HERE) == SqliteConnection(HERE)


@pytest.mark.parametrize(
    ("value", "address"),
    [
        (ACCOUNT, "https://shop.blob.core.windows.net"),
        (f"accountname=shop;accountkey={KEY}", "https://shop.blob.core.windows.net"),
        (f" {ACCOUNT}; ", "https://shop.blob.core.windows.net"),
        (f"AccountName=shop;AccountKey={KEY};EndpointSuffix=core.example.cn", "https://shop.blob.core.example.cn"),
        (f"BlobEndpoint=https://shop.example/;SharedAccessSignature={SIGNATURE}", "https://shop.example"),
        ("UseDevelopmentStorage=true", "http://127.0.0.1:10000/devstoreaccount1"),
        ("usedevelopmentstorage=True;", "http://127.0.0.1:10000/devstoreaccount1"),
        (
            "UseDevelopmentStorage=true;DevelopmentStorageProxyUri=http://azurite",
            "http://azurite:10000/devstoreaccount1",
        ),
    ],
)
def test_a_connection_string_means_blob_in_the_default_container(value: str, address: str) -> None:
    connection = app_connection({"AzureWebJobsStorage": value}, local_path=HERE)
    assert isinstance(connection, BlobConnection)
    assert connection.blob_address == address
    assert connection.container == "langgraph-checkpoints"
    assert connection.is_emulator is ("devstore" in address)
    assert isinstance(open_store(connection), BlobObjectStore)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("hello", "part 1"),
        (f"{KEY}", "part 1"),
        (f"AccountName=shop;AcountKey={KEY}", "part 2"),
        ("AccountName=shop;AccountKey=", "part 2 AccountKey has no value"),
        ("AccountName=shop", "AccountName with AccountKey"),
        (f"AccountKey={KEY}", "AccountName with AccountKey"),
        (f"SharedAccessSignature={SIGNATURE}", "SharedAccessSignature with BlobEndpoint"),
        (f"AccountName=My Shop;AccountKey={KEY}", "3-24 lower-case"),
        ("AccountName=shop;AccountKey=se%cret", "base64"),
        ("UseDevelopmentStorage=false", "UseDevelopmentStorage=true"),
        (f"UseDevelopmentStorage=true;AccountKey={KEY}", "UseDevelopmentStorage=true alone"),
        (f"BlobEndpoint=shop;AccountName=shop;AccountKey={KEY}", "BlobEndpoint of AzureWebJobsStorage"),
        (f"BlobEndpoint=https://shop/?{SIGNATURE};AccountName=shop;AccountKey={KEY}", "BlobEndpoint of"),
        ("@Microsoft.KeyVault(SecretUri=https://v/secrets/secret)", "Key Vault Secrets User"),
    ],
)
def test_a_malformed_connection_string_is_explained_without_its_secrets(value: str, expected: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        app_connection({"AzureWebJobsStorage": value}, local_path=HERE)
    message = str(refused.value)
    assert message.startswith(("AzureWebJobsStorage", "the BlobEndpoint of AzureWebJobsStorage"))
    assert expected in message
    assert KEY not in message
    assert "c2Vj" not in message
    assert "cret;" not in message
    assert "se%cret" not in message


def test_no_secret_is_in_the_representation_of_a_connection() -> None:
    for value in (ACCOUNT, f"BlobEndpoint=https://shop.example/;SharedAccessSignature={SIGNATURE}"):
        assert "c2Vj" not in repr(string_connection(value))


def test_an_account_name_alone_is_enough_for_an_identity() -> None:
    connection = app_connection({"AzureWebJobsStorage__accountName": "shop"}, local_path=HERE)
    assert connection == IdentityConnection("https://shop.blob.core.windows.net", "langgraph-checkpoints", False, None)
    assert isinstance(open_store(connection), BlobObjectStore)


def test_the_three_addresses_are_enough_for_an_identity() -> None:
    settings = {
        f"AzureWebJobsStorage__{name}ServiceUri": f"https://s.{name}.example" for name in ("blob", "queue", "table")
    }
    settings |= {"AZUREWEBJOBSSTORAGE__CREDENTIAL": "managedIdentity", "AzureWebJobsStorage__clientId": "1234"}
    connection = app_connection(settings, local_path=HERE, container="mine")
    assert connection == IdentityConnection("https://s.blob.example", "mine", True, "1234")
    assert isinstance(open_store(connection), BlobObjectStore)


@pytest.mark.parametrize("missing", ["blob", "queue", "table"])
def test_the_missing_address_of_an_identity_is_named(missing: str) -> None:
    settings = {
        f"AzureWebJobsStorage__{name}ServiceUri": f"https://s.{name}.example"
        for name in ("blob", "queue", "table")
        if name != missing
    }
    with pytest.raises(ConfigurationError, match=f"AzureWebJobsStorage__{missing}ServiceUri missing"):
        app_connection(settings, local_path=HERE)


def test_all_that_a_credential_alone_lacks_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"blobServiceUri and .*queueServiceUri and .*tableServiceUri missing"):
        app_connection({"AzureWebJobsStorage__credential": "managedidentity"}, local_path=HERE)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("credential", KEY),
        ("accountName", "No Such!"),
        ("blobServiceUri", "s.blob.example"),
        ("blobServiceUri", f"https://x/?{SIGNATURE}"),
    ],
)
def test_a_malformed_identity_setting_is_named_and_not_shown(name: str, value: str) -> None:
    settings = {"AzureWebJobsStorage__accountName": "shop", f"AzureWebJobsStorage__{name}": value}
    with pytest.raises(ConfigurationError, match=f"AzureWebJobsStorage__{name}") as refused:
        app_connection(settings, local_path=HERE)
    assert value not in str(refused.value)


def test_a_value_wins_over_the_settings_of_an_identity_as_on_the_host() -> None:
    settings = {"AzureWebJobsStorage": ACCOUNT, "AzureWebJobsStorage__accountName": "other"}
    connection = app_connection(settings, local_path=HERE)
    assert isinstance(connection, BlobConnection)


def test_local_wins_over_the_settings_of_an_identity() -> None:
    settings = {"AzureWebJobsStorage": "local", "AzureWebJobsStorage__accountName": "other"}
    assert app_connection(settings, local_path=HERE) == SqliteConnection(HERE)


def test_a_missing_identity_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [name for name in sys.modules if name.startswith("azure.identity")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "azure.identity", None)
    connection = app_connection({"AzureWebJobsStorage__accountName": "shop"}, local_path=HERE)
    with pytest.raises(ConfigurationError, match=r"durablegraph\[identity\]"):
        open_store(connection)


def test_the_saver_prefers_its_own_variable() -> None:
    settings = {"AZURE_STORAGE_CONNECTION_STRING": ACCOUNT, "AzureWebJobsStorage": "UseDevelopmentStorage=true"}
    assert saver_connection(settings) == string_connection(ACCOUNT)


def test_the_saver_falls_back_on_the_apps_account() -> None:
    connection = saver_connection({"AzureWebJobsStorage": "UseDevelopmentStorage=true"})
    assert connection == string_connection("UseDevelopmentStorage=true")


def test_the_saver_without_an_account_says_what_to_set() -> None:
    with pytest.raises(ConfigurationError, match=r"AZURE_STORAGE_CONNECTION_STRING.*from_path"):
        saver_connection({"AzureWebJobsStorage": "local"})


def test_the_savers_variable_is_the_one_that_is_named_when_it_is_malformed() -> None:
    with pytest.raises(ConfigurationError, match=r"^AZURE_STORAGE_CONNECTION_STRING"):
        saver_connection({"AZURE_STORAGE_CONNECTION_STRING": "nonsense"})


@pytest.mark.parametrize("name", ["", "ab", "Upper", "a--b", "-ab", "ab-", "a_b", "x" * 64])
def test_a_container_name_outside_azures_rule_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="container name"):
        string_connection(ACCOUNT, container=name)


def test_a_local_connection_opens_sqlite_and_makes_no_file_before_its_first_use(tmp_path: Path) -> None:
    assert isinstance(open_store(SqliteConnection(tmp_path / "x" / "o.db")), SqliteObjectStore)
    assert list(tmp_path.iterdir()) == []
