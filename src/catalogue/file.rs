//! A tag file as written.

use super::template::{Template, TemplateFault};
use crate::policy::{PatternError, Protocol, ProtocolPort};
use serde::{Deserialize, Deserializer, de::Error as _};
use std::{collections::BTreeMap, fmt};

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
    #[serde(deserialize_with = "pattern")]
    pattern: Pattern,
    /// `false` if the documented pattern has its star where neither egret nor Azure Firewall can have one. Such an entry is
    /// kept for reading; it admits nothing and never becomes a wider pattern.
    #[serde(default = "yes")]
    pub expressible: bool,
    /// TCP or UDP ports; default 443.
    #[serde(default = "https_port")]
    pub ports: Vec<Ports>,
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

/// A documented pattern.
#[derive(Clone, Debug)]
enum Pattern {
    Template(Template),
    /// A star elsewhere than at the far left.
    InnerStar(String),
}

/// One port, or a range of them (`"10000-20000"`), both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ports {
    /// The first, 1 to 65535.
    pub first: u16,
    /// The last, not below the first.
    pub last: u16,
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

impl<'de> Deserialize<'de> for Ports {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            One(i64),
            Range(String),
        }
        let read = match Written::deserialize(deserializer)? {
            Written::One(port) => u16::try_from(port).ok().map(|port| (port, port)),
            Written::Range(text) => text
                .split_once('-')
                .and_then(|(first, last)| Some((first.parse().ok()?, last.parse().ok()?))),
        };
        match read {
            Some((first, last)) if 0 < first && first <= last => Ok(Self { first, last }),
            _ => Err(D::Error::custom("not a port: 1 to 65535, or a range `\"a-b\"` of them")),
        }
    }
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

impl EndpointProtocol {
    /// As in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Http => "http",
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
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

impl Need {
    /// As in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Conditional => "conditional",
            Self::Optional => "optional",
        }
    }
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

    /// Whether a feature is the name of a cloud.
    pub(super) fn named(feature: &str) -> bool {
        Self::ALL.iter().any(|cloud| cloud.name() == feature)
    }

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
        match &self.pattern {
            Pattern::Template(template) => template.to_string(),
            Pattern::InnerStar(text) => text.clone(),
        }
    }

    /// What a rule can make of the pattern; `None` if nothing.
    pub(super) fn template(&self) -> Option<&Template> {
        match &self.pattern {
            Pattern::Template(template) => Some(template),
            Pattern::InnerStar(_) => None,
        }
    }

    /// Its placeholders, from the left.
    pub fn placeholders(&self) -> impl Iterator<Item = &str> {
        self.template().into_iter().flat_map(Template::placeholders)
    }

    /// Whether a tag with these features holds the entry.
    pub(super) fn selected_by(&self, features: &[String]) -> bool {
        let named = |name: &str| features.iter().any(|feature| feature == name);
        let no_cloud = !features.iter().any(|feature| Cloud::named(feature));
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
        let single = self.ports.iter().map(|ports| ports.first);
        Some(
            single
                .map(|port| ProtocolPort {
                    protocol: protocol(port),
                    port,
                })
                .collect(),
        )
    }
}

fn https_port() -> Vec<Ports> {
    vec![Ports { first: 443, last: 443 }]
}

fn yes() -> bool {
    true
}

fn pattern<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Pattern, D::Error> {
    let text = String::deserialize(deserializer)?;
    match Template::parse(&text) {
        Ok(template) => Ok(Pattern::Template(template)),
        Err(TemplateFault::Pattern(PatternError::Star)) => Ok(Pattern::InnerStar(text)),
        Err(fault) => Err(D::Error::custom(format!("`{text}`: {fault}"))),
    }
}

/// Reads a tag file; the error has line and column where the parser knows them.
pub(super) fn parse(text: &str) -> Result<TagFile, String> {
    let line = |offset: usize| 1 + text[..offset].matches('\n').count();
    let file: TagFile = toml::from_str(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        format!(
            "line {}: {}",
            line(start),
            error.message().trim_end().replace('\n', "; ")
        )
    })?;
    for endpoint in &file.endpoint {
        endpoint.checked(&file.sources).map_err(|fault| {
            let pattern = endpoint.pattern();
            let start = text.find(&pattern).unwrap_or_default();
            format!("line {}: `{pattern}`{fault}", line(start))
        })?;
    }
    Ok(file)
}

impl Endpoint {
    /// What the shape alone does not say.
    fn checked(&self, sources: &BTreeMap<String, Source>) -> Result<(), String> {
        if self.need != Need::Required && self.feature.is_none() {
            return Err(" is not required and has no `feature` to come with".into());
        }
        if let Some(unknown) = self.source.iter().find(|source| !sources.contains_key(*source)) {
            return Err(format!(" names a source `{unknown}` that is not there"));
        }
        let http = matches!(self.protocol, EndpointProtocol::Http | EndpointProtocol::Https);
        if http && self.ports.iter().any(|ports| ports.first != ports.last) {
            return Err(": a range of ports needs `protocol = \"tcp\"` or `\"udp\"`".into());
        }
        match (self.template(), self.expressible) {
            (None, true) => Err(format!(
                ": {}; to keep it for reading, say `expressible = false`",
                PatternError::Star
            )),
            (Some(_), false) => Err(" can be expressed: `expressible = false` is for a star inside".into()),
            (None, false) if self.note.is_none() => Err(" needs a `note` that says what becomes of it".into()),
            _ => Ok(()),
        }
    }
}
