//! An export that is imported again decides alike.

use super::*;
use crate::{
    policies::{HOSTS, NAMES, PORTS, policy},
    random::Random,
};

/// Policies that are generated; `EGRET_ROUND_TRIPS` asks for more.
const ROUND_TRIPS: u64 = 500;

/// The policy after a way through Azure's form.
fn round_trip(policy: &Policy) -> Policy {
    let exported = export::azure_firewall(policy, &Beside::default()).unwrap_or_else(|faults| panic!("{faults:?}"));
    let text = exported.template.to_string();
    let files = [("exported.json".to_owned(), text.into_bytes())];
    let imported = azure_firewall(&files, None, &Options::default()).unwrap_or_else(|faults| panic!("{faults:?}"));
    let loaded = config::from_text("exported.toml", &imported.toml);
    loaded
        .unwrap_or_else(|problems| panic!("{}\n{}", shown(&problems), imported.toml))
        .policy
}

fn same_decision(one: &CompiledPolicy, other: &CompiledPolicy, flow: &FlowAttempt<'_>) -> Result<(), String> {
    let decide = |policy: &CompiledPolicy| {
        let evaluation = policy.evaluate(flow, &mut NoTrace);
        // A rule may have become several, of names that start alike, in the same collection.
        let place = evaluation.decision.rule.map(|rule| {
            let found = policy.rule_ref(rule);
            (found.policy.clone(), found.group.clone(), found.collection.clone())
        });
        (
            evaluation.by,
            evaluation.decision.action,
            evaluation.decision.reason,
            place,
        )
    };
    let (one, other) = (decide(one), decide(other));
    (one == other)
        .then_some(())
        .ok_or_else(|| format!("{one:?} became {other:?}"))
}

#[test]
fn an_export_that_is_imported_again_decides_alike() {
    let rounds = std::env::var("EGRET_ROUND_TRIPS").map_or(ROUND_TRIPS, |text| text.parse().expect("a number"));
    let mut resolved = Resolved::default();
    for (name, address) in [("a.example", "192.0.2.7"), ("c.test", "198.51.100.5")] {
        resolved.set(Fqdn::parse(name).unwrap(), vec![address.parse().unwrap()]);
    }
    let names: Vec<Fqdn> = NAMES.iter().map(|name| Fqdn::parse(name).unwrap()).collect();
    let mut matched = 0;
    for seed in 1..=rounds {
        let mut random = Random::new(seed);
        let own = policy(&mut random);
        let (one, other) = (CompiledPolicy::new(own.clone()), CompiledPolicy::new(round_trip(&own)));
        for _ in 0..60 {
            let host = |random: &mut Random| -> IpAddr { random.pick(&HOSTS).parse().unwrap() };
            let via = *random.pick(&[Via::Explicit, Via::Transparent, Via::Transparent]);
            let transport = match via {
                Via::Explicit => Transport::Tcp,
                Via::Transparent => *random.pick(&[
                    Transport::Tcp,
                    Transport::Tcp,
                    Transport::Udp,
                    Transport::Icmp,
                    Transport::Other(47),
                ]),
            };
            let name = (random.below(4) > 0).then(|| random.pick(&names).clone());
            let flow = FlowAttempt {
                source: host(&mut random),
                via,
                transport,
                destination: (via == Via::Transparent).then(|| host(&mut random)),
                port: if transport.has_ports() { *random.pick(&PORTS) } else { 0 },
                name: name.as_ref(),
                protocol: name.as_ref().map(|_| *random.pick(&[Protocol::Http, Protocol::Https])),
                resolved: &resolved,
            };
            if let Err(difference) = same_decision(&one, &other, &flow) {
                let template = export::azure_firewall(&own, &Beside::default()).unwrap().template;
                panic!("seed {seed}: {flow:?}: {difference}\n{own:#?}\n{template:#}");
            }
            matched += usize::from(one.evaluate(&flow, &mut NoTrace).decision.rule.is_some());
        }
    }
    // Attempts that no rule knows would agree however wrong the export were.
    assert!(
        matched > usize::try_from(rounds).unwrap() * 5,
        "{matched} matches in {rounds} policies"
    );
}
