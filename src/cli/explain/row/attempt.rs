//! The attempt of a row, and what was decided then.

use super::{led_to::LedTo, read::Row, spoken};
use crate::{
    config::problem::printable,
    policy::{CompiledPolicy, Expected, FlowAttempt, Fqdn, Host, NoTrace, Protocol, Reason, Resolved, Transport, Via},
};
use anyhow::{Context, bail};
use serde_json::Value;
use std::net::IpAddr;

/// As far as the row tells it.
pub struct Attempt {
    pub source: IpAddr,
    /// The ways by which it may have come. Older sentences of Azure's do not tell.
    pub ways: &'static [Via],
    pub transport: Transport,
    /// What may have been spoken: a row of network rules does not tell HTTP from TLS. `None`: neither.
    pub protocols: Vec<Option<Protocol>>,
    /// It is of a CONNECT, for which the name settles what is judged, before it is looked up.
    connect: bool,
    /// What the row names.
    written: Option<Protocol>,
    /// The row says `HTTPS` in place of either: it was denied before anything was spoken, or TLS was in a tunnel for plain HTTP.
    stand_in: bool,
    pub destination: Option<IpAddr>,
    pub name: Option<Fqdn>,
    /// Where the name led that was asked for at the proxy port, if it was looked up.
    pub led_to: Option<LedTo>,
    /// The name is judged by itself, and what rules say of addresses by each that it led to, or may have.
    apart: Resolved,
    pub port: u16,
    pub then: Then,
    pub rule: Option<RuleColumns>,
}

/// A rule as a row names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleColumns {
    /// Empty: the row does not tell it.
    pub policy: String,
    /// `group/collection/rule`
    pub label: String,
}

/// What a row tells of, in the words of its table.
#[derive(Debug, PartialEq, Eq)]
pub enum Then {
    /// What the rules said: `Allow` or `Deny`. In audit mode `Action` is what happened.
    Rules(&'static str),
    /// A list was hit: `Alert` or `Deny`. What the rules said has a row of its own.
    Listed(&'static str),
    /// Translated to this address and port.
    Translated(IpAddr, u16),
}

/// What the rules alone decide.
const BY_POLICY: [Reason; 4] = [
    Reason::RuleMatched,
    Reason::NoRuleMatched,
    Reason::IpLiteral,
    Reason::ThreatIntelligence,
];

impl Attempt {
    /// Fails if the row tells of something else than a decision of rules or lists, or not of all that was judged.
    pub fn read(row: &Row) -> anyhow::Result<Self> {
        let columns = &row.columns;
        let text = |key: &str| columns[key].as_str().unwrap_or_default();
        let ours = &columns["egret"];
        let (then, rule) = (then(row)?, rule(columns));
        if then != Then::Rules("Allow") {
            decided_by_policy(columns, rule.is_some())?;
        }
        let (host, name) = host(ours["fqdn"].as_str().unwrap_or(text("Fqdn")))?;
        let (column, address) = match text("DestinationIp") {
            "" => ("egret.address", ours["address"].as_str().unwrap_or_default()),
            told => ("DestinationIp", told),
        };
        let destination = match address {
            "" => host,
            told => Some(told.parse().with_context(|| format!("`{column}` is no address"))?),
        };
        if name.is_none() && destination.is_none() {
            bail!("the row tells neither a name nor an address: what was judged is not known");
        }
        let written = text("Protocol");
        let named = name.is_some();
        let mut apart = Resolved::default();
        if let Some(name) = &name {
            apart.set(name.clone(), Vec::new());
        }
        let early = then == Then::Rules("Deny") && denied_early(row) && named;
        let either = early || (nothing_spoken(row) && named);
        let protocols = match row.category.as_str() {
            "AZFWNetworkRule" if named && written.eq_ignore_ascii_case("tcp") => spoken::in_a_request(ours),
            "AZFWApplicationRule" if either => vec![Some(Protocol::Https), Some(Protocol::Http)],
            _ => vec![spoken::named(written)],
        };
        Ok(Self {
            source: text("SourceIp")
                .parse::<IpAddr>()
                .context("`SourceIp` is no address")?
                .to_canonical(),
            ways: ways(row),
            transport: transport(written)?,
            protocols,
            written: spoken::named(written),
            stand_in: early && written.eq_ignore_ascii_case("https"),
            connect: ours["name_source"] == "connect",
            led_to: LedTo::read(row).filter(|_| name.is_some()),
            destination: destination.map(|ip| ip.to_canonical()),
            name,
            apart,
            port: number(&columns["DestinationPort"]).context("`DestinationPort` is no port")?,
            then,
            rule,
        })
    }

    /// What it is judged as that came by one way.
    pub fn spoken(&self, policy: &CompiledPolicy, via: Via) -> Vec<Option<Protocol>> {
        if !self.connect || via != Via::Explicit || self.protocols.len() < 2 {
            return self.protocols.clone();
        }
        let judge = |protocol| {
            let flow = FlowAttempt {
                destination: None,
                ..self.flow(via, Some(protocol))
            };
            policy.evaluate(&flow, &mut NoTrace).decision
        };
        let (https, http) = (judge(Protocol::Https), judge(Protocol::Http));
        if self.stand_in && http.permits() && !https.permits() {
            return self.protocols.clone();
        }
        vec![Some(Expected::of(https, http, self.port).1)]
    }

    /// Whether it was for a name at the proxy port of which the row tells one address and not the answer: requests of a
    /// connection that was kept.
    pub fn tells_one_address(&self, via: Via) -> bool {
        via == Via::Explicit && self.name.is_some() && self.destination.is_some() && self.led_to.is_none()
    }

    /// As the policy sees it.
    pub fn flow(&self, via: Via, protocol: Option<Protocol>) -> FlowAttempt<'_> {
        FlowAttempt {
            source: self.source,
            via,
            transport: self.transport,
            destination: self.destination,
            port: self.port,
            name: self.name.as_ref(),
            protocol,
            resolved: match via {
                Via::Explicit => &self.apart,
                Via::Transparent => Resolved::NONE,
            },
        }
    }

    /// For people.
    pub fn target(&self) -> String {
        let host = match (&self.name, self.destination) {
            (Some(name), _) => name.to_string(),
            (None, Some(ip)) => Host::Address(ip).to_string(),
            (None, None) => String::new(),
        };
        let way = match (self.written, self.transport) {
            (Some(Protocol::Https), _) => "https",
            (Some(Protocol::Http), _) => "http",
            (_, Transport::Udp) => "udp",
            (_, Transport::Icmp) => return format!("icmp {host}"),
            (_, _) => "tcp",
        };
        format!("{way} {host}:{}", self.port)
    }
}

/// Whether an attempt at the proxy port was denied before its name was looked up, by a row of application rules whose protocol
/// may stand for either. HTTPS at port 80 never does.
fn denied_early(row: &Row) -> bool {
    let (columns, ours) = (&row.columns, &row.columns["egret"]);
    let looked_up = !ours["dns"].is_null() || !ours["address"].is_null();
    let at_80 = number(&columns["DestinationPort"]) == Some(80);
    let settled = at_80
        && columns["Protocol"]
            .as_str()
            .is_some_and(|told| told.eq_ignore_ascii_case("https"));
    row.category == "AZFWApplicationRule"
        && ours["name_source"] == "connect"
        && !ours["audit"].is_object()
        && !looked_up
        && !settled
}

/// Whether a CONNECT may have passed and nothing came to be spoken in its tunnel, since its destination did not answer or its client
/// left: the protocol is that of the rule that would have opened it.
fn nothing_spoken(row: &Row) -> bool {
    let ours = &row.columns["egret"];
    let reason = ours["reason"].as_str();
    row.category == "AZFWApplicationRule"
        && ours["name_source"] == "connect"
        && Reason::ALL
            .iter()
            .any(|known| known.is_trouble() && Some(known.name()) == reason)
}

/// Whether the policy alone can decide so: a missing server name, or an address that is not dialled, it cannot.
fn decided_by_policy(columns: &Value, by_rule: bool) -> anyhow::Result<()> {
    if columns["egret"]["audit"].is_object() {
        // The rules denied it, whatever came of its destination.
        return Ok(());
    }
    let said = columns["ActionReason"].as_str().unwrap_or_default();
    let other = match columns["egret"]["reason"].as_str() {
        Some(reason) => (!BY_POLICY.iter().any(|known| known.name() == reason)).then_some(reason),
        // What Azure writes of its default action: as documented, and as seen in records.
        None => {
            let default = said.is_empty() || said == "Default Action" || said.starts_with("No rule matched");
            (!by_rule && !default).then_some(said)
        }
    };
    match other {
        Some(other) => bail!(
            "`{}` is not decided by the policy alone, so the policy cannot say whether it would be so today",
            shown(other)
        ),
        None => Ok(()),
    }
}

/// egret's rows come from the proxy port. Azure's explicit proxy is judged by application rules alone, whose table has a column
/// for it; the older sentences have none.
fn ways(row: &Row) -> &'static [Via] {
    let told = row.columns["IsExplicitProxyRequest"].as_bool();
    match (told, row.columns["egret"].is_object(), row.category.as_str()) {
        (Some(true), ..) | (None, true, _) => &[Via::Explicit],
        (None, false, "AZFWApplicationRule") => &[Via::Transparent, Via::Explicit],
        _ => &[Via::Transparent],
    }
}

fn then(row: &Row) -> anyhow::Result<Then> {
    let columns = &row.columns;
    let text = |key: &str| columns[key].as_str().unwrap_or_default();
    let action = columns["egret"]["audit"]["action"].as_str().unwrap_or(text("Action"));
    match (row.category.as_str(), action) {
        ("AZFWNatRule", _) => Ok(Then::Translated(
            text("TranslatedIp").parse().context("`TranslatedIp` is no address")?,
            number(&columns["TranslatedPort"]).context("`TranslatedPort` is no port")?,
        )),
        ("AZFWThreatIntel", "Alert") => Ok(Then::Listed("Alert")),
        ("AZFWThreatIntel", "Deny") => Ok(Then::Listed("Deny")),
        ("AZFWApplicationRule" | "AZFWNetworkRule", "Allow") => Ok(Then::Rules("Allow")),
        ("AZFWApplicationRule" | "AZFWNetworkRule", "Deny") => Ok(Then::Rules("Deny")),
        ("AZFWApplicationRule" | "AZFWNetworkRule" | "AZFWThreatIntel", other) => {
            bail!("action `{}` is none of this table's", shown(other))
        }
        (other, _) => bail!("a row of `{}` tells of no decision of rules", shown(other)),
    }
}

/// `ICMP Type=8` is how Azure writes an echo.
fn transport(text: &str) -> anyhow::Result<Transport> {
    let word = text.split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
    match word.as_str() {
        "https" | "http" | "tcp" | "mssql" => Ok(Transport::Tcp),
        "udp" => Ok(Transport::Udp),
        "icmp" => Ok(Transport::Icmp),
        _ => bail!("protocol `{}` is not known", shown(text)),
    }
}

/// The name of the row, or the address that stands in its place. Azure adds the port in some rows.
fn host(text: &str) -> anyhow::Result<(Option<IpAddr>, Option<Fqdn>)> {
    if text.is_empty() {
        return Ok((None, None));
    }
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok((Some(ip), None));
    }
    let bare = match text.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => text,
    };
    match Host::parse(bare.as_bytes()) {
        Ok(Host::Address(ip)) => Ok((Some(ip), None)),
        Ok(Host::Name(name)) => Ok((None, Some(name))),
        Err(_) => bail!("`Fqdn` is neither host name nor address: `{}`", shown(text)),
    }
}

/// Numbers come as numbers and as texts.
fn number(value: &Value) -> Option<u16> {
    match value {
        Value::String(text) => text.parse().ok(),
        other => other.as_u64().and_then(|number| number.try_into().ok()),
    }
}

fn rule(columns: &Value) -> Option<RuleColumns> {
    let text = |key: &str| columns[key].as_str().unwrap_or_default();
    let names = ["RuleCollectionGroup", "RuleCollection", "Rule"].map(text);
    (!names[2].is_empty()).then(|| RuleColumns {
        policy: text("Policy").to_owned(),
        label: names.join("/"),
    })
}

/// A column in an error: of one that is no row of anybody's the beginning says enough.
fn shown(text: &str) -> String {
    const MOST_CHARACTERS: usize = 260;
    match text.char_indices().nth(MOST_CHARACTERS) {
        Some((end, _)) => printable(&text[..end]) + "...",
        None => printable(text),
    }
}
