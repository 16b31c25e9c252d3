//! The gate: what is held, what is let through, and in which order it is heard of.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use trajforge_router::gateway::{Gate, Knock, SideCalls, SideRule};
use trajforge_router::{ScriptedReply, SessionSpec};
use trajforge_schema::{Caps, Dialect};

use super::{Bench, ask, hello};

const CHAT: Dialect = Dialect::OpenaiChat;

type Waiting = (Knock, oneshot::Sender<Result<(), String>>);

/// Hands every request that comes to whoever holds the other end.
struct Door(mpsc::UnboundedSender<Waiting>);

#[async_trait]
impl Gate for Door {
    async fn pass(&self, knock: Knock) -> Result<(), String> {
        let (answer, answered) = oneshot::channel();
        self.0.send((knock, answer)).unwrap();
        answered.await.unwrap()
    }
}

async fn bench() -> (Bench, mpsc::UnboundedReceiver<Waiting>) {
    let (knocks, waiting) = mpsc::unbounded_channel();
    let rule = SideRule { name: "title".to_owned(), system: Some("title".to_owned()), without_tools: true };
    let change = |spec: &mut SessionSpec| {
        spec.gate = Some(Arc::new(Door(knocks)));
        spec.side_calls = SideCalls::new(vec![rule]).unwrap();
    };
    let script = |_: &Value, _: usize| ScriptedReply::Message(hello());
    (Bench::with(CHAT, Caps::default(), change, script).await, waiting)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_is_held_until_it_is_let_through_and_a_side_call_is_not() {
    let (bench, mut waiting) = bench().await;
    let title = json!({ "model": "m", "messages": [{ "role": "system", "content": "Find a title." }] });
    assert_eq!(bench.post(CHAT, &title).await.status, 200);
    let request = bench.request(CHAT, ask(CHAT, true).to_string());
    let asked = tokio::spawn(async move { super::got(request.send().await.unwrap()).await.status });
    let (knock, answer) = waiting.recv().await.unwrap();
    assert_eq!((knock.number, knock.messages[1]["content"].as_str()), (2, Some("hello")));
    assert_eq!(bench.upstream.requests().len(), 1, "the held request has left");
    answer.send(Ok(())).unwrap();
    assert_eq!(asked.await.unwrap(), 200);
    assert_eq!(bench.upstream.requests().len(), 2);
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_is_kept_back_ends_the_session_for_its_client() {
    let (bench, mut waiting) = bench().await;
    let refuse = tokio::spawn(async move {
        let (_, answer) = waiting.recv().await.unwrap();
        answer.send(Err("it is over".to_owned())).unwrap();
        waiting
    });
    for _ in 0..2 {
        let got = bench.post(CHAT, &ask(CHAT, false)).await;
        assert_eq!(got.status, 401);
        assert!(got.text.contains("it is over"), "{}", got.text);
    }
    let mut waiting = refuse.await.unwrap();
    assert!(waiting.try_recv().is_err(), "a session that is over asks at the gate");
    assert_eq!(bench.upstream.requests().len(), 0);
    let (exchanges, report) = bench.end().await;
    assert_eq!((exchanges.len(), report.capped.as_deref()), (2, Some("it is over")));
}

/// Notes each request that comes.
struct Notes(Arc<Mutex<Vec<String>>>);
#[async_trait]
impl Gate for Notes {
    async fn pass(&self, knock: Knock) -> Result<(), String> {
        self.0.lock().unwrap().push(format!("knock {}", knock.number));
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_record_of_a_reply_comes_before_the_knock_of_what_follows_it() {
    let heard = Arc::<Mutex<Vec<String>>>::default();
    let (by_capture, by_gate) = (Arc::clone(&heard), Arc::clone(&heard));
    let change = |spec: &mut SessionSpec| {
        spec.gate = Some(Arc::new(Notes(by_gate)));
        spec.capture = Arc::new(move |exchange| {
            by_capture.lock().unwrap().push(format!("record {}", exchange.number));
        });
    };
    let script = |_: &Value, _: usize| ScriptedReply::Message(hello());
    let bench = Bench::with(CHAT, Caps::default(), change, script).await;
    for number in 0..20 {
        // A client that hangs up as soon as it has what it wants is the hard case.
        let mut response = bench.request(CHAT, ask(CHAT, number % 2 == 0).to_string()).send().await.unwrap();
        while let Some(piece) = response.chunk().await.unwrap() {
            if String::from_utf8_lossy(&piece).contains("[DONE]") {
                break;
            }
        }
    }
    bench.end().await;
    let expected: Vec<String> =
        (1..=20).flat_map(|number| [format!("knock {number}"), format!("record {number}")]).collect();
    assert_eq!(*heard.lock().unwrap(), expected);
}
