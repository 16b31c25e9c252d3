//! What has to hold in a manifest beyond its types.

use trajforge_router::gateway::SideCalls;

use super::{Manifest, Runs, placeholder};

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
        match self.runs {
            Runs::Swerex if !self.files.is_empty() || self.port != 0 => {
                return Err("it runs on the host, where files and port have no meaning".to_owned());
            }
            Runs::Container | Runs::Swerex => {}
            Runs::Host => self.on_the_host()?,
        }
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

    /// What has no meaning for a scaffold that is no part of the sandbox.
    fn on_the_host(&self) -> Result<(), String> {
        let wrong = [
            ("files", !self.files.is_empty()),
            ("port", self.port != 0),
            ("tools", !self.tools.is_empty()),
            ("text_action", self.text_action.is_some()),
            ("collect", !self.collect.is_empty()),
            ("reader", self.reader.is_some()),
            ("requires", !self.requires.is_empty()),
        ];
        match wrong.iter().find(|(_, is_there)| *is_there) {
            Some((name, _)) => Err(format!("it runs on the host, where {name} has no meaning")),
            None => Ok(()),
        }
    }

    fn placeholders(&self) -> Result<(), String> {
        // What stands in a file may be anything, such as a program's own braces.
        let paths = self.files.keys().chain(self.collect.iter().map(|wanted| &wanted.path));
        let texts = self.command.iter().chain(self.environment.values()).chain(paths);
        for text in texts {
            if let Some(name) = placeholder::unknown(text).first() {
                let names = placeholder::NAMES.join(", ");
                return Err(format!("{{{name}}} stands for nothing; there is {names}"));
            }
        }
        Ok(())
    }
}
