//! What the engine is asked for: a container's options, all in one place.

use std::collections::HashMap;

use bollard::models::{ContainerCreateBody, HealthConfig, HostConfig, HostConfigLogConfig};
use trajforge_shim::protocol::{HOST_FOLDER, SECRET_FOLDER, SHIM_PATH};

use super::Maker;
use super::warm::Shape;
use crate::owner::{OWNER_LABEL, ROLLOUT_LABEL, RUN_LABEL};
use crate::spec::{Network, SandboxSpec};
use crate::tunnel::Sockets;

/// What the first process needs: to become the agent, to hand files over, to see and end what the agent does.
const CAPABILITIES: [&str; 7] = ["SETUID", "SETGID", "SETPCAP", "CHOWN", "FOWNER", "DAC_OVERRIDE", "KILL"];
/// The shim gives it to its owner: not every engine can mount it as somebody else's.
const SECRET_MOUNT: &str = "rw,nosuid,nodev,exec,mode=0700,size=64m";
/// What can be written to where the root can't be. Its own limit is the sandbox's memory.
const WRITTEN: [&str; 5] = ["/workspace", "/home/agent", "/root", "/tmp", "/var/tmp"];
/// Where verification lays its hidden files.
const VERIFY_FOLDER: &str = "/verify";
const WRITTEN_MOUNT: &str = "rw,nosuid,nodev,exec,mode=1777";
/// Threads of the shim, which the agent's limit does not count.
const SHIM_PIDS: u32 = 16;

impl Maker {
    /// What the engine is asked for, of a sandbox that is made to order.
    pub(crate) fn ordered(&self, spec: &SandboxSpec, sockets: &Sockets) -> ContainerCreateBody {
        self.container(&Shape::of(spec), spec.rollout.as_str(), sockets)
    }

    pub(super) fn container(&self, shape: &Shape, rollout: &str, sockets: &Sockets) -> ContainerCreateBody {
        let labels = [(RUN_LABEL, shape.run.as_str()), (ROLLOUT_LABEL, rollout), (OWNER_LABEL, &self.owner)];
        ContainerCreateBody {
            image: Some(shape.image.clone()),
            entrypoint: Some(vec![SHIM_PATH.to_owned()]),
            cmd: Some(Vec::new()),
            user: Some("0:0".to_owned()),
            working_dir: Some("/".to_owned()),
            hostname: Some("sandbox".to_owned()),
            open_stdin: Some(true),
            stdin_once: Some(true),
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            tty: Some(false),
            // Spares the engine a second start of itself for each container (its hook for networks): half the time.
            // The engine lays down no /etc/hosts then, and the shim can't on a read-only root.
            network_disabled: Some(shape.network != Network::Bridge && !self.isolation.read_only_root),
            stop_timeout: Some(1),
            healthcheck: Some(HealthConfig {
                test: Some(vec!["NONE".to_owned()]),
                ..HealthConfig::default()
            }),
            labels: Some(
                labels.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            ),
            host_config: Some(self.host_config(shape, sockets)),
            ..ContainerCreateBody::default()
        }
    }

    fn host_config(&self, shape: &Shape, sockets: &Sockets) -> HostConfig {
        let memory = i64::try_from(shape.memory_mb << 20).unwrap_or(i64::MAX);
        let mut binds = vec![
            format!("{}:{SHIM_PATH}:ro", self.shim),
            format!("{}:{HOST_FOLDER}:ro", sockets.folder().display()),
        ];
        binds.extend(shape.layers.iter().map(|layer| format!("{}:{}:ro", layer.volume, layer.path)));
        HostConfig {
            auto_remove: Some(true),
            network_mode: Some(
                match shape.network {
                    Network::None | Network::Listed => "none",
                    Network::Bridge => "bridge",
                }
                .to_owned(),
            ),
            cap_drop: Some(vec!["ALL".to_owned()]),
            cap_add: Some(CAPABILITIES.map(str::to_owned).to_vec()),
            security_opt: Some(vec!["no-new-privileges".to_owned()]),
            memory: Some(memory),
            memory_swap: Some(memory),
            nano_cpus: Some(nano_cpus(shape.cpus.min(self.cpus))),
            pids_limit: Some(i64::from(shape.pids.saturating_add(SHIM_PIDS))),
            ulimits: Some(self.ulimits.clone()),
            binds: Some(binds),
            readonly_rootfs: Some(self.isolation.read_only_root),
            runtime: self.isolation.runtime.clone(),
            tmpfs: Some(self.tmpfs()),
            ipc_mode: Some("private".to_owned()),
            init: Some(false),
            log_config: Some(HostConfigLogConfig { typ: Some("none".to_owned()), config: None }),
            ..HostConfig::default()
        }
    }

    /// What is in memory instead of on the engine's disk.
    fn tmpfs(&self) -> HashMap<String, String> {
        let written = if self.isolation.read_only_root { WRITTEN.as_slice() } else { &[] };
        let written = written.iter().map(|folder| (*folder).to_owned());
        let mut all: HashMap<String, String> =
            written.map(|folder| (folder, WRITTEN_MOUNT.to_owned())).collect();
        if self.isolation.read_only_root {
            all.insert(VERIFY_FOLDER.to_owned(), SECRET_MOUNT.to_owned());
        }
        all.insert(SECRET_FOLDER.to_owned(), SECRET_MOUNT.to_owned());
        all
    }
}

#[expect(clippy::cast_possible_truncation, reason = "no machine has so many cores that this overflows")]
fn nano_cpus(cpus: f64) -> i64 {
    (cpus.max(0.01) * 1e9) as i64
}
