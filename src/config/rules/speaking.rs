//! Whom a rule speaks of, and when that is everybody.

use super::{Maker, span_of, text_of};
use crate::{
    config::{at::At, file, problem::Finding},
    nets,
    policy::{Action, Sources},
};
use ipnet::IpNet;

impl Maker<'_> {
    pub(super) fn sources(
        &mut self,
        name: &Option<At<String>>,
        action: Action,
        addresses: &file::Texts,
        groups: &file::Texts,
    ) -> Sources {
        match self.ip_groups.sources(addresses, groups, self.report) {
            Sources::Nets(nets) if self.denies_ipv4(name, action, nets.iter()) => Sources::Any { written: true },
            sources => sources,
        }
    }

    /// Whether a rule denies every IPv4 address. Azure's rules know no other, and no IPv6 passes there: what denies all of
    /// IPv4 denies every address here, or the way would be open to whoever takes IPv6.
    pub(super) fn denies_ipv4<'n>(
        &mut self,
        name: &Option<At<String>>,
        action: Action,
        nets: impl IntoIterator<Item = &'n IpNet> + Clone,
    ) -> bool {
        if action == Action::Allow || !nets::hold_ipv4(nets.clone()) {
            return false;
        }
        if !nets
            .into_iter()
            .any(|net| matches!(net, IpNet::V6(net) if net.prefix_len() == 0))
        {
            let found = format!("rule `{}` denies all of IPv4: IPv6 is denied with it", text_of(name));
            let finding = Finding::warning(span_of(name), found);
            self.report
                .add(finding.hint("`*` says the same; what is to pass by IPv6 needs a rule before it"));
        }
        true
    }

    /// A rule that allows and names no source is for this machine alone.
    pub(super) fn needs_sources(&mut self, name: &Option<At<String>>, sources: &Sources, action: Action) {
        let (Some(listener), Sources::Any { written: false }, Action::Allow) = (self.open_listener, sources, action)
        else {
            return;
        };
        let found = format!(
            "rule `{}` names no source, and `{listener}` is open to others",
            text_of(name)
        );
        let finding = Finding::error(span_of(name), found);
        self.report.add(
            finding
                .expected("`source_addresses` or `source_ip_groups`")
                .hint("if anyone is meant, write `[\"*\"]`; on the command line `--clients`"),
        );
    }
}
