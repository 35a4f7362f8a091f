//! The lab: a small Azure on loopback, egret in front of it, and everything that tries to get out.
//!
//! [`scenario`] says what there is and what must come of it; [`world`] builds it (sites, DNS); [`course`] plays it through
//! egret, through another proxy or without any, with a control for every denial; [`report`] shows it. Nothing here leaves
//! the machine, and nothing needs privileges but [`world::Ground::StandIns`].

pub mod by_hand;
pub mod client;
pub mod course;
pub mod dns;
pub mod internet;
pub mod judge;
pub mod mocks;
pub mod open_proxy;
pub mod play;
pub mod report;
pub mod row;
pub mod scenario;
pub mod site;
pub mod world;

use crate::cli::LabArgs;
use anyhow::{Context, bail};
use course::{Course, CourseError, Way};
use scenario::Scenario;
use std::{
    net::{SocketAddr, ToSocketAddrs},
    time::Duration,
};
use world::Ground;

/// `egret lab`: play, show, and stay up unless told otherwise. Whether all went as expected.
pub fn run(args: &LabArgs) -> anyhow::Result<bool> {
    let scenario = match &args.scenario {
        Some(path) => Scenario::load(path),
        None => Scenario::parse("scenarios/core.toml", scenario::CORE),
    };
    let scenario = scenario.map_err(|problems| anyhow::Error::new(CourseError::Config(problems)))?;
    let (way, ground) = match (&args.proxy, args.direct) {
        (Some(url), _) => (Way::Proxy(proxy_address(url)?), Ground::StandIns(args.dns_listen)),
        (None, true) => (Way::Direct, Ground::Mapped),
        (None, false) => (Way::Egret, Ground::Mapped),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let course = Course::new(scenario, way, &ground)?;
    crate::cli::tell(&course.warnings);
    let findings = runtime.block_on(course.play());
    crate::cli::print(&if args.json {
        report::json(&findings)
    } else {
        report::text(&course, way, &findings)
    })?;
    if !args.once && way == Way::Egret {
        let by_hand = by_hand::ByHand::prepare(&course)?;
        crate::cli::print(if args.json { &by_hand.json } else { &by_hand.text })?;
        let before = report::Heard::so_far(&course);
        runtime.block_on(stay(&course, args.json));
        crate::cli::print(&report::Heard::so_far(&course).since(&before).shown(args.json))?;
    }
    Ok(findings.iter().all(|finding| finding.faults.is_empty()))
}

/// `http://host:port` of a proxy on this machine.
fn proxy_address(url: &str) -> anyhow::Result<SocketAddr> {
    let rest = url.strip_prefix("http://").unwrap_or(url).trim_end_matches('/');
    let found = rest
        .to_socket_addrs()
        .with_context(|| format!("--proxy {url}: expected http://127.0.0.1:3128"))?;
    let mut local = found.filter(|address| address.ip().is_loopback());
    match local.next() {
        Some(address) => Ok(address),
        None => bail!(
            "--proxy {url}: not on this machine; the lab's sites stand on loopback, where no other machine reaches them"
        ),
    }
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
            let _ = crate::cli::print(&if json {
                format!("{}\n", row.json)
            } else {
                report::line(&row)
            });
        }
        shown = lines.len();
    }
}
