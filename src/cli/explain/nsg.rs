//! Network security groups before the firewall: which rule of which stops an attempt.

use super::asked::Asked;
use crate::{
    cli::explain::ExplainArgs,
    config::{Checked, read},
    policy::{
        ServiceTags, Transport, Via,
        nsg::{self, Doubt, Packet, TagView},
    },
};
use anyhow::{Context, anyhow, bail};
use ipnet::IpNet;
use std::{net::SocketAddr, path::Path};

/// What one group says.
pub struct Said {
    /// The group.
    pub group: String,
    /// Its rule that decides.
    pub rule: String,
    pub priority: u32,
    pub allows: bool,
    /// What the group was asked: the destination of the packets that it sees.
    pub packet: Packet,
}

/// Every group of the files in turn, until one denies: traffic passes the one at the network interface and the one of the
/// subnet.
pub fn judge(args: &ExplainArgs, checked: &Checked, asked: &Asked) -> anyhow::Result<Vec<Said>> {
    let packet = packet(args, checked, asked)?;
    let tags = match &args.nsg_service_tags {
        Some(path) => ServiceTags::parse(&bytes(path)?).with_context(|| path.display().to_string())?,
        None => ServiceTags::default(),
    };
    let private = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"].map(|net| net.parse::<IpNet>());
    let private: Vec<IpNet> = private.into_iter().collect::<Result<_, _>>()?;
    let view = TagView {
        tags: &tags,
        virtual_network: match &args.virtual_network[..] {
            [] => &private,
            given => given,
        },
    };
    let mut said = Vec::new();
    for path in &args.nsg {
        let groups = nsg::read::groups(&bytes(path)?).with_context(|| path.display().to_string())?;
        for group in groups {
            let decided = group.decide(&packet, &view).map_err(|unknown| {
                let next = match unknown.what {
                    Doubt::Tag(_) => "`--nsg-service-tags` loads Microsoft's list",
                    Doubt::Group(_) | Doubt::SourcePorts => "what the rules behind it say is not known either",
                };
                anyhow!("{}: {unknown}: {next}", path.display())
            })?;
            let rule = decided.with_context(|| format!("{}: no rule of `{}` matches", path.display(), group.name))?;
            said.push(Said {
                group: group.name.clone(),
                rule: rule.name.clone(),
                priority: rule.priority,
                allows: rule.allows,
                packet,
            });
            if !rule.allows {
                return Ok(said);
            }
        }
    }
    Ok(said)
}

fn bytes(path: &Path) -> anyhow::Result<Vec<u8>> {
    read(path).map_err(|problems| {
        let told: Vec<String> = problems.iter().map(|problem| problem.one_line()).collect();
        anyhow!(told.join("; "))
    })
}

/// What leaves the workload: packets to the proxy port, or to the destination itself.
fn packet(args: &ExplainArgs, checked: &Checked, asked: &Asked) -> anyhow::Result<Packet> {
    if asked.via == Via::Explicit {
        let proxy = args.proxy.or_else(|| listener(checked)).context(
            "a network security group sees the way to the proxy port: say `--proxy IP:PORT`, since no listener has an address \
             that others reach",
        )?;
        return Ok(Packet {
            source: asked.source,
            destination: proxy.ip().to_canonical(),
            transport: Transport::Tcp,
            port: proxy.port(),
        });
    }
    let Some(destination) = asked.destination else {
        bail!("say `--destination IP`")
    };
    Ok(Packet {
        source: asked.source,
        destination,
        transport: asked.target.transport,
        port: asked.target.port,
    })
}

fn listener(checked: &Checked) -> Option<SocketAddr> {
    let listeners = checked.settings.listeners.proxy.iter().copied();
    let mut reachable = listeners.filter(|listener| !listener.ip().is_loopback() && !listener.ip().is_unspecified());
    reachable.next()
}
