//! The proof of the tests: a switch that turns one guard off, so that CI can show that its tests fail without it.
//!
//! Only the cargo feature `proof` compiles the switch in; without it [`off`] is a constant `false` and no environment
//! variable is read. A binary built with the feature refuses `egret run`.

/// A guard that the tests must notice when it is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// The tunnel's first flight is judged before anything reaches upstream.
    Gate,
    /// Addresses are vetted before they are dialled.
    Vet,
    /// A private address counts only for names of the zone or of the public zone paired with it.
    Pairing,
    /// Names are normalised once, before they are compared.
    Normalisation,
    /// Open tunnels are judged again after a reload.
    Rejudging,
    /// Every request on a kept-alive connection is judged.
    PerRequest,
    /// Bounds on sizes, times and counts.
    Limits,
    /// Lists of known-bad names and addresses are asked before every rule.
    ThreatIntelligence,
    /// What a network rule denies is denied before application rules are asked.
    NetworkRules,
}

impl Guard {
    /// Every guard with the value of `EGRET_PROOF_OFF` that switches it off.
    pub const ALL: [(Guard, &'static str); 9] = [
        (Guard::Gate, "gate"),
        (Guard::Vet, "vet"),
        (Guard::Pairing, "pairing"),
        (Guard::Normalisation, "normalisation"),
        (Guard::Rejudging, "rejudging"),
        (Guard::PerRequest, "per-request"),
        (Guard::Limits, "limits"),
        (Guard::ThreatIntelligence, "threat-intelligence"),
        (Guard::NetworkRules, "network-rules"),
    ];
}

/// Whether this guard is switched off for the proof of the tests.
#[cfg(feature = "proof")]
pub fn off(guard: Guard) -> bool {
    use std::sync::OnceLock;
    static OFF: OnceLock<Option<Guard>> = OnceLock::new();
    let chosen = OFF.get_or_init(|| {
        let wanted = std::env::var("EGRET_PROOF_OFF").ok()?;
        let found = Guard::ALL.iter().find(|(_, name)| *name == wanted);
        Some(
            found
                .unwrap_or_else(|| panic!("EGRET_PROOF_OFF={wanted} names no guard"))
                .0,
        )
    });
    *chosen == Some(guard)
}

/// Whether this guard is switched off: never, in a build without the feature `proof`.
#[cfg(not(feature = "proof"))]
#[inline(always)]
pub const fn off(_: Guard) -> bool {
    false
}
