//! `egret explain`: one attempt, step by step, by the very evaluation that decides flows.

mod asked;
mod change;
mod end;
mod judged;
mod nsg;
mod outcome;
mod resolve;
mod row;
mod show;

use super::{
    Answer,
    config::ConfigArgs,
    output::{print, refuse},
};
use crate::{
    config::Checked,
    policy::{AddressPlan, CompiledPolicy, Evaluation, Fqdn, Reason, Resolved, RuleId, Via},
};
use asked::Asked;
use clap::{Args, ValueEnum};
use end::End;
use ipnet::IpNet;
use judged::Judged;
use resolve::{Looked, Resolution};
use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};

/// `egret explain`
#[derive(Clone, Debug, Args)]
pub struct ExplainArgs {
    /// What is asked for: `https://host[:port]`, `http://host[:port]`, `host:port` as a CONNECT names it, `tcp://ip:port`,
    /// `udp://ip:port` or `icmp://ip`
    #[arg(required_unless_present = "row")]
    pub target: Option<String>,
    /// Who asks
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    pub source: IpAddr,
    /// How it comes: to the proxy port, or routed [default: explicit; transparent for tcp://, udp:// and icmp://]
    #[arg(long, value_enum)]
    pub via: Option<Road>,
    /// The address that its packets carry, or, at the proxy port, that its name leads to: like --resolved of that name
    #[arg(long, value_name = "IP")]
    pub destination: Option<IpAddr>,
    /// Where the rules come from.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Resolve the name with the configured forwarders as well, and judge the addresses
    #[arg(long)]
    pub resolve: bool,
    /// Where a name leads, whatever the forwarders say: the one asked for, or of what is routed that of a network rule. What is
    /// said of one name in several adds up
    #[arg(long, value_name = "NAME=IP,..", value_parser = name_and_addresses)]
    pub resolved: Vec<NameAndAddresses>,
    /// Take the attempt from a row of this file, and say whether it is decided alike today (0: alike, 1: not)
    #[arg(long, value_name = "FILE:LINE", conflicts_with_all = ["target", "source", "via", "destination", "resolve", "resolved", "nsg"])]
    pub row: Option<String>,
    /// Put the network security groups of this file (ARM template, or `az network nsg show`) before the firewall; may be repeated
    #[arg(long, value_name = "FILE")]
    pub nsg: Vec<PathBuf>,
    /// For --nsg: where the workload reaches the proxy port [default: the first listener with an address of its own]
    #[arg(long, value_name = "IP:PORT", requires = "nsg")]
    pub proxy: Option<SocketAddr>,
    /// For --nsg: what `VirtualNetwork` stands for; may be repeated [default: 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16]
    #[arg(long, value_name = "NET", requires = "nsg")]
    pub virtual_network: Vec<IpNet>,
    /// For --nsg: Microsoft's list of service tags
    #[arg(long, value_name = "FILE", requires = "nsg")]
    pub nsg_service_tags: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// How an attempt comes to egret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Road {
    /// To the proxy port
    Explicit,
    /// Routed, or redirected
    Transparent,
}

/// What a destination FQDN stands for.
pub type NameAndAddresses = (Fqdn, Vec<IpAddr>);

/// `name=address[,address..]`; no address: the name leads nowhere.
fn name_and_addresses(text: &str) -> Result<NameAndAddresses, String> {
    let (name, addresses) = text.split_once('=').ok_or("expected `name=address,..`")?;
    let name = Fqdn::parse(name).map_err(|_| format!("`{name}` is no host name"))?;
    let addresses = addresses.split(',').filter(|address| !address.is_empty());
    let read = addresses.map(|address| match address.parse::<IpAddr>() {
        Ok(ip) => Ok(ip.to_canonical()),
        Err(_) => Err(format!("`{address}` is no address")),
    });
    Ok((name, read.collect::<Result<_, _>>()?))
}

/// Explains one attempt, or one row. The answer is yes if it would get through; of a row: if it is decided alike.
pub fn run(args: &ExplainArgs) -> anyhow::Result<Answer> {
    let checked = args.config.load(&[], &[]).map_err(|problems| refuse(&problems))?;
    if let Some(place) = &args.row {
        return row::run(&checked, place, args.json);
    }
    let explanation = Explanation::of(&checked, args)?;
    print(&if args.json {
        show::json::json(&explanation)
    } else {
        show::text(&explanation)
    })?;
    Ok(match explanation.doubt {
        Some(_) => Answer::Untold,
        None => explanation.permitted().into(),
    })
}

/// Everything there is to say about one attempt.
struct Explanation {
    asked: Asked,
    policy: CompiledPolicy,
    hash: Arc<str>,
    resolved: Resolved,
    /// What vetting reads.
    addresses: AddressPlan,
    /// Where the name leads: as was said, or what the forwarders say, which are not asked before it is allowed.
    answer: Option<Looked>,
    /// The forwarders were to be asked.
    ask: bool,
    /// `None`: what was asked for is refused before any rule is asked.
    end: Option<End>,
    /// What the network security groups before the firewall say.
    groups: Vec<nsg::Said>,
    /// Why it could not be told, and what to say for it.
    doubt: Option<String>,
    /// What would have to change for it to be decided the other way.
    change: Vec<String>,
}

impl Explanation {
    /// Fails where what is asked makes no sense; reads the groups of `--nsg`, and asks the forwarders for `--resolve`.
    fn of(checked: &Checked, args: &ExplainArgs) -> anyhow::Result<Self> {
        let asked = Asked::new(args)?;
        let mut resolved = if args.resolve {
            resolve::destination_fqdns(checked, &asked)?
        } else {
            Resolved::default()
        };
        for (name, addresses) in asked.led_to(args, &checked.policy)? {
            resolved.set(name, addresses);
        }
        let mut explanation = Explanation::new(checked, asked, resolved);
        explanation.resolve(checked, args.resolve)?;
        if !args.nsg.is_empty() {
            explanation.groups = nsg::judge(args, checked, &explanation.asked)?;
        }
        explanation.doubt = judged::doubt(&explanation);
        explanation.change = match explanation.doubt {
            Some(_) => Vec::new(),
            None => change::changes(&explanation),
        };
        Ok(explanation)
    }

    fn new(checked: &Checked, asked: Asked, resolved: Resolved) -> Self {
        let mut explanation = Self {
            policy: CompiledPolicy::new(checked.policy.clone()),
            hash: checked.hash.clone(),
            addresses: checked.addresses.clone(),
            answer: None,
            ask: false,
            end: None,
            groups: Vec::new(),
            doubt: None,
            change: Vec::new(),
            asked,
            resolved,
        };
        explanation.end = explanation.end_under(&explanation.policy);
        explanation
    }

    /// The name's addresses, and what threat intelligence and network rules say of them.
    /// `ask`: the forwarders are asked, unless `--resolved` says where it leads.
    fn resolve(&mut self, checked: &Checked, ask: bool) -> anyhow::Result<()> {
        let Some(name) = self.asked.target.name().filter(|_| self.end.is_some()) else {
            return Ok(());
        };
        let told = self
            .resolved
            .of(name)
            .filter(|_| ask || self.asked.via == Via::Explicit);
        self.ask = ask;
        // What was said is there for every change that is tried.
        if told.is_some() || ask && self.is_let_in(name) {
            self.answer = Some(match told {
                Some(addresses) => resolve::told(checked, name, addresses),
                None => resolve::look_up(checked, name)?,
            });
            self.addresses.own = crate::gateway::own_addresses()?.into();
            self.end = self.end_under(&self.policy);
        }
        Ok(())
    }

    /// Whether the flow would get through, as far as was looked.
    fn permitted(&self) -> bool {
        self.end.as_ref().is_some_and(End::permitted) && self.groups.iter().all(|group| group.allows)
    }

    fn by_address(&self) -> Option<RuleId> {
        self.end.as_ref().and_then(End::by_address)
    }

    /// What is told of it; `None`: it is refused before any rule is asked.
    fn told(&self) -> Option<&Evaluation> {
        self.end.as_ref().map(|end| &end.told)
    }

    fn judged(&self) -> Option<&Judged> {
        self.end.as_ref().map(|end| &end.judged)
    }

    fn resolution(&self) -> Option<&Resolution> {
        self.end.as_ref()?.resolution.as_ref()
    }

    fn never_dialled(&self) -> bool {
        self.end.as_ref().is_some_and(|end| end.never_dialled)
    }

    /// Of the decision: what comes after it has reasons of its own.
    fn reason(&self) -> Reason {
        match (&self.end, &self.asked.target.host) {
            (Some(end), _) => end.decision().reason,
            (None, Err(reason)) => *reason,
            (None, Ok(_)) => Reason::NoRuleMatched,
        }
    }
}

#[cfg(test)]
mod tests;
