//! Network and DNAT rules that earlier ones leave nothing for, and application rules that network rules do.
//!
//! A rule is a product: sources times destinations times services. What earlier rules take is cut out of it piece by piece;
//! when nothing is left, it never matches. A destination FQDN is a place of its own: only the same name is known to be there,
//! or a rule for every address where no explicit attempt is asked by network rules. What denies an address denies it in every
//! form that embeds it too (NAT64, 6to4, ..), and what allows it does not: [`embedded`] looks at these.

mod before;
mod embedded;

use super::{
    Fault, Finding, RuleAt,
    order::{Ranked, application_rules, nat_rules, network_rules},
    ranges::{Budget, ByList, Ranges},
};
use crate::policy::{Action, Fqdn, IpProtocol, NatRule, NetworkRule, Policy, PortRange, Sources, Transport};
use before::Before;
use embedded::Embedded;
use std::{
    collections::{HashMap, HashSet},
    rc::Rc,
};

/// Most pieces of one rule: past it, nothing is said of the rule.
const MOST_PIECES: usize = 128;

pub(super) fn analyse(policy: &Policy, budget: &mut Budget) -> Vec<Finding> {
    let mut shared = Shared::default();
    let nat = nat_rules(policy);
    let nat: Vec<Packets<'_>> = nat.iter().map(|rule| Packets::of_nat(rule, &mut shared)).collect();
    let network = network_rules(policy);
    let network: Vec<Packets<'_>> = network
        .iter()
        .map(|rule| Packets::of_network(rule, &mut shared))
        .collect();
    let mut findings = Vec::new();
    for rules in [&nat, &network] {
        within(rules, policy.explicit_network_rules, budget, &mut findings);
    }
    findings.extend(
        network
            .iter()
            .filter(|rule| rule.leads_everywhere())
            .map(|rule| Finding {
                rule: rule.at,
                fault: Fault::Everywhere,
            }),
    );
    let network: Vec<Packets<'_>> = network.into_iter().filter(|rule| !rule.records).collect();
    if !network.is_empty() {
        let by_address: Vec<Taker<'_>> = network.iter().map(|rule| (rule.at, rule.addresses())).collect();
        let before = Before {
            network: &network,
            by_address: &by_address,
            explicit: policy.explicit_network_rules,
        };
        findings.extend(
            application_rules(policy)
                .iter()
                .filter_map(|rule| before.take_all_of(rule, &mut shared.lists, budget)),
        );
    }
    findings
}

/// What a network or DNAT rule matches.
struct Packets<'a> {
    at: RuleAt,
    action: Action,
    /// It only records what it would deny.
    records: bool,
    sources: Rc<Ranges>,
    destinations: Rc<Ranges>,
    /// The IPv4 addresses among them.
    ipv4: Rc<Ranges>,
    /// Ascending, each once.
    fqdns: Vec<&'a Fqdn>,
    services: Rc<Ranges>,
}

/// Equal sets held once: thousands of rules name the same IP groups and service tags.
#[derive(Default)]
struct Shared {
    sets: HashSet<Rc<Ranges>>,
    lists: ByList<Rc<Ranges>>,
}

impl Shared {
    fn one(&mut self, ranges: Ranges) -> Rc<Ranges> {
        held_once(&mut self.sets, ranges)
    }

    fn sources(&mut self, sources: &Sources) -> Rc<Ranges> {
        let Self { sets, lists } = self;
        lists.once(sources, || held_once(sets, Ranges::of_sources(sources)))
    }
}

fn held_once(sets: &mut HashSet<Rc<Ranges>>, ranges: Ranges) -> Rc<Ranges> {
    if let Some(known) = sets.get(&ranges) {
        return Rc::clone(known);
    }
    let new = Rc::new(ranges);
    sets.insert(Rc::clone(&new));
    new
}

impl<'a> Packets<'a> {
    fn of_nat(ranked: &Ranked<'a, NatRule>, shared: &mut Shared) -> Self {
        let rule = ranked.rule;
        let destinations = Ranges::of_nets(&rule.destination_addresses);
        Self {
            at: ranked.at,
            action: ranked.action,
            records: ranked.records,
            sources: shared.sources(&rule.sources),
            ipv4: shared.one(destinations.and(&Ranges::ipv4())),
            destinations: shared.one(destinations),
            fqdns: Vec::new(),
            services: shared.one(services(&rule.ip_protocols, &rule.destination_ports)),
        }
    }

    fn of_network(ranked: &Ranked<'a, NetworkRule>, shared: &mut Shared) -> Self {
        let rule = ranked.rule;
        let written = &rule.destinations;
        let tags = written.service_tags.iter().flat_map(|tag| tag.prefixes.iter());
        let mut fqdns: Vec<&Fqdn> = written.fqdns.iter().collect();
        fqdns.sort_unstable();
        fqdns.dedup();
        let destinations = match written.any {
            true => Ranges::all(),
            false => Ranges::of_nets(written.addresses.iter().chain(tags)),
        };
        Self {
            at: ranked.at,
            action: ranked.action,
            records: ranked.records,
            sources: shared.sources(&rule.sources),
            ipv4: shared.one(destinations.and(&Ranges::ipv4())),
            destinations: shared.one(destinations),
            fqdns,
            services: shared.one(services(&rule.ip_protocols, &rule.destination_ports)),
        }
    }

    fn matches_nothing(&self) -> bool {
        let nowhere = self.destinations.is_empty() && self.fqdns.is_empty();
        self.sources.is_empty() || self.services.is_empty() || nowhere
    }

    fn leads_everywhere(&self) -> bool {
        self.action == Action::Allow && !self.matches_nothing() && self.destinations.holds(&Ranges::ipv4())
    }

    /// What it takes of packets to addresses.
    fn addresses(&self) -> Piece<'_> {
        Piece([&self.sources, &self.destinations, &self.services])
    }

    /// Equal for rules that match the same, names apart: equal sets are held once.
    fn identity(&self) -> [*const Ranges; 3] {
        [&self.sources, &self.destinations, &self.services].map(Rc::as_ptr)
    }
}

/// IP protocols and ports on one line: TCP, UDP, ICMP, all others, as [`IpProtocol::admits`] has it. No packet has port 0.
fn services(protocols: &[IpProtocol], ports: &[PortRange]) -> Ranges {
    let any_port = ports.contains(&PortRange::ANY);
    let transports = [Transport::Tcp, Transport::Udp, Transport::Icmp, Transport::Other(0)];
    let mut ranges = Vec::new();
    for protocol in protocols.iter().filter(|_| !ports.is_empty()) {
        for (transport, line) in transports.into_iter().zip(0_u128..) {
            let (whole, number) = (protocol.admits(transport, any_port), |port: u16| {
                line << 16 | u128::from(port)
            });
            if whole && transport.has_ports() {
                ranges.extend(
                    ports
                        .iter()
                        .map(|range| (number(range.first.max(1)), number(range.last))),
                );
            } else if whole {
                ranges.push((number(1), number(1)));
            }
        }
    }
    Ranges::merged(ranges)
}

/// An earlier rule and what it takes.
type Taker<'a> = (RuleAt, Piece<'a>);

/// A product of three sets.
#[derive(Clone, Copy)]
struct Piece<'a>([&'a Ranges; 3]);

impl Piece<'_> {
    fn holds(&self, part: &Piece<'_>) -> bool {
        let holds = |(whole, part): (&&Ranges, &Ranges)| std::ptr::eq(*whole, part) || whole.holds(part);
        self.0.iter().zip(part.0).all(holds)
    }

    /// Whether they may meet, by the ends of each set alone.
    fn may_meet(&self, other: &Piece<'_>) -> bool {
        let meet = |(one, other): (&&Ranges, &Ranges)| match (one.ends(), other.ends()) {
            (Some(one), Some(other)) => one.0 <= other.1 && other.0 <= one.1,
            _ => false,
        };
        self.0.iter().zip(other.0).all(meet)
    }
}

/// Which of `takers` together take all of `whole`; `None`: something is left, or it takes too much to know.
fn cover(whole: &Piece<'_>, takers: &[Taker<'_>], budget: &mut Budget) -> Option<Vec<RuleAt>> {
    if whole.0.iter().any(|part| part.is_empty()) {
        return Some(Vec::new());
    }
    if !budget.take(takers.len()) {
        return None;
    }
    let near: Vec<&Taker<'_>> = takers.iter().filter(|(_, taker)| taker.may_meet(whole)).collect();
    if let Some((at, _)) = near.iter().find(|(_, taker)| taker.holds(whole)) {
        return Some(vec![*at]);
    }
    let mut left = vec![whole.0.map(Clone::clone)];
    let mut by = Vec::new();
    for (at, taker) in near {
        let mut rest = Vec::new();
        let mut took = false;
        for piece in left {
            let cost: usize = piece
                .iter()
                .zip(taker.0)
                .map(|(one, other)| one.len() + other.len())
                .sum();
            if !budget.take(cost) {
                return None;
            }
            took |= cut(piece, taker, &mut rest);
        }
        left = rest;
        if took {
            by.push(*at);
        }
        if left.is_empty() {
            return Some(by);
        }
        if left.len() > MOST_PIECES {
            return None;
        }
    }
    None
}

/// Cuts the taker out of a piece; what is left of it goes to `rest`. Whether anything was taken.
fn cut(piece: [Ranges; 3], taker: &Piece<'_>, rest: &mut Vec<[Ranges; 3]>) -> bool {
    let taken = [0, 1, 2].map(|at| piece[at].and(taker.0[at]));
    if taken.iter().any(Ranges::is_empty) {
        rest.push(piece);
        return false;
    }
    // Outside in the first set; inside there and outside in the second; and so on.
    for at in 0..3 {
        let outside = piece[at].without(taker.0[at]);
        if !outside.is_empty() {
            let mut left = piece.clone();
            left[..at].clone_from_slice(&taken[..at]);
            left[at] = outside;
            rest.push(left);
        }
    }
    true
}

/// Rules of one kind that earlier ones of it leave nothing for.
fn within(rules: &[Packets<'_>], explicit: bool, budget: &mut Budget, findings: &mut Vec<Finding>) {
    let mut copies: HashMap<[*const Ranges; 3], Vec<usize>> = HashMap::new();
    let mut by_address: Vec<Taker<'_>> = Vec::with_capacity(rules.len());
    let mut by_name: HashMap<&Fqdn, Vec<usize>> = HashMap::new();
    let (all, ipv6) = (Ranges::all(), Ranges::ipv6());
    let mut embedded = Embedded::new(&all, &ipv6);
    let mut denied = Denied::default();
    for (number, rule) in rules.iter().enumerate().filter(|(_, rule)| !rule.matches_nothing()) {
        let alike = copies.entry(rule.identity()).or_default();
        let copy = alike
            .iter()
            .map(|other| &rules[*other])
            .find(|other| other.fqdns == rule.fqdns);
        let fault = match copy {
            Some(other) if other.action == rule.action => Some(Fault::Duplicate { of: other.at }),
            Some(other) => Some(Fault::Contradiction {
                of: other.at,
                but_embedded: embedded.taken_of(rule, budget).is_none(),
            }),
            None => shadow(rule, rules, &by_address, &by_name, explicit.then_some(&denied), budget).map(|by| {
                let more = embedded.taken_of(rule, budget);
                Fault::Shadowed {
                    but_embedded: more.is_none(),
                    by: in_order(rules, by.into_iter().chain(more.into_iter().flatten()).collect()),
                }
            }),
        };
        findings.extend(fault.map(|fault| Finding { rule: rule.at, fault }));
        if rule.records {
            continue;
        }
        if copy.is_none() {
            alike.push(number);
        }
        denied.add(rule, &by_address, rules, budget);
        if !rule.destinations.is_empty() {
            by_address.push((rule.at, rule.addresses()));
        }
        embedded.takes(rule);
        for fqdn in &rule.fqdns {
            by_name.entry(fqdn).or_default().push(number);
        }
    }
}

/// What earlier rules deny of a name at the proxy port that a later one allows: wherever it leads, unless a rule before them allows
/// some address, which is then let alone.
#[derive(Default)]
struct Denied(Vec<(RuleAt, [Ranges; 3])>);

impl Denied {
    /// One more earlier rule. `before`: those before it that speak of addresses.
    fn add(&mut self, rule: &Packets<'_>, before: &[Taker<'_>], rules: &[Packets<'_>], budget: &mut Budget) {
        let all = Ranges::all();
        if rule.action != Action::Deny || *rule.destinations != all || !budget.take(rules.len()) {
            return;
        }
        let allowing: HashSet<RuleAt> = (rules.iter().filter(|rule| rule.action == Action::Allow))
            .map(|rule| rule.at)
            .collect();
        let mut left = vec![rule.addresses().0.map(Clone::clone)];
        for (_, taker) in before.iter().filter(|(at, _)| allowing.contains(at)) {
            let excepted = Piece([taker.0[0], &all, taker.0[2]]);
            let mut rest = Vec::new();
            for piece in left {
                if !budget.take(
                    piece
                        .iter()
                        .zip(taker.0)
                        .map(|(one, other)| one.len() + other.len())
                        .sum(),
                ) {
                    return;
                }
                cut(piece, &excepted, &mut rest);
            }
            left = rest;
            if left.len() > MOST_PIECES {
                return;
            }
        }
        self.0.extend(left.into_iter().map(|piece| (rule.at, piece)));
    }
}

/// The earlier rules that take all of a rule. `denied`: network rules are asked at the proxy port.
fn shadow(
    rule: &Packets<'_>,
    rules: &[Packets<'_>],
    by_address: &[Taker<'_>],
    by_name: &HashMap<&Fqdn, Vec<usize>>,
    denied: Option<&Denied>,
    budget: &mut Budget,
) -> Option<Vec<RuleAt>> {
    let mut by = cover(&rule.addresses(), by_address, budget)?;
    for fqdn in &rule.fqdns {
        let all = Ranges::all();
        let whole = Piece([&rule.sources, &all, &rule.services]);
        let naming = by_name.get(fqdn).into_iter().flatten().map(|other| &rules[*other]);
        let mut takers: Vec<Taker<'_>> = naming
            .map(|other| (other.at, Piece([&other.sources, &all, &other.services])))
            .collect();
        match denied {
            None => {
                let leading = by_address.iter().filter(|(_, taker)| *taker.0[1] == all);
                takers.extend(leading.map(|(at, taker)| (*at, Piece(taker.0))));
            }
            // One that denies every address denies wherever the name leads: it is looked up, and not dialled.
            Some(denied) if rule.action == Action::Allow => {
                takers.extend(denied.0.iter().map(|(at, piece)| (*at, Piece(piece.each_ref()))));
            }
            Some(_) => {}
        }
        by.extend(cover(&whole, &takers, budget)?);
    }
    Some(by)
}

/// Each once, in the order in which they are judged.
fn in_order(rules: &[Packets<'_>], by: Vec<RuleAt>) -> Vec<RuleAt> {
    rules.iter().map(|rule| rule.at).filter(|at| by.contains(at)).collect()
}
