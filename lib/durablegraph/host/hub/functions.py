"""Which durable functions an app has. Durable names are compared without case."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from durablegraph.host.hub.failures import unknown_function
from durablegraph.host.invocation import FunctionIndex

_KINDS = ("orchestrator", "activity", "entity")


@dataclass(frozen=True, slots=True)
class Functions:
    """By kind and lower-case durable name: the durable name as registered, and the function's own name for calls.

    `bindings` gives the trigger's parameter name of each function by its own name.
    """

    names: Mapping[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    bindings: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, index: FunctionIndex) -> "Functions":
        """The durable functions of an index."""
        durable = [function for function in index.functions if function.kind in _KINDS]
        return cls(
            {
                (function.kind, function.durable_name.lower()): (function.durable_name, function.name)
                for function in durable
            },
            {function.name: function.trigger.name for function in durable},
        )

    @classmethod
    def named(cls, **kinds: list[str]) -> "Functions":
        """By plain names, for hubs without an app: ``Functions.named(orchestrator=["a"], activity=["b"])``."""
        return cls({(kind, name.lower()): (name, name) for kind, names in kinds.items() for name in names})

    def function(self, name: str, kind: str) -> str | None:
        """The function to call, None when there is none. `kind` is orchestrator, activity or entity."""
        found = self.names.get((kind, name.lower()))
        return None if found is None else found[1]

    def unknown(self, name: str, kind: str) -> str:
        """The extension's refusal of a name that is not registered."""
        return unknown_function(name, kind, [names[0] for (of, _), names in self.names.items() if of == kind])
