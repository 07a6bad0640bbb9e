"""A chat model that needs no key and no network: it reads the question and plans the tool calls by rules.

It is a real LangChain chat model, so an agent cannot tell the difference: it answers with tool calls, several at once
where a question has several parts, reads the tools' results, goes on, and ends with a sentence. The same conversation
always gives the same answer. What it understands::

    What is (17.5 + 3) * 4?                      arithmetic
    How many days between 2025-01-31 and today's date 2025-03-01?
    What is the date 90 days after 2025-03-14?   or: before
    What do the documents say about hotels?      or: search for ..., find ..., look up ...
    ... and ...                                  both at once
    ..., then ... it / that / the result         the second with the first one's result

It is for trying things out and for tests; for anything else set a real model (see `tool_agent`).
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolCall, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool

DATE = r"\d{4}-\d{2}-\d{2}"
BETWEEN = re.compile(rf"days?\b[^.?!]*?\bbetween\b[^.?!\d]*({DATE})\s+and\b[^.?!\d]*({DATE})", re.IGNORECASE)
SHIFT = re.compile(rf"(-?\d+)\s+days?\s+(after|before)\s+({DATE})", re.IGNORECASE)
SEARCH = re.compile(
    r"(?:say|says|written|know|find|search|look up|read)\b.*?\b(?:about|for|on|up)\s+(?:the\s+)?([^?.!,;]+)",
    re.IGNORECASE,
)
ARITHMETIC = re.compile(r"[-+]?[\d(][\d\s().]*(?:(?:\*\*|[-+*/%^])\s*[-+]?[\d(][\d\s().]*)+")
THEN = re.compile(r"[,;.?]?\s*\bthen\b,?\s*", re.IGNORECASE)
PARTS = re.compile(
    r"(?<=[?!;])\s+|\s*\band also\b\s*|,?\s+and\s+(?=(?:what|how|find|search|look|multiply|divide)\b)", re.IGNORECASE
)
BACK_REFERENCE = re.compile(r"\b(?:it|that|this|the (?:result|answer|difference|number))\b", re.IGNORECASE)
VERBS = (
    (re.compile(r"\bmultipl\w+\s+(\S+)\s+(?:by|with|times)\s+(\d+(?:\.\d+)?)", re.IGNORECASE), r"\1 * \2"),
    (re.compile(r"\bdivid\w+\s+(\S+)\s+by\s+(\d+(?:\.\d+)?)", re.IGNORECASE), r"\1 / \2"),
    (re.compile(r"\badd(?:ing)?\s+(\d+(?:\.\d+)?)\s+to\s+(\S+)", re.IGNORECASE), r"\2 + \1"),
    (re.compile(r"\bsubtract(?:ing)?\s+(\d+(?:\.\d+)?)\s+from\s+(\S+)", re.IGNORECASE), r"\2 - \1"),
    (re.compile(r"(\d+(?:\.\d+)?)\s*(?:%|percent)\s+of\s+(\d+(?:\.\d+)?)", re.IGNORECASE), r"\1 / 100 * \2"),
    (re.compile(r"\btimes\b", re.IGNORECASE), "*"),
    (re.compile(r"\bplus\b", re.IGNORECASE), "+"),
    (re.compile(r"\bminus\b", re.IGNORECASE), "-"),
)
HELP = (
    "I am the local model and follow rules. I can calculate (2 * 21), count days between two dates like 2025-01-31, "
    "find the date some days after or before one, and search the documents (what do the documents say about hotels?)."
)


@dataclass(frozen=True, slots=True)
class PlannedCall:
    """One tool call that answers one part of a question."""

    name: str
    args: dict[str, Any]


def plan_part(part: str) -> list[PlannedCall]:
    """The calls that answer one part; none when no rule fits it."""
    between = [PlannedCall("days_between", {"start": a, "end": b}) for a, b in BETWEEN.findall(part)]
    if between:
        return between
    shifts = [
        PlannedCall("shift_date", {"date": day, "days": int(days) * (1 if word.lower() == "after" else -1)})
        for days, word, day in SHIFT.findall(part)
    ]
    if shifts:
        return shifts
    for pattern, replacement in VERBS:
        part = pattern.sub(replacement, part)
    if not re.search(DATE, part) and (sums := ARITHMETIC.findall(part)):
        return [PlannedCall("calculate", {"expression": " ".join(found.split())}) for found in sums]
    if found := SEARCH.search(part):
        return [PlannedCall("search_documents", {"query": found.group(1).strip()})]
    return []


def plan(question: str, last_result: str | None) -> list[PlannedCall]:
    """All calls of one stage of a question; words like `it` stand for the stage before's result."""
    if last_result is not None:
        question = BACK_REFERENCE.sub(last_result.replace("\\", ""), question)
    return [call for part in PARTS.split(question) for call in plan_part(part)]


def stages_of(question: str) -> list[str]:
    """What is to be done one after the other."""
    return [stage for stage in THEN.split(question) if stage.strip()]


class LocalModel(BaseChatModel):
    """Plans by rules, see the module. `tool_names` are the tools that the agent has bound; others are never called."""

    tool_names: tuple[str, ...] = ()

    @property
    def _llm_type(self) -> str:
        return "local-rules"

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | None = None,  # noqa: ARG002 -- LangChain's signature; a rule needs no choice made for it
        **kwargs: Any,  # noqa: ARG002 -- as above
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """A model that may call these tools."""
        names = tuple(str(convert_to_openai_tool(tool)["function"]["name"]) for tool in tools)
        return self.model_copy(update={"tool_names": names})

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,  # noqa: ARG002 -- LangChain's signature; rules never run on
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002 -- as above
        **kwargs: Any,  # noqa: ARG002 -- as above
    ) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self.reply(messages))])

    def reply(self, messages: Sequence[BaseMessage]) -> AIMessage:
        """The next message of a conversation: tool calls while the question has unanswered stages, then the answer."""
        asked = max((i for i, message in enumerate(messages) if isinstance(message, HumanMessage)), default=None)
        if asked is None:
            return AIMessage(HELP)
        answers = rounds_of_results(messages[asked + 1 :])
        stages = stages_of(str(messages[asked].text))
        if len(answers) < len(stages):
            last = answers[-1][-1].text if answers else None
            calls = [call for call in plan(stages[len(answers)], last) if call.name in self.tool_names]
            if calls:
                return self.call_tools(calls, first_number=len(messages))
        called = {call["id"]: call for message in messages[asked:] for call in getattr(message, "tool_calls", ())}
        lines = [phrase(called.get(result.tool_call_id), result.text) for group in answers for result in group]
        return AIMessage("\n".join(lines) if lines else HELP)

    @staticmethod
    def call_tools(calls: Sequence[PlannedCall], *, first_number: int) -> AIMessage:
        """A message that asks for these calls; ids say where in the conversation they were made."""
        numbered = [
            ToolCall(name=call.name, args=call.args, id=f"call_{first_number}_{position}", type="tool_call")
            for position, call in enumerate(calls, start=1)
        ]
        return AIMessage(content="", tool_calls=numbered)


def phrase(call: ToolCall | None, result: str) -> str:
    """A tool's result as a person would say it."""
    match call:
        case {"name": "calculate", "args": {"expression": expression}}:
            return f"{expression} = {result}"
        case {"name": "days_between", "args": {"start": start, "end": end}}:
            return f"From {start} to {end}: {result} days."
        case {"name": "shift_date", "args": {"date": day, "days": int(days)}}:
            return f"{abs(days)} days {'after' if days >= 0 else 'before'} {day}: {result}."
        case _:
            return result


def rounds_of_results(messages: Sequence[BaseMessage]) -> list[list[ToolMessage]]:
    """The tools' results, grouped by the message that asked for them."""
    rounds: list[list[ToolMessage]] = []
    for message in messages:
        if isinstance(message, AIMessage) and message.tool_calls:
            rounds.append([])
        elif isinstance(message, ToolMessage) and rounds:
            rounds[-1].append(message)
    return [group for group in rounds if group]
