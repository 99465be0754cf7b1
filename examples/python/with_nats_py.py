"""Meets a refusal, submits a run and follows it, cancels another: with nats-py.

    NATS_URL=nats://user:password@host:4222 COPPICE_TENANT=default python3 with_nats_py.py REPOSITORY MODEL
"""
import asyncio, json, os, secrets, sys
import nats
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

TENANT = os.environ.get("COPPICE_TENANT", "default")


class Refused(Exception):
    """Coppice's own refusal: code, message, retryable, details."""


async def call(nc, method, payload):
    # Raises nats.errors.NoRespondersError when no service is up.
    answer = await nc.request(f"coppice.api.{TENANT}.{method}", json.dumps(payload).encode(), timeout=30)
    output = json.loads(answer.data)
    if "Nats-Service-Error-Code" in (answer.headers or {}):
        raise Refused(output["error"])
    return output


async def follow(nc, run_id):
    """Yields each event of a run once, from its first, however late it is called and whatever was lost on the way."""
    js, last, seen = nc.jetstream(), 0, set()
    while True:  # Nothing new for a while, or something missing: read on after the last one.
        consumer = ConsumerConfig(
            name=f"follow-{secrets.token_hex(8)}", filter_subject=f"coppice.event.{TENANT}.{run_id}.>", ack_policy=AckPolicy.NONE,
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=last + 1, mem_storage=True, inactive_threshold=60)
        await js.add_consumer("coppice-events", consumer)
        subscription, count = await js.pull_subscribe_bind(consumer.name, "coppice-events"), 0
        while message := await next_of(subscription):
            count += 1
            if message.metadata.sequence.consumer != count:
                break
            last, event = message.metadata.sequence.stream, json.loads(message.data)
            if event["id"] not in seen:
                seen.add(event["id"])
                yield event
            if event["type"] == "coppice.run-ended":
                return
        await subscription.unsubscribe()


async def next_of(subscription):
    try:
        return (await subscription.fetch(1, timeout=10))[0]
    except (nats.errors.TimeoutError, nats.js.errors.APIError):
        return None


async def watch(nc, request, cancel_at=None):
    run_id = (await call(nc, "run.submit", request))["runId"]
    print("submitted", run_id, flush=True)
    async for event in follow(nc, run_id):
        data = event["data"]
        words = data.get("name"), data.get("to") or data.get("state"), data.get("landedCommit"), data.get("reason")
        print(event["type"].removeprefix("coppice."), *filter(None, words), flush=True)
        if cancel_at and data.get("to") == cancel_at:
            await call(nc, "run.cancel", {"runId": run_id})


async def main(repository, model):
    nc = await nats.connect(os.environ["NATS_URL"], inbox_prefix=f"_INBOX_{TENANT}")
    task = {"name": "notes", "description": "Write the notes", "prompt": "Write short notes.", "model": model,
            "agent": {"kind": "prompt", "file": "python.md"}, "verify": "test -s python.md"}
    # A request's id is yours to choose: sent again, it is the same run.
    request = {"requestId": f"python-{secrets.token_hex(8)}", "repository": repository, "baseBranch": "main", "tasks": [task]}
    try:
        await call(nc, "run.submit", {**request, "tasks": [{**task, "prompt": 7}]})
    except Refused as refused:
        error = refused.args[0]
        print("refused", error["code"])
        for issue in error["details"]["issues"]:
            print(f"  {issue['field']}: expected {issue['expected']}, received {issue['received']}")
    await watch(nc, request)
    long = {**task, "prompt": "Write a long book."}
    await watch(nc, {**request, "requestId": f"python-{secrets.token_hex(8)}", "tasks": [long]}, cancel_at="working")
    await nc.close()


asyncio.run(main(*sys.argv[1:]))
