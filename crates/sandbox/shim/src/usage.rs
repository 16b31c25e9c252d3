//! What the sandbox has used, as far as its control group can be read.

use std::fs;

use trajforge_shim::protocol::Usage;

/// Reads cgroup v2, or v1 where that is mounted.
pub(crate) fn now() -> Usage {
    Usage {
        memory_peak_bytes: number("/sys/fs/cgroup/memory.peak")
            .or_else(|| number("/sys/fs/cgroup/memory/memory.max_usage_in_bytes")),
        cpu_us: cpu_v2().or_else(|| number("/sys/fs/cgroup/cpuacct/cpuacct.usage").map(|nanos| nanos / 1000)),
        pids: number("/sys/fs/cgroup/pids.current").or_else(|| number("/sys/fs/cgroup/pids/pids.current")),
    }
}

fn number(path: &str) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn cpu_v2() -> Option<u64> {
    let stat = fs::read_to_string("/sys/fs/cgroup/cpu.stat").ok()?;
    let line = stat.lines().find(|line| line.starts_with("usage_usec "))?;
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}
