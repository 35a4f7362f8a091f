//! `egret import`: another firewall's policy becomes egret's TOML, with an account of every part.

use super::{Answer, AzureArgs, AzurePolicyArgs, ImportArgs, ImportCommand, Uninspected, count, print, quoted, say};
use crate::{
    config::{self, Problem},
    import::{self, ImportFault, Imported},
};
use anyhow::Context;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Imports. Fails if a file cannot be read, or if what denies could not be enforced.
pub fn run(args: &ImportArgs) -> anyhow::Result<Answer> {
    let ImportCommand::AzureFirewall(args) = &args.command;
    let beside = args.out.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
    // A configuration looks for its files beside itself.
    let imported = match beside == Path::new("") || beside == Path::new(".") {
        true => args.azure.load(&args.files)?,
        false => args.azure.absolute().load(&args.files)?,
    };
    if let Some(path) = &args.report {
        let json = serde_json::to_string_pretty(&imported.report)?;
        fs::write(path, json + "\n").with_context(|| format!("cannot write {}", path.display()))?;
    }
    say(imported.report.text().trim_end());
    match &args.out {
        Some(path) => fs::write(path, &imported.toml).with_context(|| format!("cannot write {}", path.display()))?,
        None => print(&imported.toml)?,
    }
    Ok(Answer::Yes)
}

impl AzureArgs {
    /// Imports these files.
    pub fn load(&self, files: &[PathBuf]) -> anyhow::Result<Imported> {
        let files: Vec<_> = files.iter().map(|path| read(path)).collect::<anyhow::Result<_>>()?;
        let parameters = self.parameters.as_deref().map(read).transpose()?;
        let text = |path: &Path| path.display().to_string();
        let service_tags = match &self.service_tags {
            Some(path) => {
                let tags = config::service_tags(path).map_err(|problems| super::refuse(&problems))?;
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
            ..import::Options::default()
        };
        import::azure_firewall(&files, parameters.as_ref(), &options).map_err(|faults| refuse(&faults))
    }
}

impl AzureArgs {
    fn absolute(&self) -> Self {
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

fn read(path: &Path) -> anyhow::Result<(String, Vec<u8>)> {
    let bytes = crate::config::read(path).map_err(|problems| super::refuse(&problems))?;
    Ok((path.display().to_string(), bytes))
}

/// Prints every fault; an error that counts them.
fn refuse(faults: &[ImportFault]) -> anyhow::Error {
    for fault in faults {
        say(&format!("{}\n", Problem::from(fault)));
    }
    anyhow::anyhow!("not imported: {}", count(faults.len(), "error"))
}
