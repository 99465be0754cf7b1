import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.nats.client.*;
import io.nats.client.api.*;
import java.time.Duration;
import java.util.*;
import java.util.stream.*;

/**
 * Meets a refusal, submits a run and follows it, cancels another: with jnats.
 *
 * <p>NATS_URL=nats://user:password@host:4222 COPPICE_TENANT=default java -cp 'lib/*' Example.java REPOSITORY MODEL
 */
class Example {
  static final String TENANT = System.getenv().getOrDefault("COPPICE_TENANT", "default");
  static final ObjectMapper JSON = new ObjectMapper();

  /** Coppice's own refusal: code, message, retryable, details. */
  static class Refused extends Exception {
    final JsonNode error;

    Refused(JsonNode error) {
      super(error.path("code").asText() + ": " + error.path("message").asText());
      this.error = error;
    }
  }

  static JsonNode call(Connection nats, String method, Object input) throws Exception {
    var subject = "coppice.api." + TENANT + "." + method;
    // Fails with the status 503 when no service is up; without reportNoResponders it would say nothing of the cause.
    var answer = nats.requestWithTimeout(subject, JSON.writeValueAsBytes(input), Duration.ofSeconds(30)).get();
    var output = JSON.readTree(answer.getData());
    if (answer.hasHeaders() && answer.getHeaders().containsKey("Nats-Service-Error-Code")) throw new Refused(output.get("error"));
    return output;
  }

  interface Listener {
    void event(JsonNode event) throws Exception;
  }

  /** Tells each event of a run once, from its first, however late it is called and whatever was lost on the way. */
  static void follow(Connection nats, String runId, Listener listener) throws Exception {
    var last = 0L;
    var seen = new HashSet<String>();
    while (true) { // Nothing new for a while, or something missing: read on after the last one.
      var name = "follow-" + UUID.randomUUID();
      nats.jetStreamManagement().createConsumer("coppice-events", ConsumerConfiguration.builder()
          .name(name).filterSubject("coppice.event." + TENANT + "." + runId + ".>").ackPolicy(AckPolicy.None)
          .deliverPolicy(DeliverPolicy.ByStartSequence).startSequence(last + 1)
          .memStorage(true).inactiveThreshold(Duration.ofMinutes(1)).build());
      var subscription = nats.jetStream().subscribe(null, PullSubscribeOptions.fastBind("coppice-events", name));
      for (var count = 1L; ; count++) {
        var messages = subscription.fetch(1, Duration.ofSeconds(10));
        if (messages.isEmpty() || messages.get(0).metaData().consumerSequence() != count) break;
        last = messages.get(0).metaData().streamSequence();
        var event = JSON.readTree(messages.get(0).getData());
        if (seen.add(event.path("id").asText())) listener.event(event);
        if (event.path("type").asText().equals("coppice.run-ended")) return;
      }
      subscription.unsubscribe();
    }
  }

  /** Submits a run and prints its events; cancelAt names a task's state at which the run is cancelled. */
  static void watch(Connection nats, Map<String, ?> request, String cancelAt) throws Exception {
    var runId = call(nats, "run.submit", request).path("runId").asText();
    System.out.println("submitted " + runId);
    follow(nats, runId, event -> {
      var data = event.path("data");
      var words = Stream.of("name", "to", "state", "landedCommit", "reason").map(data::path).filter(JsonNode::isTextual).map(JsonNode::asText);
      System.out.println(event.path("type").asText().replace("coppice.", "") + words.map(" "::concat).collect(Collectors.joining()));
      if (data.path("to").asText().equals(cancelAt)) call(nats, "run.cancel", Map.of("runId", runId));
    });
  }

  static Map<String, ?> request(String repository, String model, Object prompt) {
    var task = Map.of("name", "notes", "description", "Write the notes", "prompt", prompt, "model", model,
        "agent", Map.of("kind", "prompt", "file", "java.md"), "verify", "test -s java.md");
    // A request's id is yours to choose: sent again, it is the same run.
    return Map.of("requestId", "java-" + UUID.randomUUID(), "repository", repository, "baseBranch", "main", "tasks", List.of(task));
  }

  public static void main(String[] arguments) throws Exception {
    var options = Options.builder().server(System.getenv("NATS_URL")).inboxPrefix("_INBOX_" + TENANT + ".").reportNoResponders().build();
    try (var nats = Nats.connect(options)) {
      try {
        call(nats, "run.submit", request(arguments[0], arguments[1], 7));
      } catch (Refused refused) {
        System.out.println("refused " + refused.error.path("code").asText());
        for (var issue : refused.error.path("details").path("issues")) {
          System.out.printf("  %s: expected %s, received %s%n", issue.path("field").asText(), issue.path("expected").asText(), issue.path("received").asText());
        }
      }
      watch(nats, request(arguments[0], arguments[1], "Write short notes."), null);
      watch(nats, request(arguments[0], arguments[1], "Write a long book."), "working");
    }
  }
}
