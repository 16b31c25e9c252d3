//! The gateway beside LiteLLM's proxy: the same requests to the same endpoint, which answers at once.

mod load;
mod server;

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};
use trajforge_router::{Scripted, ScriptedPart, ScriptedReply, scripted_stream};
use trajforge_schema::Dialect;

use super::bed::Place;
use super::figures::{median, quantile};
use super::{Common, Report};
use crate::say;
use load::{Kind, Target};
use server::Server;

/// Of each kind in a round.
const BATCH: usize = 25;

/// Arguments of `bench gateway`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(super) common: Common,
    /// Rounds of twenty-five requests of each kind, in turn
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Seconds of each measurement of throughput
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Connections at the same time while throughput is measured
    #[arg(long, default_value_t = 16)]
    connections: usize,
    /// Streams that are open at the same time while memory is measured
    #[arg(long, default_value_t = 2_000)]
    streams: usize,
}

/// What was measured.
#[derive(Debug, Serialize)]
pub(super) struct Figures {
    command: String,
    place: Place,
    litellm: String,
    requests: usize,
    connections: usize,
    kinds: Vec<KindFigures>,
    streams: usize,
    kib_per_open_stream: f64,
}

/// Of whole replies, or of streams.
#[derive(Debug, Serialize)]
struct KindFigures {
    kind: Kind,
    direct_p50_ms: f64,
    direct_p99_ms: f64,
    gateway: Side,
    litellm: Side,
    /// Requests a CPU second: the gateway's by LiteLLM's.
    ratio: f64,
}

/// One of the two.
#[derive(Debug, Serialize)]
struct Side {
    /// What it adds to asking the endpoint without it.
    added_p50_ms: f64,
    added_p99_ms: f64,
    requests_per_second: f64,
    requests_per_cpu_second: f64,
}

/// Measures both, in turn, in front of one scripted endpoint in this process.
pub(super) async fn measure(root: &Path, arguments: &Arguments) -> anyhow::Result<Figures> {
    let place = Place::without_engine(root)?;
    let endpoint = Scripted::start(|_, _| ScriptedReply::Message(reply())).await?;
    let gateway = server::gateway(root, &endpoint.base_url(), arguments.common.debug_build).await?;
    let litellm = server::litellm(root, &endpoint.base_url()).await?;
    let direct = Target::new(&endpoint.base_url(), "none")?;
    let mut kinds = Vec::new();
    for kind in [Kind::Whole, Kind::Stream] {
        kinds.push(of_kind(kind, &direct, &gateway, &litellm, arguments).await?);
    }
    let command = format!(
        "cargo xtask bench gateway --rounds {} --seconds {} --connections {} --streams {}{}",
        arguments.rounds,
        arguments.seconds,
        arguments.connections,
        arguments.streams,
        if arguments.common.debug_build { " --debug-build" } else { "" }
    );
    Ok(Figures {
        command,
        place,
        litellm: server::litellm_version(root)?,
        requests: arguments.rounds as usize * BATCH,
        connections: arguments.connections,
        kinds,
        streams: arguments.streams,
        kib_per_open_stream: memory(root, arguments).await?,
    })
}

fn reply() -> Value {
    let arguments = json!({ "command": "ls -la src tests && cat Cargo.toml" }).to_string();
    let function = json!({ "name": "bash", "arguments": arguments });
    let call = json!({ "id": "call_1", "type": "function", "function": function });
    json!({
        "role": "assistant", "tool_calls": [call],
        "content": "I look at the sources first, to see what is there and where the tests are.",
    })
}

async fn of_kind(
    kind: Kind,
    direct: &Target,
    gateway: &Server,
    litellm: &Server,
    arguments: &Arguments,
) -> anyhow::Result<KindFigures> {
    say::people(format!("latency, {}", kind.as_str()));
    let targets = [direct, &gateway.target, &litellm.target];
    let mut times = [Vec::new(), Vec::new(), Vec::new()];
    for target in targets {
        // The first requests pay for connections, caches and compiled code.
        load::one_by_one(target, kind, BATCH).await?;
    }
    for _ in 0..arguments.rounds {
        for (target, times) in targets.iter().zip(&mut times) {
            times.extend(load::one_by_one(target, kind, BATCH).await?);
        }
    }
    let [direct, through, through_litellm] = &times;
    let mut sides = Vec::new();
    for (server, times) in [(gateway, through), (litellm, through_litellm)] {
        say::people(format!("throughput, {}, {}", kind.as_str(), server.name));
        let before = server.cpu_seconds()?;
        let seconds = Duration::from_secs(arguments.seconds);
        let (requests, took) = load::at_once(&server.target, kind, arguments.connections, seconds).await?;
        let cpu = server.cpu_seconds()? - before;
        sides.push(Side {
            added_p50_ms: median(times) - median(direct),
            added_p99_ms: quantile(times, 0.99) - quantile(direct, 0.99),
            requests_per_second: requests as f64 / took,
            requests_per_cpu_second: requests as f64 / cpu,
        });
    }
    let [gateway, litellm] =
        <[Side; 2]>::try_from(sides).map_err(|_| anyhow::anyhow!("there are two sides"))?;
    Ok(KindFigures {
        kind,
        direct_p50_ms: median(direct),
        direct_p99_ms: quantile(direct, 0.99),
        ratio: gateway.requests_per_cpu_second / litellm.requests_per_cpu_second,
        gateway,
        litellm,
    })
}

/// KiB of the gateway for each open stream, of streams that have begun and do not go on.
async fn memory(root: &Path, arguments: &Arguments) -> anyhow::Result<f64> {
    say::people(format!("memory of {} open streams", arguments.streams));
    let stream = scripted_stream(Dialect::OpenaiChat, &reply());
    let begun = ScriptedPart::Bytes(stream[..stream.len() / 2].to_vec());
    let parts = [begun, ScriptedPart::Pause(Duration::from_mins(10))];
    let endpoint = Scripted::start(move |_, _| ScriptedReply::stream(parts.clone())).await?;
    let gateway = server::gateway(root, &endpoint.base_url(), arguments.common.debug_build).await?;
    let first = load::begun(&gateway.target, 20).await?;
    let before = gateway.kib()?;
    let streams = load::begun(&gateway.target, arguments.streams).await?;
    let after = gateway.kib()?;
    drop((first, streams));
    Ok((after - before) / arguments.streams as f64)
}

impl Report for Figures {
    fn text(&self) -> String {
        let added = self.kinds.iter().map(|kind| kind.gateway.added_p50_ms).fold(0.0, f64::max);
        let ratio = self.kinds.iter().map(|kind| kind.ratio).fold(f64::INFINITY, f64::min);
        let mut text = format!(
            "**{added:.2} ms added at the median, {ratio:.0} times LiteLLM's requests a CPU second, {:.0} KiB for an open stream**\n\n",
            self.kib_per_open_stream
        );
        let _ = writeln!(text, "`{}`\n\n{}.\n", self.command, self.place);
        let _ = writeln!(
            text,
            "An endpoint that answers at once, chat completions on both sides; beside LiteLLM's proxy {}, one worker. The \
             gateway\nrecords every exchange into a file and holds a budget. {} requests of each kind one after the other for \
             latency, in turn;\n{} connections for throughput. Endpoint and clients share the machine; CPU seconds are the \
             server's own.\n",
            self.litellm, self.requests, self.connections
        );
        text.push_str("| replies | through | added p50 | added p99 | requests/s | requests/CPU s |\n|---|---|---|---|---|---|\n");
        for kind in &self.kinds {
            for (name, side) in [("the gateway", &kind.gateway), ("LiteLLM", &kind.litellm)] {
                let _ = writeln!(
                    text,
                    "| {} | {name} | {:.2} ms | {:.2} ms | {:.0} | {:.0} |",
                    kind.kind.as_str(),
                    side.added_p50_ms,
                    side.added_p99_ms,
                    side.requests_per_second,
                    side.requests_per_cpu_second
                );
            }
        }
        let _ = writeln!(
            text,
            "\nWithout anything between: {}. {} streams open at the same time: {:.1} KiB each.",
            self.kinds
                .iter()
                .map(|kind| format!(
                    "{} p50 {:.2} ms, p99 {:.2} ms",
                    kind.kind.as_str(),
                    kind.direct_p50_ms,
                    kind.direct_p99_ms
                ))
                .collect::<Vec<_>>()
                .join("; "),
            self.streams,
            self.kib_per_open_stream
        );
        text
    }
}
