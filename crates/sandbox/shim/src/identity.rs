//! Who acts: dropping to the agent's user for good in a child, and for the length of one operation in a thread.

use std::io;

use rustix::process::{Gid, Resource, Rlimit, Uid, setrlimit};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, remove_capability_from_bounding_set, set_capabilities,
    set_no_new_privs, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

/// A user that processes run as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum User {
    /// Root with what the container grants.
    Root,
    /// These numbers, and no capability, whatever they are.
    Plain {
        /// User.
        uid: u32,
        /// Group.
        gid: u32,
        /// Bytes of one file that they may write.
        file_bytes: u64,
    },
}

const NONE: CapabilitySets = CapabilitySets {
    effective: CapabilitySet::empty(),
    permitted: CapabilitySet::empty(),
    inheritable: CapabilitySet::empty(),
};

/// Turns the calling process, which must have one thread, into that user for good. Safe between fork and exec.
pub(crate) fn become_user(user: User) -> io::Result<()> {
    let User::Plain { uid, gid, file_bytes } = user else {
        return Ok(());
    };
    setrlimit(Resource::Fsize, Rlimit { current: Some(file_bytes), maximum: Some(file_bytes) })?;
    for bit in 0..64 {
        let capability = CapabilitySet::from_bits_retain(1 << bit);
        // The first number that the kernel doesn't know ends the list.
        if remove_capability_from_bounding_set(capability).is_err() {
            break;
        }
    }
    set_thread_groups(&[])?;
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    set_thread_res_gid(gid, gid, gid)?;
    set_thread_res_uid(uid, uid, uid)?;
    set_capabilities(None, NONE)?;
    set_no_new_privs(true)?;
    Ok(())
}

/// Runs an operation with the agent's permissions on files: every path in it is judged by the kernel as if the agent
/// had used it.
pub(crate) fn acting_as<T>(user: User, operation: impl FnOnce() -> T) -> io::Result<T> {
    let User::Plain { uid, gid, .. } = user else {
        return Ok(operation());
    };
    let before = capabilities(None)?;
    let acting = Acting { before };
    let root = (Uid::ROOT, Gid::ROOT);
    set_thread_res_gid(root.1, Gid::from_raw(gid), root.1)?;
    set_thread_res_uid(root.0, Uid::from_raw(uid), root.0)?;
    set_capabilities(None, CapabilitySets { effective: CapabilitySet::empty(), ..before })?;
    let result = operation();
    drop(acting);
    Ok(result)
}

/// Gives a thread its power back, however the operation ended.
struct Acting {
    before: CapabilitySets,
}

impl Drop for Acting {
    fn drop(&mut self) {
        // Root's user id comes back by the saved one, which needs no capability; the group needs one, so it is second.
        let restored = set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT)
            .and_then(|()| set_capabilities(None, self.before))
            .and_then(|()| set_thread_res_gid(Gid::ROOT, Gid::ROOT, Gid::ROOT));
        if restored.is_err() {
            // A thread that can't tell who it is must not serve anybody.
            std::process::abort();
        }
    }
}

/// What the shim itself has to be before anything else runs.
pub(crate) fn settle() -> io::Result<()> {
    set_thread_groups(&[])?;
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    Ok(())
}
