//! `decide`: one attempt against the compiled policy. Pure, allocates nothing, generic over a trace sink.

use super::{Action, CompiledPolicy, Fqdn, Mode, Protocol, Reason, RuleId};
use std::net::IpAddr;

/// What one source asks, as far as an application rule can see it.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// Canonical source address (IPv4-mapped is IPv4).
    pub source: IpAddr,
    /// What is, or would be, spoken.
    pub protocol: Protocol,
    /// The name asked for.
    pub name: &'a Fqdn,
    /// The port asked for.
    pub port: u16,
}

/// The answer of one evaluation. Small and `Copy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What the policy says.
    pub action: Action,
    /// `RuleMatched` or `NoRuleMatched`.
    pub reason: Reason,
    /// The rule that ended the evaluation.
    pub rule: Option<RuleId>,
    /// `Audit`: a denial here is recorded and not carried out.
    pub mode: Mode,
    /// The pattern that matched admits every tenant's resource.
    pub wide: bool,
}

impl Decision {
    /// Whether the flow may go on: allowed, or denied in audit mode.
    pub fn permits(&self) -> bool {
        self.action == Action::Allow || self.mode == Mode::Audit
    }
}

/// Sees each step of an evaluation. The empty sink costs nothing.
pub trait Trace {
    /// A rule was looked at; `outcome` says why it did not match, or that it did.
    fn rule(&mut self, rule: RuleId, outcome: RuleOutcome);
}

/// How one rule fared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleOutcome {
    /// Another source.
    SourceDiffers,
    /// No pattern admits the name.
    NameDiffers,
    /// The name is admitted on another port or protocol.
    PortDiffers,
    /// It matched: the evaluation ends here.
    Matched,
}

/// The sink that sees nothing.
pub struct NoTrace;
impl Trace for NoTrace {
    #[inline(always)]
    fn rule(&mut self, _: RuleId, _: RuleOutcome) {}
}

impl CompiledPolicy {
    /// Threat intelligence, DNAT, network, application; inside a kind the parent policy first, then group priority, then
    /// collection priority, low first, rules top down; the first match ends it; nothing matched is Deny `NoRuleMatched`.
    pub fn decide<T: Trace>(&self, attempt: &Attempt<'_>, trace: &mut T) -> Decision {
        let _ = (attempt, trace);
        todo!()
    }

    /// Whether any rule, for any source, protocol and port, could allow this name: if not, it is never looked up.
    pub fn could_allow(&self, name: &Fqdn) -> bool {
        let _ = name;
        todo!()
    }
}
