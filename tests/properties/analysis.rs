//! What `check` says of a policy against brute force: every attempt of a small universe is judged by the evaluator itself.
//!
//! The universe holds a name, a port and a source of each kind that the generated rules can tell apart, so "no attempt
//! reaches the rule" there is "no attempt reaches it" at all, and what is told must be all there is to tell.

use super::generate::{allowing, application_rule, at, groups, holding, kinds_of_faults, numbered, target};
use egret::policy::{
    Action, ApplicationRule, Attempt, CompiledPolicy, Decision, Fqdn, FqdnPattern, Mode, NoTrace, Policy, Priority,
    Protocol, ProtocolPort, RuleCollection, RuleCollectionGroup, Rules, Sources, TargetFqdn,
    analysis::{Fault, RuleAt, analyse},
};
use ipnet::IpNet;
use proptest::{collection::vec, prelude::*, sample::select};
use std::{collections::HashSet, net::IpAddr};

const ZONES: [&str; 7] = [
    "test",
    "a.test",
    "b.a.test",
    "xa.test",
    "b.test",
    "com",
    "cloudflare-ech.com",
];

/// Names of the rules, and beside each zone one that no rule names: below it, and ending in it.
fn names() -> Vec<Fqdn> {
    let fresh = ZONES
        .iter()
        .flat_map(|zone| [(*zone).to_owned(), format!("q7.{zone}"), format!("q7{zone}")]);
    let own = ["public.tls-ech.dev", "q7"].map(str::to_owned);
    fresh
        .chain(own)
        .map(|name| Fqdn::parse(&name).expect("a name"))
        .collect()
}

fn pattern() -> impl Strategy<Value = FqdnPattern> {
    let name = || select(ZONES.to_vec());
    let text = prop_oneof![
        6 => name().prop_map(str::to_owned),
        4 => name().prop_map(|name| format!("*.{name}")),
        2 => name().prop_map(|name| format!("*{name}")),
        1 => Just("*".to_owned()),
    ];
    text.prop_map(|text| FqdnPattern::parse(&text).expect("a pattern"))
}

const PORTS: [ProtocolPort; 3] = [
    ProtocolPort {
        protocol: Protocol::Https,
        port: 443,
    },
    ProtocolPort {
        protocol: Protocol::Https,
        port: 8443,
    },
    ProtocolPort {
        protocol: Protocol::Http,
        port: 80,
    },
];

fn ports() -> impl Strategy<Value = Vec<ProtocolPort>> {
    prop_oneof![3 => Just(vec![PORTS[0]]), 1 => vec(select(PORTS.to_vec()), 0..4)]
}

const NETS: [&str; 7] = [
    "10.0.0.0/24",
    "10.0.0.0/25",
    "10.0.0.128/25",
    "10.0.1.0/24",
    "0.0.0.0/0",
    "::/0",
    "fd00::/64",
];

/// One address of each kind that [`NETS`] tell apart.
const SOURCES: [&str; 6] = [
    "10.0.0.5",
    "10.0.0.200",
    "10.0.1.9",
    "172.16.0.1",
    "fd00::1",
    "2001:db8::1",
];

fn sources() -> impl Strategy<Value = Sources> {
    let net = select(NETS.to_vec()).prop_map(|net| net.parse::<IpNet>().expect("a prefix"));
    prop_oneof![
        2 => Just(Sources::Any { written: true }),
        3 => vec(net, 0..4).prop_map(Sources::from),
    ]
}

fn rule() -> impl Strategy<Value = ApplicationRule> {
    let target = (pattern(), proptest::option::weighted(0.2, ports())).prop_map(|(pattern, ports)| TargetFqdn {
        pattern,
        tag: None,
        ports,
        wide: false,
    });
    (sources(), ports(), vec(target, 0..4))
        .prop_map(|(sources, protocols, targets)| application_rule(sources, protocols, targets))
}

fn rules() -> impl Strategy<Value = Rules> {
    vec(rule(), 1..4).prop_map(Rules::Application)
}

/// Half of the policies get a copy of one of their rules, as it stands or turned round: chance alone makes few.
fn policy() -> impl Strategy<Value = Policy> {
    let groups = || groups(&[100, 200, 300], Just(Mode::Enforce), rules(), 1..3, 0..3);
    (groups(), groups(), proptest::option::of(any::<(u16, bool)>())).prop_map(|(parent_groups, mut groups, copied)| {
        let rules: Vec<ApplicationRule> = groups
            .iter()
            .chain(&parent_groups)
            .flat_map(rules_of)
            .cloned()
            .collect();
        if let Some((which, turned)) = copied.filter(|_| !rules.is_empty()) {
            let mut rule = rules[usize::from(which) % rules.len()].clone();
            if turned {
                rule.targets.reverse();
            }
            if let Some(collection) = groups.first_mut().map(|group| &mut group.collections[0])
                && let Rules::Application(rules) = &mut collection.rules
            {
                rules.push(rule);
            }
        }
        numbered(parent_groups, groups)
    })
}

fn rules_of(group: &RuleCollectionGroup) -> impl Iterator<Item = &ApplicationRule> {
    group.collections.iter().flat_map(|collection| match &collection.rules {
        Rules::Application(rules) => rules.as_slice(),
        _ => &[],
    })
}

fn collection_at(policy: &mut Policy, at: RuleAt) -> &mut RuleCollection {
    let groups = if at.policy == 0 {
        &mut policy.parents[0].groups
    } else {
        &mut policy.groups
    };
    &mut groups[at.group as usize].collections[at.collection as usize]
}

fn rule_at(policy: &mut Policy, at: RuleAt) -> &mut ApplicationRule {
    match &mut collection_at(policy, at).rules {
        Rules::Application(rules) => &mut rules[at.rule as usize],
        _ => unreachable!("application rules alone are made"),
    }
}

fn action_at(policy: &Policy, at: RuleAt) -> Action {
    collection_at(&mut policy.clone(), at).action
}

/// The places of all rules.
fn places(policy: &Policy) -> Vec<RuleAt> {
    let compiled = CompiledPolicy::new(policy.clone());
    compiled
        .application_rules()
        .map(|rule| at(compiled.rule_ref(rule)))
        .collect()
}

struct Universe {
    names: Vec<Fqdn>,
    sources: Vec<IpAddr>,
}

impl Universe {
    fn new() -> Self {
        let sources = SOURCES.map(|ip| ip.parse().expect("an address")).to_vec();
        Self {
            names: names(),
            sources,
        }
    }

    fn attempts(&self) -> impl Iterator<Item = Attempt<'_>> {
        let all = self
            .sources
            .iter()
            .flat_map(move |source| self.names.iter().map(move |name| (*source, name)));
        all.flat_map(|(source, name)| {
            PORTS.map(|ProtocolPort { protocol, port }| Attempt {
                source,
                protocol,
                name,
                port,
            })
        })
    }

    fn decisions(&self, policy: &Policy) -> Vec<(Decision, Option<RuleAt>)> {
        let compiled = CompiledPolicy::new(policy.clone());
        let decide = |attempt: Attempt<'_>| {
            let decision = compiled.decide(&attempt, &mut NoTrace);
            (decision, decision.rule.map(|rule| at(compiled.rule_ref(rule))))
        };
        self.attempts().map(decide).collect()
    }

    /// Which attempts the rule admits when it stands alone.
    fn admitted(&self, policy: &Policy, at: RuleAt) -> Vec<bool> {
        let mut alone = policy.clone();
        let rule = rule_at(&mut alone, at).clone();
        let mut collection = collection_at(&mut alone, at).clone();
        collection.rules = Rules::Application(vec![rule]);
        let decisions = self.decisions(&numbered(Vec::new(), vec![holding(collection)]));
        decisions.into_iter().map(|(_, rule)| rule.is_some()).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_rule_is_told_of_exactly_if_no_attempt_reaches_it(policy in policy()) {
        let universe = Universe::new();
        let findings = analyse(&policy);
        let reached: HashSet<RuleAt> = universe.decisions(&policy).into_iter().filter_map(|(_, rule)| rule).collect();
        let mut told = HashSet::new();
        for finding in &findings {
            match &finding.fault {
                Fault::Shadowed { by, .. } => {
                    prop_assert!(!reached.contains(&finding.rule), "{:?}", finding);
                    prop_assert!(!by.is_empty() && !by.contains(&finding.rule));
                }
                Fault::Duplicate { of } | Fault::Contradiction { of, .. } => {
                    let same = action_at(&policy, *of) == action_at(&policy, finding.rule);
                    prop_assert_eq!(same, matches!(finding.fault, Fault::Duplicate { .. }));
                    // Alone, with one action: a star that allows leaves out what one that denies does not.
                    let mut alike = policy.clone();
                    collection_at(&mut alike, *of).action = Action::Deny;
                    collection_at(&mut alike, finding.rule).action = Action::Deny;
                    prop_assert_eq!(universe.admitted(&alike, *of), universe.admitted(&alike, finding.rule));
                    prop_assert!(!reached.contains(&finding.rule), "{:?}", finding);
                }
                Fault::NoPort => prop_assert!(!universe.admitted(&policy, finding.rule).contains(&true)),
                Fault::Taken { .. } => continue,
                _ => panic!("there are no network rules: {finding:?}"),
            }
            prop_assert!(told.insert(finding.rule), "told twice: {:?}", findings);
        }
        for place in places(&policy) {
            let in_vain = !reached.contains(&place) && universe.admitted(&policy, place).contains(&true);
            prop_assert!(!in_vain || told.contains(&place), "{:?} is not told of: {:?}", place, findings);
        }
    }

    #[test]
    fn a_name_that_is_taken_can_be_left_out(mut policy in policy()) {
        let universe = Universe::new();
        for finding in analyse(&policy) {
            if let Fault::Taken { target, by } = &finding.fault {
                let mut without = policy.clone();
                rule_at(&mut without, finding.rule).targets.remove(*target);
                prop_assert_eq!(universe.decisions(&policy), universe.decisions(&without), "{:?}", finding);
                let own = rule_at(&mut policy, finding.rule).targets.len();
                prop_assert!(by.iter().all(|(rule, other)| *rule != finding.rule || (*other < *target && *other < own)));
            }
        }
    }
}

#[test]
fn the_generator_makes_every_fault() {
    let kinds = kinds_of_faults(policy(), 300);
    assert_eq!(kinds, 5, "Shadowed, Duplicate, Contradiction, NoPort, Taken");
}

fn app_rule(sources: Sources, targets: &[String]) -> ApplicationRule {
    application_rule(
        sources,
        vec![PORTS[0]],
        targets.iter().map(|text| target(text)).collect(),
    )
}

fn one_collection(rules: Vec<ApplicationRule>) -> Policy {
    numbered(Vec::new(), vec![allowing(Rules::Application(rules))])
}

#[test]
fn of_ten_thousand_rules_the_one_in_the_shadow_is_found() {
    let net = |i: u32| {
        Sources::from(vec![
            IpNet::new(IpAddr::from((i << 8).to_be_bytes()), 24).expect("a prefix"),
        ])
    };
    let mut rules: Vec<ApplicationRule> = (0..10_000_u32)
        .map(|i| app_rule(net(i), &[format!("n{i}.contoso.test"), format!("*.z{i}.test")]))
        .collect();
    assert_eq!(analyse(&one_collection(rules.clone())), []);
    rules.push(app_rule(net(7), &["x.z7.test".into(), "n7.contoso.test".into()]));
    let findings = analyse(&one_collection(rules));
    let [finding] = findings.as_slice() else {
        panic!("{findings:?}")
    };
    let by = RuleAt {
        rule: 7,
        ..finding.rule
    };
    assert_eq!(
        (finding.rule.rule, &finding.fault),
        (
            10_000,
            &Fault::Shadowed {
                by: vec![by],
                but_embedded: false
            }
        )
    );
}

#[test]
fn rules_that_all_name_the_same_for_others_are_bounded_work() {
    let scattered = |i: u32| {
        let nets =
            (0..50_u32).map(|k| IpNet::new(IpAddr::from(((k << 20) + (i << 4)).to_be_bytes()), 28).expect("a prefix"));
        Sources::from(nets.collect::<Vec<_>>())
    };
    let names: Vec<String> = (0..20).map(|n| format!("n{n}.test")).collect();
    let rules = (0..500_u32).map(|i| app_rule(scattered(i), &names)).collect();
    assert_eq!(analyse(&one_collection(rules)), [], "no two of them share a source");
}

/// A collection in audit mode takes nothing from the rules behind it.
#[test]
fn what_only_records_leaves_the_later_rules_all() {
    for (mode, left) in [(Mode::Audit, true), (Mode::Enforce, false)] {
        let rule = app_rule(Sources::Any { written: true }, &["a.test".into()]);
        let mut policy = one_collection(vec![rule]);
        let collections = &mut policy.groups[0].collections;
        collections.push(RuleCollection {
            name: "later".into(),
            priority: Priority::new(60_000).expect("in range"),
            ..collections[0].clone()
        });
        (collections[0].action, collections[0].mode) = (Action::Deny, mode);
        assert_eq!(analyse(&policy).is_empty(), left, "{:?}", analyse(&policy));
    }
}

/// Public names of ECH providers, which no star that allows stands for.
#[test]
fn a_star_that_denies_is_left_something_by_the_same_star_that_allows() {
    for (star, left) in [("*", true), ("*.com", true), ("*.test", false)] {
        let rule = app_rule(Sources::Any { written: true }, &[star.into()]);
        let mut policy = one_collection(vec![rule]);
        let collections = &mut policy.groups[0].collections;
        collections.push(RuleCollection {
            name: "later".into(),
            priority: Priority::new(60_000).expect("in range"),
            action: Action::Deny,
            ..collections[0].clone()
        });
        assert_eq!(collections[0].action, Action::Allow);
        assert_eq!(analyse(&policy).is_empty(), left, "{star}: {:?}", analyse(&policy));
    }
}
