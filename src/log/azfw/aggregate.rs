//! Tables of counts: `AZFWApplicationRuleAggregation`, `AZFWNetworkRuleAggregation`, `AZFWNatRuleAggregation`.

use super::{CONFIGURED, Envelope, NAME, URL, action, protocol, rule_columns};
use crate::log::{
    json::Object,
    row::{ApplicationAggregate, NatAggregate, NetworkAggregate},
};

impl Envelope {
    pub(super) fn application_aggregate(&self, o: &mut Object<'_>, row: &ApplicationAggregate<'_>) {
        o.word("Protocol", protocol(row.protocol));
        o.address("SourceIp", row.source);
        o.number("DestinationPort", row.port.into());
        o.text("Fqdn", row.fqdn, NAME);
        o.text("TargetUrl", row.target_url.unwrap_or_default(), URL);
        o.word("Action", action(row.action));
        rule_columns(o, row.rule);
        o.text(
            "ActionReason",
            self.action_reason(row.action, row.rule, row.reason),
            CONFIGURED,
        );
        o.number("ApplicationRuleCount", row.count);
    }

    pub(super) fn network_aggregate(&self, o: &mut Object<'_>, row: &NetworkAggregate<'_>) {
        o.word("Protocol", row.transport.name());
        o.address("SourceIp", row.source);
        o.address("DestinationIp", row.destination.ip());
        o.number("DestinationPort", row.destination.port().into());
        o.word("Action", action(row.action));
        rule_columns(o, row.rule);
        o.text(
            "ActionReason",
            self.action_reason(row.action, row.rule, row.reason),
            CONFIGURED,
        );
        o.flag("IsDefaultRule", row.rule.is_none());
        o.number("NetworkRuleCount", row.count);
    }
}

pub(super) fn nat(o: &mut Object<'_>, row: &NatAggregate<'_>) {
    o.word("Protocol", row.transport.name());
    o.address("SourceIp", row.source);
    o.address("TranslatedIp", row.translated.ip());
    o.number("TranslatedPort", row.translated.port().into());
    rule_columns(o, Some(row.rule));
    o.number("NatRuleCount", row.count);
}
