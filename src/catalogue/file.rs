//! A tag file as written.

use super::template::Template;
use crate::policy::{Protocol, ProtocolPort};
use serde::{Deserialize, Deserializer, de::Error as _};
use std::collections::BTreeMap;

/// The whole file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TagFile {
    pub(super) tag: String,
    pub(super) title: Option<String>,
    pub(super) placeholder: Option<String>,
    #[serde(default)]
    pub(super) extends: bool,
    #[serde(default)]
    pub(super) sources: BTreeMap<String, Source>,
    #[serde(default)]
    pub(super) endpoint: Vec<Endpoint>,
}

/// Where a fact was read.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Public repository, or what else it is.
    pub repo: String,
    /// Page or file in it.
    pub path: String,
    /// First digits of the commit, or `unknown`.
    pub commit: String,
    /// The page's own date.
    pub date: String,
}

/// One entry of a tag. In a file everything but the pattern has a default, so that an own tag may be a list of names.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// `<resource>.openai.azure.com`, `*.login.microsoft.com`, `login.microsoftonline.com`.
    #[serde(rename = "pattern", deserialize_with = "template")]
    pub(super) template: Template,
    /// TCP or UDP ports; default 443.
    #[serde(default = "https_port")]
    pub ports: Vec<u16>,
    /// What is spoken; default HTTPS.
    #[serde(default)]
    pub protocol: EndpointProtocol,
    /// What the host is for.
    #[serde(default)]
    pub purpose: String,
    /// Whether the plain tag holds it; default required.
    #[serde(default)]
    pub need: Need,
    /// The feature that a conditional or optional entry comes with.
    pub feature: Option<String>,
    /// Which cloud; default public.
    #[serde(default)]
    pub cloud: Cloud,
    /// The private DNS zone that answers when a private endpoint exists.
    pub private_link_zone: Option<String>,
    /// Keys into the tag's sources.
    #[serde(default)]
    pub source: Vec<String>,
    /// A doubt or a warning.
    pub note: Option<String>,
}

/// What a proxy would see on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EndpointProtocol {
    /// TLS.
    #[default]
    Https,
    /// Plain HTTP.
    Http,
    /// Something else over TCP: for network rules only.
    Tcp,
    /// UDP: for network rules only.
    Udp,
}

/// Whether a service works without the entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Need {
    /// It does not: the plain tag holds the entry.
    #[default]
    Required,
    /// Only with the named feature.
    Conditional,
    /// Nice to have: comes by its feature, too.
    Optional,
}

/// The clouds that names belong to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cloud {
    /// Azure.
    #[default]
    Public,
    /// Azure Government.
    UsGov,
    /// Azure operated by 21Vianet.
    China,
}

impl Cloud {
    const ALL: [Self; 3] = [Self::Public, Self::UsGov, Self::China];

    /// As in the file and among the features.
    pub fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::UsGov => "usgov",
            Self::China => "china",
        }
    }
}

impl Endpoint {
    /// The pattern as documented, placeholders included.
    pub fn pattern(&self) -> String {
        self.template.to_string()
    }

    /// Whether a tag with these features holds the entry.
    pub(super) fn selected_by(&self, features: &[String]) -> bool {
        let named = |name: &str| features.iter().any(|feature| feature == name);
        let no_cloud = !Cloud::ALL.iter().any(|cloud| named(cloud.name()));
        let cloud = named(self.cloud.name()) || no_cloud && self.cloud == Cloud::Public;
        cloud && (self.need == Need::Required || self.feature.as_deref().is_some_and(named))
    }

    /// What an application rule can match of the entry; `None` for other protocols. 80 and 443 speak for themselves: a
    /// page that lists both for one host means HTTP and HTTPS.
    pub(super) fn application_ports(&self) -> Option<Vec<ProtocolPort>> {
        let other = match self.protocol {
            EndpointProtocol::Https => Protocol::Https,
            EndpointProtocol::Http => Protocol::Http,
            EndpointProtocol::Tcp | EndpointProtocol::Udp => return None,
        };
        let protocol = |port| match port {
            80 => Protocol::Http,
            443 => Protocol::Https,
            _ => other,
        };
        Some(
            self.ports
                .iter()
                .map(|&port| ProtocolPort {
                    protocol: protocol(port),
                    port,
                })
                .collect(),
        )
    }
}

fn https_port() -> Vec<u16> {
    vec![443]
}

fn template<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Template, D::Error> {
    let text = String::deserialize(deserializer)?;
    Template::parse(&text).map_err(|fault| D::Error::custom(format!("`{text}`: {fault}")))
}

/// Reads a tag file; the error has line and column where the parser knows them.
pub(super) fn parse(text: &str) -> Result<TagFile, String> {
    let file: TagFile = toml::from_str(text).map_err(|error| error.to_string())?;
    for endpoint in &file.endpoint {
        if endpoint.need != Need::Required && endpoint.feature.is_none() {
            return Err(format!(
                "`{}` is not required and has no `feature` to come with",
                endpoint.pattern()
            ));
        }
        if let Some(unknown) = endpoint
            .source
            .iter()
            .find(|source| !file.sources.contains_key(*source))
        {
            return Err(format!(
                "`{}` names a source `{unknown}` that is not there",
                endpoint.pattern()
            ));
        }
        if endpoint.ports.contains(&0) {
            return Err(format!("`{}`: 0 is not a port", endpoint.pattern()));
        }
    }
    Ok(file)
}
