//! `egret explain`: one attempt, step by step, by the very evaluation that decides flows.

mod asked;
mod change;
mod judged;
mod nsg;
mod outcome;
mod resolve;
mod row;
mod show;

use super::{Answer, ExplainArgs, print, refuse};
use crate::{
    config::Checked,
    policy::{Action, CompiledPolicy, DecidedBy, Reason, Resolved, Via},
};
use asked::Asked;
use judged::Judged;
use resolve::Resolution;
use std::sync::Arc;

/// Explains one attempt, or one row. The answer is yes if it would get through; of a row: if it is decided alike.
pub fn run(args: &ExplainArgs) -> anyhow::Result<Answer> {
    let checked = args.config.load(&[], &[]).map_err(|problems| refuse(&problems))?;
    if let Some(place) = &args.row {
        return row::run(&checked, place, args.json);
    }
    let asked = Asked::new(args)?;
    let resolved = if args.resolve {
        resolve::destination_fqdns(&checked, &asked)?
    } else {
        Resolved::default()
    };
    let mut explanation = Explanation::new(&checked, asked, resolved);
    if args.resolve {
        explanation.resolve(&checked)?;
    }
    if !args.nsg.is_empty() {
        let groups = nsg::judge(args, &checked, &explanation.asked)?;
        explanation.permitted &= groups.iter().all(|group| group.allows);
        explanation.groups = groups;
    }
    print(&if args.json {
        show::json::json(&explanation)
    } else {
        show::text(&explanation)
    })?;
    Ok(explanation.permitted.into())
}

/// Everything there is to say about one attempt.
struct Explanation {
    asked: Asked,
    policy: CompiledPolicy,
    hash: Arc<str>,
    resolved: Resolved,
    /// `None`: what was asked for is refused before any rule is asked.
    judged: Option<Judged>,
    reason: Reason,
    /// Whether the flow would get through, as far as was looked.
    permitted: bool,
    /// What would have to change for it to be decided the other way.
    change: Vec<String>,
    /// An address that is never dialled, whatever the rules say.
    never_dialled: bool,
    resolution: Option<Resolution>,
    /// What the network security groups before the firewall say.
    groups: Vec<nsg::Said>,
}

impl Explanation {
    fn new(checked: &Checked, asked: Asked, resolved: Resolved) -> Self {
        let policy = CompiledPolicy::new(checked.policy.clone());
        let mut explanation = Self {
            hash: checked.hash.clone(),
            judged: None,
            reason: Reason::NoRuleMatched,
            permitted: false,
            change: Vec::new(),
            never_dialled: false,
            resolution: None,
            groups: Vec::new(),
            asked,
            policy,
            resolved,
        };
        match explanation.asked.target.host {
            Ok(_) => explanation.judge(checked),
            Err(reason) => {
                explanation.reason = reason;
                explanation.change.push(reason.row().remedy.to_owned());
            }
        }
        explanation
    }

    fn judge(&mut self, checked: &Checked) {
        let judged = judged::judge(&self.policy, &self.asked, &self.resolved);
        let decision = judged.evaluation.decision;
        self.reason = decision.reason;
        self.permitted = decision.permits();
        // Vetting holds whatever network rules allow; a private address is vouched for by the rule that allows it.
        let address = self.asked.target.address().filter(|_| self.asked.via == Via::Explicit);
        if let Some(ip) = address.filter(|_| self.permitted) {
            let allowed = decision.action == Action::Allow;
            self.never_dialled = checked
                .addresses
                .vet_address(ip, self.asked.target.port, allowed)
                .is_err();
            self.permitted &= !self.never_dialled;
        }
        self.judged = Some(judged);
        self.change = change::changes(self);
    }

    /// The name's addresses, and what threat intelligence and network rules say of them.
    fn resolve(&mut self, checked: &Checked) -> anyhow::Result<()> {
        let Some(judged) = self.judged.as_ref().filter(|_| self.permitted) else {
            return Ok(());
        };
        let Some(name) = self
            .asked
            .target
            .name()
            .filter(|_| judged.evaluation.by != DecidedBy::Nat)
        else {
            return Ok(());
        };
        let rule = judged.evaluation.decision.rule;
        let scope = rule.and_then(|rule| self.policy.application_rule(rule));
        let mut resolution = resolve::resolve(checked, name, self.asked.target.port, scope)?;
        if let (Ok(addresses), Via::Explicit) = (&mut resolution.vetted, self.asked.via) {
            let judge = |ip| judged::judge(&self.policy, &self.asked.leading_to(ip), &self.resolved);
            let denied: Vec<_> = addresses.iter().map(|ip| (*ip, judge(*ip))).collect();
            resolution.denied = denied
                .into_iter()
                .filter(|(_, judged)| !judged.evaluation.decision.permits())
                .collect();
            addresses.retain(|ip| !resolution.denied.iter().any(|(denied, _)| denied == ip));
            let threat = |judged: &Judged| judged.evaluation.by == DecidedBy::ThreatIntelligence;
            // One listed address spoils the answer.
            if addresses.is_empty() || resolution.denied.iter().any(|(_, judged)| threat(judged)) {
                let by_threat = resolution.denied.iter().find(|(_, judged)| threat(judged));
                let first = by_threat.or(resolution.denied.first());
                let reason = first.map_or(Reason::AddressDenied, |(_, judged)| judged.evaluation.decision.reason);
                resolution.vetted = Err(reason);
            }
        }
        self.permitted = resolution.vetted.is_ok();
        self.resolution = Some(resolution);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
