//! What a model was sent can be told from the record, however often its conversation was made shorter.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use trajforge_pipeline::recorded;
use trajforge_pipeline::trajectory::sent;
use trajforge_router::ScriptedReply;
use trajforge_schema::{Caps, CondensationMethod, Ending};

use super::bench::{Bench, Order, call};

/// Files that it writes, one a turn, before it submits.
const FILES: usize = 12;

/// Writes long files one after the other; asked for a summary, it says which ones are there.
fn writes(request: &Value) -> ScriptedReply {
    let text = request["messages"].to_string();
    let is_done = |number: &usize| text.contains(&format!("file-{number}."));
    let done: Vec<String> = (0..FILES).filter(is_done).map(|number| format!("file-{number}.")).collect();
    if text.contains("about to outgrow") {
        return ScriptedReply::Message(json!({ "role": "assistant", "content": done.join(" ") }));
    }
    match (0..FILES).find(|number| !is_done(number)) {
        Some(number) => {
            let content = "A line of this file.\n".repeat(200);
            call("write", &json!({ "path": format!("file-{number}.txt"), "content": content }))
        }
        None => call("submit", &json!({})),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_model_was_sent_follows_from_the_record() {
    let bench = Bench::new().model("m", 1.0, |request, _| writes(request)).await.with_context("m", 6_000);
    let order =
        Order { seeds: "0..1", models: vec!["m".to_owned()], caps: Caps::default(), ..Order::default() };
    assert!(bench.run(&order).await.unwrap().complete);
    let trajectory = recorded(&bench.path(), "").unwrap();
    assert_eq!(trajectory.summary.as_ref().unwrap().ending, Ending::Submitted);
    assert_eq!(trajectory.steps.len(), FILES + 1);
    let methods: Vec<CondensationMethod> =
        trajectory.turns.iter().flat_map(|turn| &turn.condensations).map(|one| one.method).collect();
    assert!(methods.len() >= 2 && methods.iter().all(|method| *method == CondensationMethod::Summary));
    let was_sent: BTreeSet<String> =
        bench.servers["m"].requests().iter().map(|request| request["messages"].to_string()).collect();
    for turn in &trajectory.turns {
        let told = json!(sent(&trajectory, turn.turn)).to_string();
        assert!(was_sent.contains(&told), "turn {}", turn.turn);
    }
    assert_eq!(was_sent.len(), trajectory.turns.len() + methods.len());
}
