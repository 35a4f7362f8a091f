//! One entry of `destination_addresses`: an address, a prefix, a range, or a service tag of the loaded list.

use super::Maker;
use crate::{
    config::{
        at::At,
        file,
        nearest::nearest,
        problem::{Finding, Report},
        read,
        sources::read_nets,
    },
    nets::looks_like_service_tag,
    policy::{Action, Destinations, ServiceTag, ServiceTags},
};
use ipnet::IpNet;
use std::path::Path;

/// What is said of a tag for which there are no prefixes.
const LOAD_TAGS: &str = "`[service_tags]` with `file` loads the list that Microsoft publishes; or write the prefixes";

/// The list that `[service_tags]` names; an empty one without it.
pub(super) fn service_tags(written: &file::ServiceTags, base: &Path, report: &mut Report) -> ServiceTags {
    let Some(file) = &written.file else {
        return ServiceTags::default();
    };
    let path = base.join(file.as_str());
    let loaded = read(&path)
        .map_err(|problems| problems.into_iter().map(|problem| problem.one_line()).collect())
        .and_then(|bytes| ServiceTags::parse(&bytes).map_err(|error| format!("{}: {error}", path.display())));
    loaded.unwrap_or_else(|fault: String| {
        let finding = Finding::error(file.span, fault);
        report.add(finding.hint("a relative file is looked for beside this one"));
        ServiceTags::default()
    })
}

impl Maker<'_> {
    /// The prefixes of an entry; a service tag is put beside.
    pub(super) fn destination(&mut self, text: &At<String>, action: Action, beside: &mut Destinations) -> Vec<IpNet> {
        match self.service_tags.find(text) {
            Some(tag) => {
                if tag.prefixes.is_empty() {
                    self.unknown_tag(text, action);
                }
                beside.service_tags.push(tag);
            }
            None if looks_like_service_tag(text) => {
                self.unknown_tag(text, action);
                beside.service_tags.push(ServiceTag {
                    name: text.as_str().into(),
                    prefixes: [].into(),
                });
            }
            None => return read_nets(text, self.report),
        }
        Vec::new()
    }

    /// No list holds the tag, or none has a prefix for it. A rule that allows less than was meant is a nuisance; one that
    /// denies less is a hole.
    fn unknown_tag(&mut self, text: &At<String>, action: Action) {
        let tag = &text.value;
        let finding = match action {
            Action::Allow => Finding::warning(
                text.span,
                format!("no list holds a prefix of service tag `{tag}`: it matches nothing"),
            ),
            Action::Deny => Finding::error(
                text.span,
                format!("no list holds a prefix of service tag `{tag}`: this rule would deny less than it says"),
            ),
        };
        let empty = self.service_tags.find(tag).is_some();
        self.report
            .add(match nearest(tag, self.service_tags.names()).filter(|_| !empty) {
                Some(near) => finding.expected(format!("`{near}`")),
                None => finding.hint(LOAD_TAGS),
            });
    }
}
