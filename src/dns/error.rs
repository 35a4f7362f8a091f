//! [`ResolveError`]: why a name has no address. Each variant says which zone said so.

use crate::policy::{Fqdn, Reason};
use std::{fmt, sync::Arc};

/// Who caused an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Forwarders, and the zones behind them.
    Upstream,
    /// This process: its limits, its machine.
    Egret,
}

/// Why a name has no address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResolveError {
    /// A forwarder says that the name, or the end of its chain, does not exist; or the name is of special use and nobody was
    /// asked (zone `special-use`).
    Nxdomain {
        /// The end of the chain.
        name: Fqdn,
        /// The zone that said so.
        zone: Arc<str>,
        /// The name lies in a private-link zone: the private endpoint's record is missing there, or the resource belongs to
        /// another tenant who has one.
        private_zone_hint: bool,
    },
    /// The name exists without an address of either family.
    NoData {
        /// The end of the chain.
        name: Fqdn,
        /// The zone that said so.
        zone: Arc<str>,
    },
    /// Every forwarder of the zone that answered failed (SERVFAIL, or a code that is none of the others).
    Servfail {
        /// The zone that was asked.
        zone: Arc<str>,
    },
    /// A forwarder of the zone refuses to answer us, and no other answered.
    Refused {
        /// The zone that was asked.
        zone: Arc<str>,
    },
    /// What the zone's forwarders sent could not be read.
    Malformed {
        /// The zone that was asked.
        zone: Arc<str>,
    },
    /// The records contradict each other.
    BrokenChain {
        /// The zone whose record broke it.
        zone: Arc<str>,
        /// How.
        fault: ChainFault,
    },
    /// No forwarder of the zone answered in time.
    Timeout {
        /// The zone that was asked.
        zone: Arc<str>,
    },
    /// No forwarder of the zone could be reached: connection refused, no route.
    Unreachable {
        /// The zone that was asked.
        zone: Arc<str>,
    },
    /// No zone holds the name, and there is no default zone.
    NoForwarder,
    /// As many resolutions are in flight as may be.
    TooManyQueries,
    /// No socket could be opened: the open-file limit.
    NoSocket,
    /// The resolver's task ended without an answer.
    Internal,
}

/// How the records of a chain contradict each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChainFault {
    /// More than 8 aliases.
    TooLong,
    /// An alias of a name that was passed already.
    Loop,
    /// An alias beside an address or beside another alias (RFC 1034 section 3.6.2).
    Ambiguous,
    /// An alias of something that is not a host name.
    BadTarget,
}

impl ResolveError {
    /// The reason of the decision.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Nxdomain { .. } => Reason::DnsNxdomain,
            Self::NoData { .. } => Reason::DnsNoData,
            Self::Servfail { .. } | Self::Malformed { .. } | Self::BrokenChain { .. } | Self::Unreachable { .. } => {
                Reason::DnsServfail
            }
            Self::Refused { .. } | Self::NoForwarder => Reason::DnsRefused,
            Self::Timeout { .. } => Reason::DnsTimeout,
            Self::TooManyQueries => Reason::LimitDnsQueries,
            Self::NoSocket => Reason::LimitFiles,
            Self::Internal => Reason::Internal,
        }
    }

    /// The zone that was asked; `None`: nobody was.
    pub fn zone(&self) -> Option<&Arc<str>> {
        match self {
            Self::Nxdomain { zone, .. }
            | Self::NoData { zone, .. }
            | Self::Servfail { zone }
            | Self::Refused { zone }
            | Self::Malformed { zone }
            | Self::BrokenChain { zone, .. }
            | Self::Timeout { zone }
            | Self::Unreachable { zone } => Some(zone),
            Self::NoForwarder | Self::TooManyQueries | Self::NoSocket | Self::Internal => None,
        }
    }

    /// Stable text for metrics and rows.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Nxdomain { .. } => "nxdomain",
            Self::NoData { .. } => "no_data",
            Self::Servfail { .. } => "servfail",
            Self::Refused { .. } => "refused",
            Self::Malformed { .. } => "malformed",
            Self::BrokenChain { fault, .. } => match fault {
                ChainFault::TooLong => "chain_too_long",
                ChainFault::Loop => "chain_loop",
                ChainFault::Ambiguous => "chain_ambiguous",
                ChainFault::BadTarget => "chain_bad_target",
            },
            Self::Timeout { .. } => "timeout",
            Self::Unreachable { .. } => "unreachable",
            Self::NoForwarder => "no_forwarder",
            Self::TooManyQueries => "too_many_queries",
            Self::NoSocket => "no_socket",
            Self::Internal => "internal",
        }
    }

    /// Who caused it.
    pub fn side(&self) -> Side {
        match self {
            Self::NoForwarder | Self::TooManyQueries | Self::NoSocket | Self::Internal => Side::Egret,
            _ => Side::Upstream,
        }
    }

    /// How much it says when both families failed, low first. What a server knows of the name comes before what it does not
    /// know, that before silence; `NoData` is last because it speaks of one family only.
    pub(super) fn rank(&self) -> u8 {
        match self {
            Self::Nxdomain { .. } => 0,
            Self::BrokenChain { .. } => 1,
            Self::Malformed { .. } => 2,
            Self::Servfail { .. } => 3,
            Self::Refused { .. } => 4,
            Self::Unreachable { .. } => 5,
            Self::Timeout { .. } => 6,
            Self::NoForwarder | Self::TooManyQueries | Self::NoSocket | Self::Internal => 7,
            Self::NoData { .. } => 8,
        }
    }
}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nxdomain {
                name,
                zone,
                private_zone_hint: false,
            } => write!(f, "{name} does not exist (zone {zone})"),
            Self::Nxdomain {
                name,
                zone,
                private_zone_hint: true,
            } => write!(
                f,
                "{name} does not exist (zone {zone}): its private endpoint has no record there, or it is another tenant's"
            ),
            Self::NoData { name, zone } => write!(f, "{name} has no address (zone {zone})"),
            Self::Servfail { zone } => write!(f, "the forwarders of zone {zone} failed"),
            Self::Refused { zone } => write!(f, "the forwarders of zone {zone} refused the question"),
            Self::Malformed { zone } => write!(f, "the forwarders of zone {zone} sent what cannot be read"),
            Self::BrokenChain { zone, fault } => write!(f, "{fault} (zone {zone})"),
            Self::Timeout { zone } => write!(f, "no forwarder of zone {zone} answered in time"),
            Self::Unreachable { zone } => write!(f, "no forwarder of zone {zone} can be reached"),
            Self::NoForwarder => f.write_str("no zone holds the name and there is no default forwarder"),
            Self::TooManyQueries => f.write_str("too many names are being resolved"),
            Self::NoSocket => f.write_str("no socket for a question: open-file limit"),
            Self::Internal => f.write_str("the resolver stopped"),
        }
    }
}

impl fmt::Display for ChainFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "the chain has more than 8 aliases",
            Self::Loop => "the chain of aliases comes back to itself",
            Self::Ambiguous => "an alias stands beside another record of the same name",
            Self::BadTarget => "an alias points to what is not a host name",
        })
    }
}

impl std::error::Error for ResolveError {}
