"""Timer triggers in the real command."""

import json
import time

from tests.support.embedded import hosting, write_app

APP = """
    import json, os
    from pathlib import Path
    import azure.functions as func

    app = func.FunctionApp()

    def note(name, timer):
        with (Path(os.environ["NOTES"]) / name).open("a") as file:
            file.write(json.dumps({"past_due": timer.past_due, "status": timer.schedule_status}) + "\\n")

    @app.timer_trigger(arg_name="timer", schedule="*/1 * * * * *")
    def often(timer: func.TimerRequest):
        note("often", timer)

    @app.timer_trigger(arg_name="timer", schedule="%NIGHTLY%", run_on_startup=True)
    async def nightly(timer: func.TimerRequest):
        note("nightly", timer)

    @app.timer_trigger(arg_name="timer", schedule="0 0 3 * * *")
    def missed(timer: func.TimerRequest):
        note("missed", timer)

    @app.timer_trigger(arg_name="timer", schedule="not a schedule")
    def wrong(timer: func.TimerRequest):
        note("wrong", timer)
"""


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def wait_for(path, count, seconds=15.0):
    begun = time.monotonic()
    while len(lines(path)) < count:
        assert time.monotonic() - begun < seconds, f"{path.name}: {lines(path)}"
        time.sleep(0.05)


def test_timers_run_on_schedule_on_startup_and_make_up_what_was_missed(tmp_path):
    app = write_app(tmp_path / "app", APP)
    state = app / ".durablegraph"
    with hosting(app, NOTES=str(tmp_path), NIGHTLY="0 0 2 * * *") as host:
        wait_for(tmp_path / "often", 2)
        wait_for(tmp_path / "nightly", 1)
        assert "The 'wrong' function is in error: The schedule expression 'not a schedule'" in host.log
        assert lines(tmp_path / "missed") == []
        assert host.post("/admin/functions/missed", json={"input": ""}).status_code == 202
        wait_for(tmp_path / "missed", 1)
        assert host.stop() == 0
    known = json.loads((state / "timers.json").read_text())
    long_ago = dict.fromkeys(known["missed"], "2026-01-01T03:00:00+00:00")
    (state / "timers.json").write_text(json.dumps({**known, "missed": long_ago}))
    with hosting(app, NOTES=str(tmp_path), NIGHTLY="0 0 2 * * *"):
        wait_for(tmp_path / "missed", 2)
    made_up = lines(tmp_path / "missed")[1]
    assert made_up["past_due"] is True
    assert made_up["status"]["Last"] == "2026-01-01T03:00:00+00:00"


def test_a_disabled_timer_does_not_run(tmp_path):
    app = write_app(tmp_path / "app", APP)
    switched_off = {"AzureWebJobs.often.Disabled": "true", "NIGHTLY": "0 0 2 * * *", "NOTES": str(tmp_path)}
    (app / "local.settings.json").write_text(json.dumps({"Values": switched_off}))
    with hosting(app):
        wait_for(tmp_path / "nightly", 1)
        time.sleep(2.2)
    assert lines(tmp_path / "often") == []
