//! scratch
use std::time::{Duration, Instant};
use trajforge_sandbox::*;
#[tokio::main]
async fn main() {
    let cache = std::path::Path::new("/tmp/tfcache");
    let docker = Docker::connect(None, cache).await.unwrap();
    let spec = SandboxSpec {
        image: "trajforge/base:dev".into(),
        run: "try".parse().unwrap(),
        rollout: "r1".parse().unwrap(),
        user: User::Agent,
        workspace: "/workspace".into(),
        limits: Default::default(),
        variables: Default::default(),
        network: Network::None,
        output_bytes: 32768,
    };
    let t = Instant::now();
    let sb = docker.create(&spec).await.unwrap();
    println!("create {:?}", t.elapsed());
    let m = Duration::from_secs(20);
    for c in [
        "id; pwd; env; echo $-",
        "cd /tmp; x=5",
        "echo $x; pwd; ls /proc/self/fd; cat /proc/self/status | grep -E 'Cap|NoNew|Groups'",
        "ls /run/trajforge; kill -9 1; cat /proc/1/environ",
        "exit 3",
        "echo $x; pwd",
        "true",
        "true",
        "true",
        "cat /proc/1/limits | head -3; ps aux",
        "echo 'unclosed",
    ] {
        let r = sb.shell("main", c, m).await.unwrap();
        println!(
            "--- {c}: {} {:?} restarted={} cwd={}\n{}",
            r.exit_code,
            r.duration,
            r.restarted,
            r.cwd,
            r.output.text()
        );
    }
    let t = Instant::now();
    for _ in 0..500 {
        sb.shell("main", "true", m).await.unwrap();
    }
    println!("no-op shell: {:?}", t.elapsed() / 500);
    let t = Instant::now();
    for _ in 0..500 {
        sb.usage().await.unwrap();
    }
    println!("usage: {:?}", t.elapsed() / 500);
    let t = Instant::now();
    for _ in 0..100 {
        sb.exec(Exec::argv(["/bin/true"])).await.unwrap();
    }
    println!("exec true: {:?}", t.elapsed() / 100);
    println!(
        "{:?}",
        sb.exec(Exec::bash("id; cat; as-agent id; ls -la /run/trajforge").as_root().with_stdin("hi\n"))
            .await
            .unwrap()
            .output
            .text()
    );
    println!("{:?}", sb.usage().await.unwrap());
    let t = Instant::now();
    let r = sb.shell("main", "trap '' TERM; python3 -c 'import signal,time; signal.signal(2,signal.SIG_IGN); signal.signal(15,signal.SIG_IGN); time.sleep(60)'", Duration::from_millis(300)).await.unwrap();
    println!("stubborn {:?} {:?}", t.elapsed(), r);
    let t = Instant::now();
    let r = sb.shell("main", "yes | head -c 50000000", m).await.unwrap();
    println!("50MB {:?} cut {} code {}", t.elapsed(), r.output.cut_bytes, r.exit_code);
    let r = sb.shell("main", "seq 2000 | while read i; do echo $i > f$i; done; git init -q .; git add .; git commit -qm x; ls | wc -l", m).await.unwrap();
    println!("{}", r.output.text());
    let t = Instant::now();
    let man = sb.manifest().await.unwrap();
    println!("manifest {} {:?}", man.0.len(), t.elapsed());
    for _ in 0..3 {
        let t = Instant::now();
        let d = sb.delta().await.unwrap();
        println!("delta {:?} {:?}", d.changed.len(), t.elapsed());
    }
    sb.shell("main", "echo z >> f5; rm f6", m).await.unwrap();
    let t = Instant::now();
    let d = sb.delta().await.unwrap();
    println!("delta {:?} {:?}", d, t.elapsed());
    for s in [
        sb.read("main", "f5", None, None).await.unwrap(),
        sb.read("main", "f55555", None, None).await.unwrap(),
        sb.search("main", "^1.*9$", None).await.unwrap(),
        sb.list("main", Some("/home")).await.unwrap(),
        sb.read("main", "/etc/shadow", None, None).await.unwrap(),
    ] {
        println!("{:?}", s.text.chars().take(300).collect::<String>());
    }
    sb.stop().await.unwrap();
    let t = Instant::now();
    docker.drain().await;
    println!("drain {:?}", t.elapsed());
    for n in [1usize, 4, 8] {
        let t = Instant::now();
        let total = 24;
        let docker = std::sync::Arc::new(Docker::connect(None, cache).await.unwrap());
        let sem = std::sync::Arc::new(tokio::sync::Semaphore::new(n));
        let mut set = tokio::task::JoinSet::new();
        for _ in 0..total {
            let (d, s, sem) = (docker.clone(), spec.clone(), sem.clone());
            set.spawn(async move {
                let _p = sem.acquire().await;
                let sb = d.create(&s).await.unwrap();
                sb.shell("main", "true", Duration::from_secs(5)).await.unwrap();
                sb.stop().await.unwrap();
            });
        }
        while set.join_next().await.is_some() {}
        docker.drain().await;
        println!("{n} at once: {:.2}/s", total as f64 / t.elapsed().as_secs_f64());
    }
}
