//! An error as people see it: what, why, a hint, a code with a page, an exit code.

use std::process::ExitCode;

use serde_json::json;
use trajforge_pipeline::{Error, template};

use crate::output;

/// A defect of this program, or something that no error was made for.
const DEFECT: u8 = 70;

/// Prints an error and gives its exit code.
pub(crate) fn report(error: &anyhow::Error, as_json: bool) -> ExitCode {
    let known = error.downcast_ref::<Error>();
    let message = message(error);
    let hint = known.and_then(Error::hint);
    let code = known.map(Error::code);
    if as_json {
        let code = code.map(trajforge_pipeline::Code::name);
        output::say(json!({ "error": { "message": message, "hint": hint, "code": code } }));
    } else if let Some(Error::Template(template::Error::Fault(fault))) = known {
        output::say(fault.pretty(output::colour_on_stderr()));
        output::say("code: TF101 (docs/errors/TF101.md)");
    } else {
        output::say(format!("error: {message}"));
        if let Some(hint) = hint {
            output::say(format!("hint: {hint}"));
        }
        if let Some(code) = code {
            output::say(format!("code: {0} (docs/errors/{0}.md)", code.name()));
        }
    }
    ExitCode::from(code.map_or(DEFECT, trajforge_pipeline::Code::exit_code))
}

/// The message with its causes, each said once.
fn message(error: &anyhow::Error) -> String {
    let mut message = String::new();
    for cause in error.chain() {
        let text = cause.to_string();
        if !message.ends_with(&text) {
            if !message.is_empty() {
                message.push_str(": ");
            }
            message.push_str(&text);
        }
    }
    message
}
