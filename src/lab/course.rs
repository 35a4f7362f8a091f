//! Plays a whole scenario: each attempt through egret, another proxy or nothing, and the controls of each denial.
//!
//! In: a scenario and a [`Way`]. Out: a [`Finding`] for each attempt. Whatever holds is shown by bytes counted at the
//! sites, never by what a proxy says of itself.

use super::{
    client::{Client, Road},
    judge::{self, Heard},
    play::{Played, play},
    row::Row,
    scenario::{Attempt, Scenario},
    sources,
    world::{Ground, World, WorldError},
};
use crate::{
    config::{self, Checked, DialOverride, Problem, Severity, settings::Listeners},
    gateway::{Gateway, GatewayOptions, StartError},
    log::{Log, MemoryLog},
    policy::{
        Action, ApplicationRule, FqdnPattern, Mode, Policy, Priority, PrivateEndpoints, Protocol, ProtocolPort, Reason,
        RuleCollection, RuleCollectionGroup, Rules, Sources, TargetFqdn,
    },
};
use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// How long bytes that are under way may take to arrive at a site, and a row to be written.
const SETTLING: Duration = Duration::from_secs(5);

/// The same for another proxy, which may keep its connections to sites for later.
const SETTLING_OF_OTHERS: Duration = Duration::from_millis(200);

/// How attempts go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Through egret.
    Egret,
    /// Through another proxy.
    Proxy(SocketAddr),
    /// Without any.
    Direct,
}

/// Why a scenario could not be played.
#[derive(Debug, thiserror::Error)]
pub enum CourseError {
    /// egret's configuration in it does not load.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Config(Vec<Problem>),
    /// The world could not be built.
    #[error(transparent)]
    World(#[from] WorldError),
    /// A gateway did not start.
    #[error(transparent)]
    Gateway(#[from] StartError),
}

/// What came of one attempt.
#[derive(Clone, Debug)]
pub struct Finding {
    /// What was tried.
    pub attempt: Attempt,
    /// What the client saw.
    pub played: Played,
    /// egret's row; `None` where another proxy or none was used.
    pub row: Option<Row>,
    /// How its controls went.
    pub controls: Vec<Control>,
    /// What is not as expected, in sentences; empty if all is.
    pub faults: Vec<String>,
}

/// One control of a denial.
#[derive(Clone, Debug)]
pub struct Control {
    /// `direct`, `allow-all`, `open proxy` or `with the proxy`.
    pub by: &'static str,
    /// Bytes that reached a forbidden site.
    pub bytes: u64,
}

/// A scenario's world with egret in it.
pub struct Course {
    /// Sites and DNS servers.
    pub world: World,
    /// egret with the scenario's policy; `None` on other ways.
    pub gateway: Option<Gateway>,
    /// Its rows.
    pub rows: Option<MemoryLog>,
    /// What should be looked at in its configuration.
    pub warnings: Vec<Problem>,
    scenario: Scenario,
    way: Way,
    allow_all: Option<Gateway>,
    open_proxy: Option<SocketAddr>,
}

impl Course {
    /// Build the world, and for [`Way::Egret`] the gateways.
    ///
    /// # Errors
    /// See [`CourseError`].
    pub fn new(scenario: Scenario, way: Way, ground: &Ground) -> Result<Self, CourseError> {
        let world = World::start(scenario.sites.clone(), &scenario.views, ground)?;
        let mut course = Self {
            world,
            gateway: None,
            rows: None,
            warnings: Vec::new(),
            scenario,
            way,
            allow_all: None,
            open_proxy: None,
        };
        if way == Way::Egret {
            let checked = course.checked()?;
            course.warnings.clone_from(&checked.warnings);
            let (log, rows) = Log::memory();
            course.allow_all = Some(start(
                allowing_all(checked.clone(), &course.scenario.attempts),
                Log::memory().0,
            )?);
            course.gateway = Some(start(checked, log)?);
            course.rows = Some(rows);
            course.open_proxy = Some(course.world.open_proxy()?);
        }
        Ok(course)
    }

    /// The scenario.
    pub fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    /// Where egret listens.
    pub fn proxy(&self) -> Option<SocketAddr> {
        self.gateway
            .as_ref()
            .and_then(|gateway| gateway.proxy_addrs().first().copied())
    }

    /// The scenario's configuration with the lab's DNS servers, listeners and addresses in it.
    fn checked(&self) -> Result<Checked, CourseError> {
        let config = &self.scenario.config;
        let text = config.with_views(&self.world.servers());
        let mut checked = config::from_text(&config.file, &text).map_err(|p| CourseError::Config(config.placed(p)))?;
        checked.warnings = config.placed(checked.warnings);
        for (client, source) in &self.scenario.stand_for {
            if let Some(address) = self.scenario.clients.get(client) {
                sources::stand_for(&mut checked.policy, *address, *source);
            }
        }
        let clients: Vec<IpAddr> = self.scenario.clients.values().copied().collect();
        if !sources::means_any(&checked.policy, &clients) {
            checked.warnings.push(Problem {
                severity: Severity::Warning,
                ..Problem::unplaced(
                    config.file.to_string(),
                    "no rule of the policy has one of the scenario's clients as a source: all is denied",
                    "`--client NAME=ADDRESS` says as which source of the policy a client comes",
                )
            });
        }
        let free = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))];
        checked.settings.listeners = Listeners {
            proxy: free.clone(),
            health: free.clone(),
            admin: free,
        };
        let lab = self.world.map().0.iter();
        checked
            .overrides
            .extend(lab.map(|&(from, port, to)| DialOverride { from, port, to }));
        Ok(checked)
    }

    /// Play every attempt in order, one at a time: what a site hears then belongs to it.
    pub async fn play(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for attempt in &self.scenario.attempts {
            findings.push(self.find(attempt).await);
        }
        findings
    }

    async fn find(&self, attempt: &Attempt) -> Finding {
        let attempt = match self.way {
            Way::Proxy(_) => self.world.stand_ins().attempt(attempt),
            Way::Egret | Way::Direct => attempt.clone(),
        };
        let road = match attempt.unset_proxy && self.way != Way::Direct {
            true => Road::Direct(self.world.walled_off()),
            false => self.road(),
        };
        let (played, heard) = self.try_by(&attempt, road).await;
        let row = match &self.rows {
            Some(rows) if !attempt.unset_proxy => last_row(rows, &played).await,
            _ => None,
        };
        let faults = match self.way {
            Way::Egret if !attempt.unset_proxy => judge::through_egret(&attempt, &played, &heard, row.as_ref()),
            _ => judge::through_other(&attempt, &played, &heard),
        };
        let mut finding = Finding {
            attempt,
            played,
            row,
            controls: Vec::new(),
            faults,
        };
        if finding.attempt.needs_control() && self.way != Way::Direct {
            self.control(&mut finding).await;
        }
        finding
    }

    /// The same attempt where no firewall stands, and where one allows all, must reach a forbidden site.
    async fn control(&self, finding: &mut Finding) {
        let roads = [
            Some(("direct", Road::Direct(self.world.internet()))),
            self.unguarded(&finding.attempt),
        ];
        for (by, road) in roads.into_iter().flatten() {
            let (played, heard) = self.try_by(&finding.attempt, road).await;
            let bytes = heard.iter().map(|(_, bytes)| bytes).sum();
            finding.controls.push(Control { by, bytes });
            if bytes == 0 {
                finding
                    .faults
                    .push(format!("control {by} reached no forbidden site: {}", played.told()));
            }
        }
    }

    /// egret under a policy that allows all; a proxy that decides nothing for what egret refuses under any policy; for a client
    /// that lacks the proxy variable, the proxy itself. `None` if another proxy is played: its policy is not ours to change.
    fn unguarded(&self, attempt: &Attempt) -> Option<(&'static str, Road)> {
        if attempt.unset_proxy {
            return Some(("with the proxy", self.road()));
        }
        let by_policy = matches!(
            attempt.expect.reason,
            Some(Reason::NoRuleMatched | Reason::RuleMatched | Reason::PublicResolution)
        );
        if by_policy && attempt.expect.refused() {
            let proxy = *self.allow_all.as_ref()?.proxy_addrs().first()?;
            return Some(("allow-all", Road::Proxy(proxy)));
        }
        Some(("open proxy", Road::Proxy(self.open_proxy?)))
    }

    fn road(&self) -> Road {
        match (self.way, self.proxy()) {
            (Way::Egret, Some(proxy)) | (Way::Proxy(proxy), _) => Road::Proxy(proxy),
            (Way::Egret, None) | (Way::Direct, _) => Road::Direct(self.world.internet()),
        }
    }

    async fn try_by(&self, attempt: &Attempt, road: Road) -> (Played, Heard) {
        let before = self.heard(attempt);
        let client = Client::new(attempt.source, road, self.world.authority.clone());
        let played = play(&client, attempt).await;
        drop(client);
        let patience = match self.way {
            Way::Proxy(_) => SETTLING_OF_OTHERS,
            Way::Egret | Way::Direct => SETTLING,
        };
        self.world.settle(patience).await;
        let after = self.heard(attempt);
        let heard = before
            .into_iter()
            .zip(after)
            .map(|((site, before), (_, after))| (site, after - before));
        (played, heard.filter(|(_, bytes)| *bytes > 0).collect())
    }

    fn heard(&self, attempt: &Attempt) -> Heard {
        let sites = attempt.forbidden.iter().filter_map(|name| self.world.site(name));
        sites.map(|site| (site.name().to_owned(), site.bytes())).collect()
    }
}

fn start(checked: Checked, log: Log) -> Result<Gateway, StartError> {
    Gateway::start(checked, GatewayOptions::logging_to(log))
}

/// The row of the attempt's last decision, found by the client's addresses.
async fn last_row(rows: &MemoryLog, played: &Played) -> Option<Row> {
    let deadline = Instant::now() + SETTLING;
    loop {
        let lines = rows.lines();
        let mut found = lines.iter().rev().filter_map(|line| Row::parse(line));
        let row = found.find(|row| played.sources.contains(&row.source));
        if row.is_some() || Instant::now() > deadline {
            return row;
        }
        sleep(Duration::from_millis(1)).await;
    }
}

/// The same configuration under a policy that allows every name for everybody, and asks nothing of private endpoints.
fn allowing_all(checked: Checked, attempts: &[Attempt]) -> Checked {
    let protocols: BTreeSet<(Protocol, u16)> = attempts.iter().flat_map(Attempt::ports).collect();
    let rule = ApplicationRule {
        name: "all".into(),
        sources: Sources::Any { written: true },
        protocols: protocols
            .into_iter()
            .map(|(protocol, port)| ProtocolPort { protocol, port })
            .collect(),
        targets: vec![TargetFqdn {
            pattern: FqdnPattern::Any,
            tag: None,
            ports: None,
            wide: true,
        }],
        resolves_into: Vec::new(),
        private_endpoints: Some(PrivateEndpoints::Off),
    };
    let priority = Priority::new(100).expect("100 is the first priority");
    let collection = RuleCollection {
        name: "all".into(),
        priority,
        action: Action::Allow,
        mode: Mode::Enforce,
        rules: Rules::Application(vec![rule]),
    };
    let group = RuleCollectionGroup {
        name: "allow-all".into(),
        priority,
        collections: vec![collection],
    };
    Checked {
        policy: Policy {
            groups: vec![group],
            ..Policy::default()
        },
        ..checked
    }
}
