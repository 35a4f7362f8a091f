//! `egret lab`: a whole world on loopback, and every way out of it tried.

mod by_hand;

use super::{
    Answer,
    azure::AzurePolicyArgs,
    output::{print, tell},
};
use crate::{
    config::Problem,
    lab::{
        course::{Course, CourseError, Way},
        diff, elsewhere,
        report::{self, Tally},
        row,
        scenario::{SHIPPED, Scenario, Shipped},
        stand_ins::{self, StandIns},
        world::Ground,
    },
};
use anyhow::{Context, anyhow, bail};
use clap::Args;
use ipnet::Ipv4Net;
use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// `egret lab`
#[derive(Clone, Debug, Args)]
pub struct LabArgs {
    /// Play and exit: 0 if each attempt went as expected, 1 if not; every shipped scenario, unless some are named
    #[arg(long)]
    pub once: bool,
    /// Scenarios to play: shipped ones by name, `all` of them, files of your own (TOML); of several none stays up
    #[arg(long, value_name = "NAME|FILE", num_args = 1..)]
    pub scenario: Vec<PathBuf>,
    /// List the shipped scenarios
    #[arg(long, conflicts_with_all = ["once", "scenario", "proxy", "direct", "azure_policy"])]
    pub list: bool,
    /// Print a shipped scenario, to start one of your own from it
    #[arg(long, value_name = "NAME", conflicts_with_all = ["once", "scenario", "proxy", "direct", "list", "json", "azure_policy"])]
    pub print: Option<String>,
    /// Play under this policy instead of the rules of the scenarios.
    #[command(flatten)]
    pub azure: AzurePolicyArgs,
    /// As which source of that policy a client of the scenario comes; may be repeated
    #[arg(long, value_name = "NAME=ADDRESS", requires = "azure_policy", value_parser = client_and_source)]
    pub client: Vec<(String, IpAddr)>,
    /// Make the attempts through another proxy instead of egret
    #[arg(long, value_name = "URL", conflicts_with_all = ["direct", "azure_policy"])]
    pub proxy: Option<String>,
    /// Where the lab's DNS server listens for the proxy under test, which must ask it alone
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:53530", requires = "proxy")]
    pub dns_listen: SocketAddr,
    /// For a proxy on another machine: addresses of this one that it reaches; the lab's sites listen there, on 80 and 443
    #[arg(long, value_name = "PREFIX", requires = "proxy")]
    pub stand_ins: Option<Ipv4Net>,
    /// Print the configuration whose rules that proxy is to have, for `egret export`, and play nothing
    #[arg(long, requires = "stand_ins", conflicts_with_all = ["once", "json"])]
    pub print_config: bool,
    /// Make the attempts without any proxy
    #[arg(long, conflicts_with = "azure_policy")]
    pub direct: bool,
    /// Compare the JSON lines of two runs: 0 if all came out the same, 1 if not, 2 if they cannot be compared
    #[arg(long, value_names = ["A", "B"], num_args = 2, conflicts_with_all = ["once", "scenario", "proxy", "direct", "list", "print", "azure_policy"])]
    pub diff: Vec<PathBuf>,
    /// Print the outcome as JSON lines instead of a table
    #[arg(long)]
    pub json: bool,
}

/// Lists or prints what is shipped, or plays, shows, and stays up unless told otherwise. The answer is no if something went
/// otherwise than expected.
pub fn run(args: &LabArgs) -> anyhow::Result<Answer> {
    if args.azure.is_idle() {
        bail!("`--azure-policy` is missing: the other arguments say how a policy is read");
    }
    if let [a, b] = &args.diff[..] {
        let diff = diff::Diff::read(a, b)?;
        print(&if args.json { diff.json() } else { diff.text() })?;
        return Ok(diff.same().into());
    }
    if args.list {
        print(&report::list(&read(&[])?, args.json))?;
        return Ok(Answer::Yes);
    }
    if let Some(name) = &args.print {
        let shipped = Shipped::named(name).ok_or_else(|| cannot_load(vec![Shipped::unknown(name)]))?;
        print(shipped.text)?;
        return Ok(Answer::Yes);
    }
    let mut scenarios = chosen(args)?;
    if args.azure.is_given() {
        judge_by(&args.azure, &args.client, &mut scenarios)?;
    }
    let (way, ground) = match (&args.proxy, args.direct) {
        (Some(url), _) => {
            let prefix = args.stand_ins.unwrap_or(stand_ins::LOOPBACK);
            let proxy = proxy_address(url, prefix, args.dns_listen)?;
            let stand_ins = StandIns::of(&scenarios, prefix)
                .map_err(|needed| anyhow!("--stand-ins {prefix}: clients and sites need {needed} addresses"))?;
            if args.print_config {
                return print_config(&scenarios, &stand_ins, args.dns_listen, proxy);
            }
            TcpStream::connect_timeout(&proxy, PROXY_TIME).map_err(|error| nobody(&error.to_string(), url))?;
            (Way::Proxy(proxy), Ground::StandIns(args.dns_listen, stand_ins))
        }
        (None, true) => (Way::Direct, Ground::Mapped),
        (None, false) => (Way::Egret, Ground::Mapped),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let stays = scenarios.len() == 1 && !args.once && way == Way::Egret;
    // One that stays up is a world for clients of one's own, and needs no attempts.
    if let Some(empty) = scenarios.iter().find(|it| it.attempts.is_empty() && !stays) {
        bail!(
            "scenario `{}` attempts nothing: add an [[attempt]], for what shows nothing cannot fail",
            empty.name
        );
    }
    let mut tallies = Vec::new();
    for scenario in scenarios {
        let start = Instant::now();
        let course = Course::new(scenario, way, &ground)?;
        tell(&course.warnings);
        let findings = runtime.block_on(course.play());
        if let (Way::Proxy(_), Some(why)) = (way, findings.iter().find_map(|finding| finding.played.no_proxy())) {
            return Err(nobody(why, args.proxy.as_deref().unwrap_or_default()));
        }
        let tally = Tally::of(&findings, start.elapsed());
        print(&if args.json {
            report::json(&course, &findings)
        } else {
            report::text(&course, way, &findings, &tally)
        })?;
        tallies.push(tally);
        if stays {
            stay_up(&runtime, &course, args)?;
        }
    }
    if tallies.len() > 1 && !args.json {
        print(&report::total(&tallies, way))?;
    }
    Ok(tallies.iter().all(|tally| tally.faulty == 0).into())
}

/// Plays the scenarios under this policy, to which clients come as these sources.
fn judge_by(policy: &AzurePolicyArgs, clients: &[(String, IpAddr)], scenarios: &mut [Scenario]) -> anyhow::Result<()> {
    let known = || scenarios.iter().flat_map(|scenario| scenario.clients.keys());
    if let Some((name, _)) = clients.iter().find(|(name, _)| !known().any(|known| known == name)) {
        let known: BTreeSet<_> = known().map(String::as_str).collect();
        let known = known.into_iter().collect::<Vec<_>>().join("`, `");
        bail!("--client {name}: the scenario has no client of this name, only `{known}`");
    }
    for scenario in scenarios {
        scenario.judge_by(&policy.absolute().toml(&[]));
        scenario.stand_for = clients.iter().cloned().collect();
    }
    Ok(())
}

fn client_and_source(text: &str) -> Result<(String, IpAddr), String> {
    let (name, address) = text.split_once('=').ok_or("expected `client=address`")?;
    let address = address.parse().map_err(|_| format!("`{address}` is no address"))?;
    Ok((name.to_owned(), address))
}

fn print_config(
    scenarios: &[Scenario],
    stand_ins: &StandIns,
    dns: SocketAddr,
    proxy: SocketAddr,
) -> anyhow::Result<Answer> {
    let [scenario] = scenarios else {
        bail!("--print-config: one scenario at a time, as each has rules of its own");
    };
    let text = elsewhere::config(scenario, stand_ins, dns, proxy).context("the configuration is no TOML")?;
    print(&text)?;
    Ok(Answer::Yes)
}

/// The named scenarios; without any the core one, or with `--once` every shipped one.
fn chosen(args: &LabArgs) -> anyhow::Result<Vec<Scenario>> {
    let words: Vec<&Path> = args.scenario.iter().map(AsRef::as_ref).collect();
    match words[..] {
        [] if !args.once => read(&[Path::new(SHIPPED[0].name)]),
        _ if words.contains(&Path::new("all")) => read(&[]),
        _ => read(&words),
    }
}

/// Reads these scenarios, or every shipped one if there are none.
fn read(words: &[&Path]) -> anyhow::Result<Vec<Scenario>> {
    let read: Result<Vec<Scenario>, _> = match words {
        [] => SHIPPED.iter().map(Shipped::scenario).collect(),
        _ => words.iter().map(|word| Scenario::find(word)).collect(),
    };
    read.map_err(cannot_load)
}

fn cannot_load(problems: Vec<Problem>) -> anyhow::Error {
    anyhow::Error::new(CourseError::Config(problems))
}

/// Prints what to type, shows each decision until Ctrl-C, and then what the forbidden sites heard of it.
fn stay_up(runtime: &tokio::runtime::Runtime, course: &Course, args: &LabArgs) -> anyhow::Result<()> {
    if args.scenario.is_empty() && !args.json {
        print(&report::others())?;
    }
    let by_hand = by_hand::ByHand::prepare(course)?;
    print(if args.json { &by_hand.json } else { &by_hand.text })?;
    let before = report::Heard::so_far(course);
    runtime.block_on(stay(course, args.json));
    print(&report::Heard::so_far(course).since(&before).shown(args.json))
}

/// How long a proxy may take to accept a connection.
const PROXY_TIME: Duration = Duration::from_secs(5);

/// A connection that never came about is no decision of a firewall's.
fn nobody(why: &str, url: &str) -> anyhow::Error {
    anyhow!("--proxy {url}: {why}; is it on, and does it listen there? What it does not answer shows nothing")
}

/// `http://host:port` of a proxy: on this machine, unless somebody said which addresses of this machine another one reaches.
fn proxy_address(url: &str, stand_ins: Ipv4Net, dns: SocketAddr) -> anyhow::Result<SocketAddr> {
    let rest = url.strip_prefix("http://").unwrap_or(url).trim_end_matches('/');
    let mut found = rest
        .to_socket_addrs()
        .with_context(|| format!("--proxy {url}: expected http://127.0.0.1:3128"))?;
    let elsewhere = !stand_ins.network().is_loopback();
    let Some(address) = found.find(|address| elsewhere || address.ip().is_loopback()) else {
        bail!(
            "--proxy {url}: not on this machine; the lab's sites stand on loopback, where no other machine reaches them: \
             name addresses of this machine that the proxy reaches with --stand-ins (docs/conformance.md)"
        )
    };
    if !address.ip().is_loopback() && dns.ip().is_loopback() {
        bail!(
            "--dns-listen {dns}: the proxy at {address} cannot ask it; name an address of this machine that it reaches"
        );
    }
    Ok(address)
}

/// How long bytes that are under way when the lab is told to end may take to arrive at a site.
const LAST_BYTES: Duration = Duration::from_secs(1);

/// Until Ctrl-C or SIGTERM, showing each new row in a line. What came before the end is shown and counted.
async fn stay(course: &Course, json: bool) {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return;
    };
    let Some(rows) = &course.rows else { return };
    let mut shown = rows.lines().len();
    let mut ended = false;
    while !ended {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => ended = true,
            _ = terminate.recv() => ended = true,
            () = tokio::time::sleep(Duration::from_millis(200)) => {}
        }
        if ended {
            course.world.settle(LAST_BYTES).await;
        }
        let lines = rows.lines();
        for row in lines.iter().skip(shown).filter_map(|line| row::Row::parse(line)) {
            // A closed standard output is no reason to end a lab that somebody uses.
            let _ = print(&if json {
                format!("{}\n", row.json)
            } else {
                report::line(&row)
            });
        }
        shown = lines.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_elsewhere_needs_addresses_that_it_reaches() {
        let (near, far) = (stand_ins::LOOPBACK, "10.0.2.0/26".parse().unwrap());
        let (dns, dns_far) = ("127.0.0.1:53530".parse().unwrap(), "10.0.2.4:53".parse().unwrap());
        for (url, prefix, dns, said, why) in [
            ("http://127.0.0.1:3128", near, dns, None, "on this machine"),
            ("127.0.0.1:3128/", near, dns, None, "without a scheme"),
            (
                "http://10.0.1.4:8080",
                near,
                dns,
                Some("--stand-ins"),
                "sites on loopback",
            ),
            (
                "http://10.0.1.4:8080",
                near,
                dns_far,
                Some("--stand-ins"),
                "sites on loopback, DNS not",
            ),
            (
                "http://10.0.1.4:8080",
                far,
                dns,
                Some("--dns-listen"),
                "DNS on loopback",
            ),
            (
                "http://10.0.1.4:8080",
                far,
                dns_far,
                None,
                "everything within its reach",
            ),
            ("http://10.0.1.4", far, dns_far, Some("expected"), "no port"),
        ] {
            let found = proxy_address(url, prefix, dns).map_err(|e| e.to_string());
            match said {
                None => assert!(found.is_ok(), "{why}: {found:?}"),
                Some(said) => assert!(found.is_err_and(|e| e.contains(said)), "{why}"),
            }
        }
    }
}
