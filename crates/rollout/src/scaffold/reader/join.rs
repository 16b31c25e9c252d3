//! A scaffold's own record held against the steps that were recorded while it worked: by ids, never by likeness.

use std::collections::BTreeSet;

use serde_json::Value;
use trajforge_schema::{Joined, JoinedStep};

use super::{LiveStep, Observations, ReadStep, Recording};

/// Characters of a text that a difference shows.
const SHOWN: usize = 60;

/// Joins every recorded step with the live one that has its ids, and tells of everything in which the two differ.
pub fn join(steps: &[LiveStep], recording: &Recording) -> Joined {
    let mut joined = Joined::default();
    let mut taken = BTreeSet::new();
    let mut last = 0;
    for (number, read) in recording.steps.iter().enumerate() {
        let free = |live: &&LiveStep| !taken.contains(&live.step);
        let Some(live) = steps.iter().filter(free).find(|live| is_same(live, read)) else {
            joined.differences.push(format!("its step {} ({}) was not seen here", number + 1, name(read)));
            continue;
        };
        taken.insert(live.step);
        joined.exact += 1;
        if live.step < last {
            joined.differences.push(format!("step {} comes later in its own record", live.step));
        }
        last = last.max(live.step);
        compare(live, read, recording.observations, &mut joined.differences);
        joined.steps.push(JoinedStep {
            step: live.step,
            native_id: read.id.clone(),
            exit_code: read.exit_code,
            cwd: read.cwd.clone(),
            observation: read.observation.clone().filter(|_| live.observation.is_empty()),
        });
    }
    for live in steps.iter().filter(|live| !taken.contains(&live.step)) {
        joined.differences.push(format!("step {} is not in its own record", live.step));
    }
    joined.steps.sort_by_key(|step| step.step);
    joined
}

/// Whether two steps have the same ids: of the reply where both know it, and of the call. Some models give every reply's calls the
/// same ids, so that those of the calls alone would not do.
fn is_same(live: &LiveStep, read: &ReadStep) -> bool {
    let replies = (&live.response_id, &read.response_id);
    if let (Some(live), Some(read)) = replies
        && live != read
    {
        return false;
    }
    match (&live.tool_call_id, &read.tool_call_id) {
        (Some(live), Some(read)) => live == read,
        (None, None) => replies.0.is_some() && replies.1.is_some(),
        _ => false,
    }
}

fn compare(live: &LiveStep, read: &ReadStep, observations: Observations, differences: &mut Vec<String>) {
    let step = live.step;
    let action = serde_json::to_value(&live.action).unwrap_or_default();
    if read.tool.is_some() && !says(read, &action) {
        differences.push(format!("step {step} has other arguments in its own record"));
    }
    let Some(theirs) = &read.observation else {
        if !live.observation.is_empty() && observations == Observations::Whole {
            differences.push(format!("step {step} has no observation in its own record"));
        }
        return;
    };
    let (ours, theirs) = (live.observation.trim(), theirs.trim());
    let agrees = match observations {
        Observations::Whole => ours == theirs,
        Observations::Part => ours.contains(theirs),
    };
    if !agrees && !live.observation.is_empty() {
        let (ours, theirs) = apart(ours, theirs);
        differences.push(format!("step {step} was shown {ours:?}, its own record has {theirs:?}"));
    }
}

/// Whether every text of an action is among the arguments, or is what was said; an action's kind is our own word for it.
fn says(read: &ReadStep, action: &Value) -> bool {
    let mut theirs = vec![read.thought.trim()];
    texts(&read.arguments, &mut theirs);
    let mut ours = Vec::new();
    for (name, value) in action.as_object().into_iter().flatten() {
        // `problem` is ours; a tool's name and the arguments of a malformed call are no arguments.
        if !matches!(name.as_str(), "type" | "name" | "tool" | "problem") {
            texts(value, &mut ours);
        }
    }
    ours.iter().all(|text| theirs.contains(text) || theirs[0] == text.trim())
}

fn texts<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => found.push(text),
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        Value::Object(members) => members.values().for_each(|member| texts(member, found)),
        _ => {}
    }
}

/// Two texts from where they begin to differ.
fn apart(ours: &str, theirs: &str) -> (String, String) {
    let same = ours.chars().zip(theirs.chars()).take_while(|(ours, theirs)| ours == theirs).count();
    let from = |text: &str| {
        let shown: String = text.chars().skip(same).take(SHOWN).collect();
        if text.chars().count() > same + SHOWN { shown + "..." } else { shown }
    };
    (from(ours), from(theirs))
}

fn name(read: &ReadStep) -> &str {
    read.tool.as_deref().unwrap_or("words")
}
