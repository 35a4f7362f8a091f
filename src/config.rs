//! What was written becomes what can run, or every problem at once.
//!
//! A TOML file, or flags, comes in; a [`Checked`] or a list of [`Problem`]s with file, line and column goes out. Nothing is
//! bound, dialled or started here.

pub mod problem;
pub mod settings;

pub use problem::{Problem, Severity};
pub use settings::Settings;

use crate::policy::{AddressPlan, Policy};
use ipnet::IpNet;
use std::{net::SocketAddr, sync::Arc};

/// `[[dial.override]]`: the *vetted* address is mapped as the last step before it is dialled. Lab only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DialOverride {
    /// Vetted addresses that are mapped.
    pub from: IpNet,
    /// Port that is mapped; `None`: every port.
    pub port: Option<u16>,
    /// What is dialled instead.
    pub to: SocketAddr,
}

/// A configuration that can run.
#[derive(Clone, Debug)]
pub struct Checked {
    /// Listeners, limits, log, Azure names.
    pub settings: Settings,
    /// The rules.
    pub policy: Policy,
    /// What vetting reads. [`AddressPlan::own`] is filled in by the gateway once it has bound.
    pub addresses: AddressPlan,
    /// Zones, records, forwarders.
    pub dns: crate::dns::DnsPlan,
    /// `[[dial.override]]`; empty outside the lab.
    pub overrides: Vec<DialOverride>,
    /// What loads but should be looked at.
    pub warnings: Vec<Problem>,
    /// 16 hex digits that stand for the text this was made from, for rows and health. Not a signature.
    pub hash: Arc<str>,
}
