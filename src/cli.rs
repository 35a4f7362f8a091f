//! The command line as types, and dispatch. Each command answers yes or no, or fails; `main` makes the exit code of it.

pub mod catalogue;
pub mod check;
pub mod env;
pub mod explain;
pub mod export;
pub mod health;
pub mod import;
pub mod run;

use crate::config::{self, Checked, Flags, Problem, Severity};
use crate::policy::Fqdn;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::{net::SocketAddr, path::PathBuf};

/// An egress firewall for Azure AI labs: Azure Firewall's decisions and log rows, in one binary.
///
/// Exit codes: 0 fine, 1 the answer is no, 2 it could not run.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, after_help = EXAMPLES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  egret lab                                 a whole world on loopback
  egret run --allow AzureOpenAI=contoso-ai  a sidecar for one resource
  egret run --config egret.toml             everything, from a file
  egret check egret.toml                    every problem of a file, with its line
  egret explain https://contoso-ai.openai.azure.com --config egret.toml
  egret catalogue AzureOpenAI               what a tag holds, and how to bind it
  eval \"$(egret env)\"                       point this shell's clients at the proxy";

const CHECK_EXAMPLES: &str = "\
Examples:
  egret check egret.toml
  egret check egret.toml --expect egret-tests.toml --min-coverage 100

Exit codes: 0 everything loads and every test passes; 1 not so; 2 the tests themselves could not be read.";

const CATALOGUE_EXAMPLES: &str = "\
Examples:
  egret catalogue AzureMonitor --feature agent
  egret catalogue AzureOpenAI --bind resource=contoso-ai,contoso-eu
  egret catalogue diff --folder tags

Exit codes: 0 something is printed, or nothing differs; 1 nothing is left, or something differs; 2 it could not run.";

const IMPORT_EXAMPLES: &str = "\
Examples:
  egret import azure-firewall policy.json -o egret.toml --report report.json
  egret import azure-firewall main.json --parameters main.parameters.json --set location=westeurope
  egret import azure-firewall base.json child.json ipgroups.json

Exit codes: 0 imported; 2 not, since something denies that could not be enforced, or a file cannot be read.";

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the proxy: from a file or from flags; with neither it denies everything.
    Run(RunArgs),
    /// Build a lab on loopback, offline, and try every way out of it.
    Lab(LabArgs),
    /// Check configuration files: every problem at once, without binding anything.
    Check(CheckArgs),
    /// Explain how one attempt is decided, rule by rule: exit code 0 allowed, 1 denied.
    Explain(ExplainArgs),
    /// Print FQDN tags: all, one of them, or what one comes to for resources of yours
    Catalogue(CatalogueArgs),
    /// Print the proxy variables that clients of this configuration need.
    Env(EnvArgs),
    /// Ask a running egret whether it is ready: for exec probes.
    Health(HealthArgs),
    /// Print the JSON Schema of the configuration file, or of policy tests.
    Schema(SchemaArgs),
    /// Make a configuration of another firewall's policy.
    Import(ImportArgs),
    /// Write the policy as another firewall's.
    Export(ExportArgs),
}

/// `egret schema`
#[derive(Clone, Copy, Debug, Args)]
pub struct SchemaArgs {
    /// Of what
    #[arg(value_enum, default_value_t)]
    pub of: SchemaOf,
}

/// Files that have a schema.
#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
pub enum SchemaOf {
    /// The configuration file
    #[default]
    Config,
    /// A file of policy tests, for `egret check --expect`
    Tests,
}

/// What a configuration of flags is called in messages.
const COMMAND_LINE: &str = "command line";

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

/// `egret run`
#[derive(Clone, Debug, Default, Args)]
pub struct RunArgs {
    /// Where the rules come from.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Listen here instead of `127.0.0.1:3128` and `[::1]:3128`; may be repeated
    #[arg(long, value_name = "ADDRESS:PORT", conflicts_with = "config")]
    pub listen: Vec<String>,
    /// Who --allow speaks of: address, prefix or `*`; needed when others than this machine can reach --listen
    #[arg(long, value_name = "NET", conflicts_with_all = ["config", "azure_policy"])]
    pub clients: Vec<String>,
    /// Honour [[dial.override]], which leads vetted addresses elsewhere: for labs, never for production
    #[arg(long)]
    pub lab: bool,
}

/// `egret lab`
#[derive(Clone, Debug, Args)]
pub struct LabArgs {
    /// Play and exit: 0 if each attempt went as expected, 1 if not; every shipped scenario, unless some are named
    #[arg(long)]
    pub once: bool,
    /// Scenarios to play: shipped ones by name, `all` of them, files of your own (TOML); of several none stays up
    #[arg(long, value_name = "NAME|FILE", num_args = 1..)]
    pub scenario: Vec<PathBuf>,
    /// List the shipped scenarios
    #[arg(long, conflicts_with_all = ["once", "scenario", "proxy", "direct"])]
    pub list: bool,
    /// Print a shipped scenario, to start one of your own from it
    #[arg(long, value_name = "NAME", conflicts_with_all = ["once", "scenario", "proxy", "direct", "list", "json"])]
    pub print: Option<String>,
    /// Play under this policy instead of the rules of the scenarios.
    #[command(flatten)]
    pub azure: AzurePolicyArgs,
    /// Make the attempts through another proxy instead of egret
    #[arg(long, value_name = "URL", conflicts_with = "direct")]
    pub proxy: Option<String>,
    /// Where the lab's DNS server listens for the proxy under test, which must ask it alone
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:53530", requires = "proxy")]
    pub dns_listen: std::net::SocketAddr,
    /// For a proxy on another machine: addresses of this one that it reaches; the lab's sites listen there, on 80 and 443
    #[arg(long, value_name = "PREFIX", requires = "proxy")]
    pub stand_ins: Option<ipnet::Ipv4Net>,
    /// Make the attempts without any proxy
    #[arg(long)]
    pub direct: bool,
    /// Compare the JSON lines of two runs: 0 if all came out the same, 1 if not, 2 if they cannot be compared
    #[arg(long, value_names = ["A", "B"], num_args = 2, conflicts_with_all = ["once", "scenario", "proxy", "direct", "list", "print"])]
    pub diff: Vec<PathBuf>,
    /// Print the outcome as JSON lines instead of a table
    #[arg(long)]
    pub json: bool,
}

/// `egret check`
#[derive(Clone, Debug, Args)]
#[command(after_help = CHECK_EXAMPLES)]
pub struct CheckArgs {
    /// Configuration files
    #[arg(required_unless_present = "azure_policy", value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// A policy of Azure Firewall.
    #[command(flatten)]
    pub azure: AzurePolicyArgs,
    /// Policy tests (TOML; `egret schema tests` describes it): attempts and the decisions expected of them; may be repeated
    #[arg(long, value_name = "FILE")]
    pub expect: Vec<PathBuf>,
    /// Fail if the attempts reach less than this part of the rules, in per cent
    #[arg(long, value_name = "PERCENT", requires = "expect", value_parser = per_cent)]
    pub min_coverage: Option<f64>,
    /// Fail if the tests notice less than this part of the changes tried on the rules they reach, in per cent
    #[arg(long, value_name = "PERCENT", requires = "expect", value_parser = per_cent)]
    pub min_mutation: Option<f64>,
    /// Print JSON lines, one a configuration file
    #[arg(long)]
    pub json: bool,
}

fn per_cent(text: &str) -> Result<f64, String> {
    let number = text.trim_end_matches('%').parse().ok();
    let number = number.filter(|number| (0.0..=100.0).contains(number));
    number.ok_or_else(|| "a number from 0 to 100 was expected".to_owned())
}

/// `egret explain`
#[derive(Clone, Debug, Args)]
pub struct ExplainArgs {
    /// What is asked for: `https://host[:port]`, `http://host[:port]`, `host:port` as a CONNECT names it, `tcp://ip:port`,
    /// `udp://ip:port` or `icmp://ip`
    #[arg(required_unless_present = "row")]
    pub target: Option<String>,
    /// Who asks
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    pub source: std::net::IpAddr,
    /// How it comes: to the proxy port, or routed [default: explicit; transparent for tcp://, udp:// and icmp://]
    #[arg(long, value_enum)]
    pub via: Option<Road>,
    /// The address that its packets carry, or that its name leads to
    #[arg(long, value_name = "IP")]
    pub destination: Option<std::net::IpAddr>,
    /// Where the rules come from.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Resolve the name with the configured forwarders as well, and judge the addresses
    #[arg(long)]
    pub resolve: bool,
    /// Where a name leads, that of a network rule or the one asked for, whatever the forwarders say; may be repeated
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
    pub proxy: Option<std::net::SocketAddr>,
    /// For --nsg: what `VirtualNetwork` stands for; may be repeated [default: 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16]
    #[arg(long, value_name = "NET", requires = "nsg")]
    pub virtual_network: Vec<ipnet::IpNet>,
    /// For --nsg: Microsoft's list of service tags
    #[arg(long, value_name = "FILE", requires = "nsg")]
    pub nsg_service_tags: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// How an attempt comes to egret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Road {
    /// To the proxy port
    Explicit,
    /// Routed, or redirected
    Transparent,
}

/// `egret catalogue`
#[derive(Clone, Debug, Args)]
#[command(args_conflicts_with_subcommands = true, disable_help_subcommand = true, after_help = CATALOGUE_EXAMPLES)]
pub struct CatalogueArgs {
    /// Something else than printing.
    #[command(subcommand)]
    pub command: Option<CatalogueCommand>,
    /// The tag to show; without it, all of them
    pub tag: Option<String>,
    /// Only entries of this cloud
    #[arg(long, value_parser = ["public", "usgov", "china"])]
    pub cloud: Option<String>,
    /// Only entries of this need
    #[arg(long, value_parser = ["required", "conditional", "optional"], conflicts_with = "bind")]
    pub need: Option<String>,
    /// Only entries of this feature; with --bind, these beside the required ones. May be repeated
    #[arg(long, value_name = "FEATURE")]
    pub feature: Vec<String>,
    /// Show what the tag comes to when it is bound so; may be repeated
    ///
    /// `resource=contoso-ai,contoso-eu` binds the main placeholder of any tag.
    #[arg(long, value_name = "PLACEHOLDER=NAME,..", requires = "tag")]
    pub bind: Vec<String>,
    /// Keep this wildcard, which a bound tag would drop; may be repeated
    #[arg(long, value_name = "PATTERN", requires = "bind")]
    pub keep: Vec<String>,
    /// Tag files of your own, beside those that are built in
    #[arg(long, value_name = "FOLDER")]
    pub folder: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What else there is to do with the catalogue.
#[derive(Clone, Debug, Subcommand)]
pub enum CatalogueCommand {
    /// What a folder changes of the built-in tags: exit code 0 nothing, 1 something.
    Diff(DiffArgs),
}

/// `egret catalogue diff`
#[derive(Clone, Debug, Args)]
pub struct DiffArgs {
    /// Tag files of your own
    #[arg(long, value_name = "FOLDER")]
    pub folder: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

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

/// `egret import`
#[derive(Clone, Debug, Args)]
#[command(disable_help_subcommand = true, after_help = IMPORT_EXAMPLES)]
pub struct ImportArgs {
    /// Whose policy it is.
    #[command(subcommand)]
    pub command: ImportCommand,
}

/// Whose policy is imported.
#[derive(Clone, Debug, Subcommand)]
pub enum ImportCommand {
    /// Azure Firewall: ARM templates, and what `az` and PowerShell print of policies
    AzureFirewall(ImportAzureArgs),
}

/// `egret import azure-firewall`
#[derive(Clone, Debug, Args)]
pub struct ImportAzureArgs {
    /// Files that hold the policy together: its groups, its parent, its IP groups
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// How they are read.
    #[command(flatten)]
    pub azure: AzureArgs,
    /// Write the configuration here instead of to standard output
    #[arg(long, short, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Write the account of every part here, as JSON
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
}

/// `egret export`
#[derive(Clone, Debug, Args)]
#[command(disable_help_subcommand = true)]
pub struct ExportArgs {
    /// Whose policy is written.
    #[command(subcommand)]
    pub command: ExportCommand,
}

/// Whose policy is written.
#[derive(Clone, Debug, Subcommand)]
pub enum ExportCommand {
    /// Azure Firewall: an ARM template of the policy, its parents and IP groups, within Azure's limits
    AzureFirewall(ExportAzureArgs),
}

/// `egret export azure-firewall`
#[derive(Clone, Debug, Args)]
pub struct ExportAzureArgs {
    /// Where the rules come from.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Write the template here instead of to standard output
    #[arg(long, short, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// How an Azure Firewall policy is read.
#[derive(Clone, Debug, Default, Args)]
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

/// As a shell takes it: quoted where it would read something into it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || ":/._-,".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// What a destination FQDN stands for.
pub type NameAndAddresses = (Fqdn, Vec<std::net::IpAddr>);

/// `name=address[,address..]`; no address: the name leads nowhere.
fn name_and_addresses(text: &str) -> Result<NameAndAddresses, String> {
    let (name, addresses) = text.split_once('=').ok_or("expected `name=address,..`")?;
    let name = Fqdn::parse(name).map_err(|_| format!("`{name}` is no host name"))?;
    let addresses = addresses.split(',').filter(|address| !address.is_empty());
    let read = addresses.map(|address| match address.parse::<std::net::IpAddr>() {
        Ok(ip) => Ok(ip.to_canonical()),
        Err(_) => Err(format!("`{address}` is no address")),
    });
    Ok((name, read.collect::<Result<_, _>>()?))
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

/// `egret env`
#[derive(Clone, Debug, Args)]
pub struct EnvArgs {
    /// Configuration file; without it, the default listener
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Name this file of certificate authorities (PEM) as well: for a lab, whose sites no public authority signs for
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Form of the output
    #[arg(long, value_enum, default_value_t = env::Shell::Sh)]
    pub shell: env::Shell,
}

/// `egret health`
#[derive(Clone, Debug, Args)]
pub struct HealthArgs {
    /// Health listener of the egret that is asked [default: 127.0.0.1:9181]
    #[arg(value_name = "ADDRESS:PORT")]
    pub address: Option<SocketAddr>,
    /// Ask the first health listener of this configuration file
    #[arg(long, value_name = "FILE", conflicts_with = "address")]
    pub config: Option<PathBuf>,
}

/// What a command has to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Fine: exit code 0.
    Yes,
    /// The answer is no: exit code 1.
    No,
}

impl From<bool> for Answer {
    fn from(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::No }
    }
}

/// Carries out a command. An error means that it could not run.
pub fn dispatch(cli: Cli) -> anyhow::Result<Answer> {
    match cli.command {
        Command::Run(args) => run::run(&args),
        Command::Lab(args) => crate::lab::run(&args).map(Answer::from),
        Command::Check(args) => check::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Catalogue(args) => catalogue::run(&args),
        Command::Env(args) => env::run(&args),
        Command::Health(args) => health::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Schema(args) => schema(args.of),
    }
}

fn schema(of: SchemaOf) -> anyhow::Result<Answer> {
    let schema = match of {
        SchemaOf::Config => config::schema::schema(),
        SchemaOf::Tests => config::schema::schema_of::<crate::expect::read::FileSuite>(),
    };
    print(&format!("{schema:#}\n"))?;
    Ok(Answer::Yes)
}

/// Writes to standard output. A reader that has closed its end has seen enough: that is no failure.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    use std::io::{ErrorKind, Write};
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Prints every problem on standard error; an error that counts them, to end the command with.
pub(crate) fn refuse(problems: &[Problem]) -> anyhow::Error {
    tell(problems);
    let errors = problems
        .iter()
        .filter(|problem| problem.severity == Severity::Error)
        .count();
    let file = problems.first().map_or("configuration", |problem| &problem.file);
    anyhow::anyhow!("{file}: {}", count(errors, "error"))
}

/// Prints problems on standard error.
pub(crate) fn tell(problems: &[Problem]) {
    for problem in problems {
        say(&format!("{problem}\n"));
    }
}

/// A line on standard error. If nobody reads it, egret goes on.
pub(crate) fn say(line: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// `1 error`, `2 errors`.
pub(crate) fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_file_and_flags_exclude_each_other() {
        for line in [
            "egret run --config a.toml --allow b.example",
            "egret run --config a.toml --listen 127.0.0.1:1",
            "egret run --config a.toml --clients *",
            "egret health 127.0.0.1:9181 --config a.toml",
            "egret lab --direct --proxy http://127.0.0.1:3128",
            "egret lab --list --once",
            "egret lab --print core --json",
            "egret lab --scenario",
            "egret check",
            "egret explain",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }
}
