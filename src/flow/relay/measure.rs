//! The relay without a flow around it, for `benches/relay.rs`.

use super::super::gate::Passed;
use super::super::held::Held;
use super::super::tunnels::Tunnel;
use super::relay;
use crate::log::FlowId;
use crate::policy::vet::Candidate;
use crate::policy::{Fqdn, Host, Protocol};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::net::TcpStream;

/// Relays between two sockets as `relay` does for a tunnel with a table entry and an idle limit of 4 minutes. Bytes sent
/// and received.
pub async fn between(mut client: TcpStream, mut upstream: TcpStream) -> (u64, u64) {
    const IDLE: Duration = Duration::from_secs(240);
    let name = Fqdn::parse("api.example.com").expect("a name");
    let source = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    let candidate = Candidate {
        ip: source.ip(),
        owner: Some(name.clone()),
        zone: None,
        through_private_link: false,
    };
    let tunnel = Tunnel::new(
        FlowId::next(),
        source,
        Host::Name(name),
        443,
        Some(Protocol::Https),
        candidate,
        1,
    );
    let passed = Passed::upgraded(Held::default());
    let transfer = relay(&mut client, &mut upstream, passed, &tunnel, IDLE).await;
    (transfer.sent, transfer.received)
}
