//! What an Azure Firewall policy holds beside rules, and egret's configuration outside its policy: explicit proxy, DNS servers.

use crate::{config::Checked, policy::PrivateEndpoints};
use serde_json::{Value, json};
use std::net::{IpAddr, SocketAddr};

/// The port of DNS: Azure's settings name servers by address alone.
const DNS: u16 = 53;

/// Settings of the policy that no rule says. Empty: none is written.
#[derive(Clone, Debug, Default)]
pub struct Beside {
    /// Port of the explicit proxy.
    pub http_port: Option<u16>,
    /// Custom DNS servers.
    pub dns_servers: Vec<IpAddr>,
    /// What of it is not written, and why.
    pub notes: Vec<String>,
}

impl Beside {
    /// What a configuration says of them. What it leads to on loopback is of this machine alone, and is not written.
    pub fn of(checked: &Checked) -> Self {
        let mut found = Self::default();
        found.explicit_proxy(&checked.settings.listeners.proxy);
        found.dns(checked);
        if checked.addresses.private_endpoints != PrivateEndpoints::Off || !checked.addresses.tagged.is_empty() {
            found.note("`private_endpoints`: Azure takes whatever address DNS answers");
        }
        found.note(
            "a deployment replaces the whole policy: what a deployed one has and the template does not name (SNAT, insights, \
             intrusion detection, certificates, and what is said above to be not written) is lost, unless it is added",
        );
        found
    }

    fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    fn explicit_proxy(&mut self, listeners: &[SocketAddr]) {
        let mut ports: Vec<u16> = listeners
            .iter()
            .filter(|at| reached(at))
            .map(SocketAddr::port)
            .collect();
        ports.retain(|port| *port != 0);
        ports.dedup();
        self.http_port = ports.first().copied();
        match ports[..] {
            [] => self.note(
                "`explicitProxy` is not written, and Azure's is off without it: egret listens on loopback alone; write \
                 `[listeners] proxy = [\"0.0.0.0:PORT\"]`, or add it to the template",
            ),
            [port, _, ..] => self.note(format!(
                "`explicitProxy`: Azure has one port for plain HTTP proxying, and gets {port}, the first of `[listeners] proxy`"
            )),
            [_] => {}
        }
    }

    fn dns(&mut self, checked: &Checked) {
        let (default, zones): (Vec<_>, Vec<_>) = checked.dns.zones.iter().partition(|zone| zone.is_default());
        let forwarders = default.iter().flat_map(|zone| &zone.forwarders);
        let written = !checked.dns.of_machine;
        let fits = |at: &&SocketAddr| written && at.port() == DNS && at.is_ipv4() && reached(at);
        let (servers, others): (Vec<&SocketAddr>, Vec<_>) = forwarders.partition(fits);
        self.dns_servers = servers.iter().map(|at| at.ip()).collect();
        if self.dns_servers.is_empty() {
            self.note(
                "`dnsSettings.servers` is not written, and Azure asks its own DNS without it: `[dns] forwarders` names no IPv4 \
                 server on port 53 that another machine reaches; write one, or add it to the template",
            );
        } else if !others.is_empty() {
            self.note("`[dns] forwarders`: those of IPv6, of loopback and of other ports than 53 are left out");
        }
        if !(zones.is_empty() && checked.dns.records.is_empty()) {
            self.note("`[[dns.zone]]`, `[[dns.record]]`: Azure asks the same servers for all names");
        }
    }

    /// Writes them into the properties of a policy.
    pub(super) fn write(&self, properties: &mut Value) {
        if let Some(port) = self.http_port {
            properties["explicitProxy"] =
                json!({ "enableExplicitProxy": true, "httpPort": port, "enablePacFile": false });
        }
        if !self.dns_servers.is_empty() {
            properties["dnsSettings"]["servers"] = json!(self.dns_servers);
        }
    }
}

/// Whether another machine reaches it.
fn reached(at: &SocketAddr) -> bool {
    !at.ip().is_loopback()
}
