import httpx
import openai
import pytest
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, Field

from tests.support.fake_model import FakeModel, Reply, ToolUse, fill


@tool
def weather(city: str) -> str:
    """Say what the weather is."""
    return f"sun in {city}"


class Trip(BaseModel):
    """A journey."""

    city: str
    days: int = Field(ge=2)
    tags: list[str]


def rules():
    def report(talk):
        return Reply(" and ".join(turn.text for turn in talk.results)) if talk.results else None

    def ask_tools(talk):
        if "weather" in talk.question and "weather" in talk.tools:
            return Reply(
                "let me look", uses=(ToolUse("weather", {"city": "Rome"}), ToolUse("weather", {"city": "Oslo"}))
            )
        return None

    def busy(talk):
        return Reply("too many requests", status=429) if "busy" in talk.question else None

    def echo(talk):
        return Reply(f"{talk.system}|{talk.question}") if "say" in talk.question else None

    return (busy, report, ask_tools, echo)


@pytest.fixture
def model():
    with FakeModel(rules()) as running:
        yield running


@pytest.fixture(params=["openai", "anthropic"])
def client(request, model):
    if request.param == "openai":
        return ChatOpenAI(model="fake", base_url=model.openai_url, api_key="none", max_retries=0)
    return ChatAnthropic(model="fake", base_url=model.url, api_key="none", max_retries=0)


def test_a_question_is_answered_by_the_first_rule_that_fits(client, model):
    answer = client.invoke([("system", "be kind"), ("user", "say hello")])

    assert answer.text == "be kind|say hello"
    assert answer.usage_metadata["input_tokens"] == 10
    assert len(model.calls) == 1


async def test_parallel_tool_calls_and_their_results_travel_both_ways(client, model):
    bound = client.bind_tools([weather])
    asked = [HumanMessage("weather?")]
    first = await bound.ainvoke(asked)

    assert [(c["name"], c["args"]) for c in first.tool_calls] == [
        ("weather", {"city": "Rome"}),
        ("weather", {"city": "Oslo"}),
    ]
    results = [ToolMessage(weather.invoke(c["args"]), tool_call_id=c["id"]) for c in first.tool_calls]
    assert (await bound.ainvoke([*asked, first, *results])).text == "sun in Rome and sun in Oslo"
    assert model.calls[-1].called("weather") == 2


def test_equal_conversations_get_equal_ids(client):
    bound = client.bind_tools([weather])

    once, again = bound.invoke("weather?"), bound.invoke("weather?")
    assert [c["id"] for c in once.tool_calls] == [c["id"] for c in again.tool_calls]
    assert len({c["id"] for c in once.tool_calls}) == 2


def test_a_streamed_answer_equals_the_whole_one(client):
    bound = client.bind_tools([weather])
    whole = bound.invoke("weather?")
    streamed = None
    parts = 0
    for chunk in bound.stream("weather?"):
        streamed = chunk if streamed is None else streamed + chunk
        parts += 1

    assert parts > 5
    assert streamed.text == whole.text == "let me look"
    assert streamed.tool_calls == whole.tool_calls


def test_structured_output_is_filled_in_from_the_schema(client):
    assert client.with_structured_output(Trip).invoke("plan a trip") == Trip(city="text", days=2, tags=["text"])


def test_a_rule_can_fail_a_request(client, model):
    with pytest.raises(Exception, match="too many requests") as failed:
        client.invoke("busy?")
    assert failed.value.status_code == 429
    assert len(model.calls) == 1


def test_a_question_that_no_rule_fits_is_refused_with_what_to_do(model):
    client = ChatOpenAI(model="fake", base_url=model.openai_url, api_key="none", max_retries=0)

    with pytest.raises(openai.BadRequestError, match="found no rule for 'what'; add one to the fake model"):
        client.invoke("what")


def test_an_unknown_path_names_the_known_ones(model):
    answer = httpx.post(f"{model.url}/v1/responses", json={})

    assert answer.status_code == 404
    assert "/v1/chat/completions, /v1/messages" in answer.json()["error"]["message"]


def test_a_forced_tool_is_called(model):
    client = ChatOpenAI(model="fake", base_url=model.openai_url, api_key="none")
    answer = client.bind_tools([weather], tool_choice="weather").invoke("anything")

    assert [(c["name"], c["args"]) for c in answer.tool_calls] == [("weather", {"city": "text"})]


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"enum": ["b", "a"]}, "b"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, 1),
        (
            {"$ref": "#/$defs/X", "$defs": {"X": {"type": "object", "properties": {"ok": {"type": "boolean"}}}}},
            {"ok": True},
        ),
        ({"type": "array", "items": {"const": 3}}, [3]),
        ({"type": "null"}, None),
    ],
)
def test_the_plainest_value_of_a_schema(schema, value):
    assert fill(schema) == value
