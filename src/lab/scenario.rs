//! A scenario: a world, egret's configuration in it, who attempts what, and what must come of it.
//!
//! In: a TOML file, ours or a user's. Out: a [`Scenario`] in which every name is known and every expectation can be
//! checked, or every [`Problem`] with file, line and column. `scenarios/core.toml` shows every key in use.

mod read;
pub mod records;
pub mod shipped;

pub use records::{ZoneData, ZoneRecord};
pub use shipped::{CORE, SHIPPED, Shipped};

use super::site::SiteSpec;
use crate::config::Problem;
use crate::policy::{Action, Protocol, Reason};
use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

/// A scenario that can be played.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its file's name without the extension.
    pub name: String,
    /// A line about it.
    pub title: String,
    /// egret's configuration.
    pub config: EgretConfig,
    /// Source groups: the loopback address of each client.
    pub clients: BTreeMap<String, IpAddr>,
    /// Whose rights clients have, by their names: those of this source of the policy.
    pub stand_for: BTreeMap<String, IpAddr>,
    /// DNS servers by name, each with what it says. `public` is what a machine without a firewall asks.
    pub views: BTreeMap<String, Vec<ZoneRecord>>,
    /// What stands at the addresses.
    pub sites: Vec<SiteSpec>,
    /// Who tries what, in order.
    pub attempts: Vec<Attempt>,
}

/// egret's configuration inside a scenario: TOML in which `"@view"` stands for the address of a DNS server.
#[derive(Clone, Debug)]
pub struct EgretConfig {
    /// The file it is in, for problems.
    pub file: Arc<str>,
    /// Lines of the file above its first one.
    pub lines_above: u32,
    /// The text.
    pub text: String,
}

impl Scenario {
    /// Puts another policy, in TOML, in place of the rules. What attempts expect of rules that are gone is not looked at.
    pub fn judge_by(&mut self, policy: &str) {
        let had_rules = self.config.judge_by(policy);
        self.attempts
            .iter_mut()
            .for_each(|attempt| attempt.expect.of_other_rules = had_rules);
    }
}

impl EgretConfig {
    /// What stands beside the rules (DNS, private endpoints) stays. Says whether there were any.
    fn judge_by(&mut self, policy: &str) -> bool {
        const RULES: [&str; 11] = [
            "rule_collection_group",
            "application_rule_collection",
            "network_rule_collection",
            "nat_rule_collection",
            "parent_policy",
            "infrastructure",
            "ip_groups",
            "fqdn_tag",
            "service_tags",
            "threat_intelligence",
            "policy",
        ];
        // A text that is no TOML stays as it is: it is told of when it is loaded.
        let Ok(mut table) = self.text.parse::<toml::Table>() else {
            return false;
        };
        let had_rules = table.keys().any(|key| key.contains("rule_collection"));
        for key in RULES {
            table.remove(key);
        }
        self.text = format!("{table}\n{policy}");
        self.lines_above = 0;
        had_rules
    }

    /// Problems of the text, with the lines that they have in the file.
    pub fn placed(&self, mut problems: Vec<Problem>) -> Vec<Problem> {
        let own = |problem: &&mut Problem| problem.line > 0 && problem.file == self.file;
        for problem in problems.iter_mut().filter(own) {
            problem.line += self.lines_above;
        }
        problems
    }

    /// The text with the addresses of the DNS servers in it.
    pub fn with_views(&self, servers: &BTreeMap<String, SocketAddr>) -> String {
        servers.iter().fold(self.text.clone(), |text, (view, address)| {
            text.replace(&format!("\"@{view}\""), &format!("\"{address}\""))
        })
    }
}

/// One attempt and what must come of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// A sentence.
    pub name: String,
    /// Why it matters, for who reads that it was let through.
    pub why: String,
    /// What to mend, if it shows a mistake; empty: it shows none.
    pub mend: String,
    /// Who tries.
    pub client: String,
    /// The client's address.
    pub source: IpAddr,
    /// `host:port` of a CONNECT; `None`: the requests go in absolute form.
    pub connect: Option<String>,
    /// The client's proxy variable is not set: it dials by itself, in a network that lets nothing but the proxy out.
    pub unset_proxy: bool,
    /// What is spoken in the tunnel.
    pub speaks: Speaks,
    /// What is asked, in order, on one connection.
    pub requests: Vec<Request>,
    /// Sites that must not hear a byte of it.
    pub forbidden: Vec<String>,
    /// What must come of it.
    pub expect: Expect,
}

impl Attempt {
    /// Whether it must be shown to reach a forbidden site where no firewall stands.
    pub fn needs_control(&self) -> bool {
        !self.forbidden.is_empty()
    }

    /// The ports that it asks for, with what a rule would have to allow there.
    pub fn ports(&self) -> Vec<(Protocol, u16)> {
        let of = |authority: &str, default: u16| {
            let port = authority.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
            port.unwrap_or(default)
        };
        match &self.connect {
            Some(target) if self.speaks == Speaks::Http => vec![(Protocol::Http, of(target, 80))],
            Some(target) => vec![(Protocol::Https, of(target, 443))],
            None => {
                let authorities = self.requests.iter().map(|request| split_url(&request.target).0);
                authorities
                    .map(|authority| (Protocol::Http, of(authority, 80)))
                    .collect()
            }
        }
    }
}

/// Authority and path of `http://authority/path`.
pub(crate) fn split_url(url: &str) -> (&str, &str) {
    let rest = url.strip_prefix("http://").unwrap_or(url);
    rest.find('/').map_or((rest, "/"), |at| rest.split_at(at))
}

/// What an attempt speaks inside its tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Speaks {
    /// Requests, in the clear.
    Http,
    /// Requests inside TLS.
    Tls {
        /// The name in the ClientHello; `None`: no SNI.
        sni: Option<String>,
        /// Bytes of the ClientHello in one record; `None`: whole.
        split: Option<usize>,
        /// X25519MLKEM768, and nothing less.
        post_quantum: bool,
    },
    /// These bytes.
    Raw(Vec<u8>),
}

/// One request of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: String,
    /// A path in a tunnel, `http://host/path` outside.
    pub target: String,
    /// The `Host` header; `None`: as the target or the tunnel says.
    pub host: Option<String>,
    /// Further headers.
    pub headers: BTreeMap<String, String>,
    /// The body; empty: none.
    pub body: String,
    /// The site that must answer it; `None`: nobody need.
    pub reaches: Option<String>,
    /// Server-sent events that the answer must bring, one by one.
    pub events: usize,
}

/// What must come of an attempt. Of several requests the last one counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expect {
    /// What the row's `Action` says.
    pub decision: Action,
    /// The row's reason; `None`: there is no row, since the attempt never comes to the proxy.
    pub reason: Option<Reason>,
    /// `group/collection/rule` of the row; `None`: not looked at.
    pub rule: Option<String>,
    /// The rules are others than those that were in mind: which of them decides is not looked at.
    pub of_other_rules: bool,
    /// The row says that audit let it through.
    pub audit: bool,
    /// The address that the name resolved to, as the row says.
    pub address: Option<IpAddr>,
}

impl Expect {
    /// The attempt is refused, not only recorded as such.
    pub fn refused(&self) -> bool {
        self.decision == Action::Deny && !self.audit
    }
}
