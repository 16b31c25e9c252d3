//! What stands in braces in a manifest, and what is put there.

/// The names that may stand in braces.
pub(super) const NAMES: [&str; 14] = [
    "instruction",
    "instruction_file",
    "workspace",
    "base_url",
    "anthropic_base_url",
    "key",
    "model",
    "steps",
    "seconds",
    "action_seconds",
    "output",
    "layer",
    "swerex_port",
    "swerex_key",
];

/// What the placeholders stand for in one rollout.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// The task, in words.
    pub instruction: String,
    /// A file that holds it.
    pub instruction_file: String,
    /// The workspace's absolute path.
    pub workspace: String,
    /// The model's base URL for clients of OpenAI's dialects.
    pub base_url: String,
    /// The same for clients of Anthropic's.
    pub anthropic_base_url: String,
    /// The key that goes with either.
    pub key: String,
    /// The model's name.
    pub model: String,
    /// Actions that are allowed.
    pub steps: u32,
    /// Seconds that the rollout may take.
    pub seconds: u64,
    /// Seconds that one action may take.
    pub action_seconds: u64,
    /// A folder for what the scaffold writes for itself.
    pub output: String,
    /// Where its layer lies.
    pub layer: String,
    /// The port of the host's loopback at which its sandbox is served, for one that runs outside.
    pub swerex_port: u16,
    /// The key that goes with it.
    pub swerex_key: String,
}

impl Places {
    /// A text with every placeholder filled in. Braces around anything else stay as they are.
    pub fn fill(&self, text: &str) -> String {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, name, after)) = next(rest) {
            filled.push_str(before);
            match self.of(name) {
                Some(value) => filled.push_str(&value),
                None => filled.extend(["{", name, "}"]),
            }
            rest = after;
        }
        filled.push_str(rest);
        filled
    }

    fn of(&self, name: &str) -> Option<String> {
        Some(match name {
            "instruction" => self.instruction.clone(),
            "instruction_file" => self.instruction_file.clone(),
            "workspace" => self.workspace.clone(),
            "base_url" => self.base_url.clone(),
            "anthropic_base_url" => self.anthropic_base_url.clone(),
            "key" => self.key.clone(),
            "model" => self.model.clone(),
            "steps" => self.steps.to_string(),
            "seconds" => self.seconds.to_string(),
            "action_seconds" => self.action_seconds.to_string(),
            "output" => self.output.clone(),
            "layer" => self.layer.clone(),
            "swerex_port" => self.swerex_port.to_string(),
            "swerex_key" => self.swerex_key.clone(),
            _ => return None,
        })
    }
}

/// The names in braces that are none of [`NAMES`].
pub(super) fn unknown(text: &str) -> Vec<String> {
    let mut unknown = Vec::new();
    let mut rest = text;
    while let Some((_, name, after)) = next(rest) {
        if !NAMES.contains(&name) {
            unknown.push(name.to_owned());
        }
        rest = after;
    }
    unknown
}

/// The first `{name}`: what comes before it, the name, and what comes after it.
fn next(text: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    loop {
        let open = from + text.get(from..)?.find('{')?;
        let rest = &text[open + 1..];
        let length = rest.find(|c: char| !c.is_ascii_lowercase() && c != '_').unwrap_or(rest.len());
        if length > 0 && rest[length..].starts_with('}') {
            return Some((&text[..open], &rest[..length], &rest[length + 1..]));
        }
        from = open + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_in_braces_are_filled_in() {
        let places = Places { model: "m".to_owned(), steps: 7, ..Places::default() };
        assert_eq!(places.fill(r#"{"a": "{model}", "n": {steps}} {x y} {"#), r#"{"a": "m", "n": 7} {x y} {"#);
        assert_eq!(unknown("{model} {modell} {}"), ["modell"]);
        for name in NAMES {
            assert!(places.of(name).is_some(), "{name} stands for nothing");
        }
    }

    #[test]
    fn what_is_filled_in_is_not_filled_in_again() {
        let places = Places { instruction: "use {model}".to_owned(), ..Places::default() };
        assert_eq!(places.fill("{instruction}"), "use {model}");
    }
}
