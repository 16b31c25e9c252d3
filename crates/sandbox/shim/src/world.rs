//! What the shim knows of the sandbox it is in, and everything that lives in it.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use trajforge_shim::protocol::{Hello, Identity, SECRET_FOLDER};

use crate::children::Children;
use crate::identity::User;
use crate::outlet::Outlet;
use crate::pool::Pool;
use crate::quota::Quota;
use crate::service::Services;
use crate::shell::Sessions;
use crate::stream::Streams;
use crate::tree::Trees;

/// One sandbox, seen from inside.
pub(crate) struct World {
    hello: OnceLock<Hello>,
    /// The image's PATH.
    path: String,
    /// Where bash is, if it is.
    pub(crate) bash: Option<String>,
    pub(crate) children: Children,
    pub(crate) outlet: Outlet,
    pub(crate) pool: Pool,
    pub(crate) quota: Quota,
    pub(crate) sessions: Sessions,
    pub(crate) services: Services,
    pub(crate) streams: Streams,
    pub(crate) trees: Trees,
}

impl World {
    pub(crate) fn new(path: String, outlet: Outlet, pool: Pool) -> Self {
        let bash = ["/bin/bash", "/usr/bin/bash", "/usr/local/bin/bash"]
            .into_iter()
            .find(|path| Path::new(path).exists())
            .map(str::to_owned);
        Self {
            hello: OnceLock::new(),
            path,
            bash,
            children: Children::default(),
            outlet,
            pool,
            quota: Quota::default(),
            sessions: Sessions::default(),
            services: Services::default(),
            streams: Streams::default(),
            trees: Trees::default(),
        }
    }

    /// Takes in the handshake; false if there was one before.
    pub(crate) fn greet(&self, hello: Hello) -> bool {
        self.hello.set(hello).is_ok()
    }

    /// Whether the host has introduced itself.
    pub(crate) fn is_greeted(&self) -> bool {
        self.hello.get().is_some()
    }

    /// The workspace.
    pub(crate) fn workspace(&self) -> PathBuf {
        PathBuf::from(self.hello.get().map_or("/", |hello| &hello.workspace))
    }

    /// The agent's user and group.
    pub(crate) fn agent(&self) -> (u32, u32) {
        self.hello.get().map_or((65_534, 65_534), |hello| (hello.uid, hello.gid))
    }

    /// Who an identity is.
    pub(crate) fn user(&self, identity: Identity) -> User {
        match identity {
            Identity::Root => User::Root,
            Identity::Agent => {
                let (uid, gid) = self.agent();
                let file_bytes = self.hello.get().map_or(0, |hello| hello.disk_bytes);
                User::Plain { uid, gid, file_bytes }
            }
        }
    }

    /// The sessions that go on while the agent's processes stand still.
    pub(crate) fn spared(&self) -> HashSet<i32> {
        &self.services.sessions() | &self.sessions.of_root()
    }

    /// The whole environment of a process.
    pub(crate) fn variables(
        &self,
        identity: Identity,
        more: &BTreeMap<String, String>,
    ) -> Vec<(String, String)> {
        let mut all: BTreeMap<String, String> = BTreeMap::new();
        let mut set = |name: &str, value: &str| all.insert(name.to_owned(), value.to_owned());
        set("LANG", "C.UTF-8");
        set("TERM", "dumb");
        set("PATH", &self.path);
        if let Some(bash) = &self.bash {
            set("SHELL", bash);
        }
        let (user, home) = match (identity, self.hello.get()) {
            (Identity::Agent, Some(hello)) => (hello.user.as_str(), hello.home.as_str()),
            _ => ("root", "/root"),
        };
        set("USER", user);
        set("LOGNAME", user);
        set("HOME", home);
        if let Some(hello) = self.hello.get() {
            all.extend(hello.variables.clone());
        }
        all.extend(more.clone());
        if identity == Identity::Root {
            let path = all.get("PATH").cloned().unwrap_or_default();
            all.insert("PATH".to_owned(), format!("{SECRET_FOLDER}/bin:{path}"));
        }
        all.into_iter().collect()
    }

    /// A path as an agent means it: relative ones start at the session's working directory.
    pub(crate) fn resolve(&self, session: &str, path: &str) -> PathBuf {
        let base = self.sessions.cwd(session).unwrap_or_else(|| self.workspace());
        let joined = base.join(path);
        // `.` and doubled slashes go, `..` stays: only the kernel knows where it leads past a link.
        joined.components().collect()
    }
}
