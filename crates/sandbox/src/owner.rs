//! Whose a container is: labels that outlive their process, and how to tell whether that process still lives.

use std::fs;

/// Marks everything that trajforge made; the value is the run.
pub const RUN_LABEL: &str = "trajforge.run";
/// The rollout a container belongs to.
pub const ROLLOUT_LABEL: &str = "trajforge.rollout";
/// The process that will remove it.
pub const OWNER_LABEL: &str = "trajforge.owner";

/// A process, named so that no other can be taken for it: its id, when it started, and the namespace the id counts in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owner {
    pid: u32,
    started: u64,
    namespace: String,
}

impl Owner {
    /// This process.
    pub(crate) fn this() -> Self {
        let pid = std::process::id();
        Self { pid, started: started(pid).unwrap_or(0), namespace: namespace() }
    }

    /// As a label.
    pub(crate) fn label(&self) -> String {
        format!("{}:{}:{}", self.pid, self.started, self.namespace)
    }

    /// From a label.
    pub(crate) fn parse(label: &str) -> Option<Self> {
        let mut parts = label.splitn(3, ':');
        Some(Self {
            pid: parts.next()?.parse().ok()?,
            started: parts.next()?.parse().ok()?,
            namespace: parts.next()?.to_owned(),
        })
    }

    /// Whether it certainly is no more. Of a process on another machine, or in another container, nobody here can tell.
    pub(crate) fn is_dead(&self) -> bool {
        self.namespace == namespace() && started(self.pid) != Some(self.started)
    }
}

fn namespace() -> String {
    let link = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    let digits: String = link.to_string_lossy().chars().filter(char::is_ascii_digit).collect();
    let machine = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    format!("{digits}:{}", machine.trim())
}

/// When a process started, in clock ticks since the machine did.
fn started(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_lives_and_its_namesake_does_not() {
        let here = Owner::this();
        assert_eq!(Owner::parse(&here.label()), Some(here.clone()));
        assert!(!here.is_dead());
        let earlier = Owner { started: here.started + 1, ..here.clone() };
        assert!(earlier.is_dead());
        let elsewhere = Owner { namespace: "1:other".to_owned(), ..earlier };
        assert!(!elsewhere.is_dead());
    }
}
