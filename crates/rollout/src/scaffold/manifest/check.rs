//! What has to hold in a manifest beyond its types.

use trajforge_router::gateway::SideCalls;

use super::{Manifest, placeholder};

impl Manifest {
    /// The first thing that is wrong with it.
    pub(super) fn check(&self) -> Result<(), String> {
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if self.name.is_empty() || !self.name.chars().all(is_plain) {
            return Err(format!("{:?} is no name: use lower case letters, digits and dashes", self.name));
        }
        if self.command.is_empty() {
            return Err("its command is empty".to_owned());
        }
        self.placeholders()?;
        for (tool, rule) in &self.tools {
            if let Some(problem) = rule.problem() {
                return Err(format!("the tool {tool:?}: {problem}"));
            }
        }
        SideCalls::new(self.side_calls.clone()).map_err(|error| error.to_string())?;
        if self.reader.is_some() && self.collect.is_empty() {
            return Err("it names a reader, and collects nothing that could be read".to_owned());
        }
        Ok(())
    }

    fn placeholders(&self) -> Result<(), String> {
        let files = self.files.iter().flat_map(|(path, content)| [path, content]);
        let collected = self.collect.iter().map(|wanted| &wanted.path);
        let texts = self.command.iter().chain(self.environment.values()).chain(files).chain(collected);
        for text in texts {
            if let Some(name) = placeholder::unknown(text).first() {
                let names = placeholder::NAMES.join(", ");
                return Err(format!("{{{name}}} stands for nothing; there is {names}"));
            }
        }
        Ok(())
    }
}
