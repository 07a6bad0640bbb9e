import importlib
import json
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_langgraph_json_names_the_three_graphs_and_each_can_be_imported():
    graphs = json.loads((ROOT / "langgraph.json").read_text())["graphs"]

    assert sorted(graphs) == ["document_pipeline", "expense_approval", "tool_agent"]
    for target in graphs.values():
        path, attribute = target.split(":")
        assert (ROOT / path).is_file()
        assert hasattr(importlib.import_module(f"graphs.{Path(path).stem}"), attribute)
