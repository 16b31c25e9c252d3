//! Acts that reach out: to the clock, the network, the engine's socket, and what is hidden.

use trajforge_sandbox::{Exec, File, Owner, SandboxExt, User};

use super::ground::{goes_on, sh, survive};

/// Prints a line for each thing that works and must not.
const REACH: &str = r"
import ctypes, os, socket, time
libc = ctypes.CDLL(None, use_errno=True)
def tried(what, act):
    try:
        if act() not in (-1, None): print(what, 'worked')
    except (OSError, ImportError): pass
tried('clock', lambda: time.clock_settime(time.CLOCK_REALTIME, 0) or 0)
tried('adjtime', lambda: libc.adjtimex(ctypes.create_string_buffer(b'\x01' + b'\0' * 255)))
tried('raw', lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1).fileno())
tried('packet', lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 3).fileno())
tried('dns', lambda: len(socket.getaddrinfo('example.com', 80)))
for address in ('169.254.169.254', '172.17.0.1', '10.0.0.1', '8.8.8.8', '192.168.0.1'):
    tried(address, lambda: socket.create_connection((address, 80), 2).fileno())
def datagram():
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('8.8.8.8', 53))
tried('datagram', datagram)
for path in ('/var/run/docker.sock', '/run/docker.sock', '/run/podman/podman.sock', '/run/containerd/containerd.sock'):
    def connect(): s = socket.socket(socket.AF_UNIX); s.connect(path); return 1
    tried(path, connect)
for flag in (0x10000000, 0x40000000, 0x00020000):
    tried('unshare', lambda: libc.unshare(flag))
tried('chroot', lambda: os.chroot('/tmp') or 0)
tried('mount', lambda: libc.mount(b'none', b'/mnt', b'tmpfs', 0, None))
tried('mknod', lambda: os.mknod('/tmp/disk', 0o60666, os.makedev(254, 0)) or 0)
tried('module', lambda: libc.syscall(313, 0, b'', 0))
tried('bpf', lambda: libc.syscall(321, 5, ctypes.create_string_buffer(128), 128))
tried('keys', lambda: libc.syscall(250, 0, -3, 0))
tried('perf', lambda: libc.syscall(298, ctypes.create_string_buffer(128), 0, -1, -1, 0))
for path in ('/proc/sys/kernel/core_pattern', '/proc/sysrq-trigger', '/proc/sys/vm/drop_caches', '/sys/kernel/uevent_helper',
             '/sys/fs/cgroup/memory/release_agent', '/sys/fs/cgroup/memory/memory.limit_in_bytes', '/sys/fs/cgroup/memory.max',
             '/proc/kcore', '/dev/mem', '/dev/kmsg', '/dev/vda', '/dev/sda'):
    tried(path, lambda: os.open(path, os.O_WRONLY))
print('done')
";

#[tokio::test]
async fn neither_the_clock_nor_the_network_nor_the_kernel_is_in_reach() {
    for user in [User::Agent, User::Root] {
        survive(
            "reach",
            |spec| spec.user = user,
            async |sandbox| {
                let ran = sandbox.exec(Exec::argv(["python3", "-c", REACH])).await.unwrap();
                assert_eq!(ran.output.text(), "done\n");
                let set = sh(sandbox, "date -s 2001-01-01 >/dev/null 2>&1; date +%Y").await;
                assert_ne!(set.output.text(), "2001\n");
                goes_on(sandbox).await;
            },
        )
        .await;
    }
}

#[tokio::test]
async fn what_judges_is_neither_read_nor_written() {
    for user in [User::Agent, User::Root] {
        survive("secrets", |spec| spec.user = user, async |sandbox| {
            let secret = |path: &str| File { path: path.to_owned(), mode: 0o755, content: b"the-answer".to_vec() };
            for folder in ["/verify", "/run/trajforge/milestones"] {
                sandbox.put(folder, Owner::Secret, &[secret("checks.py")]).await.unwrap();
            }
            let attack = "for folder in /verify /run/trajforge /run/trajforge/milestones /proc/1/root/verify /proc/1/cwd/verify; do \
                          cat $folder/checks.py; ls $folder; echo 1 > $folder/reward; chmod -R 777 $folder; chown -R $(id -u) $folder; \
                          mv $folder /tmp/moved; rm -rf $folder; cp -r $folder .; ln $folder/checks.py taken; done 2>/dev/null; \
                          grep -rs the-answer / --include=checks.py; mkdir -p /logs /reward 2>/dev/null; echo end";
            let ran = sh(sandbox, attack).await;
            assert!(!ran.output.text().contains("the-answer") && ran.output.text().ends_with("end\n"), "{:?}", ran.output.text());
            for folder in ["/verify", "/run/trajforge/milestones"] {
                let look = format!("ls {folder}; cat {folder}/checks.py; stat -c %a {folder}");
                let ran = sandbox.exec(Exec::bash(look).as_root()).await.unwrap();
                assert_eq!(ran.output.text(), "checks.py\nthe-answer700\n");
            }
            for path in ["/verify/checks.py", "/run/trajforge/agent.json"] {
                assert!(sandbox.read("main", path, None, None).await.unwrap().is_error, "{path}");
                assert!(sandbox.write("main", path, "x").await.unwrap().is_error, "{path}");
                assert!(!sandbox.search("main", "answer", Some(path)).await.unwrap().text.contains("the-answer"));
            }
            goes_on(sandbox).await;
        })
        .await;
    }
}

#[tokio::test]
async fn a_folder_for_secrets_that_the_agent_has_made_is_not_used() {
    survive(
        "planted",
        |spec| spec.workspace = "/srv".to_owned(),
        async |sandbox| {
            sh(sandbox, "mkdir /srv/verify; ln -s /tmp /srv/link").await;
            for folder in ["/srv/verify", "/srv/link"] {
                let secret = File { path: "answer".to_owned(), mode: 0o600, content: b"42".to_vec() };
                let put = sandbox.put(folder, Owner::Secret, &[secret]).await;
                assert!(put.is_err(), "{folder}: {put:?}");
            }
            assert_eq!(sh(sandbox, "cat verify/answer /tmp/answer 2>/dev/null").await.output.text(), "");
            goes_on(sandbox).await;
        },
    )
    .await;
}
