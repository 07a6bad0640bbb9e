"""What the reference pages are made with sees what is in the code."""

import pytest

from docs.makers.http_api import PATHS, http_api_page
from docs.makers.raises import problems_of
from docs.makers.settings import known_variables, settings_page
from durablegraph.api.routes import ROUTES, Route
from durablegraph.settings import Settings


def codes(name: str) -> set[str]:
    (route,) = [route for route in ROUTES if route.name == name]
    return {problem.code for problem in problems_of((route.handler.__module__, route.handler.__name__))}


def test_a_refusal_is_found_through_the_functions_and_modules_that_a_handler_calls() -> None:
    assert {"graph_not_found", "thread_busy", "too_large", "idempotency_key_reused"} <= codes("start_run")
    assert {"ambiguous_answer", "already_answered", "nothing_pending", "unknown_event"} <= codes("raise_run_event")


def test_a_route_is_not_given_the_refusals_of_another() -> None:
    assert codes("health_live") == set()
    assert "thread_busy" not in codes("raise_run_event")


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_every_route_is_on_the_page_with_all_its_parameters(route: Route) -> None:
    section = http_api_page().partition(f"\n## {route.name}\n")[2].partition("\n## ")[0]
    assert f"`{route.method} /api/{route.template}`" in section
    assert all(f"`{name}`" in section for name in (*route.query, *route.headers))


def test_every_parameter_of_a_path_is_described() -> None:
    named = {part.strip("{}") for route in ROUTES for part in route.template.split("/") if part.startswith("{")}
    assert named <= set(PATHS)


def test_every_setting_is_on_the_page_and_described() -> None:
    page = settings_page()
    assert all(f"| `DURABLEGRAPH_{name.upper()}` |" in page for name in Settings.model_fields)
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []
    assert len(known_variables()) > len(Settings.model_fields)
