"""Keys and who may call what.

Source: the host's authentication levels: a function's key or the host's opens level `function`, only the master key
opens `admin`, system keys open the webhooks of extensions and nothing else.
"""

import json
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

DURABLE_SYSTEM_KEY = "durabletask_extension"
_KEY_BYTES = 40


@dataclass(frozen=True, slots=True)
class Caller:
    """What a request's key proves. `function` names the function whose own key it is, `system` the system key."""

    admin: bool = False
    host: bool = False
    function: str | None = None
    system: str | None = None

    @property
    def known(self) -> bool:
        """Whether any valid key came with the request."""
        return self.admin or self.host or self.function is not None or self.system is not None

    def may_call(self, function: str, level: str) -> bool:
        """Whether this caller may call `function`, whose trigger has this authentication level."""
        match level.lower():
            case "anonymous":
                return True
            case "function":
                return self.admin or self.host or self.function == function.lower()
        return self.admin


@dataclass(slots=True)
class KeyRing:
    """The keys of one host, kept in a file that only its owner may read."""

    path: Path
    master: str = ""
    host: dict[str, str] = field(default_factory=dict)
    system: dict[str, str] = field(default_factory=dict)
    functions: dict[str, dict[str, str]] = field(default_factory=dict)

    @classmethod
    def open(cls, path: Path) -> "KeyRing":
        """Read the file, or write a first one with fresh keys."""
        ring = cls(path)
        if path.is_file():
            stored = json.loads(path.read_text(encoding="utf-8"))
            ring.master, ring.host = stored["masterKey"], stored["functionKeys"]
            ring.system, ring.functions = stored["systemKeys"], stored["functions"]
        changed = not ring.master
        ring.master = ring.master or fresh_key()
        for keys, name in ((ring.host, "default"), (ring.system, DURABLE_SYSTEM_KEY)):
            if name not in keys:
                keys[name] = fresh_key()
                changed = True
        if changed:
            ring.save()
        return ring

    def save(self) -> None:
        """Write the file anew, atomically."""
        document = {
            "masterKey": self.master,
            "functionKeys": self.host,
            "systemKeys": self.system,
            "functions": self.functions,
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        scratch = self.path.with_suffix(".new")
        descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(document, file, indent=2)
        scratch.replace(self.path)

    def function_keys(self, function: str) -> dict[str, str]:
        """A function's own keys; asked for the first time, it gets one."""
        keys = self.functions.setdefault(function.lower(), {})
        if "default" not in keys:
            keys["default"] = fresh_key()
            self.save()
        return keys

    def caller(self, key: str | None) -> Caller:
        """What the key proves."""
        if not key:
            return Caller()
        if _same(key, self.master):
            return Caller(admin=True)
        if any(_same(key, each) for each in self.host.values()):
            return Caller(host=True)
        for function, keys in self.functions.items():
            if any(_same(key, each) for each in keys.values()):
                return Caller(function=function)
        for name, each in self.system.items():
            if _same(key, each):
                return Caller(system=name)
        return Caller()


def fresh_key() -> str:
    """A new key, safe inside a URL."""
    return secrets.token_urlsafe(_KEY_BYTES)


def _same(given: str, stored: str) -> bool:
    return secrets.compare_digest(given.encode(), stored.encode())
