//! Application rules: who, what is spoken, and where in the file it stands. The names are in [`super::super::targets`].

use super::{Maker, Place, span_of, text_of};
use crate::{
    config::{
        at::At,
        file::{self, Texts},
        problem::Finding,
        trusted::networks,
    },
    policy::{Action, ApplicationRule, Protocol, ProtocolPort},
};

impl<'a> Maker<'a> {
    pub(super) fn application_rule(&mut self, rule: &'a file::ApplicationRule, action: Action) -> ApplicationRule {
        self.place(&rule.name, &rule.destination_fqdns);
        let sources = self.sources(&rule.name, action, &rule.source_addresses, &rule.source_ip_groups);
        self.needs_sources(&rule.name, &sources, action);
        ApplicationRule {
            name: text_of(&rule.name).into(),
            sources,
            protocols: self.protocols(rule),
            targets: self.tags.targets(rule, action, self.report),
            resolves_into: networks(&rule.resolves_into, self.report),
            private_endpoints: rule.private_endpoints.map(Into::into),
        }
    }

    fn protocols(&mut self, rule: &file::ApplicationRule) -> Vec<ProtocolPort> {
        let Some(written) = &rule.protocols else {
            return vec![ProtocolPort {
                protocol: Protocol::Https,
                port: 443,
            }];
        };
        if self.report.says_nothing(written) {
            let finding = Finding::warning(
                written.span,
                format!("rule `{}` has no protocol: it never matches", text_of(&rule.name)),
            );
            self.report.add(finding.hint("leave the key out for `Https` 443"));
        }
        let read = |written: &file::Protocol| {
            let (protocol, usual) = match written.kind? {
                file::ProtocolType::Http => (Protocol::Http, 80),
                file::ProtocolType::Https => (Protocol::Https, 443),
            };
            let port = written
                .port
                .as_ref()
                .map_or(Some(usual), |port| u16::try_from(**port).ok())?;
            Some(ProtocolPort { protocol, port })
        };
        written.iter().filter_map(read).collect()
    }

    /// Notes where a rule stands, and its own patterns.
    pub(super) fn place(&mut self, name: &Option<At<String>>, patterns: &Texts) {
        let patterns = patterns.iter().flat_map(|list| list.iter());
        self.places.push(Place {
            span: span_of(name),
            patterns: patterns.map(|pattern| pattern.span).collect(),
        });
    }
}
