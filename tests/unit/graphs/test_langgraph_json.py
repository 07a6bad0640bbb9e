"""``langgraph.json`` is read as LangGraph's own tools read it, and what is wrong in it is said with what to do."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from durablegraph.errors import ConfigurationError
from durablegraph.graphs.langgraph_json import read
from durablegraph.graphs.sources import Source
from durablegraph.model.fan_out import FanOutPolicy

RUNNING = f"{sys.version_info.major}.{sys.version_info.minor}"


def written(folder: Path, content: Any) -> Path:
    path = folder / "langgraph.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_graphs_are_named_by_path_or_module_or_object(tmp_path: Path) -> None:
    app = read(
        written(
            tmp_path,
            {
                "graphs": {
                    "a": "./graphs/a.py:graph",
                    "b": "package.module:make.graph",
                    "c": {"path": "./c.py:graph", "description": "the third"},
                }
            },
        )
    )
    assert app.graphs == {
        "a": Source("./graphs/a.py", "graph"),
        "b": Source("package.module", "make.graph"),
        "c": Source("./c.py", "graph", "the third"),
    }
    assert app.folder == tmp_path
    assert not app.notices


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is not JSON.*line 1"),
        ("[]", "expected an object"),
        ({}, '"graphs" is null.*at least one graph'),
        ({"graphs": {}}, "at least one graph"),
        ({"graphs": {"a": 1}}, "graph 'a' is 1; expected"),
        ({"graphs": {"a": "./a.py"}}, 'expected "./path/to/file.py:attribute"'),
        ({"graphs": {"a": "./a.py:not a name"}}, "after the last ':'"),
        ({"graphs": {"a": ":graph"}}, "after the last ':'"),
        ({"graphs": {"a": "./a.ts:graph"}}, "JavaScript"),
        ({"graphs": {"a b": "./a.py:graph"}}, "cannot name a graph"),
        ({"graphs": {"a": "./a.py:graph"}, "env": ["X"]}, "dotenv file, or an object"),
        ({"graphs": {"a": "./a.py:graph"}, "env": ".env.missing"}, "does not exist. Create it"),
        ({"graphs": {"a": "./a.py:graph"}, "dependencies": "."}, "expected a list"),
        ({"graphs": {"a": "./a.py:graph"}, "dependencies": ["./missing"]}, "is not a folder"),
        ({"graphs": {"a": "./a.py:graph"}, "python_version": 3.11}, "expected a string"),
    ],
    ids=str,
)
def test_what_is_wrong_is_said(tmp_path: Path, content: Any, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as error:
        read(written(tmp_path, content))
    assert str(tmp_path) in str(error.value)


def test_a_graph_may_have_a_policy_for_fan_out(tmp_path: Path) -> None:
    policy = {"when": "never", "width": 3, "failures": "at_least:80%"}
    app = read(written(tmp_path, {"graphs": {"a": {"path": "./a.py:graph", "fan_out": policy}}}))
    assert app.graphs["a"].fan_out == FanOutPolicy(when="never", width=3, failures="at_least:80%")


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ({"failures": "at_least:0"}, 'graph .a.: "fan_out" is wrong: failures is "at_least:0".*at_least:3'),
        ({"failures": "at_least:101%"}, 'failures is "at_least:101%"'),
        ({"width": 0}, "width is 0.*1 to 1000"),
        ({"wide": 5}, "wide is 5.*Extra"),
        ("always", 'fan_out is "always".*Expected an object'),
    ],
)
def test_a_wrong_policy_is_said(tmp_path: Path, policy: Any, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        read(written(tmp_path, {"graphs": {"a": {"path": "./a.py:graph", "fan_out": policy}}}))


def test_a_missing_file_says_how_to_write_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="Create it with"):
        read(tmp_path / "langgraph.json")


def test_variables_come_from_a_dotenv_file_or_from_the_file_itself(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("A=1\nB='two words'\n# no\nEMPTY\n")
    graphs = {"a": "./a.py:graph"}
    assert read(written(tmp_path, {"graphs": graphs, "env": ".env"})).env == {"A": "1", "B": "two words"}
    assert read(written(tmp_path, {"graphs": graphs, "env": {"A": "1", "N": 2}})).env == {"A": "1", "N": "2"}


def test_folders_of_dependencies_are_searched_with_their_src(tmp_path: Path) -> None:
    (tmp_path / "own" / "src").mkdir(parents=True)
    app = read(written(tmp_path, {"graphs": {"a": "./a.py:graph"}, "dependencies": [".", "./own"]}))
    assert app.search == (tmp_path, tmp_path / "own", tmp_path / "own" / "src")


def test_what_is_not_used_is_named_with_what_stands_in_its_place(tmp_path: Path) -> None:
    app = read(
        written(
            tmp_path,
            {
                "graphs": {"a": "./a.py:graph"},
                "checkpointer": {"ttl": {"default_ttl": 60}, "no": 1},
                "http": {"app": "./x.py:app"},
                "dependancies": [],
                "dependencies": ["no-such-package-anywhere>=1", "langgraph>=1"],
                "python_version": "3.99",
            },
        )
    )
    notices = "\n".join(app.notices)
    assert '"checkpointer.ttl" is not used' in notices
    assert '"checkpointer.no" is not used' in notices
    assert '"http" is not used' in notices
    assert 'did you mean "dependencies"?' in notices
    assert "pip install 'no-such-package-anywhere>=1'" in notices
    assert f"this is Python {RUNNING}" in notices
    assert "langgraph>=1" not in notices
