//! Calls in XML: `<function=NAME>`, its `<parameter=NAME>VALUE</parameter>`, `</function>`.

use serde_json::{Map, Value};

use super::{NAMES, several};
use crate::scaffold::agent::{Reading, call};

/// What begins a call.
const CALL: &str = "<function=";
/// What ends it.
const END: &str = "</function>";
/// What begins a parameter.
const PARAMETER: &str = "<parameter=";
/// What ends it.
const PARAMETER_END: &str = "</parameter>";
/// Parameters that are numbers.
const NUMBERS: [&str; 3] = ["timeout_seconds", "offset", "limit"];

pub(super) fn read(text: &str) -> Reading {
    let Some((before, rest)) = text.split_once(CALL) else {
        return Reading { reasoning: text.trim().to_owned(), ..Reading::default() };
    };
    let reasoning = before.trim().to_owned();
    let not_done = |problem| Reading { reasoning: reasoning.clone(), problem, actions: Vec::new() };
    // A model that is stopped at the closing tag leaves it out.
    let (call, after) = rest.split_once(END).unwrap_or((rest, ""));
    if after.contains(CALL) {
        return not_done(Some(several(1 + after.matches(CALL).count())));
    }
    let Some((name, body)) = call.split_once('>') else {
        return not_done(Some("Your reply ended inside its call; nothing was carried out.".to_owned()));
    };
    match parameters(body) {
        Ok(fields) => {
            let action = call::action(name.trim(), &Value::Object(fields).to_string(), &NAMES);
            Reading { reasoning, actions: vec![(None, action)], problem: None }
        }
        Err(problem) => not_done(Some(problem)),
    }
}

fn parameters(mut body: &str) -> Result<Map<String, Value>, String> {
    let mut fields = Map::new();
    while let Some((_, rest)) = body.split_once(PARAMETER) {
        let unclosed = || "A parameter of your call has no end; nothing was carried out.".to_owned();
        let (name, rest) = rest.split_once('>').ok_or_else(unclosed)?;
        let (value, rest) = rest.split_once(PARAMETER_END).ok_or_else(unclosed)?;
        let value = value.strip_prefix('\n').unwrap_or(value);
        let value = value.strip_suffix('\n').unwrap_or(value);
        let number = || value.trim().parse::<u64>().ok().map(Value::from);
        let number = NUMBERS.contains(&name.trim()).then(number).flatten();
        fields.insert(name.trim().to_owned(), number.unwrap_or_else(|| Value::from(value)));
        body = rest;
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use trajforge_schema::Action;

    use super::*;

    #[test]
    fn a_call_becomes_its_action_with_its_white_space() {
        let text = "Why.\n<function=write>\n<parameter=path>a.py</parameter>\n\
                    <parameter=content>\n  if a < b:\n    pass\n\n</parameter>\n</function>";
        let content = "  if a < b:\n    pass\n".to_owned();
        let reading = read(text);
        assert_eq!(reading.actions, [(None, Action::Write { path: "a.py".into(), content })]);
        assert_eq!(reading.reasoning, "Why.");
        let cut = "<function=bash><parameter=command>ls</parameter><parameter=timeout_seconds>5</parameter>";
        let bash = Action::Bash { command: "ls".into(), timeout_seconds: Some(5) };
        assert_eq!(read(cut).actions, [(None, bash)]);
    }

    #[test]
    fn what_is_unclear_is_not_carried_out() {
        let two = "<function=list></function> and <function=list></function>";
        assert!(read(two).problem.unwrap().contains("2 actions"));
        assert!(read("<function=bash><parameter=command>ls").problem.unwrap().contains("no end"));
        assert!(matches!(read("<function=fly></function>").actions[0].1, Action::Invalid { .. }));
        assert_eq!(read("I think about <b>bold</b> things.").actions, []);
    }
}
