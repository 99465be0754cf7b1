#!/usr/bin/env bash
# Sends an invalid request, follows a run to its end, and cancels another run. Uses the commands nats and jq.
#   NATS_URL=nats://host:4222 NATS_NKEY=tenant-acme.nk COPPICE_TENANT=acme bash example.sh REPOSITORY MODEL
set -euo pipefail
tenant=${COPPICE_TENANT:-default}

# Prints the answer to a request. If no service is running, prints only "No responders are available" on stderr.
ask() { nats --inbox-prefix "_INBOX_$tenant" req --raw --timeout 30s "$@"; }
random() { od -An -N8 -tx1 /dev/urandom | tr -d ' \n'; }

# Prints the output of an API method. If the method fails, prints its error (code, message, retryable, details) and fails.
call() {
  local answer
  answer=$(ask "coppice.api.$tenant.$1" "$2")
  jq -c '.error // .' <<<"$answer"
  [[ $answer == '{'* && $answer != '{"error":'* ]]
}

# Prints all events of a run, also earlier ones, one on each line.
follow() {
  local name subject event
  name=follow-$(random)
  subject="coppice.event.$tenant.$1.>"
  ask "\$JS.API.CONSUMER.CREATE.coppice-events.$name.$subject" "{\"stream_name\": \"coppice-events\", \"config\": {
    \"name\": \"$name\", \"filter_subject\": \"$subject\", \"ack_policy\": \"none\", \"mem_storage\": true,
    \"inactive_threshold\": 60000000000}}" | jq -e 'has("error") | not' >/dev/null
  until [[ ${event:-} == *'"type":"coppice.run-ended"'* ]]; do
    event=$(ask "\$JS.API.CONSUMER.MSG.NEXT.coppice-events.$name" '{"batch": 1, "expires": 10000000000}' 2>&1) || true
    case $event in
      '{'*) printf '%s\n' "$event" ;;
      'nil body' | '') ;; # No new event.
      *) printf '%s\n' "$event" >&2 && return 1 ;; # The server or the consumer no longer exists. A caller can call follow again.
    esac
  done
}

# Submits a run and prints its events. Cancels the run when the task reaches the state in the second argument.
watch() {
  local answer run event
  answer=$(call run.submit "$1") || { printf '%s\n' "$answer" >&2 && return 1; }
  run=$(jq -r .runId <<<"$answer")
  echo "submitted $run"
  follow "$run" | while read -r event; do
    jq -r '[(.type | ltrimstr("coppice.")), (.data | .name, .to // .state, .landedCommit, .reason) | values] | join(" ")' <<<"$event"
    [[ -z ${2:-} || $event != *"\"to\":\"$2\""* ]] || call run.cancel "{\"runId\": \"$run\"}" >/dev/null
  done
}

request() {
  # The client chooses the request id. A second request with the same id creates no second run.
  jq -nc --arg id "shell-$(random)" --arg repository "$1" --arg model "$2" --argjson prompt "$3" '
    {requestId: $id, $repository, baseBranch: "main", tasks: [{name: "notes", description: "Write the notes", $prompt, $model,
      agent: {kind: "prompt", file: "shell.md"}, verify: "test -s shell.md"}]}'
}

refusal=$(call run.submit "$(request "$1" "$2" 7)") ||
  jq -r '"refused \(.code)", (.details.issues[] | "  \(.field): expected \(.expected), received \(.received)")' <<<"$refusal"
watch "$(request "$1" "$2" '"Write short notes."')"
watch "$(request "$1" "$2" '"Write a long book."')" working
