// Sends an invalid request, follows a run to its end, and cancels another run. Uses nats.go.
//
//	NATS_URL=nats://host:4222 NATS_NKEY=tenant-acme.nk COPPICE_TENANT=acme go run . REPOSITORY MODEL
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

type object = map[string]any

// Answer is a method's output, or an error in Error.
type Answer struct {
	RunID string
	Error *struct {
		Code    string
		Details struct {
			Issues []struct{ Field, Expected, Received string }
		}
	}
}

type Event struct {
	ID, Type string
	Data     struct{ Name, To, State, LandedCommit, Reason string }
}

var tenant = cmp.Or(os.Getenv("COPPICE_TENANT"), "default")

func must[Value any](value Value, err error) Value {
	if err != nil { // nats.ErrNoResponders means that no service is running.
		log.Fatal(err)
	}
	return value
}

func call(nc *nats.Conn, method string, input object) (answer Answer) {
	message := must(nc.Request("coppice.api."+tenant+"."+method, must(json.Marshal(input)), 30*time.Second))
	must(0, json.Unmarshal(message.Data, &answer))
	return answer
}

// run submits a run and prints its events. It cancels the run when the task reaches the state cancelAt.
func run(nc *nats.Conn, prompt any, cancelAt string) {
	task := object{"name": "notes", "description": "Write the notes", "prompt": prompt, "model": os.Args[2],
		"agent": object{"kind": "prompt", "file": "go.md"}, "verify": "test -s go.md"}
	// The client chooses the request id. A second request with the same id creates no second run.
	answer := call(nc, "run.submit", object{"requestId": nats.NewInbox(), "repository": os.Args[1], "baseBranch": "main", "tasks": []object{task}})
	if refused := answer.Error; refused != nil {
		fmt.Println("refused", refused.Code)
		for _, issue := range refused.Details.Issues {
			fmt.Printf("  %s: expected %s, received %s\n", issue.Field, issue.Expected, issue.Received)
		}
		return
	}
	fmt.Println("submitted", answer.RunID)
	// An ordered consumer delivers all events of the run from the first one on, even those that are older than the consumer.
	events := jetstream.OrderedConsumerConfig{FilterSubjects: []string{"coppice.event." + tenant + "." + answer.RunID + ".>"}}
	messages := must(must(must(jetstream.New(nc)).OrderedConsumer(context.Background(), "coppice-events", events)).Messages())
	defer messages.Stop()
	for seen := map[string]bool{}; ; {
		var event Event
		must(0, json.Unmarshal(must(messages.Next()).Data(), &event))
		if seen[event.ID] { // A sender that crashed may have published the event twice.
			continue
		}
		seen[event.ID] = true
		data := event.Data
		words := []string{strings.TrimPrefix(event.Type, "coppice."), data.Name, cmp.Or(data.To, data.State), data.LandedCommit, data.Reason}
		fmt.Println(strings.Join(strings.Fields(strings.Join(words, " ")), " "))
		if cancelAt != "" && data.To == cancelAt {
			call(nc, "run.cancel", object{"runId": answer.RunID})
		}
		if event.Type == "coppice.run-ended" {
			return
		}
	}
}

func main() {
	options := []nats.Option{nats.CustomInboxPrefix("_INBOX_" + tenant)}
	if key := os.Getenv("NATS_NKEY"); key != "" {
		options = append(options, must(nats.NkeyOptionFromSeed(key)))
	}
	nc := must(nats.Connect(os.Getenv("NATS_URL"), options...))
	defer nc.Close()
	run(nc, 7, "") // Coppice rejects this request, since a prompt must be text.
	run(nc, "Write short notes.", "")
	run(nc, "Write a long book.", "working")
}
