"""The chat models of the apps: real clients, pointed at the fake model's address.

The address is read when a graph is built: `FAKE_MODEL_URL`, without a path.
"""

import os

from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import BaseChatModel
from langchain_openai import ChatOpenAI


def address() -> str:
    """Where the fake model answers."""
    url = os.environ.get("FAKE_MODEL_URL")
    if not url:
        raise RuntimeError("found no FAKE_MODEL_URL, expected the fake model's address: start tests.support.fake_model")
    return url


def environment(url: str) -> dict[str, str]:
    """What an application that reads its models' addresses from the environment has to find there."""
    return {
        "FAKE_MODEL_URL": url,
        "OPENAI_API_BASE": f"{url}/v1",
        "OPENAI_API_KEY": "none",
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_API_KEY": "none",
        "TAVILY_API_KEY": "none",
    }


def openai() -> BaseChatModel:
    """OpenAI's client."""
    return ChatOpenAI(model="fake", base_url=f"{address()}/v1", api_key="none", max_retries=0)


def anthropic() -> BaseChatModel:
    """Anthropic's client."""
    return ChatAnthropic(model="fake", base_url=address(), api_key="none", max_retries=0)
