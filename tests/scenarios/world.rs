//! The world that the scenarios share: two origins, a DNS server, a gateway in front, and the rows it writes.
//!
//! Unless a scenario says otherwise, the policy is that of the threat catalogue: `api.example.com` exactly,
//! `*.openai.example.com` and `*.blob.example.net`, ports 443 (Https) and 80 (Http); `evil.test` matches no rule.

use egret::config::{self, Checked};
use egret::gateway::{Gateway, GatewayOptions};
use egret::lab::client::{Client, Road};
use egret::lab::dns::LabDns;
use egret::lab::mocks::Serves;
use egret::lab::scenario::ZoneRecord;
use egret::lab::site::{Site, SiteSpec};
use egret::lab::world::{Ground, World as Lab};
use egret::log::{Log, MemoryLog};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Where the allowed origin stands: a documentation address that the gateway's dial override leads to loopback.
pub const ALLOWED: &str = "203.0.113.10";

/// Where the forbidden origin stands.
pub const FORBIDDEN: &str = "203.0.113.66";

/// What the forwarder says when a scenario adds nothing.
const RECORDS: [&str; 9] = [
    "api.example.com A 203.0.113.10",
    "a.openai.example.com A 203.0.113.10",
    "x.openai.example.com A 203.0.113.10",
    "other.openai.example.com A 203.0.113.11",
    "a.b.c.d.openai.example.com A 203.0.113.10",
    "x.blob.example.net A 203.0.113.10",
    "a.x.blob.example.net A 203.0.113.10",
    "evil.test A 203.0.113.66",
    "openai.example.com A 203.0.113.10",
];

/// The catalogue's policy.
pub const POLICY: &str = r#"
[[application_rule_collection]]
name = "allowed"
priority = 100
action = "Allow"
  [[application_rule_collection.rule]]
  name = "catalogue"
  source_addresses = ["*"]
  protocols = [{ type = "Https", port = 443 }, { type = "Http", port = 80 }]
  destination_fqdns = ["api.example.com", "*.openai.example.com", "*.blob.example.net"]
"#;

/// A gateway between clients and a small internet, all on loopback.
pub struct World {
    pub lab: Arc<Lab>,
    pub gateway: Arc<Gateway>,
    pub log: MemoryLog,
    base: String,
}

/// How a world differs from the usual one.
#[derive(Default)]
pub struct Builder {
    records: Vec<String>,
    private: Vec<String>,
    keys: String,
    top: String,
    policy: Option<String>,
    limits: String,
    listeners: Vec<String>,
}

impl Builder {
    /// One more line of the forwarder: `name [ttl] TYPE value`.
    pub fn record(mut self, line: &str) -> Self {
        self.records.push(line.to_string());
        self
    }

    /// One more line of the server of private zones, which knows nothing else. `{private}` is its address.
    pub fn private_record(mut self, line: &str) -> Self {
        self.private.push(line.to_string());
        self
    }

    /// A key at top level: `mode = "audit"`.
    pub fn key(mut self, line: &str) -> Self {
        self.keys.push_str(line);
        self.keys.push('\n');
        self
    }

    /// This policy text in place of the catalogue's.
    pub fn policy(mut self, text: &str) -> Self {
        self.policy = Some(text.to_string());
        self
    }

    /// More tables of the configuration: `[proxy]`, `[private_endpoints]`, `[[dns.zone]]`. `{dns}` is the forwarder.
    pub fn config(mut self, text: &str) -> Self {
        self.top.push_str(text);
        self.top.push('\n');
        self
    }

    /// Lines of `[limits]`.
    pub fn limits(mut self, text: &str) -> Self {
        self.limits.push_str(text);
        self.limits.push('\n');
        self
    }

    /// These listeners in place of one on 127.0.0.1.
    pub fn listen(mut self, at: &[&str]) -> Self {
        self.listeners = at.iter().map(|at| format!("{at:?}")).collect();
        self
    }

    /// Start it.
    pub async fn start(self) -> World {
        // The lab runs a runtime of its own, which cannot be started inside the test's.
        tokio::task::spawn_blocking(move || self.start_blocking())
            .await
            .unwrap()
    }

    fn start_blocking(self) -> World {
        let parse = |line: &str| ZoneRecord::parse(line).unwrap();
        let records = RECORDS.iter().copied().chain(self.records.iter().map(String::as_str));
        let views = BTreeMap::from([
            ("public".to_string(), records.map(parse).collect()),
            (
                "private".to_string(),
                self.private.iter().map(|line| parse(line)).collect(),
            ),
        ]);
        let lab = Lab::start(sites(), &views, &Ground::Mapped).unwrap();
        let (dns, private) = (lab.servers()["public"], lab.servers()["private"]);
        let limits = if self.limits.contains("workers") {
            self.limits
        } else {
            format!("workers = 1\n{}", self.limits)
        };
        let listeners = match &self.listeners[..] {
            [] => "\"127.0.0.1:0\"".to_string(),
            some => some.join(", "),
        };
        let mut base = format!(
            "{}[listeners]\nproxy = [{listeners}]\nhealth = [\"127.0.0.1:0\"]\nadmin = [\"127.0.0.1:0\"]\n\
             [dns]\nforwarders = [\"{dns}\"]\n[limits]\n{limits}\n{}\n",
            self.keys,
            self.top
                .replace("{dns}", &dns.to_string())
                .replace("{private}", &private.to_string()),
        );
        for (net, port, to) in &lab.map().0 {
            let port = port.map_or("*".to_string(), |port| port.to_string());
            base.push_str(&format!("[[dial.override]]\nfrom = \"{net}:{port}\"\nto = \"{to}\"\n"));
        }
        let (log, memory) = Log::memory();
        let checked = checked(&format!("{base}{}", self.policy.as_deref().unwrap_or(POLICY)));
        let gateway = Gateway::start(checked, GatewayOptions::logging_to(log)).unwrap();
        World {
            lab: Arc::new(lab),
            gateway: Arc::new(gateway),
            log: memory,
            base,
        }
    }
}

fn sites() -> Vec<SiteSpec> {
    let site = |name: &str, hosts: &[&str], addresses: &[&str], forbidden| SiteSpec {
        name: name.into(),
        hosts: hosts.iter().map(|h| h.to_string()).collect(),
        addresses: addresses.iter().map(|a| a.parse().unwrap()).collect(),
        ports: Vec::new(),
        serves: Serves::Page,
        forbidden,
    };
    let mut hosts = vec![
        "api.example.com",
        "a.openai.example.com",
        "x.openai.example.com",
        "x.blob.example.net",
    ];
    hosts.extend(crate::tags::OURS);
    let mut others = vec!["evil.test"];
    others.extend(crate::tags::THEIRS);
    vec![
        site("allowed", &hosts, &[ALLOWED, "203.0.113.11", "10.1.2.3"], false),
        site("forbidden", &others, &[FORBIDDEN], true),
        // Behind the same front end as the allowed site: what fronting reaches.
        site("neighbour", &["neighbour.test"], &[ALLOWED], true),
    ]
}

fn checked(text: &str) -> Checked {
    config::from_text("scenario.toml", text).unwrap_or_else(|problems| {
        let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
        panic!("{}\n{text}", problems.join("\n"))
    })
}

impl World {
    /// The catalogue's world.
    pub async fn usual() -> World {
        Self::builder().start().await
    }

    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Where the proxy listens.
    pub fn proxy(&self) -> SocketAddr {
        self.gateway.proxy_addrs()[0]
    }

    /// A client at 127.0.0.1 behind the gateway.
    pub fn client(&self) -> Client {
        self.client_at("127.0.0.1")
    }

    /// A client with this source address (`127.0.1.x`).
    pub fn client_at(&self, source: &str) -> Client {
        self.client_through(0, source)
    }

    /// A client with this source address, by the listener with this number.
    pub fn client_through(&self, listener: usize, source: &str) -> Client {
        let road = Road::Proxy(self.gateway.proxy_addrs()[listener]);
        Client::new(source.parse().unwrap(), road, self.lab.authority.clone()).patience(Duration::from_secs(12))
    }

    /// A client without any proxy: the control.
    pub fn direct(&self) -> Client {
        let road = Road::Direct(self.lab.internet());
        Client::new("127.0.0.1".parse().unwrap(), road, self.lab.authority.clone())
    }

    pub fn site(&self, name: &str) -> &Arc<Site> {
        self.lab.site(name).unwrap()
    }

    /// Bytes that arrived at any origin, counted there.
    pub fn upstream_bytes(&self) -> u64 {
        self.lab.sites().iter().map(|site| site.bytes()).sum()
    }

    /// The forwarder.
    pub fn dns(&self) -> &LabDns {
        self.lab.dns("public").unwrap()
    }

    /// The server of private zones.
    pub fn private_dns(&self) -> &LabDns {
        self.lab.dns("private").unwrap()
    }

    /// All rule rows so far, but for those of flows of which nothing else is told than that a rule let them in and their clients left
    /// their tunnels, as controls do: they come at no certain time.
    pub fn rule_rows(&self) -> Vec<Value> {
        let rows = self.rows("AZFWApplicationRule");
        let flow = |row: &Value| row["properties"]["egret"]["flow"].clone();
        let left = |row: &Value| {
            row["properties"]["Action"] == "Allow" && row["properties"]["egret"]["reason"] == "ClientClosed"
        };
        let is_alone = |row: &Value| rows.iter().filter(|other| flow(other) == flow(row)).count() == 1;
        let told = rows.iter().filter(|row| !(left(row) && is_alone(row)));
        told.cloned().collect()
    }

    /// All rows of a category so far.
    pub fn rows(&self, category: &str) -> Vec<Value> {
        self.log
            .rows()
            .into_iter()
            .filter(|row| row["category"] == category)
            .collect()
    }

    /// The latest rule row.
    pub fn last_row(&self) -> Value {
        self.rule_rows()
            .pop()
            .unwrap_or_else(|| panic!("no rule row; all rows: {:#?}", self.log.lines()))
    }

    /// `egret.reason` of the latest rule row.
    pub fn last_reason(&self) -> String {
        self.last_row()["properties"]["egret"]["reason"]
            .as_str()
            .unwrap()
            .to_string()
    }

    /// Send these bytes on a fresh connection; status and reason phrase of the answer.
    pub async fn ask(&self, bytes: impl AsRef<[u8]>) -> (u16, String) {
        let reply = self
            .client()
            .ask(bytes)
            .await
            .unwrap_or_else(|ended| panic!("no answer: {ended:?}"));
        (reply.status, reply.phrase.clone())
    }

    /// Each vector on a connection of its own must be refused with one of these reasons, with no byte at any origin.
    pub async fn refuses<B: AsRef<[u8]>>(
        &self,
        vectors: impl IntoIterator<Item = B>,
        status: &[u16],
        reasons: &[&str],
    ) {
        for vector in vectors {
            let vector = vector.as_ref();
            let (rows, bytes) = (self.rule_rows().len(), self.upstream_bytes());
            let (got, phrase) = self.ask(vector).await;
            let shown = vector[..vector.len().min(120)].escape_ascii().to_string();
            assert!(status.contains(&got), "{shown}: {got} {phrase}");
            let reason = self.last_reason();
            assert!(reasons.contains(&reason.as_str()), "{shown}: {reason}");
            assert!(
                phrase.contains(&reason),
                "{shown}: the phrase says {phrase:?}, the row {reason}"
            );
            assert_eq!(self.rule_rows().len(), rows + 1, "{shown}: one row a decision");
            assert_eq!(self.upstream_bytes(), bytes, "{shown}: bytes reached an origin");
        }
    }

    /// Swap in another policy text; the generation and how many tunnels were revoked.
    pub fn reload(&self, policy: &str) -> (u64, usize) {
        self.gateway.reload(self.checked(policy)).unwrap()
    }

    /// This world's configuration with another policy text.
    pub fn checked(&self, policy: &str) -> Checked {
        checked(&self.text(policy))
    }

    /// A configuration text as this world would load it.
    pub fn text(&self, policy: &str) -> String {
        format!("{}{policy}", self.base)
    }
}

/// Poll until it holds, for at most ten seconds.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < deadline, "never came: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
