"""A Functions app that imports nothing of ours: chains of activities that do nothing."""

import azure.durable_functions as df

app = df.DFApp()


@app.activity_trigger(input_name="n")
def nothing(n: int) -> int:
    """Do nothing."""
    return n


@app.orchestration_trigger(context_name="context")
def chain(context: df.DurableOrchestrationContext):  # noqa: ANN201 -- a generator of the SDK's tasks, which have no types
    """`steps` activities one after the other, continuing as new every `cut`."""
    asked = context.get_input()
    for _ in range(min(asked["cut"], asked["steps"])):
        yield context.call_activity("nothing", 1)
    left = asked["steps"] - asked["cut"]
    if left > 0:
        context.continue_as_new({**asked, "steps": left})
        return None
    return "done"
