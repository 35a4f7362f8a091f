//! `egret catalogue`: the FQDN tags, what one of them comes to once bound, and what a folder of one's own changes of them.

mod diff;
mod show;

use super::{
    Answer,
    output::{print, say},
};
use crate::{
    catalogue::{Binding, Catalogue, Endpoint, FqdnTag},
    config::{nearest::nearest, targets},
};
use anyhow::{anyhow, bail};
use clap::{Args, Subcommand};
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  egret catalogue AzureMonitor --feature agent
  egret catalogue AzureOpenAI --bind resource=contoso-ai,contoso-eu
  egret catalogue diff --folder tags

Exit codes: 0 something is printed, or nothing differs; 1 nothing is left, or something differs; 2 it could not run.";

/// `egret catalogue`
#[derive(Clone, Debug, Args)]
#[command(args_conflicts_with_subcommands = true, disable_help_subcommand = true, after_help = EXAMPLES)]
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
    Diff(diff::DiffArgs),
}

/// Prints tags, or what a binding yields. The answer is no if nothing is left of them, or if two catalogues differ.
pub fn run(args: &CatalogueArgs) -> anyhow::Result<Answer> {
    if let Some(CatalogueCommand::Diff(args)) = &args.command {
        return diff::run(args);
    }
    let loaded = args.folder.as_deref().map(Catalogue::load).transpose()?;
    let catalogue = loaded.as_ref().unwrap_or_else(|| Catalogue::embedded());
    let Some(name) = &args.tag else {
        return all(catalogue, args);
    };
    let tag = known(catalogue, name)?;
    if args.bind.is_empty() {
        one(tag, args)
    } else {
        bound(tag, args)
    }
}

fn known<'a>(catalogue: &'a Catalogue, name: &str) -> anyhow::Result<&'a FqdnTag> {
    catalogue
        .tag(name)
        .ok_or_else(|| match nearest(name, catalogue.tags().map(FqdnTag::name)) {
            Some(near) => anyhow!("no FQDN tag `{name}`; `{near}` is meant?"),
            None => anyhow!("no FQDN tag `{name}`; {}", targets::no_tag_hint(name)),
        })
}

fn all(catalogue: &Catalogue, args: &CatalogueArgs) -> anyhow::Result<Answer> {
    let tags: Vec<&FqdnTag> = catalogue
        .tags()
        .filter(|tag| chosen(tag, args).next().is_some())
        .collect();
    if tags.is_empty() {
        return nothing();
    }
    let text = if args.json {
        let tags = tags.iter().map(|tag| show::tag_json(tag, &mut chosen(tag, args)));
        lines(&tags.collect())
    } else {
        show::list(&tags)
    };
    print(&text).map(|()| Answer::Yes)
}

fn one(tag: &FqdnTag, args: &CatalogueArgs) -> anyhow::Result<Answer> {
    let features = tag.features();
    if let Some(unknown) = args.feature.iter().find(|feature| !features.contains(feature.as_str())) {
        bail!(
            "tag {} has no feature `{unknown}`; it has {}",
            tag.name(),
            show::joined(&features)
        );
    }
    if chosen(tag, args).next().is_none() {
        return nothing();
    }
    let text = if args.json {
        lines(&show::tag_json(tag, &mut chosen(tag, args)))
    } else {
        show::tag(tag, &chosen(tag, args).collect::<Vec<_>>())
    };
    print(&text).map(|()| Answer::Yes)
}

fn bound(tag: &FqdnTag, args: &CatalogueArgs) -> anyhow::Result<Answer> {
    let binding = binding(args)?;
    let narrowed = tag.narrow(&binding)?;
    let text = if args.json {
        lines(&show::narrowed_json(tag, &narrowed))
    } else {
        show::narrowed(tag, &binding, &narrowed)
    };
    print(&text)?;
    Ok((!narrowed.targets.is_empty()).into())
}

fn binding(args: &CatalogueArgs) -> anyhow::Result<Binding> {
    let mut binding = Binding {
        keep: args.keep.clone(),
        features: args.feature.iter().chain(&args.cloud).cloned().collect(),
        ..Binding::default()
    };
    for text in &args.bind {
        let Some((placeholder, names)) = text.split_once('=') else {
            bail!("`--bind {text}` binds nothing; `--bind resource=NAME,NAME` does");
        };
        let values = binding.values.entry(placeholder.to_owned()).or_default();
        values.extend(names.split(',').map(|name| name.trim().to_owned()));
    }
    Ok(binding)
}

/// The entries that the filters leave.
fn chosen<'a>(tag: &'a FqdnTag, args: &'a CatalogueArgs) -> impl Iterator<Item = &'a Endpoint> {
    tag.endpoints().iter().filter(|endpoint| {
        let feature = || {
            endpoint
                .feature
                .as_ref()
                .is_some_and(|feature| args.feature.contains(feature))
        };
        args.cloud.as_ref().is_none_or(|cloud| cloud == endpoint.cloud.name())
            && args.need.as_ref().is_none_or(|need| need == endpoint.need.name())
            && (args.feature.is_empty() || feature())
    })
}

fn nothing() -> anyhow::Result<Answer> {
    say("egret: no entry of the catalogue is of that kind");
    Ok(Answer::No)
}

fn lines(value: &serde_json::Value) -> String {
    format!("{value:#}\n")
}
