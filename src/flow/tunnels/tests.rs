use super::*;
use crate::config;
use crate::dns::Resolver;
use crate::flow::shared::Own;
use crate::policy::{CompiledPolicy, Fqdn};
use arc_swap::ArcSwap;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};

const NAME: &str = "api.example.com";

/// A policy that allows this name and no other.
fn snapshot(generation: u64, name: &str, runtime: &Runtime) -> Arc<Snapshot> {
    let text = format!(
        "[dns]\nforwarders = [\"127.0.0.1:1\"]\n[[application_rule_collection]]\nname = \"c\"\npriority = 100\n\
         action = \"Allow\"\n[[application_rule_collection.rule]]\nname = \"r\"\ndestination_fqdns = [\"{name}\"]\n"
    );
    let checked = config::from_text("test.toml", &text).unwrap();
    Arc::new(Snapshot {
        generation,
        hash: checked.hash,
        settings: Arc::new(checked.settings),
        policy: CompiledPolicy::new(checked.policy),
        addresses: checked.addresses,
        resolver: Resolver::new(Arc::new(checked.dns), runtime.handle().clone()),
        overrides: Vec::new(),
    })
}

fn tunnel(generation: u64) -> Arc<Tunnel> {
    let name = Fqdn::parse(NAME).unwrap();
    let candidate = Candidate {
        ip: "203.0.113.1".parse().unwrap(),
        owner: Some(name.clone()),
        zone: None,
        through_private_link: false,
    };
    let source = "10.0.0.1:9".parse().unwrap();
    Tunnel::new(
        FlowId::next(),
        source,
        Host::Name(name),
        443,
        Some(Protocol::Https),
        candidate,
        generation,
    )
}

fn runtime() -> Runtime {
    Builder::new_current_thread().build().unwrap()
}

/// Flows decide, enter and catch up on two threads while a third one swaps in a policy that denies them all.
#[test]
fn l_07_a_tunnel_entered_around_a_swap_is_judged_by_the_swap_or_by_itself() {
    let runtime = runtime();
    let (allows, denies) = (snapshot(1, NAME, &runtime), snapshot(2, "other.example.com", &runtime));
    let (mut by_swap, mut by_itself) = (0, 0);
    for round in 0..1000 {
        let (current, tunnels) = (ArcSwap::new(allows.clone()), Tunnels::new());
        let start = Barrier::new(3);
        let flow = || {
            let decided = current.load_full();
            let tunnel = tunnel(decided.generation);
            tunnel.decide(&decided).permits().then(|| {
                tunnels.enter(tunnel, || {
                    let now = Own::new(current.load_full());
                    // Time for a swap: whoever loads before it enters comes too late for both.
                    thread::yield_now();
                    now
                })
            })
        };
        let flows = || {
            start.wait();
            std::iter::from_fn(flow).take(50).collect::<Vec<_>>()
        };
        let entered = thread::scope(|scope| {
            let threads = [scope.spawn(flows), scope.spawn(flows)];
            start.wait();
            // Not always at the same point of a flow.
            (0..round % 100 * 20).for_each(|_| std::hint::spin_loop());
            current.store(denies.clone());
            tunnels.judge_again(&denies);
            threads
                .into_iter()
                .flat_map(|thread| thread.join().unwrap())
                .collect::<Vec<_>>()
        });
        for (entry, judged) in &entered {
            assert!(entry.tunnel.revoked().is_some(), "nobody judged it, in round {round}");
            assert_eq!(entry.tunnel.order.load(SeqCst), REVOKE);
            match judged {
                Some(_) => by_itself += 1,
                None => by_swap += 1,
            }
        }
        drop(entered);
        assert_eq!(tunnels.len(), 0, "dropped entries leave the table");
    }
    assert!(
        by_swap > 0,
        "no swap found a tunnel in the table ({by_itself} judged themselves)"
    );
}

#[test]
fn a_verdict_under_an_older_policy_does_not_wind_back_the_generation() {
    let (runtime, tunnel) = (runtime(), tunnel(1));
    assert!(tunnel.judge(&snapshot(3, NAME, &runtime)).is_ok());
    assert!(tunnel.judge(&snapshot(2, NAME, &runtime)).is_ok());
    assert_eq!(tunnel.generation(), 3);
}

/// Each open tunnel has one, and its place in the table besides.
#[test]
fn f_03_an_entry_is_a_few_hundred_bytes() {
    assert!(size_of::<Tunnel>() <= 288, "{} bytes", size_of::<Tunnel>());
}

#[test]
fn the_first_order_stands() {
    let (runtime, tunnels) = (runtime(), Tunnels::new());
    let entry = tunnels.register(tunnel(1));
    assert_eq!(tunnels.judge_again(&snapshot(2, "other.example.com", &runtime)), 1);
    tunnels.drain();
    let end = runtime.block_on(entry.tunnel.stopped());
    assert_eq!(end, FlowEndKind::Revoked, "and not drained");
    assert_eq!(entry.tunnel.revoked().unwrap().cause, Reason::NoRuleMatched);
}

#[test]
fn judging_again_takes_the_address_into_account() {
    let runtime = runtime();
    let next = snapshot(2, NAME, &runtime);
    let mut addresses = next.addresses.clone();
    addresses.own = ["203.0.113.1".parse().unwrap()].into();
    let next = Arc::new(Snapshot {
        addresses,
        policy: CompiledPolicy::new(next.policy.model().clone()),
        hash: next.hash.clone(),
        settings: next.settings.clone(),
        resolver: next.resolver.clone(),
        overrides: Vec::new(),
        generation: 2,
    });
    let revoked = tunnel(1).judge(&next).unwrap_err();
    assert_eq!(
        revoked.cause,
        Reason::AddressDenied,
        "the address is now one of this machine"
    );
    assert!(revoked.decision.permits(), "while the rules still allow the name");
}

#[test]
fn l_07_whoever_reads_that_a_tunnel_was_judged_finds_its_order() {
    let runtime = runtime();
    let denies = snapshot(2, "other.example.com", &runtime);
    for round in 0..1000 {
        let (tunnel, start) = (tunnel(1), Barrier::new(2));
        thread::scope(|scope| {
            scope.spawn(|| {
                start.wait();
                assert!(tunnel.judge(&denies).is_err());
            });
            start.wait();
            let deadline = Instant::now() + Duration::from_secs(10);
            while tunnel.generation() < 2 {
                assert!(Instant::now() < deadline, "nobody judged it");
                std::hint::spin_loop();
            }
            assert_eq!(tunnel.order(), Some(FlowEndKind::Revoked), "in round {round}");
        });
    }
}

#[test]
fn who_enters_when_the_drain_time_is_over_is_told_too() {
    let tunnels = Tunnels::new();
    assert_eq!(tunnels.drain(), 0);
    let entry = tunnels.for_worker(1).register(tunnel(1));
    assert_eq!(entry.tunnel.order(), Some(FlowEndKind::Drained));
}
