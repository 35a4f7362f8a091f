//! Tags as text of 80 columns, and as JSON.

use crate::{
    catalogue::{Binding, Endpoint, EndpointProtocol, FqdnTag, Narrowed, Need, Ports},
    policy::{Protocol, TargetFqdn},
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, fmt::Write};

/// Columns of a line.
const WIDTH: usize = 80;

/// All tags, a line or two each.
pub fn list(tags: &[&FqdnTag]) -> String {
    let width = tags.iter().map(|tag| tag.name().len()).max().unwrap_or(0);
    let mut text = String::new();
    for tag in tags {
        paragraph(&mut text, &format!("{:width$}  ", tag.name()), tag.title());
    }
    text.push('\n');
    paragraph(
        &mut text,
        "",
        "`egret catalogue TAG` shows one, `egret catalogue TAG --bind resource=NAME` what it comes to for a resource of \
         yours. Unbound, a tag with placeholders admits every tenant's.",
    );
    text
}

/// One tag: how to bind it, and these of its entries, by need and feature.
pub fn tag(tag: &FqdnTag, chosen: &[&Endpoint]) -> String {
    let mut text = format!("{}: {}\n\n", tag.name(), tag.title());
    head(&mut text, tag);
    for group in grouped(chosen) {
        let first = group[0];
        let feature = first.feature.as_ref().map(|feature| format!(", feature {feature}"));
        let cloud = if first.cloud.name() == "public" {
            ""
        } else {
            first.cloud.name()
        };
        let cloud = if cloud.is_empty() {
            String::new()
        } else {
            format!(", cloud {cloud}")
        };
        let _ = writeln!(text, "\n{}{}{cloud}", first.need.name(), feature.unwrap_or_default());
        group.iter().for_each(|endpoint| entry(&mut text, endpoint));
    }
    sources(&mut text, tag, chosen);
    text
}

fn head(text: &mut String, tag: &FqdnTag) {
    let placeholders = tag.placeholders();
    if let Some(main) = tag.placeholder() {
        let others = placeholders.iter().filter(|name| **name != main);
        let others: String = others.map(|name| format!(", {name}")).collect();
        paragraph(text, "bind      ", &format!("{main} (or `resource`){others}"));
    }
    if !tag.features().is_empty() {
        paragraph(text, "features  ", &joined(tag.features()));
    }
    let clouds: BTreeSet<&str> = tag.endpoints().iter().map(|endpoint| endpoint.cloud.name()).collect();
    paragraph(text, "clouds    ", &joined(&clouds));
    let unbound = tag.narrow(&Binding::default()).unwrap_or_default();
    let wide = unbound.targets.iter().filter(|target| target.wide);
    let wide: BTreeSet<String> = wide.map(|target| target.pattern.to_string()).collect();
    if !wide.is_empty() {
        paragraph(text, "unbound   ", &format!("every tenant's names: {}", joined(&wide)));
    }
}

fn entry(text: &mut String, endpoint: &Endpoint) {
    let _ = writeln!(text, "  {}  {}", endpoint.pattern(), spoken(endpoint));
    let sources = joined(&endpoint.source);
    let sources = if sources.is_empty() {
        sources
    } else {
        format!(" [{sources}]")
    };
    paragraph(text, "      ", &format!("{}{sources}", endpoint.purpose));
    if let Some(zone) = &endpoint.private_link_zone {
        paragraph(text, "      ", &format!("private endpoint: {zone}"));
    }
    if let Some(note) = &endpoint.note {
        paragraph(text, "      note: ", note);
    }
    if !endpoint.expressible {
        paragraph(text, "      ", "not expressible: admits nothing");
    }
}

fn sources(text: &mut String, tag: &FqdnTag, chosen: &[&Endpoint]) {
    let used: BTreeSet<&String> = chosen.iter().flat_map(|endpoint| &endpoint.source).collect();
    if !used.is_empty() {
        text.push_str("\nsources\n");
    }
    for (name, source) in tag.sources().iter().filter(|(name, _)| used.contains(name)) {
        let told = format!("{} {} ({}, {})", source.repo, source.path, source.commit, source.date);
        paragraph(text, &format!("  {name}: "), &told);
    }
}

/// What a binding yields, and the section that says the same in a configuration.
pub fn narrowed(tag: &FqdnTag, binding: &Binding, narrowed: &Narrowed) -> String {
    let mut text = format!("{}: {}\n\nadmits\n", tag.name(), tag.title());
    if narrowed.targets.is_empty() {
        text.push_str("  nothing\n");
    }
    let width = narrowed
        .targets
        .iter()
        .map(|target| target.pattern.to_string().len())
        .max();
    for target in &narrowed.targets {
        let wide = if target.wide { "  every tenant's" } else { "" };
        let pattern = format!("{:1$}", target.pattern.to_string(), width.unwrap_or(0));
        let _ = writeln!(text, "  {pattern}  {}{wide}", ports_of(target));
    }
    if !narrowed.left_out.is_empty() {
        text.push_str("\nleaves out\n");
    }
    for left in &narrowed.left_out {
        let _ = writeln!(text, "  {}", left.pattern);
        paragraph(&mut text, "      ", &left.why.to_string());
    }
    for unused in &narrowed.unused {
        let told = format!(
            "no chosen entry has it; `--feature` chooses one: {}",
            joined(&unused.features)
        );
        let _ = writeln!(text, "\nbound for nothing\n  {}", unused.placeholder);
        paragraph(&mut text, "      ", &told);
    }
    if !narrowed.idle.is_empty() {
        text.push('\n');
        paragraph(&mut text, "adds nothing: feature ", &joined(&narrowed.idle));
    }
    let _ = writeln!(text, "\nin a configuration\n  [fqdn_tag.{}]", tag.name());
    for (placeholder, names) in &binding.values {
        paragraph(&mut text, &format!("  {placeholder} = "), &quoted(names));
    }
    for (key, list) in [("features", &binding.features), ("keep", &binding.keep)] {
        if !list.is_empty() {
            paragraph(&mut text, &format!("  {key} = "), &quoted(list));
        }
    }
    text
}

/// One tag and these of its entries.
pub fn tag_json(tag: &FqdnTag, chosen: &mut dyn Iterator<Item = &Endpoint>) -> Value {
    let sources = tag.sources().iter().map(|(name, source)| {
        let told = json!({ "repo": source.repo, "path": source.path, "commit": source.commit, "date": source.date });
        (name.clone(), told)
    });
    json!({
        "tag": tag.name(),
        "title": tag.title(),
        "placeholder": tag.placeholder(),
        "placeholders": tag.placeholders(),
        "features": tag.features(),
        "sources": sources.collect::<serde_json::Map<_, _>>(),
        "endpoints": chosen.map(entry_json).collect::<Vec<_>>(),
    })
}

fn entry_json(endpoint: &Endpoint) -> Value {
    json!({
        "pattern": endpoint.pattern(),
        "expressible": endpoint.expressible,
        "ports": endpoint.ports.iter().map(Ports::to_string).collect::<Vec<_>>(),
        "protocol": endpoint.protocol.name(),
        "purpose": endpoint.purpose,
        "need": endpoint.need.name(),
        "feature": endpoint.feature,
        "cloud": endpoint.cloud.name(),
        "private_link_zone": endpoint.private_link_zone,
        "source": endpoint.source,
        "note": endpoint.note,
    })
}

/// What a binding yields.
pub fn narrowed_json(tag: &FqdnTag, narrowed: &Narrowed) -> Value {
    let admits = narrowed.targets.iter().map(|target| {
        let ports: Vec<Value> = ports(target)
            .map(|(kind, port)| json!({ "type": kind, "port": port }))
            .collect();
        json!({ "pattern": target.pattern.to_string(), "protocols": ports, "wide": target.wide })
    });
    let left = narrowed.left_out.iter();
    let left = left.map(|left| json!({ "pattern": left.pattern, "why": left.why.to_string() }));
    let unused = narrowed.unused.iter();
    let unused = unused.map(|unused| json!({ "placeholder": unused.placeholder, "features": unused.features }));
    json!({
        "tag": tag.name(),
        "admits": admits.collect::<Vec<_>>(),
        "leaves_out": left.collect::<Vec<_>>(),
        "unused": unused.collect::<Vec<_>>(),
        "idle": narrowed.idle,
    })
}

/// The entries of one need, feature and cloud stand together: the plain ones first, clouds as they are written.
fn grouped<'a>(chosen: &[&'a Endpoint]) -> Vec<Vec<&'a Endpoint>> {
    let mut groups: Vec<Vec<&Endpoint>> = Vec::new();
    let kind = |endpoint: &Endpoint| (endpoint.need, endpoint.feature.clone(), endpoint.cloud);
    for endpoint in chosen {
        match groups.iter_mut().find(|group| kind(group[0]) == kind(endpoint)) {
            Some(group) => group.push(endpoint),
            None => groups.push(vec![endpoint]),
        }
    }
    groups.sort_by_key(|group| group[0].need != Need::Required);
    groups
}

/// `https 443,8443`: as a file of the catalogue says it.
pub fn spoken(endpoint: &Endpoint) -> String {
    let ports: Vec<String> = endpoint.ports.iter().map(Ports::to_string).collect();
    let kept_closed = matches!(endpoint.protocol, EndpointProtocol::Tcp | EndpointProtocol::Udp);
    let for_network = if kept_closed { " (network rules)" } else { "" };
    format!("{} {}{for_network}", endpoint.protocol.name(), ports.join(","))
}

fn ports(target: &TargetFqdn) -> impl Iterator<Item = (&'static str, u16)> {
    let ports = target.ports.iter().flatten();
    ports.map(|port| match port.protocol {
        Protocol::Http => ("Http", port.port),
        Protocol::Https => ("Https", port.port),
    })
}

fn ports_of(target: &TargetFqdn) -> String {
    let ports: Vec<String> = ports(target).map(|(kind, port)| format!("{kind} {port}")).collect();
    ports.join(", ")
}

/// `a, b, c`
pub fn joined<T: AsRef<str>>(names: impl IntoIterator<Item = T>) -> String {
    let mut text = String::new();
    for name in names {
        if !text.is_empty() {
            text.push_str(", ");
        }
        text.push_str(name.as_ref());
    }
    text
}

fn quoted(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
    format!("[{}]", names.join(", "))
}

/// Adds a paragraph, broken at blanks so that no line is longer than [`WIDTH`] if a word allows it; later lines start below
/// the text of the first.
pub fn paragraph(out: &mut String, head: &str, text: &str) {
    let indent = " ".repeat(head.chars().count());
    let mut line = head.to_owned();
    let mut empty = true;
    for word in text.split_whitespace() {
        if !empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
            out.push_str(line.trim_end());
            out.push('\n');
            line.clone_from(&indent);
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    out.push_str(line.trim_end());
    out.push('\n');
}
