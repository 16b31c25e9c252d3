//! What tells cheaply whether a file or folder is still what it was: its number and its two times.

use std::time::Duration;

use rustix::fs::Stat;
use rustix::time::{ClockId, clock_gettime};

/// What changed less than this before it was read may change again without its times showing it.
const UNSETTLED: Duration = Duration::from_millis(20);

/// The inode, and when its content and when anything of it was changed. The second can't be set back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    inode: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    pub(crate) fn of(stat: &Stat) -> Self {
        let nanos = |part: u64| i64::try_from(part).unwrap_or(0);
        Self {
            inode: stat.st_ino,
            modified: (stat.st_mtime, nanos(stat.st_mtime_nsec)),
            changed: (stat.st_ctime, nanos(stat.st_ctime_nsec)),
        }
    }

    /// Whether any change from now on would show.
    pub(crate) fn is_settled(&self) -> bool {
        let now = clock_gettime(ClockId::Realtime);
        let nanos = |(seconds, nanos): (i64, i64)| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
        let age = nanos((now.tv_sec, now.tv_nsec)) - nanos(self.changed);
        age > i128::try_from(UNSETTLED.as_nanos()).unwrap_or(i128::MAX)
    }
}
