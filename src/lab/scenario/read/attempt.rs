//! The attempts of a scenario: what a client says, and what must come of it.

use super::{
    Check,
    written::{FileAttempt, FileDecision, FileExpect, FileRequest},
};
use crate::{
    config::at::At,
    lab::{
        scenario::{Attempt, Expect, Request, Speaks},
        site::SiteSpec,
    },
    policy::{Action, Reason},
};
use std::{collections::BTreeMap, net::IpAddr};

/// What attempts may speak of.
pub(super) struct Known<'a> {
    pub clients: &'a BTreeMap<String, IpAddr>,
    pub sites: &'a [SiteSpec],
}

impl Check<'_> {
    pub(super) fn attempt(&mut self, written: FileAttempt, known: &Known<'_>) -> Option<Attempt> {
        let at = written.name.span;
        let source = known.clients.get(&written.client.value).copied();
        if source.is_none() {
            self.unknown(&written.client, "client", known.clients.keys().map(String::as_str));
        }
        if written.request.is_empty() && written.raw.is_none() {
            self.say(at, "it asks nothing: add [[attempt.request]] or `raw`");
        }
        let speaks = self.speaks(&written);
        let tunnel = written.connect.is_some();
        let requests: Vec<Request> = written
            .request
            .into_iter()
            .map(|r| self.request(r, tunnel, known))
            .collect();
        let denied = written.expect.decision.value == FileDecision::Deny && !written.expect.audit;
        let expect = self.expect(written.expect, written.unset_proxy);
        let forbidden = match written.forbidden {
            Some(named) => named.into_iter().map(|name| self.site(name, known)).collect(),
            None if denied => known
                .sites
                .iter()
                .filter(|s| s.forbidden)
                .map(|s| s.name.clone())
                .collect(),
            None => Vec::new(),
        };
        if denied && forbidden.is_empty() {
            self.say(at, "a denial keeps some site from being reached: mark one `forbidden`");
        }
        if !denied && requests.last().is_none_or(|r| r.reaches.is_none()) {
            self.say(at, "it is let through: say in the last request which site it `reaches`");
        }
        Some(Attempt {
            name: written.name.value,
            why: written.why,
            mend: written.mend,
            client: written.client.value,
            source: source?,
            connect: written.connect.map(|c| c.value),
            unset_proxy: written.unset_proxy,
            speaks: speaks?,
            requests,
            forbidden,
            expect: expect?,
        })
    }

    fn speaks(&mut self, written: &FileAttempt) -> Option<Speaks> {
        let Some(connect) = &written.connect else {
            if written.sni.is_some() || written.raw.is_some() || written.split_hello.is_some() || written.post_quantum {
                self.say(
                    written.name.span,
                    "`sni`, `raw`, `split_hello` and `post_quantum` need `connect`",
                );
            }
            return Some(Speaks::Http);
        };
        let Some((host, port)) = connect.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()) else {
            self.say(connect.span, "expected `host:port`");
            return None;
        };
        if let Some(raw) = &written.raw {
            return Some(Speaks::Raw(raw.clone().into_bytes()));
        }
        if port == "80" {
            return Some(Speaks::Http);
        }
        let sni = written.sni.as_deref().unwrap_or(host);
        Some(Speaks::Tls {
            sni: (!sni.is_empty()).then(|| sni.to_owned()),
            split: written.split_hello.map(|size| usize::from(size.0)),
            post_quantum: written.post_quantum,
        })
    }

    fn request(&mut self, written: FileRequest, tunnel: bool, known: &Known<'_>) -> Request {
        match tunnel {
            true if !written.target.starts_with('/') => {
                self.say(written.target.span, "expected a path: it is in a tunnel")
            }
            false if !written.target.starts_with("http://") => {
                self.say(written.target.span, "expected `http://host/path`: it is in no tunnel");
            }
            _ => {}
        }
        Request {
            method: written.method,
            target: written.target.value,
            host: written.host,
            headers: written.headers,
            body: written.body,
            reaches: written.reaches.map(|name| self.site(name, known)),
            events: usize::from(written.events),
        }
    }

    fn expect(&mut self, written: FileExpect, unset_proxy: bool) -> Option<Expect> {
        let decision = match written.decision.value {
            FileDecision::Allow => Action::Allow,
            FileDecision::Deny => Action::Deny,
        };
        let reason = match &written.reason {
            _ if unset_proxy => {
                if decision == Action::Allow || written.reason.is_some() || written.rule.is_some() {
                    self.say(
                        written.decision.span,
                        "egret never hears of an attempt with `unset_proxy`: expect `{ decision = \"Deny\" }` and no more",
                    );
                }
                None
            }
            Some(name) => {
                let found = Reason::ALL.into_iter().find(|r| r.name() == name.value);
                if found.is_none() {
                    self.unknown(name, "reason", Reason::ALL.into_iter().map(Reason::name));
                }
                Some(found?)
            }
            None if decision == Action::Allow => Some(Reason::RuleMatched),
            None => {
                self.say(written.decision.span, "a denial needs its `reason`");
                return None;
            }
        };
        let address = written.address.as_ref().and_then(|a| self.address(a));
        Some(Expect {
            decision,
            reason,
            rule: written.rule,
            of_other_rules: false,
            audit: written.audit,
            address,
        })
    }

    fn site(&mut self, name: At<String>, known: &Known<'_>) -> String {
        if !known.sites.iter().any(|s| s.name == name.value) {
            self.unknown(&name, "site", known.sites.iter().map(|s| s.name.as_str()));
        }
        name.value
    }
}
