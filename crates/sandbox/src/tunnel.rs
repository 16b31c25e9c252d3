//! The host's end of tunnels: sockets in a folder that one sandbox has mounted, each leading to an address of the host.

use std::fs;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::io::copy_bidirectional_with_sizes;
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::task::{AbortHandle, JoinSet};

use crate::error::{Error, Result};
use crate::owner::Owner;

/// Bytes that a slow receiver has waiting, in each direction.
const BUFFER: usize = 128 << 10;

/// The socket of the shim's own line.
const LINE: &str = "line";

/// The folder of one sandbox, with the sockets in it. Dropping it ends all of its connections and removes the folder.
#[derive(Debug)]
pub(crate) struct Sockets {
    folder: PathBuf,
    listening: Mutex<Vec<AbortHandle>>,
}

impl Sockets {
    /// An empty folder below another.
    pub(crate) fn create(below: &Path) -> Result<Self> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let folder = below.join(NUMBER.fetch_add(1, Ordering::Relaxed).to_string());
        fs::create_dir_all(&folder).map_err(|source| failed(&folder, "make", source))?;
        Ok(Self { folder, listening: Mutex::default() })
    }

    /// Where it is.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A socket that the shim is to call on; with its name in the folder.
    pub(crate) fn line(&self) -> Result<(&'static str, UnixListener)> {
        let listener =
            bind(&self.folder, LINE).map_err(|source| failed(&self.folder, "listen in", source))?;
        Ok((LINE, listener))
    }

    /// Removes that socket: whoever has called has called, and nobody else may.
    pub(crate) fn close_line(&self) {
        let _ = fs::remove_file(self.folder.join(LINE));
    }

    /// A socket that leads to an address of the host; gives back its name in the folder.
    pub(crate) fn listen(&self, to: SocketAddr) -> Result<String> {
        let mut listening = self.listening.lock().unwrap_or_else(PoisonError::into_inner);
        let name = listening.len().to_string();
        let listener =
            bind(&self.folder, &name).map_err(|source| failed(&self.folder, "listen in", source))?;
        listening.push(tokio::spawn(serve(listener, to)).abort_handle());
        Ok(name)
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        for task in self.listening.get_mut().unwrap_or_else(PoisonError::into_inner) {
            task.abort();
        }
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            tracing::debug!(folder = %self.folder.display(), %error, "a folder of sockets could not be removed");
        }
    }
}

/// Through a descriptor of the folder, since a socket's path may have 107 bytes and a cache may lie deep.
fn bind(folder: &Path, name: &str) -> std::io::Result<UnixListener> {
    let opened = fs::File::open(folder)?;
    UnixListener::bind(format!("/proc/self/fd/{}/{name}", opened.as_raw_fd()))
}

async fn serve(listener: UnixListener, to: SocketAddr) {
    // Dropped together with this task, and with it every connection.
    let mut joined = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((near, _)) => drop(joined.spawn(join(near, to))),
            Err(error) => {
                tracing::debug!(%error, "a tunnel could not take a connection");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        }
        while joined.try_join_next().is_some() {}
    }
}

async fn join(mut near: UnixStream, to: SocketAddr) {
    let carried = async {
        let mut far = TcpStream::connect(to).await?;
        far.set_nodelay(true)?;
        copy_bidirectional_with_sizes(&mut near, &mut far, BUFFER, BUFFER).await
    };
    if let Err(error) = carried.await {
        tracing::debug!(%to, %error, "a tunnelled connection broke off");
    }
}

/// Where the folders of a process lie below a cache.
pub(crate) fn folder_of(cache: &Path, owner: &Owner) -> PathBuf {
    // A colon would end the source of a mount.
    cache.join("tunnels").join(owner.label().replace(':', "_"))
}

/// Removes the folders of processes that are no more.
pub(crate) fn sweep(cache: &Path) {
    let Ok(folders) = fs::read_dir(cache.join("tunnels")) else { return };
    for entry in folders.flatten() {
        let label = entry.file_name().to_string_lossy().replace('_', ":");
        if Owner::parse(&label).is_some_and(|owner| owner.is_dead()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn failed(folder: &Path, doing: &str, source: std::io::Error) -> Error {
    Error::File { path: folder.display().to_string(), doing: format!("{doing} a folder of sockets"), source }
}
