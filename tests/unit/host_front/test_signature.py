"""The worker's matrix of annotations and names; its texts were taken from the real worker."""

import re
import typing

import azure.functions as func
import pytest

from durablegraph.host.app.signature import FunctionLoadError, read_signature
from durablegraph.host.errors import AppLoadError
from durablegraph.host.invocation import Binding

ACTIVITY = [Binding("x", "activityTrigger", "in")]
HTTP = [Binding("req", "httpTrigger", "in"), Binding("$return", "http", "out")]
CLIENT = [Binding("client", "durableClient", "in"), *HTTP]
TIMER = [Binding("t", "timerTrigger", "in")]


def annotated(annotation):
    def run(x):
        return x

    run.__annotations__ = {"x": annotation}
    return run


class Point:
    pass


@pytest.mark.parametrize(
    "annotation",
    [dict, str, int, list, bytes, Point, typing.Any, typing.List[int], typing.Dict[str, int], typing.Literal["a"]],  # noqa: UP006 -- the old spellings are what is tested
)
def test_an_activity_parameter_may_have_these_annotations(annotation):
    assert read_signature("f", annotated(annotation), ACTIVITY).inputs == {"x": "activityTrigger"}


@pytest.mark.parametrize(
    "annotation",
    [
        typing.Optional[dict],  # noqa: UP045 -- as above
        typing.Union[int, str],  # noqa: UP007 -- as above
        int | None,
        list[str],
        dict[str, int],
        typing.Tuple[int],  # noqa: UP006 -- as above
        typing.Callable[[], int],
    ],
)
def test_an_activity_parameter_may_not_have_these(annotation):
    with pytest.raises(FunctionLoadError, match="binding x has invalid non-type annotation"):
        read_signature("f", annotated(annotation), ACTIVITY)


def test_an_activity_parameter_needs_no_annotation():
    def run(x):
        return x

    signature = read_signature("f", run, ACTIVITY)
    assert (signature.inputs, signature.returns, signature.is_async) == (
        {"x": "activityTrigger"},
        "activityTrigger",
        False,
    )


def test_an_annotation_that_cannot_be_resolved_fails():
    with pytest.raises(NameError):
        read_signature("f", annotated("NoSuchName"), ACTIVITY)


def test_a_parameter_without_a_binding_fails_even_with_a_default():
    def run(x, y=1):
        return x, y

    with pytest.raises(FunctionLoadError) as failure:
        read_signature("f", run, ACTIVITY)
    assert str(failure.value) == (
        "FunctionLoadError: cannot load the f function: the following parameters are declared in Python "
        "but not in function.json: {'y'}"
    )


def test_a_binding_without_a_parameter_fails():
    def run():
        pass

    with pytest.raises(FunctionLoadError, match=re.escape("declared in function.json but not in Python: {'x'}")):
        read_signature("f", run, ACTIVITY)


def test_an_orchestrators_parameter_must_be_called_context():
    def handle(context):
        return context

    with pytest.raises(FunctionLoadError):
        read_signature("f", handle, [Binding("ctx", "orchestrationTrigger", "in")])
    assert read_signature("f", handle, [Binding("context", "orchestrationTrigger", "in")]).wants_context is False


def test_a_context_parameter_is_injected_and_its_annotation_checked():
    def good(x, context: func.Context):
        return x, context

    def bad(x, context: dict):
        return x, context

    assert read_signature("f", good, ACTIVITY).wants_context is True
    with pytest.raises(FunctionLoadError, match='the "context" parameter is expected to be of type'):
        read_signature("f", bad, ACTIVITY)


@pytest.mark.parametrize("annotation", [func.HttpResponse, str])
def test_an_http_function_may_be_said_to_return_these(annotation):
    def run(req: func.HttpRequest):
        return req

    run.__annotations__["return"] = annotation
    assert read_signature("f", run, HTTP).returns == "http"


@pytest.mark.parametrize("annotation", [typing.Optional[func.HttpResponse], dict, None, list[str]])  # noqa: UP045 -- as above
def test_an_http_function_may_not_be_said_to_return_these(annotation):
    def run(req):
        return req

    run.__annotations__["return"] = annotation
    with pytest.raises(FunctionLoadError):
        read_signature("f", run, HTTP)


def test_an_http_request_may_not_be_annotated_as_something_else():
    def run(req: dict):
        return req

    with pytest.raises(FunctionLoadError, match="type of req binding in function"):
        read_signature("f", run, HTTP)


def test_a_durable_client_arrives_as_text():
    async def run(req: func.HttpRequest, client: str):
        return req, client

    signature = read_signature("f", run, CLIENT)
    assert signature.inputs == {"req": "httpTrigger", "client": "generic"}
    assert signature.is_async


def test_a_timer_returns_nothing():
    def run(t: func.TimerRequest):
        return t

    assert read_signature("f", run, TIMER).returns is None


def test_a_broken_signature_is_an_error_of_the_app():
    assert issubclass(FunctionLoadError, AppLoadError)
