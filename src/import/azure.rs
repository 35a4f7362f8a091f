//! Azure Firewall's policies, in all the shapes that they are kept in, become a [`Model`](super::model::Model).
//!
//! [`shapes`] finds resources in a file, [`chain`] puts policies, parents and groups together, [`rules`] and the files beside
//! it read them. A [`Draft`](draft::Draft) decides what becomes of a rule that cannot be carried in full: an allow rule is
//! narrowed or left out, a deny rule stops the import.

mod application;
mod base;
mod chain;
mod collections;
mod draft;
mod fields;
mod groups;
mod identity;
mod ip_groups;
mod names;
mod network;
mod places;
mod register;
mod schema;
mod settings;
mod shapes;
mod sources;
mod unread;

use super::{
    Imported, arm,
    budget::{Asked, Budget},
    json,
    model::Origin,
    report::{ImportReport, Item, ItemKind, Outcome, Unset},
    toml,
    value::{Place, Value},
};
use crate::{catalogue::Catalogue, nets, policy::ServiceTags};
use std::sync::Arc;

/// How a policy is imported.
#[derive(Clone, Debug)]
pub struct Options<'a> {
    /// `--set name=value`.
    pub set: Vec<(String, String)>,
    /// Import although denials are not enforced in full; each is named in the report.
    pub partial: bool,
    /// Rules that need TLS inspection match FQDNs by SNI.
    pub sni: bool,
    /// The policy that is meant, if the files hold several.
    pub policy: Option<String>,
    /// Service tags, and their file as the configuration will name it.
    pub service_tags: Option<(String, ServiceTags)>,
    /// Files of threat intelligence as the configuration will name them.
    pub threat_intelligence: Vec<String>,
    /// Why lists that are given do not stand for Microsoft's: they are empty, or not to deny.
    pub lists_deny_nothing: Option<&'static str>,
    /// The FQDN tags that there are.
    pub catalogue: &'a Catalogue,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self {
            set: Vec::new(),
            partial: false,
            sni: false,
            policy: None,
            service_tags: None,
            threat_intelligence: Vec::new(),
            lists_deny_nothing: None,
            catalogue: Catalogue::embedded(),
        }
    }
}

/// Why an import does not happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportFault {
    /// The file, as it was named.
    pub file: Arc<str>,
    /// Line, from 1; 0 if the file as a whole is meant.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// JSON path (RFC 9535); empty if the text itself is at fault.
    pub path: String,
    /// What is there.
    pub found: String,
    /// What to do; empty if there is nothing to say.
    pub hint: String,
}

/// What to do about what denies and cannot be enforced.
const ENFORCE: &str = "an import may not let through what Azure denies: change the policy, or say `--partial` (`policy.partial`) \
                       and have it named in health, in a metric and at start";

/// Imports the policy that these files hold together, with the values of a parameters file. Fails with everything that stands
/// in the way.
pub fn azure_firewall(
    files: &[(String, Vec<u8>)],
    parameters: Option<&(String, Vec<u8>)>,
    options: &Options<'_>,
) -> Result<Imported, Vec<ImportFault>> {
    within(&Budget::default(), files, parameters, options)
}

fn within(
    budget: &Budget,
    files: &[(String, Vec<u8>)],
    parameters: Option<&(String, Vec<u8>)>,
    options: &Options<'_>,
) -> Result<Imported, Vec<ImportFault>> {
    let names: Vec<Arc<str>> = files
        .iter()
        .chain(parameters)
        .map(|(name, _)| name.as_str().into())
        .collect();
    let import = Import {
        names: names.clone(),
        options,
        budget,
    };
    let (model, mut items) = import.run(files, parameters)?;
    let asked = budget.take_asked();
    for item in &mut items {
        item.notes.extend(
            asked
                .defaults
                .get(&item.at)
                .filter(|_| item.not_enforced)
                .map(default_of),
        );
    }
    let policies = model.policies.iter().map(|policy| policy.name.clone()).collect();
    let unset = import.unset(&asked);
    let report = ImportReport::new(names[..files.len()].to_vec(), policies, items, unset);
    let mut stops: Vec<ImportFault> = report.items.iter().filter(|item| item.not_enforced).map(stop).collect();
    if let Some(last) = stops.last_mut().filter(|_| !options.partial) {
        last.hint
            .extend(report.without_value().map(|unset| format!(". {unset}")));
        return Err(stops);
    }
    let model = super::model::Model {
        not_enforced: report.not_enforced(),
        ..model
    };
    let (toml, origins) = toml::write(&model, &report.files);
    Ok(Imported { toml, origins, report })
}

/// What stops may come from the template, and not from whoever deploys it.
fn default_of(parameter: &String) -> String {
    format!("it is the default of parameter `{parameter}`, which has no other value (`--set {parameter}=VALUE`)")
}

fn stop(item: &Item) -> ImportFault {
    ImportFault {
        file: item.file.clone(),
        line: item.line,
        column: item.column,
        path: item.path.clone(),
        found: format!(
            "`{}` denies, or may deny, and cannot be enforced in full: {}",
            item.name,
            item.notes.join("; ")
        ),
        hint: ENFORCE.into(),
    }
}

/// Most parameters that no template has and that are told of.
const MOST_SLIPS: usize = 100;

struct Import<'a> {
    /// The files, then the parameters file.
    names: Vec<Arc<str>>,
    options: &'a Options<'a>,
    budget: &'a Budget,
}

impl Import<'_> {
    fn run(
        &self,
        files: &[(String, Vec<u8>)],
        parameters: Option<&(String, Vec<u8>)>,
    ) -> Result<(super::model::Model, Vec<Item>), Vec<ImportFault>> {
        let mut given = arm::Given::default();
        if let Some((_, bytes)) = parameters {
            let documents = self.read(files.len(), bytes).map_err(|fault| vec![fault])?;
            let added = documents.iter().try_for_each(|document| given.add_file(document));
            added.map_err(|(at, found)| vec![self.fault(at, "$", found)])?;
        }
        for (name, value) in &self.options.set {
            given.set(name, value);
        }
        let mut found = shapes::Found::default();
        let mut faults = Vec::new();
        for (index, (_, bytes)) in files.iter().enumerate() {
            let documents = match self.read(index, bytes) {
                Ok(documents) => documents,
                Err(fault) => {
                    faults.push(fault);
                    continue;
                }
            };
            match shapes::find(self.budget, &given, &documents, &mut found) {
                Ok(true) => {}
                Ok(false) => faults.push(ImportFault {
                    hint: "what is read: ARM templates, `az network firewall policy` and `Get-AzFirewallPolicy` output, rule \
                           collections"
                        .into(),
                    ..self.fault(documents[0].at, "$", "holds nothing of an Azure Firewall".into())
                }),
                Err(exhausted) => faults.push(self.fault(exhausted.at, "", exhausted.found)),
            }
        }
        faults.extend(self.unknown_parameters(&given, &found));
        faults.extend(self.refused_values());
        if !faults.is_empty() {
            return Err(faults);
        }
        let mut gather = chain::Gather::new(self, found);
        let model = match gather.model() {
            Ok(model) => model,
            // What cannot be read may be why there is none.
            Err(fault) => {
                let items = gather.into_items();
                let stops = items.iter().filter(|item| item.not_enforced).map(stop);
                return Err(std::iter::once(*fault).chain(stops).collect());
            }
        };
        match self.budget.kept() {
            Ok(()) => Ok((model, gather.into_items())),
            Err(exhausted) => Err(vec![self.fault(exhausted.at, "", exhausted.found)]),
        }
    }

    /// Takes what the fields of a rule, a collection or an IP group come to. `false`: there is not enough left, and the import
    /// will fail. What there is no room for is not even counted: a great list may be shared by many.
    fn affords(&self, thing: &Value) -> bool {
        let places = [Some(thing), thing.get("properties")];
        let objects = places.into_iter().flatten().filter_map(Value::as_object);
        let mut fields = objects.flat_map(|object| &object.entries);
        let keeps = |count: usize| self.budget.keeps(count, thing.at);
        let bytes = |value: &Value| value.as_str().map_or(0, str::len);
        keeps(0)
            && fields.all(|(name, value)| match value.as_list() {
                // A description may have to be written in escapes.
                None => keeps(1 + bytes(value) / 16),
                // A pair of kind and port takes as much as four names.
                Some(list) if name.eq_ignore_ascii_case("protocols") => keeps(4 * list.len()),
                Some(list) => list
                    .iter()
                    .all(|entry| keeps(1 + bytes(entry) / 16 + prefixes(entry) / 4)),
            })
    }

    fn read(&self, index: usize, bytes: &[u8]) -> Result<Vec<Value>, ImportFault> {
        let file = u16::try_from(index).unwrap_or(u16::MAX);
        let nowhere = Place {
            file,
            ..Place::default()
        };
        if !self.budget.reads(bytes.len()) {
            return Err(self.fault(nowhere, "", super::TOO_LARGE.into()));
        }
        let text = json::decode(bytes).map_err(|found| self.fault(nowhere, "", found.into()))?;
        json::parse_some(&text, file, &self.budget.values).map_err(|error| ImportFault {
            hint: json::hint(&text, &self.names[index]).into(),
            ..self.fault(error.at, "", error.found)
        })
    }

    /// Values for parameters that no template has: a slip of the pen must not pass for a value. Azure refuses them too.
    fn unknown_parameters(&self, given: &arm::Given, found: &shapes::Found) -> Vec<ImportFault> {
        let unknown = given.names().filter(|(name, _)| !found.parameters.contains(*name));
        unknown
            .take(MOST_SLIPS)
            .map(|(name, at)| ImportFault {
                hint: "the names are those under `parameters` of the template".into(),
                ..self.fault(
                    at.unwrap_or_default(),
                    "$.parameters",
                    format!("no template has a parameter `{name}`"),
                )
            })
            .collect()
    }

    /// Values from outside that the template's parameters may not have. Azure refuses them too.
    fn refused_values(&self) -> Vec<ImportFault> {
        let refused = self.budget.refused().into_iter().take(MOST_SLIPS);
        let fault = |(at, name, why): (Place, String, String)| ImportFault {
            hint: "the template says which values its parameter may have".into(),
            ..self.fault(at, "$.parameters", format!("parameter `{name}` is given {why}"))
        };
        refused.map(fault).collect()
    }

    fn unset(&self, asked: &Asked) -> Vec<Unset> {
        let unset = asked.unset.iter().map(|(at, name)| Unset {
            name: name.clone(),
            file: self.file(*at),
            line: at.line,
        });
        unset.collect()
    }

    fn fault(&self, at: Place, path: &str, found: String) -> ImportFault {
        ImportFault {
            file: self.file(at),
            line: at.line,
            column: at.column,
            path: path.into(),
            found,
            hint: String::new(),
        }
    }

    fn file(&self, at: Place) -> Arc<str> {
        self.names.get(usize::from(at.file)).cloned().unwrap_or_default()
    }

    /// What the report says of something. `None`: there is not enough left to say it, and the import will fail.
    fn item(&self, kind: ItemKind, name: String, origin: &Origin, verdict: draft::Verdict) -> Option<Item> {
        let at = origin.at;
        if !self.budget.keeps(2, at) {
            return None;
        }
        let draft::Verdict {
            outcome,
            notes,
            not_enforced,
        } = verdict;
        let path = origin.path.to_string();
        let bytes = notes.iter().map(String::len).sum::<usize>() + name.len() + path.len();
        self.budget.keeps(bytes / 64, at).then(|| Item {
            kind,
            name,
            outcome,
            notes,
            not_enforced,
            file: self.file(at),
            line: at.line,
            column: at.column,
            path,
            at,
        })
    }
}

/// How many prefixes an entry becomes as part of a policy, if it is a range; four of them take as much as a name.
fn prefixes(entry: &Value) -> usize {
    let range = entry.as_str().filter(|text| text.contains('-'));
    range
        .and_then(|text| nets::nets(text.trim()).ok())
        .map_or(0, |found| found.nets.len())
}

/// Nothing to say of it.
fn carried() -> draft::Verdict {
    draft::Verdict {
        outcome: Outcome::Carried,
        notes: Vec::new(),
        not_enforced: false,
    }
}

#[cfg(test)]
mod hostile;
