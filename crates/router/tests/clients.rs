//! The official Python packages `openai` and `anthropic` against the gateway, in front of endpoints of every dialect.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::process::Command;
use trajforge_router::budget::{Account, Budget};
use trajforge_router::gateway::{AtCap, Exchange, ExchangeEnd, OtherModels, Served, SideCalls};
use trajforge_router::pressure::{Parking, Pressures};
use trajforge_router::{Gateway, GatewaySpec, Scripted, ScriptedReply, SessionSpec};
use trajforge_schema::{Caps, Clock, Dialect, ModelEntry, Timestamp, Unpriced};

/// Two-turn conversations, whole and streamed, in three dialects.
const REPLIES: usize = 2 * 2 * 3;

struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> Timestamp {
        Timestamp(1_700_000_000_000)
    }
}

/// Asks for two tools at once and, given their results, says what came of them.
fn script(request: &Value, _: usize) -> ScriptedReply {
    let call = |id: &str, command: &str| {
        let arguments = json!({ "command": command }).to_string();
        json!({ "id": id, "type": "function", "function": { "name": "bash", "arguments": arguments } })
    };
    let request = request.to_string();
    let has_results = ["\"tool_call_id\"", "\"function_call_output\"", "\"tool_result\""];
    ScriptedReply::Message(if has_results.iter().any(|sign| request.contains(sign)) {
        json!({ "role": "assistant", "content": "There are two files." })
    } else {
        let calls = [call("call_1", "ls -la"), call("call_2", "pwd")];
        json!({ "role": "assistant", "content": "I look around: é 😀.", "tool_calls": calls })
    })
}

async fn gateway() -> Gateway {
    Gateway::start(GatewaySpec {
        address: ([127, 0, 0, 1], 0).into(),
        seed: [7; 32],
        budget: Budget::new(Caps::default(), Arc::new(Stopped), Arc::new(|_| {})),
        pressures: Arc::new(Pressures::new(1)),
        cassette: None,
    })
    .await
    .unwrap()
}

fn session(entry: ModelEntry, record: Arc<Mutex<Vec<Exchange>>>) -> SessionSpec {
    SessionSpec {
        name: entry.dialect.as_str().to_owned(),
        account: Account::default(),
        models: vec![Served { entry, key: None }],
        other_models: OtherModels::Refuse,
        max_steps: None,
        at_cap: AtCap::Unauthorized,
        side_calls: SideCalls::default(),
        unpriced: Unpriced::Refuse,
        gate: None,
        parking: Parking::default(),
        capture: Arc::new(move |exchange| record.lock().unwrap().push(exchange.clone())),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_packages_work_whole_and_streamed_with_tools_and_across_dialects() {
    let exchanges = Arc::<Mutex<Vec<Exchange>>>::default();
    let gateway = gateway().await;
    let (mut upstreams, mut sessions, mut described) = (Vec::new(), Vec::new(), Vec::new());
    for dialect in [Dialect::OpenaiChat, Dialect::OpenaiResponses, Dialect::AnthropicMessages] {
        let upstream = Scripted::start(script).await.unwrap();
        let entry = ModelEntry { dialect, ..upstream.entry("m") };
        let session = gateway.open(session(entry, Arc::clone(&exchanges))).unwrap();
        described.push(json!({
            "dialect": dialect.as_str(), "base_url": session.base_url(),
            "anthropic_base_url": session.anthropic_base_url(), "key": session.key(),
        }));
        upstreams.push(upstream);
        sessions.push(session);
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sessions.json");
    std::fs::write(&file, json!(described).to_string()).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/python/check_clients.sh");
    let checked = Command::new("bash").arg(script).arg(&file).output().await.unwrap();
    let words =
        String::from_utf8_lossy(&checked.stdout).into_owned() + &String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success(), "{words}");
    for session in sessions {
        let report = gateway.close(session).await;
        assert_eq!(report.steps, REPLIES as u64);
    }
    let exchanges = exchanges.lock().unwrap();
    let whole = exchanges.iter().filter(|exchange| exchange.end == ExchangeEnd::Whole);
    assert_eq!(whole.count(), 3 * REPLIES);
}
