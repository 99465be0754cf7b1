// Meets a refusal, submits a run and follows it, cancels another: with nats.go.
//
//	NATS_URL=nats://user:password@host:4222 COPPICE_TENANT=default go run . REPOSITORY MODEL
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

type object = map[string]any

// Refused is Coppice's own refusal of a request.
type Refused struct {
	Code, Message string
	Retryable     bool
	Details       struct {
		Issues []struct{ Field, Expected, Received string }
	}
}

func (refused *Refused) Error() string { return refused.Code + ": " + refused.Message }

type Event struct {
	ID, Type string
	Data     struct{ Name, To, State, LandedCommit, Reason string }
}

var tenant = cmp.Or(os.Getenv("COPPICE_TENANT"), "default")

func call(nc *nats.Conn, method string, input, output any) error {
	payload, err := json.Marshal(input)
	if err != nil {
		return err
	}
	answer, err := nc.Request("coppice.api."+tenant+"."+method, payload, 30*time.Second)
	if err != nil { // nats.ErrNoResponders: no service is up.
		return err
	}
	if answer.Header.Get("Nats-Service-Error-Code") != "" {
		var refusal struct{ Error *Refused }
		return cmp.Or[error](json.Unmarshal(answer.Data, &refusal), refusal.Error)
	}
	return json.Unmarshal(answer.Data, output)
}

// follow tells each event of a run once, from its first, however late it is called: an ordered consumer misses none.
func follow(nc *nats.Conn, runID string, tell func(Event) error) error {
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	consumer, err := js.OrderedConsumer(context.Background(), "coppice-events",
		jetstream.OrderedConsumerConfig{FilterSubjects: []string{"coppice.event." + tenant + "." + runID + ".>"}})
	if err != nil {
		return err
	}
	messages, err := consumer.Messages()
	if err != nil {
		return err
	}
	defer messages.Stop()
	for seen := map[string]bool{}; ; {
		message, err := messages.Next()
		if err != nil {
			return err
		}
		var event Event
		if err := json.Unmarshal(message.Data(), &event); err != nil {
			return err
		}
		if seen[event.ID] { // Told twice by a sender that died.
			continue
		}
		seen[event.ID] = true
		if err := tell(event); err != nil || event.Type == "coppice.run-ended" {
			return err
		}
	}
}

// watch submits a run and prints its events; cancelAt names a task's state at which the run is cancelled.
func watch(nc *nats.Conn, request object, cancelAt string) error {
	var run struct{ RunID string }
	if err := call(nc, "run.submit", request, &run); err != nil {
		return err
	}
	fmt.Println("submitted", run.RunID)
	return follow(nc, run.RunID, func(event Event) error {
		data := event.Data
		words := []string{strings.TrimPrefix(event.Type, "coppice."), data.Name, cmp.Or(data.To, data.State), data.LandedCommit, data.Reason}
		fmt.Println(strings.Join(strings.Fields(strings.Join(words, " ")), " "))
		if cancelAt != "" && data.To == cancelAt {
			return call(nc, "run.cancel", object{"runId": run.RunID}, &object{})
		}
		return nil
	})
}

func main() {
	nc, err := nats.Connect(os.Getenv("NATS_URL"), nats.CustomInboxPrefix("_INBOX_"+tenant))
	if err != nil {
		log.Fatal(err)
	}
	defer nc.Close()
	request := func(prompt any) object {
		task := object{"name": "notes", "description": "Write the notes", "prompt": prompt, "model": os.Args[2],
			"agent": object{"kind": "prompt", "file": "go.md"}, "verify": "test -s go.md"}
		// A request's id is yours to choose: sent again, it is the same run.
		return object{"requestId": "go-" + nats.NewInbox(), "repository": os.Args[1], "baseBranch": "main", "tasks": []object{task}}
	}
	var refused *Refused
	if err := call(nc, "run.submit", request(7), &object{}); errors.As(err, &refused) {
		fmt.Println("refused", refused.Code)
		for _, issue := range refused.Details.Issues {
			fmt.Printf("  %s: expected %s, received %s\n", issue.Field, issue.Expected, issue.Received)
		}
	} else if err != nil {
		log.Fatal(err)
	}
	if err := watch(nc, request("Write short notes."), ""); err != nil {
		log.Fatal(err)
	}
	if err := watch(nc, request("Write a long book."), "working"); err != nil {
		log.Fatal(err)
	}
}
