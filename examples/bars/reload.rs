//! Reloads under load: two policies take turns while tunnels are opened, held and cut.
//!
//! Both allow `always`, neither allows `never`, and each allows one of the `turn` names. So every row can be held against
//! the policy whose hash it carries, and every held tunnel against the policy in force.

use crate::{
    Pace, policy,
    process::{Egret, How, facts},
    report::{Report, mib, ms, slope},
    rows::{OnRow, Row},
    tunnel::{Refusal, Tunnel, source},
    world::World,
};
use clap::{Args, ValueEnum};
use egret::{
    config,
    gateway::{Gateway, GatewayOptions},
};
use std::{
    cell::RefCell,
    collections::BTreeMap,
    io::{self, BufRead},
    net::SocketAddr,
    path::Path,
    rc::Rc,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};
use tokio::{sync::watch, task::LocalSet, time::sleep};

const ALWAYS: &str = "always.load.test";
const NEVER: &str = "never.load.test";
const TURNS: [&str; 2] = ["turn-a.load.test", "turn-b.load.test"];

/// After a reload no tunnel may live longer that the policy denies.
const MAX_CUT: Duration = Duration::from_secs(1);

/// Memory may differ by so much between the second and the last third of a storm: pages and arenas, not tunnels.
const MAX_GROWTH: i64 = 4 << 20;

/// Source addresses that share the work.
const SOURCES: usize = 8;

/// Reloads without other load whose cuts are timed.
const CALM_RELOADS: usize = 4;

/// Tunnels that stand through the whole run.
const STANDING: usize = 50;

/// How `reload` measures.
#[derive(Args)]
pub struct ReloadArgs {
    /// Length of the storm, in seconds.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Reloads per second.
    #[arg(long, default_value_t = 100)]
    rate: u64,
    /// New tunnels per second.
    #[arg(long, default_value_t = 500)]
    tunnels: u64,
    /// Tunnels held by each timed reload.
    #[arg(long, default_value_t = 1000)]
    held: usize,
    /// Only this way of reloading; default: both, one after the other.
    #[arg(long)]
    by: Option<By>,
}

/// How a configuration is swapped.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum By {
    /// `Gateway::reload` in a program that embeds the library; each reload reads and checks the file.
    Library,
    /// The file is replaced and `egret run` gets SIGHUP; the next one waits until health shows the new generation.
    Signal,
}

/// Measures each way. Whether every bar held.
pub fn run(binary: &Path, args: &ReloadArgs) -> io::Result<bool> {
    let mut held = true;
    for by in [By::Library, By::Signal] {
        if args.by.is_none_or(|only| only == by) {
            held &= measure(binary, by, args)?;
        }
    }
    Ok(held)
}

/// Rows kept as they come, judged at the end.
type Kept = Arc<Mutex<Vec<Seen>>>;

struct Seen {
    generation: u64,
    hash: String,
    name: String,
    reason: String,
    allowed: bool,
    loss: bool,
}

fn keep(kept: &Kept) -> OnRow {
    let kept = kept.clone();
    Box::new(move |row: &Row| {
        if !row.is_decision() && !row.is_loss() {
            return;
        }
        kept.lock().unwrap_or_else(PoisonError::into_inner).push(Seen {
            generation: row.generation(),
            hash: row.policy_hash().into(),
            name: row.fqdn().into(),
            reason: row.reason().into(),
            allowed: row.allowed(),
            loss: row.is_loss(),
        });
    })
}

fn measure(binary: &Path, by: By, args: &ReloadArgs) -> io::Result<bool> {
    let world = World::start()?;
    let configs = TURNS.map(|turn| {
        let limits = "[limits]\nattempts_per_second_per_source = 100000\nattempts_burst_per_source = 100000\n\n";
        format!("{}{limits}{}", world.config(), policy(&[ALWAYS, turn]))
    });
    let how = match by {
        By::Library => How::Library,
        By::Signal => How::Binary(binary.into()),
    };
    let kept = Kept::default();
    let mut egret = Egret::spawn(&how, &configs[0], keep(&kept))?;
    egret.ready()?;
    let mut hashes = BTreeMap::from([(egret.policy()?.1, 0)]);
    egret.reload(&configs[1])?;
    hashes.insert(egret.policy()?.1, 1);
    egret.reload(&configs[0])?;
    let client = Rc::new(Client {
        proxy: egret.proxy,
        ..Client::default()
    });
    let mut report = Report::default();
    let local = LocalSet::new();
    let egret = crate::block_on(local.run_until(async {
        let standing = stand(&client).await?;
        let cuts = calm(&mut egret, &configs, &client, args.held).await?;
        let slowest = cuts.iter().max().copied().unwrap_or_default();
        report.bar(
            format!("{} tunnels cut after a reload, slowest", args.held),
            ms(slowest),
            "< 1 s",
            slowest < MAX_CUT,
        );
        let egret = storm(egret, configs, &client, by, args, &mut report).await?;
        let lost = still_there(standing).await;
        report.none(format!("of {STANDING} standing permitted tunnels, lost"), lost);
        io::Result::Ok(egret)
    }))?;
    egret.stop()?;
    let kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    judge_rows(&kept, &hashes, &client.counts.borrow(), &mut report);
    let title = match by {
        By::Library => "reload by library",
        By::Signal => "reload by SIGHUP",
    };
    Ok(report.print(title))
}

/// What the clients saw.
#[derive(Default)]
struct Counts {
    attempts: u64,
    permitted_lost: u64,
    forbidden_passed: u64,
    cut: u64,
    longest: Duration,
}

struct Client {
    proxy: SocketAddr,
    counts: RefCell<Counts>,
    /// Tunnels of each turn name that stand now.
    live: RefCell<[i64; 2]>,
}

impl Default for Client {
    fn default() -> Self {
        Self {
            proxy: SocketAddr::from(([0; 4], 0)),
            counts: RefCell::default(),
            live: RefCell::default(),
        }
    }
}

impl Client {
    async fn open(&self, n: usize, name: &str) -> Result<Tunnel, Refusal> {
        self.counts.borrow_mut().attempts += 1;
        Tunnel::open(self.proxy, source(n % SOURCES), name).await
    }

    /// A tunnel that both policies allow: nothing may happen to it.
    async fn permitted(&self, n: usize) {
        let done = async {
            let mut tunnel = self.open(n, ALWAYS).await.map_err(|e| e.to_string())?;
            tunnel
                .echo(b"some bytes of the workload")
                .await
                .map_err(|e| e.to_string())?;
            tunnel.close(n.is_multiple_of(2)).await.map_err(|e| e.to_string())
        };
        if let Err(why) = done.await {
            self.counts.borrow_mut().permitted_lost += 1;
            eprintln!("  permitted tunnel lost: {why}");
        }
    }

    /// A name that neither policy allows.
    async fn forbidden(&self, n: usize) {
        match self.open(n, NEVER).await {
            Err(Refusal::Answered(line)) if line.contains("NoRuleMatched") => {}
            Err(other) => eprintln!("  forbidden tunnel: {other}"),
            Ok(_) => self.counts.borrow_mut().forbidden_passed += 1,
        }
    }

    /// A tunnel that one policy allows: held until it is cut. `over` resolves when nothing is measured any more.
    async fn in_turn(&self, n: usize, turn: usize, mut over: watch::Receiver<bool>) {
        // Refused when the other policy is in force: as it should be.
        let Ok(mut tunnel) = self.open(n, TURNS[turn]).await else {
            return;
        };
        let since = Instant::now();
        self.live.borrow_mut()[turn] += 1;
        tokio::select! {
            () = tunnel.cut() => {
                let mut counts = self.counts.borrow_mut();
                counts.cut += 1;
                counts.longest = counts.longest.max(since.elapsed());
                self.live.borrow_mut()[turn] -= 1;
            }
            _ = over.wait_for(|over| *over) => {}
        }
    }
}

async fn stand(client: &Rc<Client>) -> io::Result<Vec<Tunnel>> {
    let mut standing = Vec::new();
    for n in 0..STANDING {
        standing.push(
            client
                .open(n, ALWAYS)
                .await
                .map_err(|e| io::Error::other(e.to_string()))?,
        );
    }
    Ok(standing)
}

async fn still_there(standing: Vec<Tunnel>) -> u64 {
    let mut lost = 0;
    for mut tunnel in standing {
        lost += u64::from(tunnel.echo(b"still there").await.is_err());
    }
    lost
}

/// One reload at a time: how long until every tunnel that is denied now has been cut.
async fn calm(egret: &mut Egret, configs: &[String; 2], client: &Rc<Client>, held: usize) -> io::Result<Vec<Duration>> {
    let mut cuts = Vec::new();
    for round in 0..CALM_RELOADS {
        let turn = round % 2;
        let mut tunnels = Vec::new();
        for n in 0..held {
            tunnels.push(
                client
                    .open(n, TURNS[turn])
                    .await
                    .map_err(|e| io::Error::other(e.to_string()))?,
            );
        }
        let begin = Instant::now();
        egret.reload(&configs[1 - turn])?;
        for tunnel in &mut tunnels {
            tokio::time::timeout(2 * MAX_CUT, tunnel.cut()).await.ok();
        }
        cuts.push(begin.elapsed());
        client.counts.borrow_mut().cut += held as u64;
    }
    Ok(cuts)
}

async fn storm(
    egret: Egret,
    configs: [String; 2],
    client: &Rc<Client>,
    by: By,
    args: &ReloadArgs,
    report: &mut Report,
) -> io::Result<Egret> {
    let pid = egret.pid();
    let before = egret.policy()?.0;
    let (over, is_over) = watch::channel(false);
    let length = Duration::from_secs(args.seconds);
    let begin = Instant::now();
    let (seconds, rate) = (args.seconds, args.rate);
    let reloading = thread::spawn(move || reload_all_the_time(egret, configs, by, rate, seconds));
    let mut pace = Pace::new(args.tunnels as f64);
    let (mut memory, mut opened) = (Vec::new(), Vec::new());
    for n in 0..usize::try_from(args.tunnels * args.seconds).unwrap_or(usize::MAX) {
        pace.next().await;
        let (client, over) = (client.clone(), is_over.clone());
        let one = tokio::task::spawn_local(async move {
            match n % 10 {
                0..=4 => client.permitted(n).await,
                5 | 6 => client.in_turn(n, 0, over).await,
                7 | 8 => client.in_turn(n, 1, over).await,
                _ => client.forbidden(n).await,
            }
        });
        opened.push(one);
        if n.is_multiple_of(usize::try_from(args.tunnels).unwrap_or(1).max(4) / 4) {
            memory.push((begin.elapsed().as_secs_f64(), facts(pid)?.rss));
        }
    }
    let took = begin.elapsed();
    while !reloading.is_finished() {
        sleep(Duration::from_millis(1)).await;
    }
    let egret = reloading
        .join()
        .map_err(|_| io::Error::other("the reloading thread panicked"))??;
    sleep(MAX_CUT).await;
    let (generation, hash) = egret.policy()?;
    let live = *client.live.borrow();
    over.send_replace(true);
    for one in opened {
        let _ = one.await;
    }
    let reloads = generation - before;
    let wanted = args.rate * args.seconds;
    let figure = format!("reloads in {:.0} s", length.as_secs_f64());
    match by {
        By::Library => report.bar(figure, reloads, format!(">= {wanted}"), reloads >= wanted),
        By::Signal => report.note(figure, reloads),
    }
    report.note(
        "new tunnels per second",
        format!("{:.0}", (args.tunnels * args.seconds) as f64 / took.as_secs_f64()),
    );
    report.note("policy in force at the end", hash);
    // The last reload was of the policy with the same parity as the first.
    judge_storm(client, live, generation, &memory, report);
    Ok(egret)
}

fn judge_storm(client: &Client, live: [i64; 2], generation: u64, memory: &[(f64, i64)], report: &mut Report) {
    let counts = client.counts.borrow();
    report.none("permitted tunnels lost", counts.permitted_lost);
    report.none("forbidden tunnels opened", counts.forbidden_passed);
    // Generations begin at 1 with the first policy, and every reload swaps.
    let denied = usize::from(generation % 2 == 1);
    report.none(
        "1 s after the last reload, live tunnels that are denied",
        live[denied].unsigned_abs(),
    );
    let bar = MAX_CUT + Duration::from_millis(20);
    report.bar(
        "longest life of a tunnel allowed in turns",
        ms(counts.longest),
        "< 1 s + 2 turns",
        counts.longest < bar,
    );
    let (begin, end) = (memory.len() / 3, memory.len() * 2 / 3);
    let mean = |part: &[(f64, i64)]| part.iter().map(|m| m.1).sum::<i64>() / part.len().max(1) as i64;
    let growth = mean(&memory[end..]) - mean(&memory[begin..end]);
    report.bar(
        "memory, last third less the one before",
        mib(growth),
        "< 4.0 MiB",
        growth < MAX_GROWTH,
    );
    let points: Vec<_> = memory[begin..]
        .iter()
        .map(|(at, rss)| (*at, *rss as f64 / 1024.0))
        .collect();
    report.note(
        "memory, slope of the last two thirds",
        format!("{:.1} KiB/s", slope(&points)),
    );
}

/// Swaps the policies at `rate` for `seconds`, or as fast as they are taken up.
fn reload_all_the_time(mut egret: Egret, configs: [String; 2], by: By, rate: u64, seconds: u64) -> io::Result<Egret> {
    let begin = Instant::now();
    let mut next = usize::from(egret.policy()?.0 % 2 == 1);
    match by {
        By::Library => egret.storm(rate, seconds, [&configs[next], &configs[1 - next]])?,
        By::Signal => {
            let mut count = 0;
            while begin.elapsed() < Duration::from_secs(seconds) {
                egret.reload(&configs[next])?;
                next = 1 - next;
                count += 1;
                let due = Duration::from_secs_f64(f64::from(count) / rate as f64);
                thread::sleep(due.saturating_sub(begin.elapsed()));
            }
        }
    }
    Ok(egret)
}

/// Every decision must be what the policy says that its row names.
fn judge_rows(rows: &[Seen], hashes: &BTreeMap<String, usize>, counts: &Counts, report: &mut Report) {
    let mut of_generation: BTreeMap<u64, &str> = BTreeMap::new();
    let (mut unexplained, mut two_policies, mut decisions, mut revoked) = (0, 0, 0, 0);
    for row in rows.iter().filter(|row| !row.loss) {
        let hash = *of_generation.entry(row.generation).or_insert(&row.hash);
        two_policies += u64::from(hash != row.hash);
        let turn = hashes.get(&row.hash);
        let expected = turn.map(|turn| row.name == ALWAYS || row.name == TURNS[*turn]);
        let known = ["RuleMatched", "NoRuleMatched", "Revoked"].contains(&row.reason.as_str());
        if expected != Some(row.allowed) || !known {
            unexplained += 1;
            if unexplained <= 5 {
                let Seen {
                    generation,
                    hash,
                    name,
                    reason,
                    allowed,
                    ..
                } = row;
                eprintln!("  unexplained: generation {generation} ({hash}), {name}, {reason}, allowed {allowed}");
            }
        }
        match row.reason.as_str() {
            "Revoked" => revoked += 1,
            _ => decisions += 1,
        }
    }
    report.exactly("rows of decisions, one an attempt", decisions, counts.attempts);
    report.exactly("rows of cut tunnels", revoked, counts.cut);
    report.note("generations that decided something", of_generation.len());
    report.none("generations with two policies", two_policies);
    report.none("rows that their generation's policy does not explain", unexplained);
    report.none("rows lost", rows.iter().filter(|row| row.loss).count() as u64);
}

/// `bars serve`: a gateway in this process. Standard input says when to reload; its end is the end.
pub fn serve(file: &Path) -> io::Result<()> {
    let read = |file: &Path| config::load(file).map_err(|problems| io::Error::other(format!("{problems:?}")));
    let gateway = Gateway::start(read(file)?, GatewayOptions::default()).map_err(io::Error::other)?;
    let reload = |file: &Path| gateway.reload(read(file)?).map(|_| ()).map_err(io::Error::other);
    for line in io::stdin().lock().lines() {
        let line = line?;
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["reload", file] => reload(Path::new(file))?,
            ["storm", rate, seconds, one, other] => {
                let (rate, seconds): (u64, u64) = (rate.parse().unwrap_or(1), seconds.parse().unwrap_or(1));
                let begin = Instant::now();
                for n in 1..=rate * seconds {
                    reload(Path::new(if n % 2 == 1 { one } else { other }))?;
                    let due = Duration::from_secs_f64(n as f64 / rate as f64);
                    thread::sleep(due.saturating_sub(begin.elapsed()));
                }
            }
            _ => return Err(io::Error::other(format!("not a command: {line}"))),
        }
    }
    gateway.drain(Duration::from_secs(1));
    Ok(())
}
