//! The names in folders, kept from look to look: a folder that has not changed need not be read again.

use std::collections::HashMap;
use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::fstat;

use crate::folder;
use crate::stamp::Stamp;

/// The folders of a tree, by their paths from its root.
#[derive(Default)]
pub(crate) struct Listings {
    known: HashMap<Vec<u8>, Listing>,
    /// What was read in a look, until it is taken in.
    news: Mutex<Vec<(Vec<u8>, Listing)>>,
}

/// What a folder held when it had settled.
struct Listing {
    stamp: Stamp,
    names: Arc<[CString]>,
}

impl Listings {
    /// The names in an open folder, in order; nothing where it can't be read.
    pub(crate) fn names(&self, folder: &OwnedFd, path: &[u8]) -> Arc<[CString]> {
        // Looked at before it is read: what changes in between shows the next time.
        let Ok(stat) = fstat(folder) else { return Arc::default() };
        let stamp = Stamp::of(&stat);
        if let Some(known) = self.known.get(path)
            && known.stamp == stamp
        {
            return Arc::clone(&known.names);
        }
        let is_settled = stamp.is_settled();
        let Ok(names) = folder::names(folder) else { return Arc::default() };
        if is_settled {
            let mut news = self.news.lock().unwrap_or_else(PoisonError::into_inner);
            news.push((path.to_vec(), Listing { stamp, names: Arc::clone(&names) }));
        }
        names
    }

    /// Keeps what was read for the next look.
    pub(crate) fn keep(&mut self) {
        self.known.extend(self.news.get_mut().unwrap_or_else(PoisonError::into_inner).drain(..));
    }

    /// Forgets folders that are gone.
    pub(crate) fn forget(&mut self, is_there: impl Fn(&[u8]) -> bool) {
        self.known.retain(|path, _| path.is_empty() || is_there(path));
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_settled_folder_is_read_once_and_any_change_of_it_shows() {
        let root = std::env::temp_dir().join(format!("trajforge-listing-{}", std::process::id()));
        fs::create_dir_all(&root).expect("the folder is made");
        let mut listings = Listings::default();
        let look = |listings: &mut Listings| {
            let folder = folder::find(root.as_os_str().as_encoded_bytes()).expect("the folder opens");
            let names = listings.names(&folder, b"");
            listings.keep();
            names
        };
        let rest = || std::thread::sleep(Duration::from_millis(40));
        let text = |names: &[CString]| names.iter().map(|name| name.to_string_lossy()).collect::<String>();

        fs::write(root.join("b"), "").expect("a file is written");
        // What has just changed is not relied on.
        let first = look(&mut listings);
        assert!(!Arc::ptr_eq(&first, &look(&mut listings)));
        rest();
        let settled = look(&mut listings);
        assert!(Arc::ptr_eq(&settled, &look(&mut listings)));

        fs::write(root.join("a"), "").expect("a file is written");
        assert_eq!(text(&look(&mut listings)), "ab");
        rest();
        look(&mut listings);
        fs::rename(root.join("a"), root.join("c")).expect("a file is renamed");
        assert_eq!(text(&look(&mut listings)), "bc");
        rest();
        look(&mut listings);
        fs::remove_file(root.join("b")).expect("a file is removed");
        assert_eq!(text(&look(&mut listings)), "c");
        rest();
        look(&mut listings);
        // What a file holds is no matter of its folder.
        let before = look(&mut listings);
        fs::write(root.join("c"), "more").expect("a file is written");
        assert!(Arc::ptr_eq(&before, &look(&mut listings)));
        fs::remove_dir_all(root).expect("the folder goes");
    }
}
