//! `trajforge show`: one trajectory.

use std::process::ExitCode;

use trajforge_pipeline::recorded;
use trajforge_pipeline::trajectory::Export;
use trajforge_schema::{Action, Trajectory};

use crate::cli::{Global, Show};
use crate::output;

/// Lines of an observation that people are shown.
const SHOWN_LINES: usize = 12;

pub(crate) fn show(global: &Global, order: &Show) -> anyhow::Result<ExitCode> {
    let trajectory = recorded(&order.run, &order.id)?;
    if global.json {
        output::json(&Export::of(&trajectory))?;
    } else {
        print(&trajectory)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn print(trajectory: &Trajectory) -> anyhow::Result<()> {
    let header = &trajectory.header;
    output::data(format!(
        "{}\n{} task of {}\n",
        header.rollout.id,
        header.difficulty.as_str(),
        header.rollout.template
    ))?;
    output::data(format!("{}\n", header.instruction))?;
    for step in &trajectory.steps {
        output::data(format!(
            "--- step {} in {} ({})",
            step.step,
            step.state.cwd,
            output::duration(step.seconds)
        ))?;
        if !step.reasoning.is_empty() {
            output::data(format!("# {}", step.reasoning.replace('\n', "\n# ")))?;
        }
        output::data(action(&step.action))?;
        output::data(shortened(&step.observation.text))?;
        for milestone in &step.milestones {
            output::data(format!("* milestone reached: {milestone}"))?;
        }
    }
    let Some(summary) = &trajectory.summary else {
        output::data("--- this rollout did not finish")?;
        return Ok(());
    };
    output::data(format!("--- {}: total reward {:.3}", summary.outcome.as_str(), summary.reward.total))?;
    for check in &summary.checks {
        let sign = if check.passed { "passed" } else { "failed" };
        output::data(format!("{sign} {}: {}", check.name, shortened(&check.output)))?;
    }
    let (seconds, tokens) = (output::duration(summary.execution_seconds), summary.usage.total());
    output::say(format!("{} steps, {seconds}, {tokens} tokens", trajectory.steps.len()));
    Ok(())
}

fn action(action: &Action) -> String {
    match action {
        Action::Bash { command, .. } => format!("$ {command}"),
        Action::Read { path, .. } => format!("read {path}"),
        Action::Write { path, content } => format!("write {path}\n{}", shortened(content)),
        Action::Edit { path, old, new, .. } => {
            let marked = |sign: &str, text: &str| {
                text.lines().map(|line| format!("{sign} {line}")).collect::<Vec<_>>().join("\n")
            };
            format!("edit {path}\n{}\n{}", marked("-", old), marked("+", new))
        }
        Action::Search { pattern, path } => format!("search {pattern} in {}", path.as_deref().unwrap_or(".")),
        Action::List { path } => format!("list {}", path.as_deref().unwrap_or(".")),
        Action::Open { url, .. } => format!("open {url}"),
        Action::Follow { link } => format!("follow link {link}"),
        Action::Back {} => "back".to_owned(),
        Action::Find { text } => format!("find {text}"),
        Action::Fill { form, fields } => {
            let pairs: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
            format!("fill form {form} {}", shortened(&pairs.join(" ")))
        }
        Action::Think { thought } => format!("think {thought}"),
        Action::Submit { message } => format!("submit {}", message.as_deref().unwrap_or_default()),
        Action::Tool { name, arguments } => format!("{name} {}", shortened(&arguments.to_string())),
        Action::Invalid { tool, arguments, .. } => format!("{tool} {arguments}"),
    }
}

fn shortened(text: &str) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    if lines.len() <= SHOWN_LINES {
        return lines.join("\n");
    }
    let half = SHOWN_LINES / 2;
    let cut = format!("[... {} lines ...]", lines.len() - 2 * half);
    [&lines[..half], &[cut.as_str()], &lines[lines.len() - half..]].concat().join("\n")
}
