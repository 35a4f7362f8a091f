//! egret, with the policy that every subject has.

use super::{AccessLog, Recipe, free_ports};
use crate::world::{DOCUMENTATION, SUFFIXES, World, suffixes};
use std::{fmt::Write, io, path::Path};

/// Its file log, in the run's folder.
const LOG: &str = "egret.ndjson";

/// What may differ from run to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Suffixes of its policy.
    pub suffixes: usize,
    /// Lines for its `[limits]`.
    pub limits: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            suffixes: SUFFIXES,
            limits: Vec::new(),
        }
    }
}

/// `binary` with the access log in a file. It refuses to dial loopback, so names are an address for documentation, and
/// `--lab` lets it dial the upstreams instead.
pub fn recipe(binary: &Path, world: &World, options: &Options) -> io::Result<Recipe> {
    let [proxy, health, admin] = free_ports()?;
    Ok(Recipe {
        program: std::path::absolute(binary)?,
        args: ["run", "--lab", "--config", "FOLDER/egret.toml"]
            .map(str::to_owned)
            .into(),
        files: vec![("egret.toml", config(world, options, [proxy, health, admin]))],
        log: Some(AccessLog {
            file: LOG,
            mark: "\"category\":\"AZFWApplicationRule\"",
        }),
        proxy,
    })
}

fn config(world: &World, options: &Options, [proxy, health, admin]: [u16; 3]) -> String {
    let mut config = format!(
        "[listeners]\nproxy = [\"127.0.0.1:{proxy}\"]\nhealth = [\"127.0.0.1:{health}\"]\nadmin = [\"127.0.0.1:{admin}\"]\n\n\
         [dns]\nforwarders = [\"{}\"]\n\n\
         [limits]\ntunnels = 100000\ntunnels_per_source = 100000\n\
         attempts_per_second_per_source = 1000000\nattempts_burst_per_source = 1000000\n{}\n\n\
         [log]\nstdout = false\nfile = {{ path = \"FOLDER/{LOG}\", max_mib = 4096, keep = 1 }}\n\n",
        world.dns_documentation,
        options.limits.join("\n")
    );
    for upstream in [world.tunnels, world.tls, world.http] {
        let port = upstream.port();
        writeln!(
            config,
            "[[dial.override]]\nfrom = \"{DOCUMENTATION}/32:{port}\"\nto = \"{upstream}\"\n"
        )
        .expect("a String takes every byte");
    }
    let names: Vec<String> = suffixes(options.suffixes)
        .map(|suffix| format!("\"*.{suffix}\""))
        .collect();
    let (tunnels, tls, http) = (world.tunnels.port(), world.tls.port(), world.http.port());
    config
        + &format!(
            "[[application_rule_collection]]\nname = \"load\"\npriority = 100\naction = \"Allow\"\n\n\
             [[application_rule_collection.rule]]\nname = \"load\"\nprotocols = [\n  {{ type = \"Https\", port = {tunnels} }},\n  \
             {{ type = \"Https\", port = {tls} }},\n  {{ type = \"Http\", port = {http} }},\n]\ndestination_fqdns = [{}]\n",
            names.join(", ")
        )
}
