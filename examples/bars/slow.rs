//! Thousands of clients that are slow or say nothing, and one that wants its tunnels as fast as ever.

use crate::{
    Pace, policy,
    process::{Egret, Facts, How},
    report::{Report, mib, ms, quantile},
    rows::Tally,
    tunnel::{Refusal, Tunnel, connect, connect_head, hello, read_head, source},
    world::World,
};
use clap::Args;
use egret::lab::internet::connect_from;
use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
    time::{sleep, timeout},
};

/// A good client's p99 may rise to so many times what it was alone.
const MAX_RATIO: f64 = 3.0;

/// Memory that may stay behind once the slow clients have left.
const MAX_LEFT: i64 = 8 << 20;

/// Addresses that the slow clients come from.
const SOURCES: usize = 10;

/// Time for a request head, as configured by default.
const HEAD_TIME: Duration = Duration::from_secs(10);

/// Tunnels without a byte end after this; short, so that the run sees it.
const IDLE: Duration = Duration::from_secs(8);

/// Pause between two bytes of a slow client.
const DRIBBLE: Duration = Duration::from_secs(2);

/// New tunnels of the good client, per second.
const GOOD_RATE: f64 = 100.0;

/// Attempts of one source, per second and at once: twice what the good client needs.
const ATTEMPTS: u64 = 200;

/// How `slow` measures.
#[derive(Args)]
pub struct SlowArgs {
    /// Slow and silent clients.
    #[arg(long, default_value_t = 10_000)]
    clients: usize,
    /// Length of each measurement of the good client, in seconds.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
}

/// Runs `binary`. Whether every bar held.
pub fn run(binary: &Path, args: &SlowArgs) -> io::Result<bool> {
    let world = World::start()?;
    let tally = Tally::default();
    let room = Room::of(args.clients);
    let mut egret = Egret::spawn(&How::Binary(binary.into()), &config(&world, &room), tally.counter())?;
    egret.ready()?;
    let mut report = Report::default();
    let mut alone = crate::block_on(good(egret.proxy, args.seconds, &mut report))?;
    let before = settled(&egret)?;

    let crowd = Crowd::start(egret.proxy, args.clients)?;
    crowd.wait_until_there()?;
    let mut among = crate::block_on(good(egret.proxy, args.seconds, &mut report))?;
    let full = egret.facts()?;
    let there = crowd.standing.load(Relaxed);
    crate::block_on(probe(egret.proxy, &room, &mut report))?;
    let answers = crowd.leave()?;
    let after = settled(&egret)?;
    egret.stop()?;

    let bar = format!(">= {} at once", args.clients * 9 / 10);
    report.bar("slow clients", there, bar, there >= args.clients as i64 * 9 / 10);
    judge_latency(&mut alone, &mut among, &mut report);
    judge_answers(&answers, &tally, &mut report);
    judge_left(before, full, after, &mut report);
    Ok(report.print("slow"))
}

/// How many connections there are places for.
struct Room {
    tunnels: usize,
    per_source: usize,
}

impl Room {
    fn of(clients: usize) -> Self {
        let per_source = clients / SOURCES + 200;
        Self {
            tunnels: clients + per_source + 200,
            per_source,
        }
    }
}

fn config(world: &World, room: &Room) -> String {
    format!(
        "{}[limits]\ntunnels = {}\ntunnels_per_source = {}\nidle_seconds = {}\nattempts_per_second_per_source = \
         {ATTEMPTS}\nattempts_burst_per_source = {ATTEMPTS}\n\n{}",
        world.config(),
        room.tunnels,
        room.per_source,
        IDLE.as_secs(),
        policy(&["always.load.test", "flood.load.test"])
    )
}

/// What the process holds once nothing happens any more.
fn settled(egret: &Egret) -> io::Result<Facts> {
    let mut last = egret.facts()?;
    for _ in 0..20 {
        thread::sleep(Duration::from_millis(500));
        let now = egret.facts()?;
        if (now.fds, now.rss) == (last.fds, last.rss) {
            break;
        }
        last = now;
    }
    egret.facts()
}

/// The times of a good client's tunnels, from connecting to the first byte back.
async fn good(proxy: SocketAddr, seconds: u64, report: &mut Report) -> io::Result<Vec<Duration>> {
    let mut times = Vec::new();
    let mut failed = 0;
    let mut pace = Pace::new(GOOD_RATE);
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(seconds) {
        pace.next().await;
        let since = Instant::now();
        match Tunnel::open(proxy, Ipv4Addr::LOCALHOST.into(), "always.load.test").await {
            Ok(tunnel) => {
                times.push(since.elapsed());
                failed += u64::from(tunnel.close(false).await.is_err());
            }
            Err(why) => {
                failed += 1;
                eprintln!("  good client: {why}");
            }
        }
    }
    report.none(format!("of {} tunnels of the good client, failed", times.len()), failed);
    Ok(times)
}

/// What became of slow clients.
#[derive(Debug, Default)]
struct Answers {
    /// Silent ones and ones with half a head that were told `HeadTimeout`.
    head: AtomicU64,
    /// Ones with half a ClientHello that got the alert `access_denied`.
    hello: AtomicU64,
    /// Ones that read too slowly and were reset.
    idle: AtomicU64,
    /// Ones that were told something else, or nothing.
    other: AtomicU64,
}

/// The slow clients, on a thread of their own. Each comes again when it has been turned out.
struct Crowd {
    clients: usize,
    standing: Arc<AtomicI64>,
    answers: Arc<Answers>,
    over: watch::Sender<bool>,
    thread: thread::JoinHandle<()>,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Silent,
    HalfHead,
    HalfHello,
    SlowReader,
}

impl Kind {
    fn of(n: usize) -> Self {
        match n % 10 {
            0..=3 => Self::Silent,
            4..=6 => Self::HalfHead,
            7 | 8 => Self::HalfHello,
            _ => Self::SlowReader,
        }
    }
}

impl Crowd {
    fn start(proxy: SocketAddr, clients: usize) -> io::Result<Self> {
        let (over, is_over) = watch::channel(false);
        let (standing, answers) = (Arc::new(AtomicI64::new(0)), Arc::new(Answers::default()));
        let (s, a) = (standing.clone(), answers.clone());
        let thread = thread::Builder::new().name("crowd".into()).spawn(move || {
            crate::block_on(async {
                let mut tasks = tokio::task::JoinSet::new();
                // Spread over a head's time: all at once would come again all at once for ever.
                let mut pace = Pace::new(clients as f64 / HEAD_TIME.as_secs_f64());
                for n in 0..clients {
                    pace.next().await;
                    let (standing, answers, mut over) = (s.clone(), a.clone(), is_over.clone());
                    tasks.spawn(async move {
                        tokio::select! {
                            () = again_and_again(proxy, n, &standing, &answers) => {}
                            _ = over.wait_for(|over| *over) => {}
                        }
                    });
                }
                while tasks.join_next().await.is_some() {}
            });
        })?;
        Ok(Self {
            clients,
            standing,
            answers,
            over,
            thread,
        })
    }

    fn wait_until_there(&self) -> io::Result<()> {
        let deadline = Instant::now() + 3 * HEAD_TIME;
        while self.standing.load(Relaxed) < self.clients as i64 * 95 / 100 {
            if Instant::now() > deadline {
                let text = format!("only {} slow clients are there", self.standing.load(Relaxed));
                return Err(io::Error::other(text));
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn leave(self) -> io::Result<Arc<Answers>> {
        self.over.send_replace(true);
        self.thread
            .join()
            .map_err(|_| io::Error::other("a slow client panicked"))?;
        Ok(self.answers)
    }
}

async fn again_and_again(proxy: SocketAddr, n: usize, standing: &AtomicI64, answers: &Answers) {
    loop {
        let told = one_stay(proxy, n, standing).await;
        let counter = match told {
            Ok(Told::HeadTimeout) => &answers.head,
            Ok(Told::AccessDenied) => &answers.hello,
            Ok(Told::Reset) => &answers.idle,
            Err(why) => {
                if answers.other.load(Relaxed) < 5 {
                    eprintln!("  {:?} client: {why}", Kind::of(n));
                }
                &answers.other
            }
        };
        counter.fetch_add(1, Relaxed);
    }
}

enum Told {
    HeadTimeout,
    AccessDenied,
    Reset,
}

async fn one_stay(proxy: SocketAddr, n: usize, standing: &AtomicI64) -> Result<Told, Refusal> {
    let from = source(1 + n % SOURCES);
    let name = if matches!(Kind::of(n), Kind::SlowReader) {
        "flood.load.test"
    } else {
        "always.load.test"
    };
    let mut stream = match Kind::of(n) {
        Kind::Silent | Kind::HalfHead => connect_from(from, proxy).await?,
        Kind::HalfHello | Kind::SlowReader => connect(proxy, from, name).await?,
    };
    let _here = Here::new(standing);
    match Kind::of(n) {
        Kind::Silent => head_timeout(&mut stream).await,
        Kind::HalfHead => {
            let head = connect_head(name);
            let (mut reads, mut writes) = stream.split();
            tokio::select! {
                told = async {
                    let mut answer = String::new();
                    reads.read_to_string(&mut answer).await?;
                    Ok::<_, Refusal>(answer)
                } => named_head_timeout(&told?),
                never = dribble(&mut writes, head.as_bytes()) => Err(never.into()),
            }
        }
        Kind::HalfHello => {
            let hello = hello(name);
            stream.write_all(&hello[..hello.len() / 2]).await?;
            let mut alert = Vec::new();
            stream.read_to_end(&mut alert).await?;
            // a fatal alert, access_denied (RFC 8446 section 6.2)
            if alert.ends_with(&[2, 49]) {
                Ok(Told::AccessDenied)
            } else {
                Err(Refusal::AtGate(format!("{alert:?}")))
            }
        }
        Kind::SlowReader => {
            stream.write_all(&hello(name)).await?;
            loop {
                sleep(DRIBBLE).await;
                match stream.read_u8().await {
                    Ok(_) => {}
                    Err(e) if e.kind() == io::ErrorKind::ConnectionReset => return Ok(Told::Reset),
                    Err(e) => return Err(Refusal::AtGate(e.to_string())),
                }
            }
        }
    }
}

/// Counts a slow client for as long as it is connected.
struct Here<'a>(&'a AtomicI64);

impl<'a> Here<'a> {
    fn new(standing: &'a AtomicI64) -> Self {
        standing.fetch_add(1, Relaxed);
        Self(standing)
    }
}

impl Drop for Here<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

async fn dribble(to: &mut (impl AsyncWriteExt + Unpin), bytes: &[u8]) -> io::Error {
    for byte in bytes {
        if let Err(error) = to.write_u8(*byte).await {
            return error;
        }
        sleep(DRIBBLE).await;
    }
    io::Error::other("a whole head fitted into its time")
}

async fn head_timeout(stream: &mut TcpStream) -> Result<Told, Refusal> {
    named_head_timeout(&read_head(stream).await?)
}

fn named_head_timeout(answer: &str) -> Result<Told, Refusal> {
    if answer.contains("HeadTimeout") {
        Ok(Told::HeadTimeout)
    } else {
        Err(Refusal::Answered(answer.lines().next().unwrap_or("nothing").into()))
    }
}

/// Goes to each limit, with the crowd still there, and reads what the answer names.
async fn probe(proxy: SocketAddr, room: &Room, report: &mut Report) -> io::Result<()> {
    let one_source = silent(proxy, source(101), room.per_source + 20).await?;
    report.bar(
        "one source too many connections",
        &one_source.1,
        "LimitSourceTunnels",
        one_source.1.contains("LimitSourceTunnels"),
    );
    let all = silent(proxy, source(102), 600).await?;
    report.bar(
        "too many connections in all",
        &all.1,
        "LimitTunnels",
        all.1.contains("LimitTunnels"),
    );
    drop((one_source, all));
    sleep(Duration::from_millis(500)).await;
    let fast = too_fast(proxy, source(103)).await?;
    report.bar(
        "one source too many attempts",
        &fast,
        "LimitSourceRate",
        fast.contains("LimitSourceRate"),
    );
    let large = too_large(proxy, source(104)).await?;
    report.bar(
        "too large a head",
        &large,
        "HeadTooLarge",
        large.contains("HeadTooLarge"),
    );
    Ok(())
}

/// Silent connections until one is refused, or `most`; and what the refusal said.
async fn silent(proxy: SocketAddr, from: IpAddr, most: usize) -> io::Result<(Vec<TcpStream>, String)> {
    let mut held = Vec::new();
    for _ in 0..most {
        let mut stream = connect_from(from, proxy).await?;
        // A refusal at accept comes unasked.
        if let Ok(answer) = timeout(Duration::from_millis(3), read_head(&mut stream)).await {
            return Ok((held, reason(&answer?)));
        }
        held.push(stream);
    }
    // Those that were accepted late may have been refused meanwhile.
    for stream in &mut held {
        if let Ok(answer) = timeout(Duration::from_millis(1), read_head(stream)).await {
            let answer = answer?;
            return Ok((held, reason(&answer)));
        }
    }
    Ok((held, "nothing".into()))
}

async fn too_fast(proxy: SocketAddr, from: IpAddr) -> io::Result<String> {
    for _ in 0..20 * ATTEMPTS {
        match connect(proxy, from, "never.load.test").await {
            Err(Refusal::Answered(line)) if line.contains("NoRuleMatched") => {}
            Err(Refusal::Answered(line)) => return Ok(reason(&line)),
            Err(other) => return Ok(other.to_string()),
            Ok(_) => return Ok("200".into()),
        }
    }
    Ok("nothing".into())
}

async fn too_large(proxy: SocketAddr, from: IpAddr) -> io::Result<String> {
    let mut stream = connect_from(from, proxy).await?;
    let head = format!(
        "CONNECT always.load.test:443 HTTP/1.1\r\nX: {}\r\n\r\n",
        "x".repeat(20 << 10)
    );
    stream.write_all(head.as_bytes()).await?;
    Ok(reason(&read_head(&mut stream).await?))
}

/// Status and reason of an answer: what stands before the flow id.
fn reason(answer: &str) -> String {
    let line = answer.lines().next().unwrap_or("closed without an answer");
    let line = line.strip_prefix("HTTP/1.1 ").unwrap_or(line);
    line.split(" (flow").next().unwrap_or(line).into()
}

fn judge_latency(alone: &mut [Duration], among: &mut [Duration], report: &mut Report) {
    for (share, name) in [(0.5, "p50"), (0.99, "p99")] {
        let (before, during) = (quantile(alone, share), quantile(among, share));
        let ratio = during.as_secs_f64() / before.as_secs_f64().max(1e-9);
        let figure = format!("new tunnel, {name}: {} alone, {} among them", ms(before), ms(during));
        match name {
            "p99" => report.bar(figure, format!("{ratio:.2}x"), "< 3x", ratio < MAX_RATIO),
            _ => report.note(figure, format!("{ratio:.2}x")),
        }
    }
}

fn judge_answers(answers: &Answers, tally: &Tally, report: &mut Report) {
    for (figure, told, rows) in [
        (
            "silent or half a head: told HeadTimeout",
            &answers.head,
            tally.ends("HeadTimeout"),
        ),
        (
            "half a ClientHello: alert access_denied, row TlsIncomplete",
            &answers.hello,
            tally.ends("TlsIncomplete"),
        ),
        ("slow readers: reset, row Idle", &answers.idle, tally.ends("Idle")),
    ] {
        let told = told.load(Relaxed);
        report.bar(
            figure,
            format!("{told} clients, {rows} rows"),
            "> 0, rows >= clients",
            told > 0 && rows >= told,
        );
    }
    report.none(
        "slow clients told something else, or nothing",
        answers.other.load(Relaxed),
    );
    report.none("rows lost", tally.losses());
}

fn judge_left(before: Facts, full: Facts, after: Facts, report: &mut Report) {
    report.bar(
        format!("fds: {} before, {} with all", before.fds, full.fds),
        after.fds,
        format!("<= {} + 8", before.fds),
        after.fds <= before.fds + 8,
    );
    let left = after.rss - before.rss;
    report.bar(
        format!("resident: {} before, {} with all, then", mib(before.rss), mib(full.rss)),
        format!("{} more", mib(left)),
        "< 8 MiB more",
        left < MAX_LEFT,
    );
}
