//! `trajforge status`: how far a run is.

use std::process::ExitCode;

use serde_json::json;
use trajforge_pipeline::{RowState, run_spending, run_status};

use crate::cli::{Global, Status};
use crate::{output, system};

/// What is shown of each rollout.
const COLUMNS: [&str; 9] = ["id", "state", "outcome", "reward", "steps", "seconds", "model", "cost", "why"];

pub(crate) async fn status(global: &Global, order: &Status) -> anyhow::Result<ExitCode> {
    let (plan, counts, rows) = run_status(&order.run, &system::WallClock).await?;
    let spending = run_spending(&order.run)?;
    if global.json {
        let rows: Vec<_> = rows.iter().map(row).collect();
        let rate = counts.success_rate();
        output::json(&json!({
            "name": plan.name,
            "counts": counts,
            "success_rate": rate,
            "spending": spending,
            "rollouts": rows,
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table =
        output::table(&["planned", "waiting", "running", "success", "partial", "failure", "error", "spent"]);
    let numbers =
        [counts.planned, counts.waiting, counts.leased, counts.success, counts.partial, counts.failure];
    let mut cells: Vec<String> = numbers.iter().map(ToString::to_string).collect();
    let cap = spending.caps.run.map(|cap| format!(" of {cap}")).unwrap_or_default();
    cells.extend([counts.error.to_string(), format!("{}{cap}", spending.run)]);
    table.add_row(cells);
    output::data(table)?;
    if order.rollouts {
        let mut table = output::table(&COLUMNS);
        for one in &rows {
            let row = row(one);
            let cell = |name: &str| match &row[name] {
                serde_json::Value::Null => "-".to_owned(),
                serde_json::Value::String(text) => text.clone(),
                serde_json::Value::Number(number) if number.is_f64() => {
                    format!("{:.2}", number.as_f64().unwrap_or(0.0))
                }
                other => other.to_string(),
            };
            table.add_row(COLUMNS.map(cell));
        }
        output::data(table)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn row(row: &trajforge_pipeline::Row) -> serde_json::Value {
    let state = match &row.state {
        RowState::Waiting { .. } => "waiting",
        RowState::Leased { .. } => "running",
        RowState::Done { .. } => "finished",
    };
    let completion = row.completion();
    let failed = completion.and_then(|completion| match &completion.ending {
        trajforge_schema::Ending::Failed { failure } => Some(failure.message.clone()),
        _ => None,
    });
    let why = failed.or_else(|| row.last_failure().map(|failure| failure.message.clone()));
    json!({
        "id": row.spec.id,
        "state": state,
        "outcome": completion.map(|completion| completion.outcome),
        "reward": completion.map(|completion| completion.reward),
        "steps": completion.map(|completion| completion.steps),
        "seconds": completion.map(|completion| completion.seconds),
        "model": completion.and_then(|completion| completion.model.clone()).or(row.spec.model.clone()),
        "cost": completion.and_then(|completion| completion.cost),
        "tries": row.tries,
        "why": why,
    })
}
