//! Sends an invalid request, follows a run to its end, and cancels another run. Uses async-nats.
//!
//!     NATS_URL=nats://host:4222 NATS_NKEY=tenant-acme.nk COPPICE_TENANT=acme cargo run -- REPOSITORY MODEL

use std::{collections::HashSet, env, error::Error, fs, time::Duration};

use async_nats::jetstream::{self, consumer::DeliverPolicy, consumer::pull::OrderedConfig};
use async_nats::{Client, ConnectOptions, ServerAddr};
use futures_util::StreamExt;
use serde_json::{Value, json};

type Failure = Box<dyn Error + Send + Sync>;

struct Coppice {
    nats: Client,
    tenant: String,
}

impl Coppice {
    /// Calls a method. The inner result is the method's output, or Coppice's error with code, message, retryable and details.
    async fn call(&self, method: &str, input: &Value) -> Result<Result<Value, Value>, Failure> {
        let subject = format!("coppice.api.{}.{method}", self.tenant);
        // Fails with RequestErrorKind::NoResponders if no service is running.
        let answer = self.nats.request(subject, input.to_string().into()).await?;
        let mut output: Value = serde_json::from_slice(&answer.payload)?;
        let refused = answer.headers.is_some_and(|headers| headers.get("Nats-Service-Error-Code").is_some());
        Ok(if refused { Err(output["error"].take()) } else { Ok(output) })
    }

    fn unique(&self) -> String {
        self.nats.new_inbox().rsplit('.').next().unwrap_or_default().to_string()
    }

    /// Submits a run and prints its events. Cancels the run when the task reaches the state `cancel_at`.
    async fn watch(&self, request: &Value, cancel_at: Option<&str>) -> Result<(), Failure> {
        let run = self.call("run.submit", request).await?.map_err(|error| error.to_string())?;
        let run_id = run["runId"].as_str().ok_or("no run id")?;
        println!("submitted {run_id}");
        let stream = jetstream::new(self.nats.clone()).get_stream_no_info("coppice-events").await?;
        let (mut last, mut seen) = (0, HashSet::new());
        loop {
            // An ordered consumer delivers all events of the run, also earlier ones. If a restarted server loses the consumer, the loop
            // creates another one, which starts after the last event. The consumer needs a name. Only then does the subject of the
            // request that creates it contain the filter, which the server's permissions check.
            let config = OrderedConfig {
                name: Some(format!("follow-{}", self.unique())),
                filter_subject: format!("coppice.event.{}.{run_id}.>", self.tenant),
                deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: last + 1 },
                ..Default::default()
            };
            let mut messages = stream.create_consumer(config).await?.messages().await?;
            while let Some(Ok(message)) = messages.next().await {
                last = message.info()?.stream_sequence;
                let event: Value = serde_json::from_slice(&message.payload)?;
                // A sender that crashed may have published the event twice.
                if !seen.insert(event["id"].to_string()) { continue }
                let data = &event["data"];
                let kind = event["type"].as_str().unwrap_or_default().trim_start_matches("coppice.");
                let words = ["name", "to", "state", "landedCommit", "reason"].iter().filter_map(|field| data[field].as_str());
                println!("{}", std::iter::once(kind).chain(words).collect::<Vec<_>>().join(" "));
                if cancel_at.is_some() && data["to"].as_str() == cancel_at {
                    self.call("run.cancel", &json!({ "runId": run_id })).await?.map_err(|error| error.to_string())?;
                }
                if kind == "run-ended" {
                    return Ok(());
                }
            }
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [repository, model] = arguments.as_slice() else { return Err("usage: REPOSITORY MODEL".into()) };
    let tenant = env::var("COPPICE_TENANT").unwrap_or("default".into());
    let server: ServerAddr = env::var("NATS_URL")?.parse()?;
    let (user, password) = (server.username().unwrap_or_default(), server.password().unwrap_or_default());
    let options = match env::var("NATS_NKEY") {
        Ok(file) => ConnectOptions::with_nkey(fs::read_to_string(file)?.trim().into()),
        // The client ignores a user and password in a URL.
        Err(_) => ConnectOptions::with_user_and_password(user.into(), password.into()),
    }
    .custom_inbox_prefix(format!("_INBOX_{tenant}"))
    .request_timeout(Some(Duration::from_secs(30)));
    let coppice = Coppice { nats: options.connect(server).await?, tenant };
    let request = |prompt: Value| json!({
        // The client chooses the request id. A second request with the same id creates no second run.
        "requestId": format!("rust-{}", coppice.unique()),
        "repository": repository,
        "baseBranch": "main",
        "tasks": [{
            "name": "notes", "description": "Write the notes", "prompt": prompt, "model": model,
            "agent": { "kind": "prompt", "file": "rust.md" }, "verify": "test -s rust.md",
        }],
    });
    if let Err(error) = coppice.call("run.submit", &request(json!(7))).await? {
        println!("refused {}", error["code"].as_str().unwrap_or_default());
        for issue in error["details"]["issues"].as_array().into_iter().flatten() {
            let [field, expected, received] = ["field", "expected", "received"].map(|name| issue[name].as_str().unwrap_or_default());
            println!("  {field}: expected {expected}, received {received}");
        }
    }
    coppice.watch(&request(json!("Write short notes.")), None).await?;
    coppice.watch(&request(json!("Write a long book.")), Some("working")).await
}
