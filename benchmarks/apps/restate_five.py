"""Five durable steps as a Restate service."""

import restate

service = restate.Service("Five")


@service.handler()
async def run(context: restate.Context, n: int) -> int:
    """Count five steps, each journalled."""
    for at in range(5):
        n = await context.run(f"step{at}", lambda n=n: n + 1)
    return n


app = restate.app([service])
