#!/usr/bin/env python3
"""Submits a run to Coppice and follows it to its end. Uses only Python's standard library. A login with a key also needs openssl.

    submit_and_follow.py [--tenant NAME] [--intake] [--bad] SERVER CREDENTIALS_FILE REQUEST_FILE

SERVER is nats://host:port, without TLS. CREDENTIALS_FILE is a JSON file with nkeySeed and tenant, or with user and password.
REQUEST_FILE contains the payload of run.submit. --intake publishes the request to the durable intake, without
waiting for an answer. --bad makes the request invalid, to show an error. Prints a line for each event on stdout.
Exit code: 0 all tasks succeeded, 1 the run did not succeed, 2 the request was rejected, 3 the server can't be used.
"""
import argparse
import base64
import binascii
import hashlib
import json
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse

STREAM = "coppice-events"
SILENCE_SECONDS_MAX = 40  # Longer than a submission (30 s) and a pull may take.
PULL_SECONDS = 10
ATTEMPTS_MAX = 30  # Number of failures in a row, with a second between two attempts.
FINAL_ERRORS = ("'Authorization", "'Permissions", "'Invalid", "'Maximum")  # After other errors, such as 'Server Shutdown', a retry may help.


class NatsError(Exception):
    """The server rejects this client or its request. A retry can't help."""


class Nats:
    """The part of the NATS protocol that this program needs. There is one request at a time."""

    def __init__(self, server, credentials, tenant):
        address = urllib.parse.urlsplit(server)
        self.socket = socket.create_connection((address.hostname, address.port or 4222), SILENCE_SECONDS_MAX)
        self.input = self.socket.makefile("rb")
        self.inbox = f"_INBOX_{tenant}.{secrets.token_hex(11)}"
        self.requests = 0
        info = json.loads(self.input.readline().removeprefix(b"INFO "))  # Contains the server's version, features and nonce.
        options = {**proof_of(credentials, info), "verbose": False, "pedantic": False, "lang": "python", "version": "1",
                   "protocol": 1, "headers": True, "no_responders": True}
        self.send(f"CONNECT {json.dumps(options)}\r\nPING")
        self.receive("PONG")

    def send(self, line, body=None):
        self.socket.sendall(line.encode() + b"\r\n" + (b"" if body is None else body + b"\r\n"))

    def request(self, subject, payload, headers=None):
        """Sends JSON. Returns the answer's headers, reply subject and bytes. The headers contain `Status` if the server itself answers."""
        self.requests += 1
        reply_to, body = f"{self.inbox}.{self.requests}", json.dumps(payload).encode()
        # Subscribes for one message. The subscription's id identifies the answer. A message from a stream keeps its own subject.
        self.send(f"SUB {reply_to} {self.requests}\r\nUNSUB {self.requests} 1")
        if headers is None:
            self.send(f"PUB {subject} {reply_to} {len(body)}", body)
        else:
            head = "NATS/1.0\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items()) + "\r\n"
            head = head.encode()
            self.send(f"HPUB {subject} {reply_to} {len(head)} {len(head) + len(body)}", head + body)
        return self.receive(self.requests)

    def receive(self, awaited):
        """Reads until a message of a subscription or "PONG" arrives. Returns the message's headers, reply subject and bytes."""
        while True:
            line = self.input.readline()
            if not line.endswith(b"\r\n"):
                raise ConnectionError("the server closed the connection")
            verb, *words = line.decode().split()
            if verb == "PING":
                self.send("PONG")
            elif verb == "-ERR":
                raise (NatsError if words[0] in FINAL_ERRORS else ConnectionError)(" ".join(words))
            elif verb in ("MSG", "HMSG"):  # MSG subject sid [reply] total | HMSG subject sid [reply] head total
                sizes = 1 if verb == "MSG" else 2
                total, head = int(words[-1]), int(words[-2]) if verb == "HMSG" else 0
                data = self.input.read(total + 2)[:total]
                if int(words[1]) == awaited:
                    return parse_headers(data[:head].decode()), words[2] if len(words) == 3 + sizes else "", data[head:]
            elif verb == awaited:
                return None

    def close(self):
        self.input.close()
        self.socket.close()


def proof_of(credentials, info):
    """Returns the fields of CONNECT that identify the user. These are user and password, or a key and its Ed25519 signature of the nonce."""
    if "nkeySeed" not in credentials:
        return {"user": credentials["user"], "pass": credentials["password"]}
    seed = base64.b32decode(credentials["nkeySeed"] + "======")[2:34]  # Two bytes for the type precede the seed, and a checksum follows.
    private = bytes.fromhex("302e020100300506032b657004220420") + seed  # PKCS 8 format.
    with tempfile.NamedTemporaryFile() as nonce:
        nonce.write(info["nonce"].encode())
        nonce.flush()
        public = openssl(private, "pkey", "-in", "/dev/stdin", "-pubout", "-outform", "DER")[-32:]
        signature = openssl(private, "pkeyutl", "-sign", "-rawin", "-inkey", "/dev/stdin", "-in", nonce.name)
    key = bytes([20 << 3]) + public  # 20 << 3 is the type of a user's key. Its text starts with U.
    key += binascii.crc_hqx(key, 0).to_bytes(2, "little")
    return {"nkey": base64.b32encode(key).decode(), "sig": base64.urlsafe_b64encode(signature).decode().rstrip("=")}


def openssl(private, *arguments):
    pem = b"-----BEGIN PRIVATE KEY-----\n" + base64.b64encode(private) + b"\n-----END PRIVATE KEY-----\n"
    try:
        return subprocess.run(["openssl", *arguments], input=pem, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as problem:
        raise NatsError(f"no signature: {problem}") from problem


def parse_headers(text):
    first, *lines = text.split("\r\n")
    headers = {name: value.strip() for name, _, value in (line.partition(":") for line in lines) if name}
    if len(first.split()) > 1:  # NATS/1.0 408 Request Timeout
        headers["Status"] = first.split()[1]
    return headers


class Refused(Exception):
    """An error that Coppice returned: code, message, retryable, details."""

    def __init__(self, error):
        super().__init__(error["message"])
        self.error = error


def run_id_of(tenant, request_id):
    """Returns the id of the run that a request creates. A client can compute it before it sends the request."""
    digest = hashlib.sha256()
    for part in ("run", tenant, request_id):
        digest.update(f"{len(part.encode())}:{part}".encode())
    return "r" + base64.b32encode(digest.digest()[:10]).decode().lower()


def submit(nats, tenant, request, intake):
    trace = {"traceparent": f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"}
    if intake:
        answer = nats.request(f"coppice.intake.{tenant}.run", request, trace)
        stored = json.loads(answer[2] or b"{}")
        if "seq" not in stored:
            raise ConnectionError(f"the intake did not take the request: {stored or answer[0]}")
        return run_id_of(tenant, request["requestId"])
    headers, _, body = nats.request(f"coppice.api.{tenant}.run.submit", request, trace)
    if headers.get("Status") == "503":
        raise ConnectionError("nobody serves run.submit: is the orchestrator running?")
    answer = json.loads(body)
    if "Nats-Service-Error-Code" in headers:
        raise Refused(answer["error"])
    return answer["runId"]


def follow(nats, tenant, run_id, after):
    """Yields (stream sequence, event) for each event of a run after a stream sequence. Reads them from their stream, so none is lost."""
    name, subject = f"follow-{secrets.token_hex(8)}", f"coppice.event.{tenant}.{run_id}.>"
    config = {"name": name, "filter_subject": subject, "ack_policy": "none", "deliver_policy": "by_start_sequence",
              "opt_start_seq": after + 1, "mem_storage": True, "inactive_threshold": 60 * 10**9}
    create = {"stream_name": STREAM, "config": config}
    headers, _, body = nats.request(f"$JS.API.CONSUMER.CREATE.{STREAM}.{name}.{subject}", create)
    if "Status" in headers or "error" in json.loads(body):
        raise ConnectionError(f"no consumer: {body.decode() or headers}")
    pull, delivered = {"batch": 1, "expires": PULL_SECONDS * 10**9}, 0
    while True:
        headers, reply, body = nats.request(f"$JS.API.CONSUMER.MSG.NEXT.{STREAM}.{name}", pull)
        if headers.get("Status") in ("404", "408"):  # No new event yet.
            continue
        # $JS.ACK.<stream>.<consumer>.<deliveries>.<stream sequence>.<consumer sequence>.<time>.<pending>
        delivered += 1
        if "Status" in headers or int(reply.split(".")[6]) != delivered:
            raise ConnectionError("the consumer no longer exists, or a message was lost")
        yield int(reply.split(".")[5]), json.loads(body)


def describe(event):
    data, kind = event["data"], event["type"].removeprefix("coppice.")
    if kind == "task-state":
        what = f"{data['name']}: {data['from'] or 'new'} -> {data['to']} {data['reason'] or ''}".rstrip()
    elif kind == "task-ended":
        what = f"{data['name']}: {data['state']} {data['landedCommit'] or data['reason'] or ''}"
    else:
        what = json.dumps({name: value for name, value in data.items() if name != "runId"})
    return f"{event['time']} {kind} {what}"


def follow_to_the_end(connect, tenant, request, intake):
    """Reconnects after a broken connection, and continues after the last event. Another submission creates no second run."""
    run_id, last, seen, attempts = None, 0, set(), 0
    while True:
        nats = None
        try:
            nats = connect()
            run_id = run_id or submit(nats, tenant, request, intake)
            for last, event in follow(nats, tenant, run_id, last):
                attempts = 0
                if event["id"] in seen:  # A sender that crashed may have published the event twice.
                    continue
                seen.add(event["id"])
                print(describe(event), flush=True)
                if event["type"] == "coppice.run-refused":
                    raise Refused(event["data"]["failure"])
                if event["type"] == "coppice.run-ended":
                    return 0 if event["data"]["state"] == "succeeded" else 1
        except (OSError, Refused) as problem:
            attempts += 1
            if (isinstance(problem, Refused) and not problem.error["retryable"]) or attempts == ATTEMPTS_MAX:
                raise
            print(f"{problem}; trying again", file=sys.stderr)
            time.sleep(1)
        finally:
            if nats is not None:
                nats.close()


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("\n\n")[1].strip())
    for name in ("--intake", "--bad"):
        parser.add_argument(name, action="store_true")
    parser.add_argument("--tenant")
    for name in ("server", "credentials_file", "request_file"):
        parser.add_argument(name)
    options = parser.parse_args()
    with open(options.credentials_file, encoding="utf-8") as file:
        credentials = json.load(file)
    tenant = options.tenant or credentials.get("tenant", "default")
    with open(options.request_file, encoding="utf-8") as file:
        request = json.load(file)
    if options.bad:
        request["tasks"][0].update(prompt=7, colour="red")
    try:
        connect = lambda: Nats(options.server, credentials, tenant)
        return follow_to_the_end(connect, tenant, request, options.intake)
    except Refused as refused:
        print(f"refused: {refused.error['code']}: {refused}", file=sys.stderr)
        for issue in refused.error.get("details", {}).get("issues", []):
            print(f"  {issue['field']}: expected {issue['expected']}, received {issue['received']}", file=sys.stderr)
        return 2
    except (NatsError, OSError) as problem:
        print(f"NATS: {problem}", file=sys.stderr)
        return 3


if __name__ == "__main__":
    sys.exit(main())
