"""The Functions app: three folders of triggers on one application, the library on the path."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "lib"))

import azure.durable_functions as df
import azure.functions as func

from activities import advance_run, run_tasks
from durablegraph import opening
from http_starters import api, retention, schedules, supervisor
from orchestrators import run_graph

opening.check()  # refuse to start, with a reason, rather than answer every request with an error

app = df.DFApp(http_auth_level=func.AuthLevel.FUNCTION)
for module in (run_graph, advance_run, run_tasks, api, supervisor, retention, schedules):
    app.register_functions(module.blueprint)

opening.import_langgraph()  # in a thread: the host need not wait for it, and the first run waits for less
