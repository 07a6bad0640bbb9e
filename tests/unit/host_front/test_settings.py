import json

import pytest

from durablegraph.host.errors import HostConfigurationError
from durablegraph.host.settings import CorsSettings, read_host_settings, read_local_settings


def host(tmp_path, text, environment=None):
    (tmp_path / "host.json").write_text(text if isinstance(text, str) else json.dumps(text), encoding="utf-8")
    return read_host_settings(tmp_path, environment or {})


def local(tmp_path, document):
    (tmp_path / "local.settings.json").write_text(json.dumps(document), encoding="utf-8")
    return read_local_settings(tmp_path)


def test_without_files_everything_has_its_default(tmp_path):
    settings = read_host_settings(tmp_path, {})
    assert (settings.http.route_prefix, settings.function_timeout, dict(settings.durable)) == ("api", 1800.0, {})
    assert read_local_settings(tmp_path).values == {}


def test_comments_trailing_commas_and_a_bom_are_read_over(tmp_path):
    text = '\ufeff{ // about\n "version": "2.0", /* x */ "functionTimeout": "00:00:06", "a": "http://x // no",\n}'
    assert host(tmp_path, text).function_timeout == 6.0


@pytest.mark.parametrize(("text", "seconds"), [("-1", None), ("00:05:00", 300.0), ("1.00:00:00", 86400.0)])
def test_the_function_timeout_is_a_timespan_or_none(tmp_path, text, seconds):
    assert host(tmp_path, {"version": "2.0", "functionTimeout": text}).function_timeout == seconds


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ('{"version": "2.0"', "not JSON at line 1"),
        ("[]", "found a JSON list"),
        ({"version": "3.0"}, "found \"version\": '3.0'"),
        ({"version": "2.0", "functionTimeout": "soon"}, 'found "soon" for functionTimeout'),
        ({"version": "2.0", "functionTimeout": 5}, "found 5 for functionTimeout"),
        ({"version": "2.0", "extensions": []}, "for 'extensions', expected an object"),
        ({"version": "2.0", "extensions": {"http": {"routePrefix": 1}}}, "found 1 for extensions.http.routePrefix"),
        ({"version": "2.0", "extensions": {"http": {"maxConcurrentRequests": "x"}}}, "maxConcurrentRequests"),
    ],
)
def test_a_bad_host_json_says_what_was_found(tmp_path, document, words):
    with pytest.raises(HostConfigurationError) as failure:
        host(tmp_path, document)
    assert words in str(failure.value)
    assert "expected" in str(failure.value)


def test_app_settings_override_host_json(tmp_path):
    environment = {
        "AzureFunctionsJobHost__functionTimeout": "00:00:09",
        "AzureFunctionsJobHost__extensions__durableTask__hubName": "other",
        "azurefunctionsjobhost__extensions__http__maxConcurrentRequests": "7",
    }
    settings = host(tmp_path, {"version": "2.0", "extensions": {"durableTask": {"hubName": "one"}}}, environment)
    assert settings.function_timeout == 9.0
    assert settings.durable == {"hubName": "other"}
    assert settings.http.max_concurrent_requests == 7


def test_local_settings_give_values_cors_and_a_port(tmp_path):
    settings = local(
        tmp_path,
        {"Values": {"A": "x", "B": 1, "C": True}, "Host": {"CORS": "http://a, http://b", "LocalHttpPort": 7072}},
    )
    assert settings.values == {"A": "x", "B": "1", "C": "true"}
    assert settings.cors == CorsSettings(("http://a", "http://b"))
    assert settings.port == 7072


@pytest.mark.parametrize(
    ("document", "words"),
    [({"IsEncrypted": True}, "func settings decrypt"), ({"Values": {"A": {"b": 1}}}, "value of 'A'")],
)
def test_local_settings_that_cannot_be_used_say_what_to_do(tmp_path, document, words):
    with pytest.raises(HostConfigurationError, match=words):
        local(tmp_path, document)
