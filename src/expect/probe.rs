//! [`Probe`]: one attempt as people write it, judged as a flow would be.

use crate::{
    config::nets,
    policy::{
        Action, Attempt, CompiledPolicy, Decision, Expected, Fqdn, Host, Mode, NoTrace, Protocol, Reason, RuleId,
        RuleOutcome, Trace,
    },
};
use std::net::IpAddr;

/// An attempt. What is written may be no name at all: that is judged too.
#[derive(Clone, Debug)]
pub struct Probe {
    /// Canonical source address.
    pub source: IpAddr,
    /// As written, for people.
    pub target: String,
    what: Result<Name, Reason>,
}

/// A target with a name.
#[derive(Clone, Debug)]
struct Name {
    name: Fqdn,
    port: u16,
    /// `None`: a CONNECT does not say what will be spoken.
    protocol: Option<Protocol>,
}

/// What an attempt got.
#[derive(Clone, Debug)]
pub struct Judged {
    /// The decision.
    pub decision: Decision,
    /// Rules without which it might have been another one.
    pub swayed_by: Vec<RuleId>,
}

impl Probe {
    /// Reads `https://host[:port]`, `http://host[:port]`, or `host[:port]` as a CONNECT names it.
    pub fn new(source: IpAddr, target: &str) -> Self {
        Self {
            source: source.to_canonical(),
            target: target.to_owned(),
            what: name(target),
        }
    }

    /// What the policy says of it.
    pub fn judge(&self, policy: &CompiledPolicy) -> Judged {
        let target = match &self.what {
            Ok(target) => target,
            Err(reason) => return Judged::refused(*reason),
        };
        let (decision, asked) = match target.protocol {
            Some(protocol) => (self.decide(policy, target, protocol, &mut NoTrace), vec![]),
            None => {
                let decide = |protocol| self.decide(policy, target, protocol, &mut NoTrace);
                let (https, http) = (decide(Protocol::Https), decide(Protocol::Http));
                (Expected::of(https, http, target.port).1, vec![https, http])
            }
        };
        let mut swayed_by: Vec<RuleId> = asked
            .iter()
            .chain([&decision])
            .filter_map(|decision| decision.rule)
            .collect();
        swayed_by.sort_unstable();
        swayed_by.dedup();
        Judged { decision, swayed_by }
    }

    /// The rules that name the target, in the order in which they are judged, up to the one that decides.
    pub fn rules_that_name_it(&self, policy: &CompiledPolicy) -> Vec<(RuleId, RuleOutcome)> {
        let Ok(target) = &self.what else { return Vec::new() };
        let traced = |protocol| {
            let mut seen = Seen::default();
            (self.decide(policy, target, protocol, &mut seen), seen)
        };
        let Some(protocol) = target.protocol else {
            let (https, http) = (traced(Protocol::Https), traced(Protocol::Http));
            return match Expected::of(https.0, http.0, target.port).0 {
                Expected::Http => http.1.0,
                Expected::Tls | Expected::Either => https.1.0,
            };
        };
        traced(protocol).1.0
    }

    fn decide<T: Trace>(&self, policy: &CompiledPolicy, target: &Name, protocol: Protocol, trace: &mut T) -> Decision {
        let attempt = Attempt {
            source: self.source,
            protocol,
            name: &target.name,
            port: target.port,
        };
        policy.decide(&attempt, trace)
    }
}

/// Gathers the rules that name a target.
#[derive(Default)]
struct Seen(Vec<(RuleId, RuleOutcome)>);

impl Trace for Seen {
    fn rule(&mut self, rule: RuleId, outcome: RuleOutcome) {
        if outcome != RuleOutcome::NameDiffers {
            self.0.push((rule, outcome));
        }
    }
}

impl Judged {
    /// Refused before any rule is asked.
    fn refused(reason: Reason) -> Self {
        Self {
            decision: Decision {
                action: Action::Deny,
                reason,
                rule: None,
                mode: Mode::Enforce,
                wide: false,
            },
            swayed_by: Vec::new(),
        }
    }
}

fn name(text: &str) -> Result<Name, Reason> {
    let (protocol, rest) = match text.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (Some(Protocol::Https), rest),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (Some(Protocol::Http), rest),
        _ => (None, text),
    };
    let path = protocol.and_then(|_| rest.find(['/', '?', '#']));
    let authority = &rest[..path.unwrap_or(rest.len())];
    let usual = if protocol == Some(Protocol::Http) { 80 } else { 443 };
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, nets::port(port)),
        _ => (authority, Some(usual)),
    };
    let host = Host::parse(host.as_bytes()).map_err(|error| error.reason())?;
    match (host, port) {
        (_, None) => Err(Reason::BadAuthority),
        (Host::Address(_), _) => Err(Reason::IpLiteral),
        (Host::Name(name), Some(port)) => Ok(Name { name, port, protocol }),
    }
}
