import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.nats.client.*;
import io.nats.client.api.*;
import java.nio.file.*;
import java.time.Duration;
import java.util.*;
import java.util.stream.*;

/**
 * Sends an invalid request, follows a run to its end, and cancels another run. Uses jnats.
 *
 * <p>NATS_URL=nats://host:4222 NATS_NKEY=tenant-acme.nk COPPICE_TENANT=acme java -cp 'lib/*' Example.java REPOSITORY MODEL
 */
class Example {
  static final String TENANT = System.getenv().getOrDefault("COPPICE_TENANT", "default");
  static final ObjectMapper JSON = new ObjectMapper();

  /** Returns the method's output, or {"error": {code, message, retryable, details}}. Fails with status 503 if no service is running. */
  static JsonNode call(Connection nats, String method, Object input) throws Exception {
    var subject = "coppice.api." + TENANT + "." + method;
    return JSON.readTree(nats.requestWithTimeout(subject, JSON.writeValueAsBytes(input), Duration.ofSeconds(30)).get().getData());
  }

  /** Prints all events of a run, also earlier ones, each once. Cancels the run when the task reaches the state cancelAt. */
  static void follow(Connection nats, String runId, String cancelAt) throws Exception {
    var last = 0L;
    var seen = new HashSet<String>();
    while (true) { // Without a new message, or after a lost one, a new consumer starts after the last event.
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
        var data = event.path("data");
        if (seen.add(event.path("id").asText())) {
          var words = Stream.of("name", "to", "state", "landedCommit", "reason").map(data::path).filter(JsonNode::isTextual);
          System.out.println(event.path("type").asText().replace("coppice.", "") + words.map(word -> " " + word.asText()).collect(Collectors.joining()));
          if (data.path("to").asText().equals(cancelAt)) call(nats, "run.cancel", Map.of("runId", runId));
        }
        if (event.path("type").asText().equals("coppice.run-ended")) return;
      }
      subscription.unsubscribe();
    }
  }

  static void run(Connection nats, String repository, String model, Object prompt, String cancelAt) throws Exception {
    var task = Map.of("name", "notes", "description", "Write the notes", "prompt", prompt, "model", model,
        "agent", Map.of("kind", "prompt", "file", "java.md"), "verify", "test -s java.md");
    // The client chooses the request id. A second request with the same id creates no second run.
    var request = Map.of("requestId", UUID.randomUUID(), "repository", repository, "baseBranch", "main", "tasks", List.of(task));
    var answer = call(nats, "run.submit", request);
    if (answer.has("error")) {
      System.out.println("refused " + answer.at("/error/code").asText());
      for (var issue : answer.at("/error/details/issues"))
        System.out.printf("  %s: expected %s, received %s%n", issue.path("field").asText(), issue.path("expected").asText(), issue.path("received").asText());
      return;
    }
    System.out.println("submitted " + answer.path("runId").asText());
    follow(nats, answer.path("runId").asText(), cancelAt);
  }

  public static void main(String[] arguments) throws Exception {
    // With reportNoResponders, the error of a request says if no service is running.
    // The client's default timeout of two seconds is too short for a program that starts on a busy machine.
    var options = Options.builder().server(System.getenv("NATS_URL")).connectionTimeout(Duration.ofSeconds(20));
    options.inboxPrefix("_INBOX_" + TENANT + ".").reportNoResponders();
    var key = System.getenv("NATS_NKEY");
    if (key != null) options.authHandler(Nats.staticCredentials(null, Files.readString(Path.of(key)).trim().toCharArray()));
    try (var nats = Nats.connect(options.build())) {
      run(nats, arguments[0], arguments[1], 7, null); // Coppice rejects this request, since a prompt must be text.
      run(nats, arguments[0], arguments[1], "Write short notes.", null);
      run(nats, arguments[0], arguments[1], "Write a long book.", "working");
    }
  }
}
