"""An agent with real tools: LangChain's own `create_agent`, made durable without a change.

Start it with ``{"messages": [{"role": "user", "content": "How many days between 2025-01-31 and 2025-03-01?"}]}``.
Every model call and every tool call is a super-step, so a crash between two calls pays for none of them twice.

Which model answers is a setting:

``TOOL_AGENT_MODEL``
    ``local`` (rules, no network: `local_model`), ``openai:NAME`` or ``azure_openai:DEPLOYMENT``.
    Unset, it is Azure OpenAI where ``AZURE_OPENAI_ENDPOINT`` and ``AZURE_OPENAI_DEPLOYMENT`` are set, else OpenAI
    where ``OPENAI_API_KEY`` and ``OPENAI_MODEL`` are set, else ``local``.

The keys are read by LangChain from its own variables: ``OPENAI_API_KEY``, ``OPENAI_BASE_URL``, and
``AZURE_OPENAI_API_KEY``, ``AZURE_OPENAI_ENDPOINT``, ``OPENAI_API_VERSION``.
"""

import ast
import operator
import os
import re
from collections.abc import Callable, Mapping
from datetime import date as Date  # noqa: N812 -- `date` is the name of a tool's argument, which the model reads
from datetime import timedelta
from pathlib import Path
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.tools import tool
from langgraph.graph.state import CompiledStateGraph

from graphs.local_model import LocalModel

DOCUMENTS = Path(__file__).resolve().parent / "documents"
PASSAGES = 3
LONGEST_EXPRESSION = 200
LARGEST_POWER = 1000
PROMPT = (
    "You answer questions with the tools you have. Calculate with `calculate`, count days with `days_between` and "
    "`shift_date`, and look facts up with `search_documents`. Say which document a fact comes from."
)
INSTALL = "found no langchain, which this graph needs; install it with: pip install 'durablegraph[models]'"

BINARY: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
UNARY: Mapping[type[ast.unaryop], Callable[[float], float]] = {ast.UAdd: operator.pos, ast.USub: operator.neg}


def evaluate(node: ast.expr) -> float:
    """The value of an arithmetic expression; integers stay exact. Raises ValueError for any name, call or attribute."""
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return number
        case ast.UnaryOp(op=op, operand=operand) if type(op) in UNARY:
            return UNARY[type(op)](evaluate(operand))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in BINARY:
            first, second = evaluate(left), evaluate(right)
            if isinstance(op, ast.Pow) and (abs(first) > LARGEST_POWER or abs(second) > LARGEST_POWER):
                raise ValueError(f"powers of numbers above {LARGEST_POWER} are not calculated")
            return BINARY[type(op)](first, second)
        case _:
            raise ValueError("only numbers, + - * / // % ** and brackets are understood")


@tool
def calculate(expression: str) -> str:
    """Calculate an arithmetic expression such as `(17.5 + 3) * 4`."""
    if len(expression) > LONGEST_EXPRESSION:
        return f"Error: found {len(expression)} characters, expected at most {LONGEST_EXPRESSION}"
    try:
        value = evaluate(ast.parse(expression.replace("^", "**"), mode="eval").body)
        return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    except (SyntaxError, ValueError, ZeroDivisionError, OverflowError, TypeError, RecursionError) as error:
        return f"Error: {expression!r} cannot be calculated: {error}"


@tool
def days_between(start: str, end: str) -> str:
    """Count the days from one date to another, both as YYYY-MM-DD; negative when `end` is the earlier."""
    try:
        return str((Date.fromisoformat(end) - Date.fromisoformat(start)).days)
    except ValueError as error:
        return f"Error: {error}; dates are written YYYY-MM-DD"


@tool
def shift_date(date: str, days: int) -> str:
    """Find the date that many days after `date` (YYYY-MM-DD), or before it when `days` is negative."""
    try:
        return (Date.fromisoformat(date) + timedelta(days=days)).isoformat()
    except (ValueError, OverflowError) as error:
        return f"Error: {error}; dates are written YYYY-MM-DD"


def stem(word: str) -> str:
    """A word without its plural, so that `hotels` finds `hotel`."""
    return word[:-1] if len(word) > len("bus") and word.endswith("s") and not word.endswith("ss") else word


def stems(text: str) -> list[str]:
    """The words of a text, lower-case and stemmed."""
    return [stem(word) for word in re.findall(r"[a-z0-9]+", text.lower())]


@tool
def search_documents(query: str) -> str:
    """Find the passages of the company's documents that mention the words of the query."""
    wanted = set(stems(query))
    found: list[tuple[int, str, int, str]] = []
    for path in sorted(DOCUMENTS.glob("*.txt")):
        for position, block in enumerate(re.split(r"\n\s*\n", path.read_text(encoding="utf-8"))):
            passage = " ".join(block.split())
            if not passage.endswith((".", "!", "?")):  # a title
                continue
            if hits := sum(word in wanted for word in stems(passage)):
                found.append((-hits, path.name, position, passage))
    if not found:
        return f"No document mentions {query!r}."
    return "\n".join(f"{name}: {passage}" for _, name, _, passage in sorted(found)[:PASSAGES])


TOOLS = [calculate, days_between, shift_date, search_documents]


def chosen_model(settings: Mapping[str, str]) -> str:
    """Which model the settings ask for: `local`, `openai:NAME` or `azure_openai:DEPLOYMENT`.

    A key alone chooses nothing: a developer who has one in the environment for other work is not billed by surprise.
    """
    if chosen := settings.get("TOOL_AGENT_MODEL"):
        return chosen
    if settings.get("AZURE_OPENAI_ENDPOINT") and (deployment := settings.get("AZURE_OPENAI_DEPLOYMENT")):
        return f"azure_openai:{deployment}"
    if settings.get("OPENAI_API_KEY") and (name := settings.get("OPENAI_MODEL")):
        return f"openai:{name}"
    return "local"


def load_model(choice: str) -> BaseChatModel:
    """The chat model of a choice. Raises ValueError for one that is unknown, ImportError where a package is missing."""
    provider, _, name = choice.partition(":")
    if choice == "local":
        return LocalModel()
    if provider not in {"openai", "azure_openai"} or not name:
        raise ValueError(
            f"found TOOL_AGENT_MODEL={choice!r}, expected 'local', 'openai:NAME' or 'azure_openai:DEPLOYMENT'"
        )
    try:
        from langchain_openai import AzureChatOpenAI, ChatOpenAI  # noqa: PLC0415 -- an optional dependency
    except ImportError as error:
        raise ImportError(INSTALL) from error
    return ChatOpenAI(model=name) if provider == "openai" else AzureChatOpenAI(azure_deployment=name)


def graph() -> CompiledStateGraph[Any, Any, Any, Any]:
    """Build the agent. Raises ImportError that says what to install where LangChain is missing."""
    try:
        from langchain.agents import create_agent  # noqa: PLC0415 -- an optional dependency
    except ImportError as error:
        raise ImportError(INSTALL) from error
    return create_agent(load_model(chosen_model(os.environ)), TOOLS, system_prompt=PROMPT, name="tool_agent")
