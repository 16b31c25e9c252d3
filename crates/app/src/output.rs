//! Where words go: data to stdout, everything for people to stderr.

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write as _};

use serde::Serialize;

/// Prints data. A reader that has gone (`| head`) ends the program quietly.
pub(crate) fn data(text: impl Display) -> io::Result<()> {
    match writeln!(io::stdout().lock(), "{text}") {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        written => written,
    }
}

/// Prints data as JSON, pretty.
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    data(serde_json::to_string_pretty(value)?)?;
    Ok(())
}

/// Says something to people.
pub(crate) fn say(text: impl Display) {
    // Nobody is there to hear that stderr is gone.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Whether stderr is a terminal that takes colours.
pub(crate) fn colour_on_stderr() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// A table in the plain style of this program.
pub(crate) fn table(head: &[&str]) -> comfy_table::Table {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(head.iter().copied());
    table
}

/// Seconds as people say them.
pub(crate) fn duration(seconds: f64) -> String {
    let whole = seconds.round().max(0.0);
    if seconds < 10.0 {
        format!("{seconds:.1} s")
    } else if whole < 120.0 {
        format!("{whole:.0} s")
    } else if whole < 7200.0 {
        format!("{:.0} min {:02.0} s", (whole / 60.0).floor(), whole % 60.0)
    } else {
        format!("{:.0} h {:02.0} min", (whole / 3600.0).floor(), ((whole % 3600.0) / 60.0).floor())
    }
}
