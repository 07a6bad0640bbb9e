import pytest

from durablegraph.host.front.functions import FunctionTable
from durablegraph.host.front.routes import RouteTemplateError, compile_route
from durablegraph.host.invocation import Binding, FunctionIndex, FunctionInfo


@pytest.mark.parametrize(
    ("template", "path", "values"),
    [
        ("api/hello", "/api/hello", {}),
        ("api/hello", "/API/Hello/", {}),
        ("api/{name}", "/api/Bob", {"name": "Bob"}),
        ("api/{name}", "/api/", None),
        ("api/{name}", "/api/a/b", None),
        ("api/{name?}", "/api", {}),
        ("api/{name?}", "/api/Bob", {"name": "Bob"}),
        ("api/{name=you}", "/api", {"name": "you"}),
        ("{id}/next", "/7/next", {"id": "7"}),
        ("{id?}", "/", {}),
        ("x/{*rest}", "/x/a/b%20c", {"rest": "a/b c"}),
        ("x/{*rest}", "/x", {}),
        ("x/{**rest}", "/x/a/", {"rest": "a"}),
        ("{a}-{b}", "/one-two", {"a": "one", "b": "two"}),
        ("files/{name}.{kind}", "/files/x.json", {"name": "x", "kind": "json"}),
        ("{name}", "/a%2Fb%C3%A9", {"name": "a%2Fbé"}),
        ("{n:int}", "/12", {"n": "12"}),
        ("{n:int}", "/3000000000", None),
        ("{n:int}", "/x", None),
        ("{n:long:min(3)}", "/3000000000", {"n": "3000000000"}),
        ("{n:long:min(3)}", "/2", None),
        ("{n:range(1,9)}", "/9", {"n": "9"}),
        ("{n:range(1,9)}", "/10", None),
        ("{b:bool}", "/TRUE", {"b": "TRUE"}),
        ("{g:guid}", "/0f8fad5b-d9cb-469f-a165-70867728950e", {"g": "0f8fad5b-d9cb-469f-a165-70867728950e"}),
        ("{g:guid}", "/x", None),
        ("{w:alpha:length(3)}", "/abc", {"w": "abc"}),
        ("{w:alpha:length(3)}", "/abcd", None),
        ("{w:maxlength(2)?}", "/", {}),
        ("{w:maxlength(2)?}", "/abc", None),
        (r"{w:regex(^\d{{2}}$)}", "/12", {"w": "12"}),
        (r"{w:regex(^\d{{2}}$)}", "/123", None),
    ],
)
def test_a_template_takes_its_paths_and_no_others(template, path, values):
    assert compile_route(template).match(path) == values


@pytest.mark.parametrize("template", ["{*all}/more", "{a}/{A}", "{a:nosuch}", "{a:min}", "{a:range(1)}", "{a b}x{c:?}"])
def test_a_template_that_asp_net_refuses_is_refused_here(template):
    with pytest.raises(RouteTemplateError):
        compile_route(template)


def function(name, route, *methods):
    trigger = Binding("req", "httpTrigger", "in", {"route": route, "methods": list(methods)})
    return FunctionInfo(name, "http", name, trigger, (trigger,), is_async=False)


def table(*functions, prefix="api"):
    return FunctionTable(FunctionIndex(functions), prefix)


def found(functions, method, path):
    match = functions.find(method, path)
    return match and (match[0].function.name, match[1])


def test_a_literal_part_wins_over_a_constrained_and_that_over_a_free_and_that_over_a_catch_all():
    functions = table(
        function("rest", "{*all}"),
        function("free", "runs/{id}"),
        function("number", "runs/{id:int}"),
        function("literal", "runs/latest"),
    )
    paths = ["/api/runs/latest", "/api/runs/7", "/api/runs/x", "/api/runs/x/y"]
    assert [found(functions, "GET", path)[0] for path in paths] == ["literal", "number", "free", "rest"]


def test_a_wrong_method_is_no_match_and_no_methods_means_all():
    functions = table(function("only_get", "x", "GET"), function("every", "y"))
    assert found(functions, "POST", "/api/x") is None
    assert found(functions, "DELETE", "/api/y") == ("every", {})


def test_two_functions_share_a_route_by_method():
    functions = table(function("reads", "x", "GET"), function("writes", "x", "POST"))
    assert found(functions, "POST", "/api/x") == ("writes", {})


def test_an_empty_prefix_serves_from_the_root():
    assert found(table(function("f", "x"), prefix=""), "GET", "/x") == ("f", {})


def test_a_template_that_cannot_be_served_is_an_error_of_its_function_alone():
    functions = table(function("bad", "{a:nosuch}"), function("good", "x"))
    assert list(functions.errors) == ["bad"]
    assert "nosuch" in functions.errors["bad"]
    assert found(functions, "GET", "/api/x") == ("good", {})
