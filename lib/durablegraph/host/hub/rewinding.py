"""What rewinding does to a history: failures and what they failed become blanks, so that a replay schedules anew."""

from collections.abc import Sequence

from durablegraph.host.hub.events import Event, EventType, blanked


def rewound(history: Sequence[Event]) -> tuple[list[Event], list[str]]:
    """The history without its failures, and the ids of the children that had failed.

    A failed activity's TaskScheduled goes too, so that the same id is scheduled again; a failed child keeps its record,
    since the child itself is rewound and answers again.
    """
    failed_tasks = {item.members["TaskScheduledId"] for item in history if item.type == EventType.TASK_FAILED}
    failed_children = {item.members["TaskScheduledId"] for item in history if item.type == EventType.CHILD_FAILED}
    children = [
        item.members["InstanceId"]
        for item in history
        if item.type == EventType.CHILD_CREATED and item.members["EventId"] in failed_children
    ]
    return [blanked(item) if _goes(item, failed_tasks) else item for item in history], children


def _goes(item: Event, failed_tasks: set[int]) -> bool:
    if item.type == EventType.TASK_SCHEDULED:
        return item.members["EventId"] in failed_tasks
    return item.type in {EventType.TASK_FAILED, EventType.CHILD_FAILED, EventType.EXECUTION_COMPLETED}
