//! [`ServiceTags`]: the prefixes that Azure's service tags stand for, as Microsoft publishes them.
//!
//! The file (Azure Virtual Network service tags, "Discover service tags by using downloadable JSON files") has a top-level
//! `values`; each has a `name` (`Storage.WestEurope`) and `properties.addressPrefixes`. What else is in it is not needed.

use super::ServiceTag;
use ipnet::IpNet;
use serde::Deserialize;
use std::{collections::BTreeMap, sync::Arc};

/// Most prefixes of one file. The public one has about 100,000 (2024).
const MOST_PREFIXES: usize = 2_000_000;

/// Tags by name. Names are compared without case: templates spell them in every way.
#[derive(Clone, Debug, Default)]
pub struct ServiceTags {
    tags: BTreeMap<String, ServiceTag>,
}

/// Why a file is no list of service tags.
#[derive(Debug, thiserror::Error)]
pub enum ServiceTagError {
    /// Not JSON, or not of that shape.
    #[error("is not a list of service tags: {0}")]
    Shape(#[from] serde_json::Error),
    /// Not a prefix.
    #[error("service tag `{tag}` holds `{prefix}`, which is no prefix")]
    Prefix {
        /// Whose.
        tag: String,
        /// What stands there.
        prefix: String,
    },
    /// Two entries of one name, which rules could not tell apart.
    #[error("holds service tag `{tag}` twice")]
    Twice {
        /// Its name.
        tag: String,
    },
    /// Over `MOST_PREFIXES`.
    #[error("holds more than {MOST_PREFIXES} prefixes")]
    TooMany,
}

#[derive(Deserialize)]
struct File {
    values: Vec<Value>,
}

#[derive(Deserialize)]
struct Value {
    name: String,
    properties: Properties,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Properties {
    address_prefixes: Vec<String>,
}

impl ServiceTags {
    /// Reads the bytes of a file.
    pub fn parse(bytes: &[u8]) -> Result<Self, ServiceTagError> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let file: File = serde_json::from_slice(bytes)?;
        let mut tags = BTreeMap::new();
        let mut count = 0;
        for value in file.values {
            count += value.properties.address_prefixes.len();
            if count > MOST_PREFIXES {
                return Err(ServiceTagError::TooMany);
            }
            let prefixes = prefixes(&value)?;
            let tag = ServiceTag {
                name: value.name.as_str().into(),
                prefixes,
            };
            if tags.insert(value.name.to_ascii_lowercase(), tag).is_some() {
                return Err(ServiceTagError::Twice { tag: value.name });
            }
        }
        Ok(Self { tags })
    }

    /// The tag of this name.
    pub fn find(&self, name: &str) -> Option<ServiceTag> {
        self.tags.get(&name.to_ascii_lowercase()).cloned()
    }

    /// All names, for suggestions.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tags.values().map(|tag| &*tag.name)
    }
}

fn prefixes(value: &Value) -> Result<Arc<[IpNet]>, ServiceTagError> {
    let parse = |text: &String| {
        let net = text.parse::<IpNet>().map(|net| net.trunc());
        net.map_err(|_| ServiceTagError::Prefix {
            tag: value.name.clone(),
            prefix: text.clone(),
        })
    };
    value.properties.address_prefixes.iter().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIXTURE: &[u8] = include_bytes!("../../tests/data/service-tags.json");

    #[test]
    fn the_public_format_is_read_and_names_are_found_in_any_case() {
        let tags = ServiceTags::parse(FIXTURE).unwrap();
        let regional = tags.find("storage.westeurope").unwrap();
        assert_eq!(&*regional.name, "Storage.WestEurope");
        assert!(!regional.prefixes.is_empty());
        let whole = tags.find("Storage").unwrap();
        assert!(regional.prefixes.iter().all(|own| whole.prefixes.contains(own)));
        assert!(tags.find("AzureActiveDirectory").is_some());
        assert!(tags.find("Storage.Nowhere").is_none());
    }

    #[test]
    fn what_is_no_list_is_refused_with_its_fault() {
        for (text, fault) in [
            ("", "EOF"),
            ("[]", "invalid"),
            ("{\"values\":{}}", "invalid type"),
            ("{\"values\":[{\"name\":\"Sql\"}]}", "missing field `properties`"),
            (
                "{\"values\":[{\"name\":\"Sql\",\"properties\":{\"addressPrefixes\":[\"10.0.0.0/33\"]}}]}",
                "service tag `Sql` holds `10.0.0.0/33`",
            ),
            (
                "{\"values\":[{\"name\":\"Sql\",\"properties\":{\"addressPrefixes\":[\"192.0.2.0/24\"]}},\
                 {\"name\":\"SQL\",\"properties\":{\"addressPrefixes\":[]}}]}",
                "holds service tag `SQL` twice",
            ),
        ] {
            let error = ServiceTags::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(fault), "{text}: {error}");
        }
    }
}
