"""What durablegraph.testing offers is shown on its page, and what tests do most stands in code that tests run."""

import inspect
import re
from pathlib import Path

import pytest

from durablegraph import testing
from durablegraph.testing import DurableApp, Orchestration, Run
from durablegraph.testing.faults import Storage

PAGE = (Path(__file__).parents[3] / "docs" / "how-to" / "test-your-app.md").read_text(encoding="utf-8")
CODE = "\n".join(re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE))
UNDER_ANOTHER_NAME = {
    "Moment",  # the type of what `after_activity` and the others give
    "Orchestration",  # what `app.orchestrate` gives
    "Run",  # what `app.start` gives
    "CrashNeverCame",  # told in words
}


@pytest.mark.parametrize("name", sorted(set(testing.__all__) - UNDER_ANOTHER_NAME))
def test_every_name_of_the_package_is_on_the_page(name):
    assert re.search(rf"\b{name}\b", PAGE)


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (DurableApp, "start"),
        (DurableApp, "orchestrate"),
        (DurableApp, "crash"),
        (DurableApp, "deliver_twice"),
        (DurableApp, "record_history"),
        (DurableApp, "close"),
        (Run, "until_interrupt"),
        (Run, "answer"),
        (Run, "until_end"),
        (Orchestration, "raise_event"),
        (Orchestration, "until_waiting_for"),
        (Storage, "fail"),
    ],
)
def test_what_tests_do_most_stands_in_code_that_is_run(owner, name):
    assert callable(inspect.getattr_static(owner, name))
    assert f".{name}(" in CODE


@pytest.mark.parametrize(
    "name", ["assert_equals_plain_invoke", "assert_replays", "clock.advance", "app.assert_replays"]
)
def test_what_tests_claim_stands_in_code_that_is_run(name):
    assert f"{name}(" in CODE
