//! `egret run` as a process of its own: descriptors, memory, signals, rows on standard output. The world around it is that
//! of the other scenarios; its own gateway stands by.

use crate::far::{Origin, page};
use crate::world::{Builder, POLICY, World, until};
use egret::lab::client::{Client, Ended, Road, Wire};
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream as StdStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use std::{env, fs, process, thread};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Ticks of `/proc/*/stat` in a second, on every Linux there is.
const TICKS: f64 = 100.0;

/// A running egret, ended with the test.
struct Egret {
    child: Child,
    file: PathBuf,
    proxy: SocketAddr,
    health: SocketAddr,
    admin: SocketAddr,
    rows: Arc<Mutex<Vec<Value>>>,
    world: World,
}

impl Egret {
    /// In the world of this builder, with so many descriptors.
    async fn start(name: &str, files: u32, builder: Builder) -> Self {
        let world = builder.start().await;
        let file = env::temp_dir().join(format!("egret-{name}-{}.toml", process::id()));
        fs::write(&file, world.text(POLICY)).unwrap();
        let mut child = Command::new("sh")
            .args([
                "-c",
                &format!("ulimit -n {files}; exec \"$0\" run --lab --config \"$1\""),
            ])
            .args([env!("CARGO_BIN_EXE_egret"), file.to_str().unwrap()])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let rows = Arc::<Mutex<Vec<Value>>>::default();
        let (written, kept) = (BufReader::new(child.stdout.take().unwrap()), rows.clone());
        thread::spawn(move || {
            for line in written.lines().map_while(Result::ok) {
                kept.lock().unwrap().push(serde_json::from_str(&line).unwrap());
            }
        });
        let mut said = BufReader::new(child.stderr.take().unwrap())
            .lines()
            .map_while(Result::ok);
        let ready = said.find(|line| line.contains("listening=")).expect("it gets ready");
        // Nobody must have to wait because nobody reads.
        thread::spawn(move || said.for_each(drop));
        let at = |key: &str| ready.split(key).nth(1).and_then(|rest| rest.split('"').next());
        Self {
            child,
            file,
            proxy: at("listening=\"").unwrap().parse().unwrap(),
            health: at("health=\"").unwrap().parse().unwrap(),
            admin: at("admin=\"").unwrap().parse().unwrap(),
            rows,
            world,
        }
    }

    fn client(&self) -> Client {
        let road = Road::Proxy(self.proxy);
        Client::new("127.0.0.1".parse().unwrap(), road, self.world.lab.authority.clone())
            .patience(Duration::from_secs(30))
    }

    async fn echoing(&self) -> Wire {
        self.world.echoing(&self.client(), "echo").await
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn proc(&self, file: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).unwrap()
    }

    /// Resident memory, in bytes.
    fn memory(&self) -> u64 {
        let status = self.proc("status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// CPU time used so far, in seconds.
    fn processor(&self) -> f64 {
        let stat = self.proc("stat");
        let after = stat.rsplit(')').next().unwrap();
        let times = after.split_whitespace().skip(11).take(2);
        times.map(|ticks| ticks.parse::<f64>().unwrap()).sum::<f64>() / TICKS
    }

    /// Rows whose column says this.
    fn rows(&self, column: &str, value: &str) -> Vec<Value> {
        let rows = self.rows.lock().unwrap();
        rows.iter()
            .filter(|row| row["properties"][column] == value)
            .cloned()
            .collect()
    }

    /// From now on it gets no descriptor of this number or a higher one.
    fn files(&self, limit: u64) {
        let limit = Rlimit {
            current: Some(limit),
            maximum: Some(256),
        };
        prlimit(Some(Pid::from_child(&self.child)), Resource::Nofile, limit).unwrap();
    }

    fn lowest_free_file(&self) -> u64 {
        let folder = format!("/proc/{}/fd", self.child.id());
        (0..)
            .find(|file| !fs::exists(format!("{folder}/{file}")).unwrap())
            .unwrap()
    }

    /// Status of a probe.
    async fn probe(&self) -> u16 {
        let mut stream = TcpStream::connect(self.health).await.unwrap();
        stream
            .write_all(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
            .await
            .unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer[9..]).parse().unwrap()
    }
}

impl Drop for Egret {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.file);
    }
}

/// Answers to a CONNECT on so many connections at once: the tunnels, and the phrases of the refusals.
async fn crowd(client: &Client, target: &'static str, size: usize) -> (Vec<Wire>, Vec<String>) {
    let mut asking = JoinSet::new();
    for _ in 0..size {
        let client = client.clone();
        asking.spawn(async move { client.connect(target).await });
    }
    let (mut tunnels, mut refusals) = (Vec::new(), Vec::new());
    for answer in asking.join_all().await {
        match answer {
            Ok(connected) if connected.status() == 200 => tunnels.push(connected.wire),
            Ok(connected) => refusals.push(connected.phrase().to_string()),
            // More at once than may linger: the answer was sent, and a reset may have overtaken it.
            Err(Ended::Reset) => refusals.push(String::new()),
            Err(ended) => panic!("neither an answer nor a reset: {ended}"),
        }
    }
    (tunnels, refusals)
}

#[tokio::test]
async fn r_07_four_hundred_connections_do_not_fit_256_descriptors_and_each_is_told_so() {
    let echo = Origin::echo().await;
    let egret = Egret::start("r07", 256, World::builder().leads("echo", echo.address)).await;
    let mut old = Vec::new();
    for _ in 0..10 {
        old.push(egret.echoing().await);
    }
    let (tunnels, refusals) = crowd(&egret.client(), "api.example.com:443", 400).await;
    assert_eq!(tunnels.len() + refusals.len(), 400);
    assert!(
        (20..=70).contains(&tunnels.len()),
        "80 fit, 10 are old: {}",
        tunnels.len()
    );
    let told: Vec<_> = refusals.iter().filter(|phrase| !phrase.is_empty()).collect();
    assert!(told.iter().all(|phrase| phrase.contains("LimitFiles")), "{told:?}");
    assert!(told.len() >= 32, "those that may linger: {}", told.len());
    println!("{} of {} were told", told.len(), refusals.len());
    assert_eq!(egret.probe().await, 200, "probes find a descriptor");
    for wire in &mut old {
        wire.send(b"still here").await.unwrap();
        assert_eq!(wire.take(10).await.unwrap(), b"still here");
    }
    let before = egret.processor();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(egret.processor() - before < 0.1, "it spins");
    drop(tunnels);
    let deadline = Instant::now() + Duration::from_secs(10);
    while egret.client().connect("api.example.com:443").await.unwrap().status() != 200 {
        assert!(Instant::now() < deadline, "does not recover");
    }
    let page = page(egret.admin, "/metrics").await;
    let sample = "egret_limit_refusals_total{limit=\"LimitFiles\"} ";
    let counted = page.lines().find_map(|line| line.strip_prefix(sample)).unwrap();
    assert!(counted.parse::<usize>().unwrap() >= refusals.len(), "each is counted");
    until("some have rows", || !egret.rows("Reason", "LimitFiles").is_empty()).await;
}

#[tokio::test]
async fn r_07_without_any_descriptor_left_accepting_pauses_and_goes_on() {
    let echo = Origin::echo().await;
    let egret = Egret::start("r07-none", 256, World::builder().leads("echo", echo.address)).await;
    let mut old = egret.echoing().await;
    egret.files(egret.lowest_free_file());

    // These wait in the kernel, or are told with the one descriptor that is kept for it.
    let mut waiting = Vec::new();
    for _ in 0..30 {
        waiting.push(egret.client().open().await.unwrap());
    }
    let before = egret.processor();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(
        egret.processor() - before < 0.2,
        "it spins: {}",
        egret.processor() - before
    );
    old.send(b"still here").await.unwrap();
    assert_eq!(old.take(10).await.unwrap(), b"still here");

    drop(waiting);
    egret.files(256);
    let deadline = Instant::now() + Duration::from_secs(10);
    while egret.client().connect("api.example.com:443").await.unwrap().status() != 200 {
        assert!(Instant::now() < deadline, "does not recover");
    }
    let page = page(egret.admin, "/metrics").await;
    for sample in [
        "egret_accept_failures_total ",
        "egret_limit_refusals_total{limit=\"LimitFiles\"} ",
    ] {
        let line = page.lines().find_map(|line| line.strip_prefix(sample)).unwrap();
        assert!(line.parse::<u64>().unwrap() > 0, "{sample}{line}");
    }
}

#[tokio::test]
async fn f_03_r_06_idle_tunnels_and_slow_readers_cost_little_memory_and_starve_nobody() {
    let (echo, flood) = (Origin::echo().await, Origin::flood().await);
    let builder = World::builder()
        .leads("echo", echo.address)
        .leads("flood", flood.address);
    let egret = Egret::start("f03", 10_000, builder).await;
    // What one tunnel leaves warm is not counted.
    for _ in 0..50 {
        drop(egret.echoing().await);
    }
    let before = egret.memory();
    let mut idle = Vec::new();
    for _ in 0..1000 {
        idle.push(egret.echoing().await);
    }
    let each = egret.memory().saturating_sub(before) / 1000;
    assert!(each <= 8 * 1024, "{each} bytes an idle tunnel");
    println!("{each} bytes an idle tunnel");

    let before = egret.memory();
    let mut slow = Vec::new();
    for _ in 0..200 {
        slow.push(egret.world.passed(&egret.client(), "flood").await.0);
    }
    let mut slowest = Duration::ZERO;
    for _ in 0..20 {
        let started = Instant::now();
        let mut wire = egret.echoing().await;
        wire.send(b"ping").await.unwrap();
        assert_eq!(wire.take(4).await.unwrap(), b"ping");
        slowest = slowest.max(started.elapsed());
    }
    assert!(slowest < Duration::from_secs(1), "{slowest:?} beside 200 slow readers");
    let each = egret.memory().saturating_sub(before) / 200;
    assert!(each <= (128 + 32) * 1024, "{each} bytes a slow reader");
    println!("{each} bytes a slow reader");
}

#[tokio::test]
async fn r_19_sigterm_drains_and_a_second_one_cuts_and_every_tunnel_has_its_last_row() {
    let echo = Origin::echo().await;
    let mut egret = Egret::start("r19", 1000, World::builder().leads("echo", echo.address)).await;
    let mut open = Vec::new();
    for _ in 0..100 {
        open.push(egret.echoing().await);
    }
    egret.signal(Signal::TERM);
    until("nobody listens any more", || StdStream::connect(egret.proxy).is_err()).await;
    for wire in &mut open {
        wire.send(b"still here").await.unwrap();
        assert_eq!(wire.take(10).await.unwrap(), b"still here");
    }
    egret.signal(Signal::TERM);
    for wire in &mut open {
        assert_eq!(wire.to_end().await.1, Ended::Reset);
    }
    let deadline = Instant::now() + Duration::from_secs(10);
    let status = loop {
        match egret.child.try_wait().unwrap() {
            Some(status) => break status,
            None => assert!(Instant::now() < deadline, "it does not end"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert_eq!(status.code(), Some(0));
    until("all rows are out", || egret.rows("End", "Drained").len() == 100).await;
    assert!(
        egret
            .rows("End", "Drained")
            .iter()
            .all(|row| row["properties"]["BytesSent"].as_u64() > Some(10))
    );
}
