//! Tables of counts: `AZFWApplicationRuleAggregation`, `AZFWNetworkRuleAggregation`, `AZFWNatRuleAggregation`.

use super::{CONFIGURED, Envelope, NAME, URL, action, protocol, rule_columns};
use crate::log::{
    json::{Object, key},
    row::{ApplicationAggregate, NatAggregate, NetworkAggregate},
};

impl Envelope {
    pub(super) fn application_aggregate(&self, o: &mut Object<'_>, row: &ApplicationAggregate<'_>) {
        o.word(key!("Protocol"), protocol(row.protocol));
        o.address(key!("SourceIp"), row.source);
        o.number(key!("DestinationPort"), row.port.into());
        o.text(key!("Fqdn"), row.fqdn, NAME);
        o.text(key!("TargetUrl"), row.target_url.unwrap_or_default(), URL);
        o.word(key!("Action"), action(row.action));
        rule_columns(o, row.rule);
        o.text(
            key!("ActionReason"),
            self.action_reason(row.action, row.rule, row.reason),
            CONFIGURED,
        );
        o.number(key!("ApplicationRuleCount"), row.count);
    }

    pub(super) fn network_aggregate(&self, o: &mut Object<'_>, row: &NetworkAggregate<'_>) {
        o.word(key!("Protocol"), row.transport.name());
        o.address(key!("SourceIp"), row.source);
        o.address(key!("DestinationIp"), row.destination.ip());
        o.number(key!("DestinationPort"), row.destination.port().into());
        o.word(key!("Action"), action(row.action));
        rule_columns(o, row.rule);
        o.text(
            key!("ActionReason"),
            self.action_reason(row.action, row.rule, row.reason),
            CONFIGURED,
        );
        o.flag(key!("IsDefaultRule"), row.rule.is_none());
        o.number(key!("NetworkRuleCount"), row.count);
    }
}

pub(super) fn nat(o: &mut Object<'_>, row: &NatAggregate<'_>) {
    o.word(key!("Protocol"), row.transport.name());
    o.address(key!("SourceIp"), row.source);
    o.address(key!("TranslatedIp"), row.translated.ip());
    o.number(key!("TranslatedPort"), row.translated.port().into());
    rule_columns(o, Some(row.rule));
    o.number(key!("NatRuleCount"), row.count);
}
