"""A language model behind HTTP that does what rules say: OpenAI's chat completions and Anthropic's messages.

Beside it, at the same address, a web search in Tavily's format, which finds one page for every query.

Real applications talk to it through their own client libraries, so all of the client's code runs. A rule is a function
that looks at the conversation and gives a `Reply` or None; the first that gives one decides. Equal conversations get
equal replies, ids included. Every request is kept in `calls`.

::

    with FakeModel(rules) as model:
        ChatOpenAI(model="fake", base_url=model.openai_url, api_key="none")
        ChatAnthropic(model="fake", base_url=model.url, api_key="none")
"""

import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from types import TracebackType
from typing import Any, Self

PIECE = 7
"""Characters in one streamed part: small and odd, so that every client has to join parts."""


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A tool call that the model asks for. An empty `id` is filled in from the conversation."""

    name: str
    args: dict[str, Any]
    id: str = ""


@dataclass(frozen=True, slots=True)
class Turn:
    """One message. `role` is user, assistant or tool; a tool's turn says which call it answers."""

    role: str
    text: str
    uses: tuple[ToolUse, ...] = ()
    answers: str = ""


@dataclass(frozen=True, slots=True)
class Conversation:
    """A request in either format. `tools` maps names to parameter schemas.

    `schema` is the JSON Schema that the answer must have (OpenAI's `response_format`), `forced` the tool that must be
    called, or ``"any"``.
    """

    system: str
    turns: tuple[Turn, ...]
    tools: dict[str, dict[str, Any]]
    schema: dict[str, Any] | None = None
    forced: str | None = None

    @property
    def last(self) -> Turn:
        """The turn that is to be answered."""
        return self.turns[-1] if self.turns else Turn("user", "")

    @property
    def question(self) -> str:
        """What the user said last."""
        return next((turn.text for turn in reversed(self.turns) if turn.role == "user"), "")

    @property
    def results(self) -> list[Turn]:
        """The tools' results since the user spoke last, in order."""
        since = max((i for i, turn in enumerate(self.turns) if turn.role == "user"), default=-1)
        return [turn for turn in self.turns[since + 1 :] if turn.role == "tool"]

    def called(self, name: str) -> int:
        """How many calls of this tool the conversation has since the user spoke last."""
        since = max((i for i, turn in enumerate(self.turns) if turn.role == "user"), default=-1)
        return sum(use.name == name for turn in self.turns[since + 1 :] for use in turn.uses)


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model says. A `status` other than 200 makes the request fail with `text` as the reason."""

    text: str = ""
    uses: tuple[ToolUse, ...] = ()
    status: int = 200


Rule = Callable[[Conversation], Reply | None]


PLAINEST = {"boolean": True, "null": None, "integer": 1, "number": 1, "string": "text"}


def fill(schema: dict[str, Any], definitions: dict[str, Any] | None = None) -> Any:
    """The plainest value that a JSON Schema allows: first choices, one item, every property, the least number."""
    known = {**(definitions or {}), **schema.get("$defs", {})}
    match schema:
        case {"$ref": ref}:
            return fill(known[ref.rsplit("/", 1)[-1]], known)
        case {"const": value} | {"enum": [value, *_]} | {"minimum": value}:
            return value
        case {"anyOf": [first, *_]} | {"oneOf": [first, *_]} | {"allOf": [first, *_]}:
            return fill(first, known)
        case {"type": "object"}:
            return {name: fill(part, known) for name, part in schema.get("properties", {}).items()}
        case {"type": "array"}:
            return [fill(schema.get("items", {}), known)]
    return PLAINEST[schema.get("type", "string")]


def plainest(conversation: Conversation) -> Reply | None:
    """The answer of last resort: what the request's schema or its forced tool allows."""
    if conversation.schema is not None:
        return Reply(json.dumps(fill(conversation.schema)))
    if conversation.forced and conversation.tools:
        name = conversation.forced if conversation.forced in conversation.tools else next(iter(conversation.tools))
        return Reply(uses=(ToolUse(name, fill(conversation.tools[name])),))
    return None


def fingerprint(conversation: Conversation) -> str:
    """A short word for what was said, without the calls' ids, which some applications draw by chance."""
    said = [(turn.role, turn.text, [(use.name, use.args) for use in turn.uses]) for turn in conversation.turns]
    return hashlib.sha256(repr((conversation.system, said)).encode()).hexdigest()[:12]


def decide(rules: Sequence[Rule], conversation: Conversation) -> Reply:
    """The reply of the first rule that has one, its calls numbered by the conversation they belong to."""
    reply = next((found for rule in (*rules, plainest) if (found := rule(conversation)) is not None), None)
    if reply is None:
        return Reply(f"found no rule for {conversation.last.text[:200]!r}; add one to the fake model", status=400)
    key = fingerprint(conversation)
    uses = tuple(ToolUse(use.name, use.args, use.id or f"call_{key}_{n}") for n, use in enumerate(reply.uses))
    return Reply(reply.text, uses, reply.status)


def text_of(content: Any) -> str:
    """The text of a message's content, which is a string or a list of blocks."""
    if isinstance(content, str) or content is None:
        return content or ""
    return "".join(block if isinstance(block, str) else block.get("text", "") for block in content)


class OpenAI:
    """OpenAI's chat completions (``POST /v1/chat/completions``)."""

    @staticmethod
    def read(body: dict[str, Any]) -> Conversation:
        """The conversation of a request."""
        system, turns = [], []
        for message in body["messages"]:
            text = text_of(message.get("content"))
            if message["role"] in {"system", "developer"}:
                system.append(text)
                continue
            uses = tuple(
                ToolUse(call["function"]["name"], json.loads(call["function"]["arguments"]), call["id"])
                for call in message.get("tool_calls") or ()
            )
            turns.append(Turn(message["role"], text, uses, message.get("tool_call_id", "")))
        tools = {t["function"]["name"]: t["function"].get("parameters", {}) for t in body.get("tools") or ()}
        form = body.get("response_format") or {}
        schema = form["json_schema"]["schema"] if form.get("type") == "json_schema" else None
        match body.get("tool_choice"):
            case {"function": {"name": name}}:
                forced = name
            case "required" | "any":
                forced = "any"
            case _:
                forced = None
        return Conversation("\n".join(system), tuple(turns), tools, schema, forced)

    @staticmethod
    def calls(reply: Reply) -> list[dict[str, Any]]:
        """The calls as OpenAI writes them."""
        return [
            {"id": use.id, "type": "function", "function": {"name": use.name, "arguments": json.dumps(use.args)}}
            for use in reply.uses
        ]

    @classmethod
    def write(cls, reply: Reply, body: dict[str, Any]) -> dict[str, Any]:
        """A whole response."""
        message: dict[str, Any] = {"role": "assistant", "content": reply.text or None, "refusal": None}
        if reply.uses:
            message["tool_calls"] = cls.calls(reply)
        finish = "tool_calls" if reply.uses else "stop"
        choice = {"index": 0, "message": message, "finish_reason": finish, "logprobs": None}
        return {**cls.envelope(body, "chat.completion"), "choices": [choice], "usage": cls.usage(reply)}

    @staticmethod
    def envelope(body: dict[str, Any], kind: str) -> dict[str, Any]:
        return {"id": "chatcmpl-fake", "object": kind, "created": 0, "model": body.get("model", "fake")}

    @staticmethod
    def usage(reply: Reply) -> dict[str, Any]:
        spent = len(reply.text.split()) + 5 * len(reply.uses)
        return {"prompt_tokens": 10, "completion_tokens": spent, "total_tokens": 10 + spent}

    @classmethod
    def stream(cls, reply: Reply, body: dict[str, Any]) -> Iterator[bytes]:
        """The response as server-sent events."""
        head = cls.envelope(body, "chat.completion.chunk")

        def event(delta: dict[str, Any], finish: str | None = None) -> bytes:
            choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
            return sse({**head, "choices": [choice]})

        yield event({"role": "assistant", "content": ""})
        for piece in pieces(reply.text):
            yield event({"content": piece})
        for index, call in enumerate(cls.calls(reply)):
            function = call["function"]
            yield event({"tool_calls": [{**call, "index": index, "function": {**function, "arguments": ""}}]})
            for piece in pieces(function["arguments"]):
                yield event({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
        yield event({}, "tool_calls" if reply.uses else "stop")
        if (body.get("stream_options") or {}).get("include_usage"):
            yield sse({**head, "choices": [], "usage": cls.usage(reply)})
        yield b"data: [DONE]\n\n"

    @staticmethod
    def failure(reply: Reply) -> dict[str, Any]:
        """An error as OpenAI writes it."""
        return {"error": {"message": reply.text, "type": "fake_model", "param": None, "code": None}}


class Anthropic:
    """Anthropic's messages (``POST /v1/messages``)."""

    @staticmethod
    def read(body: dict[str, Any]) -> Conversation:
        """The conversation of a request; results of tools, which travel in user messages, become turns of their own."""
        turns: list[Turn] = []
        for message in body["messages"]:
            content = message["content"]
            blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
            results = [block for block in blocks if block["type"] == "tool_result"]
            turns.extend(Turn("tool", text_of(b.get("content")), answers=b["tool_use_id"]) for b in results)
            uses = tuple(ToolUse(b["name"], b["input"], b["id"]) for b in blocks if b["type"] == "tool_use")
            text = "".join(b["text"] for b in blocks if b["type"] == "text")
            if text or uses:
                turns.append(Turn(message["role"], text, uses))
        tools = {t["name"]: t.get("input_schema", {}) for t in body.get("tools") or ()}
        choice = body.get("tool_choice") or {}
        forced = {"tool": choice.get("name"), "any": "any"}.get(choice.get("type", ""))
        return Conversation(text_of(body.get("system")), tuple(turns), tools, None, forced)

    @staticmethod
    def blocks(reply: Reply) -> list[dict[str, Any]]:
        """The reply as Anthropic's content blocks."""
        text = [{"type": "text", "text": reply.text}] if reply.text or not reply.uses else []
        return [*text, *({"type": "tool_use", "id": u.id, "name": u.name, "input": u.args} for u in reply.uses)]

    @classmethod
    def write(cls, reply: Reply, body: dict[str, Any]) -> dict[str, Any]:
        """A whole response."""
        spent = OpenAI.usage(reply)
        return {
            "id": "msg_fake",
            "type": "message",
            "role": "assistant",
            "model": body.get("model", "fake"),
            "content": cls.blocks(reply),
            "stop_reason": "tool_use" if reply.uses else "end_turn",
            "stop_sequence": None,
            "usage": {"input_tokens": spent["prompt_tokens"], "output_tokens": spent["completion_tokens"]},
        }

    @classmethod
    def stream(cls, reply: Reply, body: dict[str, Any]) -> Iterator[bytes]:
        """The response as server-sent events."""
        whole = cls.write(reply, body)
        yield sse({"type": "message_start", "message": {**whole, "content": [], "stop_reason": None}})
        for index, block in enumerate(whole["content"]):
            if block["type"] == "text":
                start, kind, key, text = {**block, "text": ""}, "text_delta", "text", block["text"]
            else:
                start, kind, key = {**block, "input": {}}, "input_json_delta", "partial_json"
                text = json.dumps(block["input"])
            yield sse({"type": "content_block_start", "index": index, "content_block": start})
            for piece in pieces(text):
                yield sse({"type": "content_block_delta", "index": index, "delta": {"type": kind, key: piece}})
            yield sse({"type": "content_block_stop", "index": index})
        delta = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
        yield sse({"type": "message_delta", "delta": delta, "usage": whole["usage"]})
        yield sse({"type": "message_stop"})

    @staticmethod
    def failure(reply: Reply) -> dict[str, Any]:
        """An error as Anthropic writes it."""
        return {"type": "error", "error": {"type": "invalid_request_error", "message": reply.text}}


FORMATS: dict[str, type[OpenAI] | type[Anthropic]] = {"/v1/chat/completions": OpenAI, "/v1/messages": Anthropic}


class Tavily:
    """Tavily's search (``POST /search``)."""

    @staticmethod
    def write(body: dict[str, Any]) -> dict[str, Any]:
        """One page that says what was asked for."""
        query = body["query"]
        page = {"title": query, "url": f"https://example.org/{query}", "content": f"all about {query}", "score": 1.0}
        found = [{**page, "raw_content": f"much about {query}" if body.get("include_raw_content") else None}]
        return {"query": query, "answer": None, "images": [], "results": found, "response_time": 0.0}


SEARCH_PATH = "/search"


def pieces(text: str) -> Iterator[str]:
    """A text cut into small parts."""
    return (text[at : at + PIECE] for at in range(0, len(text), PIECE))


def sse(data: dict[str, Any]) -> bytes:
    """One server-sent event; Anthropic's clients want its type as the event's name."""
    name = f"event: {data['type']}\n" if "type" in data else ""
    return f"{name}data: {json.dumps(data)}\n\n".encode()


class Handler(BaseHTTPRequestHandler):
    """Answers one request by the server's rules."""

    server: "Server"
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Answer a request in either format, whole or streamed."""
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        path = self.path.split("?")[0]
        if path == SEARCH_PATH:
            self.answer(HTTP_OK, "application/json", json.dumps(Tavily.write(body)).encode())
            return
        form = FORMATS.get(path)
        if form is None:
            failed = Reply(f"found {self.path}, expected one of {', '.join((*FORMATS, SEARCH_PATH))}")
            self.answer(404, "application/json", json.dumps(OpenAI.failure(failed)).encode())
            return
        conversation = form.read(body)
        reply = decide(self.server.rules, conversation)
        with self.server.lock:
            self.server.calls.append(conversation)
            watch = self.server.watch
        if watch is not None:
            watch()
        if reply.status != HTTP_OK:
            self.answer(reply.status, "application/json", json.dumps(form.failure(reply)).encode())
        elif body.get("stream"):
            self.answer(HTTP_OK, "text/event-stream", b"".join(form.stream(reply, body)))
        else:
            self.answer(HTTP_OK, "application/json", json.dumps(form.write(reply, body)).encode())

    def answer(self, status: int, kind: str, data: bytes) -> None:
        """Send a response."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: object) -> None:
        """Say nothing: a test's output is its own."""


HTTP_OK = 200


class Server(ThreadingHTTPServer):
    """The server with what its handlers share."""

    daemon_threads = True

    def __init__(self, rules: Sequence[Rule]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.rules = rules
        self.calls: list[Conversation] = []
        self.lock = Lock()
        self.watch: Callable[[], None] | None = None

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that was killed before it read its answer."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@dataclass(slots=True)
class FakeModel:
    """A running fake model; a context manager. `calls` are the requests so far, failed ones included."""

    rules: Sequence[Rule]
    server: Server = field(init=False)
    thread: Thread = field(init=False)

    def __enter__(self) -> Self:
        self.server = Server(self.rules)
        self.thread = Thread(target=self.server.serve_forever, args=(0.05,), name="fake-model", daemon=True)
        self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    @property
    def url(self) -> str:
        """The address without a path, as Anthropic's clients want it."""
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    @property
    def openai_url(self) -> str:
        """The base URL of OpenAI's clients."""
        return f"{self.url}/v1"

    def watch(self, watch: Callable[[], None] | None) -> None:
        """Have this called, in the thread of the request, for every model call before it is answered."""
        with self.server.lock:
            self.server.watch = watch

    @property
    def calls(self) -> list[Conversation]:
        """Every request so far, in the order of their answers."""
        with self.server.lock:
            return list(self.server.calls)
