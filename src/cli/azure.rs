//! A policy of Azure Firewall in JSON: which files hold it, and how they are read.

use super::output::{count, quoted, refuse, say};
use crate::{
    config::{self, Problem},
    import::{self, ImportFault, Imported},
};
use clap::{Args, ValueEnum};
use std::path::{Path, PathBuf};

/// A policy of Azure Firewall in JSON, instead of a configuration.
#[derive(Clone, Debug, Default, Args)]
pub struct AzurePolicyArgs {
    /// Files that hold an Azure Firewall policy together, in JSON, as `egret import` reads them; may be repeated
    #[arg(long, value_name = "FILE")]
    pub azure_policy: Vec<PathBuf>,
    /// How they are read.
    #[command(flatten)]
    pub how: AzureArgs,
}

/// How an Azure Firewall policy is read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
#[command(next_help_heading = "Reading an Azure Firewall policy")]
pub struct AzureArgs {
    /// Values for the template's parameters (a deploymentParameters file)
    #[arg(long, value_name = "FILE")]
    pub parameters: Option<PathBuf>,
    /// The value of one parameter; may be repeated, and goes before the file's
    #[arg(long, value_name = "NAME=VALUE", value_parser = name_and_value)]
    pub set: Vec<(String, String)>,
    /// Import although denials cannot be enforced in full: each is named in the report, in health, in a metric and at start
    #[arg(long)]
    pub partial: bool,
    /// What rules that need TLS inspection do: never match, or match their FQDNs by SNI
    #[arg(long, value_enum, value_name = "HOW", default_value_t = Uninspected::Deny)]
    pub uninspected: Uninspected,
    /// The policy that is meant, if the files hold several
    #[arg(long, value_name = "NAME")]
    pub policy: Option<String>,
    /// Service tags (Microsoft's ServiceTags_Public.json) that network rules name
    #[arg(long, value_name = "FILE")]
    pub service_tags: Option<PathBuf>,
    /// Addresses, prefixes and names that stand for Microsoft's threat intelligence; may be repeated
    #[arg(long, value_name = "FILE")]
    pub threat_intelligence: Vec<PathBuf>,
}

/// What rules that need TLS inspection do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Uninspected {
    /// They do not match.
    #[default]
    Deny,
    /// Their FQDNs are matched by SNI; their URLs are not.
    Sni,
}

/// `name=value`.
fn name_and_value(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected `name=value`")?;
    Ok((name.to_owned(), value.to_owned()))
}

impl AzureArgs {
    /// Imports these files.
    pub fn load(&self, files: &[PathBuf]) -> anyhow::Result<Imported> {
        let mut left = import::MAX_IMPORT_BYTES;
        let mut read = |path: &Path| read(path, &mut left);
        let files: Vec<_> = files.iter().map(|path| read(path)).collect::<anyhow::Result<_>>()?;
        let parameters = self.parameters.as_deref().map(read).transpose()?;
        let text = |path: &Path| path.display().to_string();
        let service_tags = match &self.service_tags {
            Some(path) => {
                let tags = config::service_tags(path).map_err(|problems| refuse(&problems))?;
                Some((text(path), tags))
            }
            None => None,
        };
        let options = import::Options {
            set: self.set.clone(),
            partial: self.partial,
            sni: self.uninspected == Uninspected::Sni,
            policy: self.policy.clone(),
            service_tags,
            threat_intelligence: self.threat_intelligence.iter().map(|path| text(path)).collect(),
            lists_deny_nothing: config::empty_lists(&self.threat_intelligence),
            ..import::Options::default()
        };
        import::azure_firewall(&files, parameters.as_ref(), &options).map_err(|faults| faulty(&faults))
    }
}

impl AzureArgs {
    pub(super) fn absolute(&self) -> Self {
        Self {
            parameters: self.parameters.as_ref().map(absolute),
            service_tags: self.service_tags.as_ref().map(absolute),
            threat_intelligence: self.threat_intelligence.iter().map(absolute).collect(),
            ..self.clone()
        }
    }
}

fn absolute(path: &PathBuf) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.clone())
}

impl AzurePolicyArgs {
    /// Whether a policy is named.
    pub fn is_given(&self) -> bool {
        !self.azure_policy.is_empty()
    }

    /// Whether it is said how a policy is read, and none is named.
    pub fn is_idle(&self) -> bool {
        !self.is_given() && self.how != AzureArgs::default()
    }

    /// The same with paths that lead to the same files from any folder.
    pub fn absolute(&self) -> Self {
        Self {
            azure_policy: self.azure_policy.iter().map(absolute).collect(),
            how: self.how.absolute(),
        }
    }

    /// The same for another command, as a shell takes it.
    pub fn again(&self) -> String {
        let how = &self.how;
        let path = |path: &PathBuf| path.display().to_string();
        let set = how.set.iter().map(|(name, value)| format!("{name}={value}"));
        let sni = (how.uninspected == Uninspected::Sni).then(|| "sni".to_owned());
        let given: [(&str, Vec<String>); 7] = [
            ("--azure-policy", self.azure_policy.iter().map(path).collect()),
            ("--parameters", how.parameters.iter().map(path).collect()),
            ("--set", set.collect()),
            ("--policy", how.policy.iter().cloned().collect()),
            ("--service-tags", how.service_tags.iter().map(path).collect()),
            (
                "--threat-intelligence",
                how.threat_intelligence.iter().map(path).collect(),
            ),
            ("--uninspected", sni.into_iter().collect()),
        ];
        let words = given
            .iter()
            .flat_map(|(flag, values)| values.iter().map(move |value| (flag, value)));
        let words = words.map(|(flag, value)| format!("{flag} {}", quoted(value)));
        let words: Vec<String> = words.chain(how.partial.then(|| "--partial".to_owned())).collect();
        words.join(" ")
    }

    /// The configuration that says the same in a file.
    pub fn toml(&self, listen: &[String]) -> String {
        let text = |text: &str| toml::Value::from(text).to_string();
        let path = |path: &PathBuf| text(&path.display().to_string());
        let list = |items: Vec<String>| format!("[{}]", items.join(", "));
        let how = &self.how;
        let mut out = format!(
            "[policy]\nazure_firewall = {}\n",
            list(self.azure_policy.iter().map(path).collect())
        );
        let mut key = |key: &str, value: String| out += &format!("{key} = {value}\n");
        if let Some(file) = &how.parameters {
            key("parameters", path(file));
        }
        let set: Vec<String> = how
            .set
            .iter()
            .map(|(name, value)| format!("{} = {}", text(name), text(value)))
            .collect();
        if !set.is_empty() {
            key("set", format!("{{ {} }}", set.join(", ")));
        }
        if let Some(name) = &how.policy {
            key("name", text(name));
        }
        if how.partial {
            key("partial", "true".into());
        }
        if how.uninspected == Uninspected::Sni {
            key("uninspected", text("sni"));
        }
        if let Some(file) = &how.service_tags {
            out += &format!("[service_tags]\nfile = {}\n", path(file));
        }
        if !how.threat_intelligence.is_empty() {
            let files = list(how.threat_intelligence.iter().map(path).collect());
            out += &format!("[threat_intelligence]\nfiles = {files}\n");
        }
        if !listen.is_empty() {
            let addresses = list(listen.iter().map(|address| text(address)).collect());
            out += &format!("[listeners]\nproxy = {addresses}\n");
        }
        out
    }
}

fn read(path: &Path, left: &mut u64) -> anyhow::Result<(String, Vec<u8>)> {
    let bytes = config::read_policy(path, left).map_err(|problems| refuse(&problems))?;
    Ok((path.display().to_string(), bytes))
}

/// Prints every fault; an error that counts them.
fn faulty(faults: &[ImportFault]) -> anyhow::Error {
    for fault in faults {
        say(&format!("{}\n", Problem::from(fault)));
    }
    anyhow::anyhow!("not imported: {}", count(faults.len(), "error"))
}
