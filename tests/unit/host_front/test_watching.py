from pathlib import Path

import pytest

from durablegraph.host.watching import is_app_file

ROOT, STATE = Path("/app"), Path("/app/.durablegraph")


@pytest.mark.parametrize(
    ("path", "matters"),
    [
        ("function_app.py", True),
        ("shared/deep/code.py", True),
        ("langgraph.json", True),
        ("output/result.json", False),
        ("notes.txt", False),
        ("tests/test_it.py", False),
        (".venv/lib/site.py", False),
        ("shared/__pycache__/code.py", False),
        (".hidden/code.py", False),
        (".durablegraph/x.py", False),
    ],
)
def test_a_change_matters_when_it_can_change_the_app(path, matters):
    assert is_app_file(ROOT / path, ROOT, STATE) is matters


def test_a_state_folder_inside_the_app_is_not_the_app_whatever_its_name():
    assert is_app_file(ROOT / "state/generated.py", ROOT, ROOT / "state") is False
