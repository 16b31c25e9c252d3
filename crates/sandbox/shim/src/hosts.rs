//! The names of the sandbox's own addresses, where the engine has not laid them down.

use std::fs;
use std::path::Path;

const HOSTS: &str = "/etc/hosts";
const NAMES: &str = "127.0.0.1\tlocalhost sandbox\n::1\tlocalhost ip6-localhost ip6-loopback\n";

/// Writes `/etc/hosts` where it is missing or empty. An engine that is asked for no network leaves it so, and without it
/// no program would find `localhost`. On a read-only root it stays as it is: nothing else depends on it.
pub(crate) fn name_loopback() {
    let is_empty = fs::metadata(HOSTS).is_ok_and(|file| file.len() == 0);
    if is_empty || (!Path::new(HOSTS).exists() && Path::new("/etc").is_dir()) {
        let _ = fs::write(HOSTS, NAMES);
    }
}
