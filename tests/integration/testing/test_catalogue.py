"""Every case of the catalogue takes the course of plain LangGraph: in memory, each activity delivered twice."""

import pytest

from durablegraph.testing import assert_equals_plain_invoke
from tests.support.catalogue import CASES

ALONE = [case for case in CASES.values() if not case.later]


@pytest.mark.parametrize("case", ALONE, ids=lambda case: case.name)
def test_a_case_delivered_twice_equals_plain_invoke(case):
    assert_equals_plain_invoke(
        case.build(),
        case.input,
        answers=case.answer or (),
        deliver_twice=True,
        config=case.config,
        context=case.context,
        settings={"DURABLEGRAPH_STEPS_PER_EXECUTION": "2", "DURABLEGRAPH_ALLOWED_TYPES": "*"},
    )
