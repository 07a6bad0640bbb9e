"""The notes are read whole, and the report shows what was seen."""

import json
from dataclasses import replace
from xml.etree import ElementTree as ET

from proof.notes import Notebook, open_tasks
from proof.oracle import plain
from proof.page import page
from proof.table import row, summary
from proof.timeline import timeline, works
from tests.unit.proof.test_judge import GOOD, KILL, NOTES, A


def test_half_a_line_waits_for_its_other_half(tmp_path):
    book = Notebook(tmp_path / "notes")
    line = json.dumps({"kind": "begin", "node": "work", "step": 1, "task": "t", "at": 1.0}) + "\n"
    assert book.read() == []
    book.path.write_text(line + line[:10])
    assert len(book.read()) == 1
    with book.path.open("a") as file:
        file.write(line[10:])
    assert [note.step for note in book.read()] == [1, 1]


def test_a_task_is_open_until_it_has_ended():
    assert [note.task for note in open_tasks(list(NOTES[:3]))] == ["t2"]
    assert open_tasks(list(NOTES)) == []


def test_an_execution_without_an_end_was_cut_off_by_the_next_kill():
    assert [(work.note.step, work.cut) for work in works(GOOD) if work.cut] == [(2, 1)]


def test_the_timeline_is_well_formed_and_shows_each_kill():
    picture = ET.fromstring(timeline(GOOD))  # noqa: S314 -- our own text
    marks = [each for each in picture.iter("g") if each.get("class", "").startswith("mark")]
    assert len(marks) == len(GOOD.kills)


def test_the_report_names_the_findings_and_needs_no_other_file():
    text = page(GOOD, ["the state's 'n' is <4>"])
    assert "Not proven" in text
    assert "&lt;4&gt;" in text
    assert "http" not in text
    assert "src=" not in text
    assert "Proven" in page(GOOD, [])


def test_the_table_tells_where_a_kill_was_and_the_summary_the_verdict():
    assert "inside an activity" in row(replace(KILL, where="inside an activity: 'work'"))
    assert "  - no" in summary(GOOD, ["no"])
    assert "NOT PROVEN" in summary(GOOD, ["no"])
    assert "PROVEN" in summary(GOOD, [])


async def test_plain_invoke_takes_forty_super_steps_and_three_answers():
    outcome = await plain({"log": ["begin"]}, {"Go on?": A, "Still go on?": A, "Finish it?": A})
    assert outcome.values["n"] == 40
    assert outcome.history[-1][0] == 40
    assert [each["answer"] for each in outcome.values["answers"]] == [A, A, A]
    assert len(outcome.values["log"]) == 1 + 37 + 3 * 3
