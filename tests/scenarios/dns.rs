//! The resolver against DNS servers that answer, fail and cheat. The servers count what they are asked.

mod cache;
mod forwarders;
mod views;
mod wire;

use egret::{
    dns::{
        CacheLimits, DnsPlan, ResolveError, Resolver, StaticData, StaticRecord, Timing, Zone, message::MAX_DATAGRAM,
    },
    lab::dns::{Behaviour, LabDns, Packets},
    policy::{Answer, Fqdn, Reason},
};
use hickory_proto::{
    op::{Message, MessageType, ResponseCode},
    rr::{
        Name, RData, Record, RecordType,
        rdata::{A, CNAME},
    },
};
use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};
use tokio::{net::UdpSocket, runtime::Handle, task::JoinSet};

fn name(text: &str) -> Fqdn {
    Fqdn::parse(text).expect("test name")
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("test address")
}

fn wire(text: &str) -> Name {
    Name::from_ascii(format!("{text}.")).expect("test name")
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Default times cut to a fifth, so that a timeout costs a second.
fn quick() -> DnsPlan {
    DnsPlan {
        timing: Timing {
            per_try: millis(100),
            total: millis(1000),
        },
        ..DnsPlan::default()
    }
}

/// A public view, the private view of a service's zone, and a resolver that knows both.
struct World {
    public: LabDns,
    private: LabDns,
    resolver: Arc<Resolver>,
}

const PRIVATE_ZONE: &str = "svc.example.net";

impl World {
    async fn new() -> Self {
        Self::with(quick()).await
    }

    async fn with(mut plan: DnsPlan) -> Self {
        let (public, private) = (LabDns::start().await.unwrap(), LabDns::start().await.unwrap());
        plan.zones.push(Zone::default_zone(vec![public.address()]));
        plan.zones.push(Zone::new(name(PRIVATE_ZONE), vec![private.address()]));
        let resolver = Resolver::new(Arc::new(plan), Handle::current());
        Self {
            public,
            private,
            resolver,
        }
    }

    async fn resolve(&self, asked: &str) -> Result<Arc<Answer>, ResolveError> {
        self.resolver.resolve(&name(asked)).await
    }

    async fn addresses(&self, asked: &str) -> Vec<IpAddr> {
        addresses(&self.resolve(asked).await.unwrap())
    }

    async fn reason(&self, asked: &str) -> Reason {
        self.resolve(asked).await.unwrap_err().reason()
    }
}

fn addresses(answer: &Answer) -> Vec<IpAddr> {
    answer.addresses.iter().map(|address| address.ip).collect()
}

/// Questions of any type for a name; a datagram that was sent again counts once.
fn questions(dns: &LabDns, name: &str) -> usize {
    let asked = dns.asked().into_iter().filter(|asked| asked.name == name);
    asked.map(|asked| (asked.from, asked.id)).collect::<HashSet<_>>().len()
}

/// Sends packets made of the question and its right answer.
fn packets(make: impl Fn(&Message, Message) -> Vec<Vec<u8>> + Send + Sync + 'static) -> Behaviour {
    Behaviour::Packets(Arc::new(make) as Packets)
}

fn bytes(message: &Message) -> Vec<u8> {
    message.to_vec().unwrap()
}

/// The right answer with the address of the forbidden site in it.
fn forged(mut answer: Message) -> Message {
    answer.answers = vec![Record::from_rdata(
        answer.queries[0].name().clone(),
        60,
        RData::A(A::new(203, 0, 113, 66)),
    )];
    answer
}
