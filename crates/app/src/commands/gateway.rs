//! `trajforge gateway`: models for any client, with every exchange recorded.

use std::process::ExitCode;
use std::sync::Arc;

use serde_json::json;
use trajforge_pipeline::gateway::{GatewayOrder, Serving, serve};

use crate::cli::{Gateway, Global};
use crate::{output, system};

pub(crate) async fn gateway(global: &Global, order: Gateway) -> anyhow::Result<ExitCode> {
    let models = match order.models {
        Some(folder) => folder,
        None => system::home(global)?.models,
    };
    let order = GatewayOrder {
        models,
        names: order.model,
        port: order.port,
        capture: order.capture,
        cassette: order.tape.of(),
        max_cost: order.max_cost,
        max_steps: order.max_steps,
        allow_unpriced: order.allow_unpriced,
        seed: system::unguessable()?,
    };
    let cancel = system::cancelled_by_signals()?;
    let serving = serve(order, system::key, Arc::new(system::WallClock)).await?;
    tell(global, &serving)?;
    cancel.cancelled().await;
    let report = serving.stop().await;
    let steps = report.steps;
    output::say(format!("{} requests, {steps} replies, {}", report.requests, report.cost));
    Ok(ExitCode::SUCCESS)
}

fn tell(global: &Global, serving: &Serving) -> anyhow::Result<()> {
    let (session, models) = (serving.session(), serving.models());
    if global.json {
        return output::json(&json!({
            "base_url": session.base_url(),
            "anthropic_base_url": session.anthropic_base_url(),
            "key": session.key(),
            "models": models,
        }));
    }
    output::data(format!("OPENAI_BASE_URL={}", session.base_url()))?;
    output::data(format!("ANTHROPIC_BASE_URL={}", session.anthropic_base_url()))?;
    output::data(format!("OPENAI_API_KEY={}", session.key()))?;
    output::data(format!("ANTHROPIC_API_KEY={}", session.key()))?;
    output::say(format!("serving {}; Ctrl-C ends it", models.join(", ")));
    for (name, variable) in serving.left_out() {
        output::say(format!("{name} is left out: {variable} is not set"));
    }
    Ok(())
}
