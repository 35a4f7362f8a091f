//! `egret explain`: one attempt, step by step, by the very evaluation that decides flows.

mod asked;
mod change;
mod end;
mod judged;
mod nsg;
mod outcome;
mod resolve;
mod row;
mod show;

use super::{Answer, ExplainArgs, print, refuse};
use crate::{
    config::Checked,
    policy::{AddressPlan, CompiledPolicy, Reason, Resolved, RuleId, Via},
};
use asked::Asked;
use end::End;
use judged::Judged;
use resolve::{Looked, Resolution};
use std::sync::Arc;

/// Explains one attempt, or one row. The answer is yes if it would get through; of a row: if it is decided alike.
pub fn run(args: &ExplainArgs) -> anyhow::Result<Answer> {
    let checked = args.config.load(&[], &[]).map_err(|problems| refuse(&problems))?;
    if let Some(place) = &args.row {
        return row::run(&checked, place, args.json);
    }
    let asked = Asked::new(args)?;
    let mut resolved = if args.resolve {
        resolve::destination_fqdns(&checked, &asked)?
    } else {
        Resolved::default()
    };
    for (name, addresses) in &args.resolved {
        resolved.set(name.clone(), addresses.clone());
    }
    let mut explanation = Explanation::new(&checked, asked, resolved);
    if let Some(judged) = explanation.judged() {
        judged::certain(&explanation.policy, &judged.evaluation)?;
    }
    explanation.resolve(&checked, args.resolve)?;
    if let (Some(rule), Some(name)) = (explanation.by_address(), explanation.asked.target.name()) {
        return Err(judged::open(&explanation.policy, name, rule));
    }
    if !args.nsg.is_empty() {
        explanation.groups = nsg::judge(args, &checked, &explanation.asked)?;
    }
    explanation.change = change::changes(&explanation);
    print(&if args.json {
        show::json::json(&explanation)
    } else {
        show::text(&explanation)
    })?;
    Ok(explanation.permitted().into())
}

/// Everything there is to say about one attempt.
struct Explanation {
    asked: Asked,
    policy: CompiledPolicy,
    hash: Arc<str>,
    resolved: Resolved,
    /// What vetting reads.
    addresses: AddressPlan,
    /// What the forwarders say of the name, if they were asked.
    answer: Option<Looked>,
    /// `None`: what was asked for is refused before any rule is asked.
    end: Option<End>,
    /// What the network security groups before the firewall say.
    groups: Vec<nsg::Said>,
    /// What would have to change for it to be decided the other way.
    change: Vec<String>,
}

impl Explanation {
    fn new(checked: &Checked, asked: Asked, resolved: Resolved) -> Self {
        let mut explanation = Self {
            policy: CompiledPolicy::new(checked.policy.clone()),
            hash: checked.hash.clone(),
            addresses: checked.addresses.clone(),
            answer: None,
            end: None,
            groups: Vec::new(),
            change: Vec::new(),
            asked,
            resolved,
        };
        explanation.end = explanation.end_under(&explanation.policy);
        explanation
    }

    /// The name's addresses, and what threat intelligence and network rules say of them.
    /// `ask`: the forwarders are asked, unless `--resolved` says where it leads.
    fn resolve(&mut self, checked: &Checked, ask: bool) -> anyhow::Result<()> {
        let (Some(end), Some(name)) = (&self.end, self.asked.target.name()) else {
            return Ok(());
        };
        let told = self
            .resolved
            .of(name)
            .filter(|_| ask || self.asked.via == Via::Explicit);
        if self.looks_up(end) && (ask || told.is_some()) {
            self.answer = Some(match told {
                Some(addresses) => resolve::told(checked, name, addresses),
                None => resolve::look_up(checked, name)?,
            });
            self.addresses.own = crate::gateway::own_addresses()?.into();
            self.end = self.end_under(&self.policy);
        }
        Ok(())
    }

    /// Whether the flow would get through, as far as was looked.
    fn permitted(&self) -> bool {
        self.end.as_ref().is_some_and(End::permitted) && self.groups.iter().all(|group| group.allows)
    }

    fn by_address(&self) -> Option<RuleId> {
        self.end.as_ref().and_then(End::by_address)
    }

    fn judged(&self) -> Option<&Judged> {
        self.end.as_ref().map(|end| &end.judged)
    }

    fn resolution(&self) -> Option<&Resolution> {
        self.end.as_ref()?.resolution.as_ref()
    }

    fn never_dialled(&self) -> bool {
        self.end.as_ref().is_some_and(|end| end.never_dialled)
    }

    /// Of the decision: what comes after it has reasons of its own.
    fn reason(&self) -> Reason {
        match (&self.end, &self.asked.target.host) {
            (Some(end), _) => end.decision().reason,
            (None, Err(reason)) => *reason,
            (None, Ok(_)) => Reason::NoRuleMatched,
        }
    }
}

#[cfg(test)]
mod tests;
