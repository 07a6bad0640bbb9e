import sys

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_openai import AzureChatOpenAI, ChatOpenAI

from graphs import local_model, tool_agent
from graphs.local_model import LocalModel


@pytest.fixture(autouse=True)
def settings(monkeypatch):
    monkeypatch.setenv("TOOL_AGENT_MODEL", "local")


def ask(question):
    return tool_agent.graph().invoke({"messages": [{"role": "user", "content": question}]})["messages"]


def calls(messages):
    return [[call["name"] for call in m.tool_calls] for m in messages if isinstance(m, AIMessage) and m.tool_calls]


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What is (17.5 + 3) * 4?", "(17.5 + 3) * 4 = 82"),
        ("What is 2 ** 10 - 24", "2 ** 10 - 24 = 1000"),
        ("How many days between 2025-01-31 and 2025-03-01?", "From 2025-01-31 to 2025-03-01: 29 days."),
        ("How many days are there between 2024-02-28 and 2024-03-01?", "From 2024-02-28 to 2024-03-01: 2 days."),
        ("Which date is 90 days after 2025-03-14?", "90 days after 2025-03-14: 2025-06-12."),
        ("Which date is 1 days before 2025-03-01?", "1 days before 2025-03-01: 2025-02-28."),
        ("What is 1 / 0?", "1 / 0 = Error: '1 / 0' cannot be calculated: division by zero"),
        ("What is 15% of 200?", "15 / 100 * 200 = 30"),
        ("What is 3 * -2 and 7 / 2?", "3 * -2 = -6\n7 / 2 = 3.5"),
        ("add 5 to 7 and also subtract 3 from 10", "7 + 5 = 12\n10 - 3 = 7"),
        ("What is 15%?", local_model.HELP),
        ("Hello there", local_model.HELP),
    ],
)
def test_a_question_is_answered_with_the_tools(question, answer):
    assert ask(question)[-1].text == answer


def test_the_documents_are_searched():
    messages = ask("What do the documents say about hotels in Zurich?")

    assert calls(messages) == [["search_documents"]]
    assert messages[-1].text.startswith("travel-policy.txt: A hotel may cost up to 140 euros a night")


def test_two_parts_of_a_question_are_called_at_once():
    messages = ask("What do the documents say about hotels? And what is 3 * 140?")

    assert calls(messages) == [["search_documents", "calculate"]]
    assert messages[-1].text.endswith("3 * 140 = 420")


def test_a_second_stage_uses_the_result_of_the_first():
    messages = ask("How many days between 2025-01-31 and 2025-03-01, then multiply that by 12.5")

    assert calls(messages) == [["days_between"], ["calculate"]]
    assert messages[-1].text == "From 2025-01-31 to 2025-03-01: 29 days.\n29 * 12.5 = 362.5"


def test_a_second_question_on_the_thread_starts_anew():
    first = ask("What is 1 + 1?")
    messages = tool_agent.graph().invoke({"messages": [*first, HumanMessage("What is 2 + 2?")]})["messages"]

    assert messages[-1].text == "2 + 2 = 4"
    ids = [call["id"] for m in messages if isinstance(m, AIMessage) for call in m.tool_calls]
    assert len(ids) == len(set(ids)) == 2


def test_a_tool_that_is_not_bound_is_never_called():
    model = LocalModel().bind_tools([tool_agent.days_between])

    assert not model.invoke("What is 2 + 2?").tool_calls


@pytest.mark.parametrize(
    "expression",
    ["__import__('os')", "().__class__", "a + 1", "9 ** 9 ** 9", "(1000 ** 999) ** 2", "'a' * 3", "1 +", "True + 1"],
)
def test_only_arithmetic_is_calculated(expression):
    assert tool_agent.calculate.invoke({"expression": expression}).startswith("Error: ")


def test_an_expression_too_long_is_refused():
    assert "expected at most 200" in tool_agent.calculate.invoke({"expression": "1+" * 200 + "1"})


@pytest.mark.parametrize(
    ("settings", "choice"),
    [
        ({}, "local"),
        ({"OPENAI_API_KEY": "k"}, "local"),
        ({"OPENAI_API_KEY": "k", "OPENAI_MODEL": "m"}, "openai:m"),
        ({"AZURE_OPENAI_ENDPOINT": "e", "AZURE_OPENAI_DEPLOYMENT": "d", "OPENAI_API_KEY": "k"}, "azure_openai:d"),
        ({"TOOL_AGENT_MODEL": "local", "OPENAI_API_KEY": "k", "OPENAI_MODEL": "m"}, "local"),
    ],
)
def test_the_settings_choose_the_model(settings, choice):
    assert tool_agent.chosen_model(settings) == choice


def test_a_real_model_is_loaded_when_asked_for(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "k")
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "https://example.invalid")
    monkeypatch.setenv("OPENAI_API_VERSION", "2024-10-21")

    assert isinstance(tool_agent.load_model("openai:m"), ChatOpenAI)
    assert isinstance(tool_agent.load_model("azure_openai:d"), AzureChatOpenAI)


@pytest.mark.parametrize("choice", ["gpt", "openai:", "other:m"])
def test_an_unknown_model_is_refused(choice):
    with pytest.raises(ValueError, match=r"expected 'local', 'openai:NAME'"):
        tool_agent.load_model(choice)


def test_without_langchain_the_graph_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "langchain.agents", None)

    with pytest.raises(ImportError, match=r"pip install 'durablegraph\[models\]'"):
        tool_agent.graph()
