"""Sends an invalid request, follows a run to its end, and cancels another run. Uses nats-py.

    NATS_URL=nats://host:4222 NATS_NKEY=tenant-acme.nk COPPICE_TENANT=acme python3 with_nats_py.py REPOSITORY MODEL
"""
import asyncio, json, os, secrets, sys
import nats
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

TENANT = os.environ.get("COPPICE_TENANT", "default")


async def call(nc, method, payload):
    """Returns the method's output, or {"error": {code, message, retryable, details}}. Raises NoRespondersError if no service is running."""
    answer = await nc.request(f"coppice.api.{TENANT}.{method}", json.dumps(payload).encode(), timeout=30)
    return json.loads(answer.data)


async def follow(nc, run_id):
    """Yields all events of a run, also earlier ones, each once. Continues after errors, so no event is lost."""
    js, last, seen = nc.jetstream(), 0, set()
    while True:  # Without a new message, or after a lost one, a new consumer starts after the last event.
        config = ConsumerConfig(
            name=f"follow-{secrets.token_hex(8)}", filter_subject=f"coppice.event.{TENANT}.{run_id}.>", ack_policy=AckPolicy.NONE,
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=last + 1, mem_storage=True, inactive_threshold=60)
        await js.add_consumer("coppice-events", config)
        consumer, count = await js.pull_subscribe_bind(config.name, "coppice-events"), 0
        try:
            while (message := (await consumer.fetch(1, timeout=10))[0]).metadata.sequence.consumer == (count := count + 1):
                last, event = message.metadata.sequence.stream, json.loads(message.data)
                if event["id"] not in seen:
                    seen.add(event["id"])
                    yield event
                if event["type"] == "coppice.run-ended":
                    return
        except (nats.errors.TimeoutError, nats.js.errors.APIError):
            pass
        await consumer.unsubscribe()


async def run(nc, repository, model, prompt, cancel_at=None):
    """Submits a run and prints its events. Cancels the run when the task reaches the state cancel_at."""
    task = {"name": "notes", "description": "Write the notes", "prompt": prompt, "model": model,
            "agent": {"kind": "prompt", "file": "python.md"}, "verify": "test -s python.md"}
    request_id = secrets.token_hex(8)  # A second request with the same id creates no second run.
    answer = await call(nc, "run.submit", {"requestId": request_id, "repository": repository, "baseBranch": "main", "tasks": [task]})
    if error := answer.get("error"):
        print("refused", error["code"])
        for issue in error.get("details", {}).get("issues", []):
            print(f"  {issue['field']}: expected {issue['expected']}, received {issue['received']}")
        return
    print("submitted", answer["runId"])
    async for event in follow(nc, answer["runId"]):
        data = event["data"]
        words = data.get("name"), data.get("to") or data.get("state"), data.get("landedCommit"), data.get("reason")
        print(event["type"].removeprefix("coppice."), *filter(None, words), flush=True)
        if cancel_at and data.get("to") == cancel_at:
            await call(nc, "run.cancel", {"runId": answer["runId"]})


async def main(repository, model):
    key = os.environ.get("NATS_NKEY")  # Path of the file with the seed.
    async with await nats.connect(os.environ["NATS_URL"], nkeys_seed=key, inbox_prefix=f"_INBOX_{TENANT}") as nc:
        await run(nc, repository, model, 7)  # Coppice rejects this request, since a prompt must be text.
        await run(nc, repository, model, "Write short notes.")
        await run(nc, repository, model, "Write a long book.", cancel_at="working")


asyncio.run(main(*sys.argv[1:]))
