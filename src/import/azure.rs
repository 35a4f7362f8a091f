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
mod schema;
mod settings;
mod shapes;
mod sources;

use super::{
    Imported, arm, json,
    report::{ImportReport, Item, ItemKind, Outcome},
    toml,
    value::{Place, Value},
};
use crate::{catalogue::Catalogue, policy::ServiceTags};
use std::{cell::Cell, sync::Arc};

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
    let names: Vec<Arc<str>> = files
        .iter()
        .chain(parameters)
        .map(|(name, _)| name.as_str().into())
        .collect();
    let import = Import {
        names: names.clone(),
        options,
        entries: Cell::new(Ok(MOST_ENTRIES)),
    };
    let (model, items) = import.run(files, parameters)?;
    let policies = model.policies.iter().map(|policy| policy.name.clone()).collect();
    let report = ImportReport::new(names[..files.len()].to_vec(), policies, items);
    let stops: Vec<ImportFault> = report.items.iter().filter(|item| item.not_enforced).map(stop).collect();
    if !stops.is_empty() && !options.partial {
        return Err(stops);
    }
    let model = super::model::Model {
        not_enforced: report.not_enforced(),
        ..model
    };
    let (toml, origins) = toml::write(&model, &report.files);
    Ok(Imported { toml, origins, report })
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

/// What the rules of an import may come to together: a rule or collection counts 4, each entry of its lists 1, 32 bytes of text 1.
/// Lists may be shared by many rules, so that a small file holds more than this; 60 groups of 2 MB hold less.
const MOST_ENTRIES: usize = 1_000_000;

struct Import<'a> {
    /// The files, then the parameters file.
    names: Vec<Arc<str>>,
    options: &'a Options<'a>,
    /// What is left of [`MOST_ENTRIES`]; `None`, and where, once it was not enough.
    entries: Cell<Result<usize, Place>>,
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
        let budget = arm::Budget::default();
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
            match shapes::find(&budget, &given, &documents, &mut found) {
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
        if !faults.is_empty() {
            return Err(faults);
        }
        let mut gather = chain::Gather::new(self, found);
        let model = gather.model().map_err(|fault| vec![*fault])?;
        if let Err(at) = self.entries.get() {
            let found = format!("the rules come to more than {MOST_ENTRIES} entries of lists");
            return Err(vec![self.fault(at, "", found)]);
        }
        Ok((model, gather.into_items()))
    }

    /// Takes what a rule or a collection comes to. `false`: there is not enough left, and the import will fail.
    fn affords(&self, rule: &Value) -> bool {
        let fields = rule.as_object().map_or(&[][..], |object| &object.entries);
        let lists = fields
            .iter()
            .map(|(_, value)| value.as_list().unwrap_or(std::slice::from_ref(value)));
        let entry = |value: &Value| 1 + value.as_str().map_or(0, str::len) / 32;
        let cost = 4 + lists.flatten().map(entry).sum::<usize>();
        let left = self.entries.get();
        self.entries
            .set(left.and_then(|left| left.checked_sub(cost).ok_or(rule.at)));
        self.entries.get().is_ok()
    }

    fn read(&self, index: usize, bytes: &[u8]) -> Result<Vec<Value>, ImportFault> {
        let file = u16::try_from(index).unwrap_or(u16::MAX);
        let nowhere = Place {
            file,
            ..Place::default()
        };
        if bytes.len() as u64 > super::MAX_IMPORT_BYTES {
            return Err(self.fault(nowhere, "", "is larger than 32 MiB".into()));
        }
        let text = json::decode(bytes).map_err(|found| self.fault(nowhere, "", found.into()))?;
        json::parse(&text, file).map_err(|error| self.fault(error.at, "", error.found))
    }

    /// Values for parameters that no template has: a slip of the pen must not pass for a value. Azure refuses them too.
    fn unknown_parameters(&self, given: &arm::Given, found: &shapes::Found) -> Vec<ImportFault> {
        let unknown = given.names().filter(|(name, _)| !found.parameters.contains(*name));
        unknown
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

    fn item(&self, kind: ItemKind, name: String, path: &str, at: Place, verdict: draft::Verdict) -> Item {
        let draft::Verdict {
            outcome,
            notes,
            not_enforced,
        } = verdict;
        Item {
            kind,
            name,
            outcome,
            notes,
            not_enforced,
            file: self.file(at),
            line: at.line,
            column: at.column,
            path: path.into(),
            at,
        }
    }
}

/// Nothing to say of it.
fn carried() -> draft::Verdict {
    draft::Verdict {
        outcome: Outcome::Carried,
        notes: Vec::new(),
        not_enforced: false,
    }
}
