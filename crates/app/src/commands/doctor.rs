//! `trajforge doctor`: what is missing or leaking on this machine, and how to mend it.

use std::process::ExitCode;

use serde_json::json;
use trajforge_pipeline::{Error, Finding, Grade, doctor as of_sandboxes};

use crate::cli::{Doctor, Global};
use crate::commands::image;
use crate::{output, progress, system};

pub(crate) async fn doctor(global: &Global, order: &Doctor) -> anyhow::Result<ExitCode> {
    let home = system::home(global)?;
    let engine = home.engine.as_deref();
    if order.repair {
        let events = progress::events();
        let removed = of_sandboxes::repair(engine, &mut |event| events(event)).await.map_err(Error::from)?;
        output::say(format!("{removed} containers of dead workers removed"));
    }
    if order.images {
        let images = home.open_images().await?;
        image::build(&images, &[]).await?;
    }
    let findings = of_sandboxes::examine(engine, &home.images, &home.cache).await;
    if global.json {
        output::json(&findings.iter().map(row).collect::<Vec<_>>())?;
    } else {
        for finding in &findings {
            output::data(format!("{:<4}  {:<10} {}", word(finding.grade), finding.topic, finding.detail))?;
            if let Some(hint) = &finding.hint {
                output::data(format!("                 hint: {hint}"))?;
            }
        }
    }
    let worst = findings.iter().map(|finding| finding.grade).max();
    Ok(if worst == Some(Grade::Fail) { ExitCode::from(4) } else { ExitCode::SUCCESS })
}

fn row(finding: &Finding) -> serde_json::Value {
    let Finding { topic, grade, detail, hint } = finding;
    json!({ "topic": topic, "grade": word(*grade), "detail": detail, "hint": hint })
}

fn word(grade: Grade) -> &'static str {
    match grade {
        Grade::Ok => "ok",
        Grade::Warn => "warn",
        Grade::Fail => "fail",
    }
}
