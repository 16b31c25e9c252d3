//! What an agent did, without what makes no difference: the same for trajectories that teach the same.

use trajforge_schema::{Action, Digest, Trajectory};

/// Equal for trajectories of one cluster (so of one task too) that do the same: thoughts, time limits, the words of a
/// submission, and white space at the ends of lines do not count.
pub(crate) fn fingerprint(trajectory: &Trajectory) -> Digest {
    let actions: Vec<Action> = trajectory.steps.iter().filter_map(|step| normalised(&step.action)).collect();
    let compared = (&trajectory.header.cluster, &actions);
    let bytes = serde_json::to_vec(&compared).expect("actions are plain data with string keys");
    Digest::of(&bytes)
}

fn normalised(action: &Action) -> Option<Action> {
    Some(match action {
        Action::Think { .. } => return None,
        Action::Bash { command, .. } => Action::Bash { command: trimmed(command), timeout_seconds: None },
        Action::Write { path, content } => Action::Write { path: path.clone(), content: trimmed(content) },
        Action::Submit { .. } => Action::Submit { message: None },
        Action::Read { .. }
        | Action::Edit { .. }
        | Action::Search { .. }
        | Action::List { .. }
        | Action::Open { .. }
        | Action::Follow { .. }
        | Action::Back {}
        | Action::Find { .. }
        | Action::Fill { .. }
        | Action::Tool { .. }
        | Action::Invalid { .. } => action.clone(),
    })
}

fn trimmed(text: &str) -> String {
    let lines: Vec<&str> = text.trim().lines().map(str::trim_end).collect();
    lines.join("\n")
}
