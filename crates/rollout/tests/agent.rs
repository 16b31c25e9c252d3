//! What the agent of the native scaffolds does when things don't go by themselves: models over real HTTP, a scripted sandbox.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod ground;

use ground::{Rolled, call, roll, says, terms};
use serde_json::{Value, json};
use trajforge_router::{Scripted, ScriptedReply};
use trajforge_schema::{
    Caps, CondensationMethod, Ending, Limit, Limits, MicroDollars, ModelEntry, Outcome, Tokens,
};

/// A rollout of `tools` against a script.
async fn tools(
    limits: Limits,
    commands: &[(&str, &str)],
    script: impl Fn(&Value, usize) -> Value + Send + Sync + 'static,
) -> (Rolled, Scripted) {
    let server =
        Scripted::start(move |request, count| ScriptedReply::Message(script(request, count))).await.unwrap();
    let rolled = roll("tools", (&server, None), &terms(Caps::default()), limits, commands).await;
    (rolled, server)
}

fn bash(command: &str) -> Value {
    call("bash", &json!({ "command": command }))
}

/// The text of the last message of a request.
fn last(request: &Value) -> &str {
    request["messages"].as_array().unwrap().last().unwrap()["content"].as_str().unwrap()
}

#[tokio::test]
async fn an_agent_in_circles_is_told_once_and_then_ended_with_what_it_has_done() {
    let (rolled, server) = tools(Limits::default(), &[("ls", "a\n")], |_, _| bash("ls")).await;
    assert_eq!(rolled.summary.ending, Ending::Stuck);
    assert_eq!((rolled.steps().len(), rolled.summary.outcome), (8, Outcome::Success));
    let told: Vec<u32> =
        rolled.turns().iter().filter(|turn| !turn.inserted.is_empty()).map(|turn| turn.turn).collect();
    assert_eq!(told, [5]);
    assert!(
        last(&server.requests()[4]).starts_with("You are going in circles: you took the same action four")
    );
}

#[tokio::test]
async fn an_agent_that_finds_another_way_after_the_nudge_goes_on() {
    let (rolled, _) = tools(Limits::default(), &[], |request, _| {
        if last(request).contains("in circles") {
            call("submit", &json!({}))
        } else {
            bash("no-such-command")
        }
    })
    .await;
    assert_eq!((rolled.summary.ending.clone(), rolled.steps().len()), (Ending::Submitted, 4));
}

#[tokio::test]
async fn words_alone_are_asked_again_and_the_third_time_ends_it() {
    let (rolled, server) = tools(Limits::default(), &[], |_, _| says("All is well.")).await;
    assert_eq!(rolled.summary.ending, Ending::Stopped);
    assert_eq!(server.requests().len(), 3);
    assert!(last(&server.requests()[1]).starts_with("Your reply asked for no action."));
}

#[tokio::test]
async fn malformed_calls_are_answered_and_recorded_and_the_third_in_a_row_ends_it() {
    let (rolled, _) = tools(Limits::default(), &[("ls", "")], |_, count| match count {
        2 => bash("ls"),
        _ => call("bash", &json!({ "cmd": count })),
    })
    .await;
    assert_eq!(rolled.summary.ending, Ending::LimitReached { limit: Limit::Malformed });
    let kinds: Vec<&str> = rolled.steps().iter().map(|step| step.action.kind()).collect();
    assert_eq!(kinds, ["invalid", "invalid", "bash", "invalid", "invalid", "invalid"]);
    assert!(rolled.steps()[0].observation.text.contains("missing field `command`"));
}

#[tokio::test]
async fn a_text_reply_that_can_not_be_read_is_asked_again_without_a_step() {
    for (name, unclear, clear) in [
        ("text", "```bash\nls\n```\n```bash\npwd\n```", "Why.\n```submit\nDone.\n```"),
        ("text-xml", "<function=bash><parameter=command>ls", "Why. <function=submit></function>"),
        ("text-react", "Action: bash", "Thought: Why.\nAction: submit\nAction Input: {}"),
    ] {
        let server = Scripted::start(move |request, count| {
            assert!(request["tools"].is_null());
            ScriptedReply::Message(says(if count == 0 { unclear } else { clear }))
        })
        .await
        .unwrap();
        let rolled = roll(name, (&server, None), &terms(Caps::default()), Limits::default(), &[]).await;
        assert_eq!(rolled.summary.ending, Ending::Submitted, "{name}");
        assert_eq!((rolled.turns().len(), rolled.steps().len()), (2, 1), "{name}");
        assert!(last(&server.requests()[1]).contains("carried out. Reply with"), "{name}");
        assert_eq!(rolled.steps()[0].reasoning.trim_end(), "Why.", "{name}");
    }
}

#[tokio::test]
async fn near_the_step_limit_the_agent_is_told_in_time_to_submit() {
    let limits = Limits { steps: 12, ..Limits::default() };
    let (rolled, _) = tools(limits, &[], |request, count| {
        if last(request).starts_with("5 actions are left.") {
            call("submit", &json!({}))
        } else {
            bash(&count.to_string())
        }
    })
    .await;
    assert_eq!((rolled.summary.ending.clone(), rolled.steps().len()), (Ending::Submitted, 8));
    let limits = Limits { steps: 12, ..Limits::default() };
    let (rolled, server) = tools(limits, &[], |_, count| bash(&count.to_string())).await;
    assert_eq!(rolled.summary.ending, Ending::LimitReached { limit: Limit::Steps });
    let told = |request: &&Value| request["messages"].to_string().matches("actions are left").count() == 1;
    assert_eq!(server.requests().iter().filter(told).count(), 5);
}

#[tokio::test]
async fn near_the_cap_of_money_the_agent_is_told_too() {
    let server = Scripted::start(|request, count| {
        let told = last(request).contains("% of the budget is left");
        ScriptedReply::Message(if told { call("submit", &json!({})) } else { bash(&count.to_string()) })
    })
    .await
    .unwrap();
    let entry = ModelEntry { output_tokens: 100, ..server.entry("m") };
    let terms = terms(Caps { rollout: Some(MicroDollars(60_000)), ..Caps::default() });
    let rolled = roll("tools", (&server, Some(entry)), &terms, Limits::default(), &[]).await;
    assert_eq!(rolled.summary.ending, Ending::Submitted);
    assert!(rolled.steps().len() > 3, "{}", rolled.steps().len());
}

#[tokio::test]
async fn a_limit_of_tokens_ends_it_with_what_it_has_done() {
    let limits = Limits { tokens: Some(Tokens(500)), ..Limits::default() };
    let (rolled, _) = tools(limits, &[], |_, count| bash(&count.to_string())).await;
    assert_eq!(rolled.summary.ending, Ending::LimitReached { limit: Limit::Tokens });
    assert!(rolled.summary.usage.total() >= Tokens(500) && !rolled.steps().is_empty());
}

#[tokio::test]
async fn log_probabilities_and_token_ids_are_kept_with_the_turn() {
    let message = call("submit", &json!({}));
    let logprobs = json!({ "content": [{ "token": "x", "logprob": -0.5, "top_logprobs": [] }] });
    let response = json!({
        "id": "r", "object": "chat.completion", "model": "m", "prompt_token_ids": [1, 2],
        "choices": [{ "index": 0, "message": message, "finish_reason": "tool_calls", "logprobs": logprobs, "token_ids": [3] }],
        "usage": { "prompt_tokens": 2, "completion_tokens": 1 },
    });
    let server = Scripted::start(move |_, _| ScriptedReply::Response(response.clone())).await.unwrap();
    let rolled = roll("tools", (&server, None), &terms(Caps::default()), Limits::default(), &[]).await;
    let turn = rolled.turns()[0];
    assert_eq!(
        (&turn.logprobs, &turn.token_ids, &turn.prompt_token_ids),
        (&logprobs, &json!([3]), &json!([1, 2]))
    );
}

/// A model that prints a lot with each of so many commands, and then submits.
async fn talkative(commands: usize, summary: &'static str) -> (Rolled, Scripted) {
    let server = Scripted::start(move |request, _| {
        if last(request).contains("about to outgrow") {
            return ScriptedReply::Message(says(summary));
        }
        let text = request["messages"].to_string();
        let next = (0..commands).find(|number| !text.contains(&format!("done {number};")));
        ScriptedReply::Message(match next {
            Some(number) => {
                let mut message = bash(&format!("print {number}"));
                message["content"] = json!(format!("done {number};"));
                message
            }
            None => call("submit", &json!({})),
        })
    })
    .await
    .unwrap();
    let entry = ModelEntry { context_tokens: 6_000, output_tokens: 500, ..server.entry("m") };
    let mut output = "word ".repeat(600);
    output.push('\n');
    let names: Vec<String> = (0..commands).map(|number| format!("print {number}")).collect();
    let commands: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), output.as_str())).collect();
    let limits = Limits::default();
    let rolled = roll("tools", (&server, Some(entry)), &terms(Caps::default()), limits, &commands).await;
    (rolled, server)
}

#[tokio::test]
async fn a_long_conversation_is_summarised_by_the_model_and_the_record_keeps_the_whole() {
    let summary = "done 0; done 1; done 2; done 3; done 4; done 5; done 6; done 7;";
    let (rolled, server) = talkative(8, summary).await;
    let turns = rolled.turns();
    let condensed: Vec<_> = turns.iter().filter(|turn| !turn.condensations.is_empty()).collect();
    assert!(!condensed.is_empty(), "{:?}", rolled.summary);
    let one = &condensed[0].condensations[0];
    let side_call = one.side_call.as_ref().unwrap();
    assert_eq!(
        (one.method, side_call.message["content"].as_str()),
        (CondensationMethod::Summary, Some(summary))
    );
    // What was sent from then on: the prompt, the summary, and the turns that stayed.
    let requests = server.requests();
    let asked = requests.iter().position(|request| last(request).contains("about to outgrow")).unwrap();
    let after = requests[asked + 1]["messages"].as_array().unwrap();
    assert_eq!(after[2]["content"], json!(one.text));
    assert!(one.text.contains(summary) && after[3]["role"] == "assistant");
    assert!(after.len() < requests[asked - 1]["messages"].as_array().unwrap().len());
    // Every result is in the record, whole.
    assert!(rolled.steps().iter().take(3).all(|step| step.observation.text.len() > 2_900));
    // The side call is paid for, and no step.
    let calls = turns.iter().flat_map(|turn| &turn.condensations).filter_map(|one| one.side_call.as_ref());
    let cost: MicroDollars =
        calls.map(|call| call.cost.unwrap()).chain(turns.iter().map(|turn| turn.cost.unwrap())).sum();
    assert_eq!(rolled.summary.cost, Some(cost));
    assert_eq!(
        requests.len(),
        turns.len() + turns.iter().map(|turn| turn.condensations.len()).sum::<usize>()
    );
}

#[tokio::test]
async fn where_the_model_writes_no_summary_old_results_are_hidden() {
    let (rolled, server) = talkative(8, "").await;
    assert_eq!(rolled.summary.ending, Ending::Submitted);
    let turns = rolled.turns();
    let one = turns.iter().flat_map(|turn| &turn.condensations).next().unwrap();
    assert_eq!(one.method, CondensationMethod::Masked);
    let last = server.requests().pop().unwrap();
    let hidden =
        last["messages"].as_array().unwrap().iter().filter(|message| message["content"] == json!(one.text));
    let deepest = turns.iter().flat_map(|turn| &turn.condensations).map(|one| one.last_turn).max();
    assert_eq!(hidden.count(), deepest.unwrap() as usize);
}

#[tokio::test]
async fn a_context_that_is_smaller_than_its_entry_says_is_met_by_hiding_and_one_more_request() {
    let too_long = r#"{"error": {"message": "maximum context length is 1000 tokens", "code": "context_length_exceeded"}}"#;
    let server = Scripted::start(move |request, _| {
        let size = request["messages"].to_string().len();
        let said = request["messages"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|message| message["role"] == "assistant")
            .count();
        match (size > 9_000, said) {
            (true, _) => ScriptedReply::status(400, too_long),
            (false, 3) => ScriptedReply::Message(call("submit", &json!({}))),
            (false, _) => ScriptedReply::Message(bash("print")),
        }
    })
    .await
    .unwrap();
    let output = format!("{}\n", "word ".repeat(600));
    let limits = Limits::default();
    let rolled = roll("tools", (&server, None), &terms(Caps::default()), limits, &[("print", &output)]).await;
    assert_eq!(rolled.summary.ending, Ending::Submitted, "{:?}", rolled.summary.ending);
    let methods: Vec<_> = rolled
        .turns()
        .iter()
        .flat_map(|turn| &turn.condensations)
        .map(|one| (one.method, one.last_turn))
        .collect();
    assert_eq!(methods, [(CondensationMethod::Masked, 2)]);
}
