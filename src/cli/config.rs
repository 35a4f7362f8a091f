//! Where the rules come from: the arguments that several commands share.

use super::azure::AzurePolicyArgs;
use crate::config::{self, Checked, Flags, Problem};
use clap::Args;
use std::path::PathBuf;

/// What a configuration of flags is called in messages.
pub(super) const COMMAND_LINE: &str = "command line";

/// A configuration: a file, or flags.
#[derive(Clone, Debug, Default, Args)]
pub struct ConfigArgs {
    /// Configuration file (TOML; `egret schema` describes it)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["allow", "azure_policy"])]
    pub config: Option<PathBuf>,
    /// Let a tag or a name through; may be repeated
    ///
    /// `AzureOpenAI=contoso-ai,contoso-eu` is an FQDN tag bound to resources, `EntraID` a tag as it is,
    /// `*.example.com` or `api.example.com:8443` a name (port 443 unless said), `http://name` plain HTTP.
    /// A tag with more to say: `AzureContainerRegistry=contoso,region=westeurope,features=data-endpoint`.
    #[arg(long, value_name = "TAG[=NAME,..]|FQDN[:PORT]", conflicts_with = "azure_policy")]
    pub allow: Vec<String>,
    /// A policy of Azure Firewall.
    #[command(flatten)]
    pub azure: AzurePolicyArgs,
}

impl ConfigArgs {
    /// Checks the file, or the flags.
    pub fn load(&self, listen: &[String], clients: &[String]) -> Result<Checked, Vec<Problem>> {
        match &self.config {
            Some(path) => config::load(path),
            None if self.azure.is_given() => config::from_text(COMMAND_LINE, &self.azure.toml(listen)),
            None => config::from_flags(&Flags {
                allow: self.allow.clone(),
                listen: listen.to_vec(),
                clients: clients.to_vec(),
            }),
        }
    }
}
