//! The catalogue against the documentation that it was made from: no row of it is lost.

use super::*;
use crate::policy::{Fqdn, PrivateLinkZones};
use std::collections::BTreeSet;

/// A table in `tests/data/reference/`: comments, a line of column names, then rows, fields parted by tabs.
fn table<const N: usize>(text: &'static str) -> Vec<[&'static str; N]> {
    let lines = text.lines().filter(|line| !line.starts_with('#')).skip(1);
    lines
        .map(|line| {
            let fields: Vec<&str> = line.split('\t').collect();
            fields.try_into().unwrap_or_else(|_| panic!("not {N} fields: {line}"))
        })
        .collect()
}

/// A row of the documentation, and where it went.
struct Row {
    pattern: &'static str,
    ports: &'static str,
    protocol: &'static str,
    need: &'static str,
    cloud: &'static str,
    zone: &'static str,
    tag: &'static str,
    feature: &'static str,
    stands: &'static str,
    why: &'static str,
    all: String,
}

fn rows() -> Vec<Row> {
    let rows = table::<11>(include_str!("../../../tests/data/reference/rows.tsv"));
    rows.into_iter()
        .map(|fields| {
            let [
                _,
                pattern,
                ports,
                protocol,
                need,
                cloud,
                zone,
                tag,
                feature,
                stands,
                why,
            ] = fields;
            Row {
                pattern,
                ports,
                protocol,
                need,
                cloud,
                zone,
                tag,
                feature,
                stands: if stands == "-" { pattern } else { stands },
                why,
                all: fields.join(" "),
            }
        })
        .collect()
}

impl Row {
    /// The entry of the tag that carries the row.
    fn entry(&self) -> &'static Endpoint {
        let endpoints = tag(self.tag).endpoints().iter();
        let mut found = endpoints.filter(|endpoint| {
            endpoint.pattern() == self.stands
                && endpoint.cloud.name() == self.cloud
                && endpoint.protocol.name() == self.protocol
                && endpoint.feature.as_deref().unwrap_or("-") == self.feature
                && self
                    .ports
                    .split(',')
                    .all(|port| endpoint.ports.iter().any(|p| p.to_string() == port))
        });
        found.next().unwrap_or_else(|| panic!("no entry for {}", self.all))
    }
}

#[test]
fn every_row_of_the_documentation_is_carried_by_a_tag_or_has_a_reason_why_not() {
    let rows = rows();
    assert_eq!(rows.len(), 602);
    for row in &rows {
        if row.tag == "-" {
            assert!(row.why.len() > 20, "{}", row.all);
            continue;
        }
        let entry = row.entry();
        let own = row.stands == row.pattern;
        let zone = entry.private_link_zone.as_deref().unwrap_or("-");
        assert!(zone == row.zone || !own && row.zone == "-", "the zone of {}", row.all);
        let required = entry.need == Need::Required;
        assert_eq!(required, row.feature == "-", "{}", row.all);
        let as_documented = own && required == (row.need == "required");
        assert!(
            as_documented || row.why != "-" || required == (row.need == "required"),
            "a reason for {}",
            row.all
        );
    }
}

#[test]
fn what_stands_for_a_row_comes_to_the_same_names_when_nothing_is_bound() {
    let widened = |endpoint: &Endpoint| endpoint.template().expect("a template").widened();
    for row in rows().iter().filter(|row| row.stands != row.pattern && row.tag != "-") {
        let documented = template::Template::parse(row.pattern).unwrap();
        let wide = widened(row.entry());
        let same = match documented.placeholders().next() {
            Some(_) => documented.widened() == wide,
            None => match FqdnPattern::parse(row.pattern).unwrap() {
                FqdnPattern::Exact(name) => wide.matches(&name),
                // A star with a placeholder behind it was documented with a star alone.
                star => star == wide,
            },
        };
        let regional = row.pattern.starts_with("<region>.login.");
        assert!(same || regional, "{}: {wide}", row.all);
    }
}

#[test]
fn the_folder_and_the_list_of_built_in_files_agree() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("allowlists");
    let in_folder: BTreeSet<String> = tag_files(&folder)
        .unwrap()
        .iter()
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    let zones = include_str!("../../../allowlists/private-link-zones.toml");
    let built_in: BTreeSet<String> = EMBEDDED.iter().copied().chain([zones]).map(str::to_owned).collect();
    assert!(
        in_folder == built_in,
        "a file of allowlists/ is not in EMBEDDED, or the other way round"
    );
    for path in tag_files(&folder).unwrap() {
        let text = fs::read_to_string(&path).unwrap();
        let stem = path.file_stem().unwrap().to_str().unwrap();
        assert!(
            text.contains(&format!("\ntag = {stem:?}\n")) || stem == "private-link-zones",
            "a file is named after its tag: {stem}"
        );
    }
}

#[test]
fn no_tag_says_the_same_thing_twice() {
    for tag in Catalogue::embedded().tags() {
        let mut seen = BTreeSet::new();
        for endpoint in tag.endpoints() {
            let ports: Vec<String> = endpoint.ports.iter().map(Ports::to_string).collect();
            let key = (
                endpoint.pattern(),
                ports,
                endpoint.cloud.name(),
                endpoint.feature.clone(),
            );
            assert!(seen.insert(key), "{}: {}", tag.name(), endpoint.pattern());
            let named = |text: &str| {
                text.bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            };
            assert!(
                endpoint
                    .feature
                    .as_deref()
                    .is_none_or(|feature| !feature.is_empty() && named(feature)),
                "{}: {}",
                tag.name(),
                endpoint.pattern()
            );
        }
    }
}

/// A name in a zone of the table, one label in place of each placeholder.
fn example_below(zone: &str) -> Fqdn {
    let labels = zone
        .split('.')
        .map(|label| if label.contains('{') { "x" } else { label });
    Fqdn::parse(&format!("x.{}", labels.collect::<Vec<_>>().join("."))).unwrap()
}

#[test]
fn every_entry_with_a_private_link_zone_lies_in_a_public_zone_paired_with_it() {
    let zones = PrivateLinkZones::embedded();
    for tag in Catalogue::embedded().tags() {
        for endpoint in tag.endpoints() {
            let (Some(zone), Some(template)) = (&endpoint.private_link_zone, endpoint.template()) else {
                continue;
            };
            let names = template
                .placeholders()
                .map(|name| (name, vec!["x".to_owned()]))
                .collect();
            let pattern = template.bind(&names).remove(0).unwrap();
            let record = example_below(zone);
            assert!(zones.zone_of(&record).is_some(), "{zone} is no zone of the table");
            let own = Fqdn::parse(&pattern.to_string()).ok();
            let below_public = zones.public_zones().map(example_below);
            let paired = |asked: Fqdn| pattern.matches(&asked) && zones.paired(&asked, &record);
            assert!(
                own.into_iter().chain(below_public).any(paired),
                "{}: {pattern} and {zone}",
                tag.name()
            );
        }
    }
}

#[test]
fn every_suffix_of_the_three_clouds_is_one_of_a_tag_or_has_a_reason_why_not() {
    let suffixes = table::<5>(include_str!("../../../tests/data/reference/suffixes.tsv"));
    assert_eq!(suffixes.len(), 120);
    for [service, cloud, suffix, name, why] in suffixes {
        if name == "-" {
            assert!(why.len() > 10, "{service}, {cloud}");
            continue;
        }
        let carried = tag(name)
            .endpoints()
            .iter()
            .any(|endpoint| endpoint.cloud.name() == cloud && endpoint.pattern().ends_with(suffix));
        assert!(carried, "{service}, {cloud}: {suffix} in {name}");
    }
}
