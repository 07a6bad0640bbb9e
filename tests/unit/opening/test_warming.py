"""The thread that imports ahead, and those who wait for it."""

import asyncio
import gc
import logging
import sys
import threading
from types import ModuleType

import pytest

from durablegraph import warming


class Gate(ModuleType):
    """A module that another one's import waits at."""

    def __init__(self) -> None:
        super().__init__("gate_of_this_test")
        self.reached, self.opened = threading.Event(), threading.Event()
        self.imports = 0


@pytest.fixture
def gate(tmp_path, monkeypatch):
    gate = Gate()
    (tmp_path / "slow_module.py").write_text(
        "import gate_of_this_test as gate\ngate.imports += 1\ngate.reached.set()\nassert gate.opened.wait(60)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, gate.__name__, gate)
    yield gate
    gate.opened.set()
    sys.modules.pop("slow_module", None)
    gc.unfreeze()


async def test_who_needs_it_waits_until_all_is_imported_and_others_do_not(gate):
    warming.warm("slow_module")
    waiting = [asyncio.create_task(warming.warmed()) for _ in range(3)]
    await asyncio.to_thread(gate.reached.wait, 60)
    assert not any(task.done() for task in waiting)
    gate.opened.set()
    await asyncio.gather(*waiting)
    assert sys.modules["slow_module"].gate is gate
    await warming.warmed()


async def test_a_second_call_imports_nothing_again(gate):
    warming.warm("slow_module")
    warming.warm("slow_module")
    gate.opened.set()
    await warming.warmed()
    warming.warm("slow_module")
    await warming.warmed()
    assert gate.imports == 1


async def test_what_cannot_be_imported_is_told_and_left_to_who_needs_it(gate, caplog):
    with caplog.at_level(logging.ERROR):
        warming.warm("no_such_module_anywhere")
        await warming.warmed()
    assert "no_such_module_anywhere" in caplog.text
