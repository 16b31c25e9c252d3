//! How much room there is on the disks that sandboxes and their images fill.

use std::path::Path;

use bollard::models::SystemInfo;

/// Free bytes of the fullest of the disks that the engine and the cache are on; nothing where neither is on this machine.
pub(crate) fn free(info: &SystemInfo, cache: &Path) -> Option<u64> {
    let root = info.docker_root_dir.clone().unwrap_or_default();
    [Path::new(&root), cache]
        .iter()
        .filter_map(|place| rustix::fs::statvfs(*place).ok())
        .map(|stat| stat.f_bavail.saturating_mul(stat.f_frsize))
        .min()
}
