//! What was written becomes what can run, or every problem at once.
//!
//! A TOML file, or flags, comes in; a [`Checked`] or a list of [`Problem`]s with file, line and column goes out. Nothing is
//! bound, dialled or started here. The way of a file: [`load`] reads it, [`structure`] holds it against the [`schema`],
//! serde makes a [`file::FileConfig`] of what is left, [`build`] checks what it means.

pub mod at;
mod azure;
mod azure_limits;
pub mod build;
pub mod dns;
pub mod file;
pub mod flags;
pub mod nearest;
pub mod overlap;
pub mod problem;
pub mod rules;
pub mod schema;
pub mod settings;
pub mod sources;
pub mod structure;
mod syntax;
pub mod targets;
mod threats;
mod trusted;
pub mod watch;

pub(crate) use azure::{empty_lists, read_policy, service_tags};
pub use flags::{Flags, from_flags};
pub use problem::{Problem, Severity};
pub use settings::Settings;

use crate::{
    dns::DnsPlan,
    policy::{AddressPlan, Policy},
};
use at::Span;
use file::FileConfig;
use ipnet::IpNet;
use problem::{Finding, Report};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use std::{
    fs,
    io::Read,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};
use toml::de::DeTable;

/// Longest configuration file, in bytes (threat F-12).
pub const MAX_FILE_BYTES: u64 = 64 << 20;

/// `[[dial.override]]`: the *vetted* address is mapped as the last step before it is dialled. Lab only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DialOverride {
    /// Vetted addresses that are mapped.
    pub from: IpNet,
    /// Port that is mapped; `None`: every port.
    pub port: Option<u16>,
    /// What is dialled instead.
    pub to: SocketAddr,
}

/// A configuration that can run.
#[derive(Clone, Debug)]
pub struct Checked {
    /// Listeners, limits, log, Azure names.
    pub settings: Settings,
    /// The rules.
    pub policy: Policy,
    /// What vetting reads. [`AddressPlan::own`] is filled in by the gateway once it has bound.
    pub addresses: AddressPlan,
    /// What resolving reads.
    pub dns: DnsPlan,
    /// `[[dial.override]]`; empty outside the lab.
    pub overrides: Vec<DialOverride>,
    /// What loads but should be looked at.
    pub warnings: Vec<Problem>,
    /// The first 16 hex digits of the file's SHA-256: `sha256sum egret.toml` shows the same. For rows and health.
    pub hash: Arc<str>,
    /// Files beside the configuration that it was made of: a change of one of them is a change of the configuration.
    pub sources: Vec<PathBuf>,
}

/// Reads and checks a file. Fails with every problem of it, warnings included.
pub fn load(path: &Path) -> Result<Checked, Vec<Problem>> {
    let file = path.display().to_string();
    let bytes = read(path)?;
    from_bytes(&file, bytes)
}

/// The bytes of a file, at most [`MAX_FILE_BYTES`]. A directory or a FIFO is no file (threat L-04).
pub fn read(path: &Path) -> Result<Vec<u8>, Vec<Problem>> {
    read_most(path, MAX_FILE_BYTES, "is larger than 64 MiB")
}

/// The same, of at most as many bytes as are `left`; `over` says that there are more.
fn read_most(path: &Path, left: u64, over: &str) -> Result<Vec<u8>, Vec<Problem>> {
    let fault = |found: String| vec![Problem::unplaced(path.display().to_string(), found, "")];
    let cannot = |error: std::io::Error| fault(format!("cannot be read: {error}"));
    let found = fs::metadata(path).map_err(cannot)?;
    if !found.is_file() {
        return Err(fault("is not a regular file".into()));
    }
    let mut bytes = Vec::new();
    fs::File::open(path)
        .and_then(|open| open.take(left + 1).read_to_end(&mut bytes))
        .map_err(cannot)?;
    if bytes.len() as u64 > left {
        return Err(fault(over.into()));
    }
    Ok(bytes)
}

/// Checks the bytes of a file called `name`.
pub fn from_bytes(name: &str, bytes: Vec<u8>) -> Result<Checked, Vec<Problem>> {
    match String::from_utf8(bytes) {
        Ok(text) => from_text(name, &text),
        Err(error) => {
            let good = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(error.as_bytes());
            let mut report = Report::default();
            report.add(Finding::error(Span::from(good..good + 1), "is not UTF-8 from here on"));
            Err(report.problems(&name.into(), Some(&text)))
        }
    }
}

/// Checks the text of a file called `name`.
pub fn from_text(name: &str, text: &str) -> Result<Checked, Vec<Problem>> {
    let hash = fingerprint(text.as_bytes());
    let written = text;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut report = Report::default();
    match parse::<FileConfig>(text, NO_POLICY, &mut report) {
        Some(file) if file.policy.azure_firewall.is_some() => azure::with_policy(name, written, file, report),
        file => checked(&name.into(), Some(text), file.as_ref(), hash, report),
    }
}

fn checked(
    name: &Arc<str>,
    text: Option<&str>,
    file: Option<&FileConfig>,
    hash: Arc<str>,
    mut report: Report,
) -> Result<Checked, Vec<Problem>> {
    let base = Path::new(&**name).parent().unwrap_or(Path::new(""));
    let built = file.map(|file| build::build(file, base, &mut report));
    let failed = report.failed();
    let problems = report.problems(name, text);
    match built {
        Some(built) if !failed => Ok(Checked {
            settings: built.settings,
            policy: built.policy,
            addresses: built.addresses,
            dns: built.dns,
            overrides: built.overrides,
            warnings: problems,
            hash,
            sources: Vec::new(),
        }),
        _ => Err(problems),
    }
}

/// What an empty configuration is told.
const NO_POLICY: &str =
    "an empty file is more often a mishap than a policy; to deny everything write `mode = \"enforce\"`";

/// What is left of the text once its structural problems are reported and taken out. `None`: it is not TOML, or says nothing:
/// then `empty` is the hint.
pub(crate) fn parse<T: JsonSchema + DeserializeOwned>(text: &str, empty: &str, report: &mut Report) -> Option<T> {
    let (mut document, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        for finding in syntax::findings(text, &errors) {
            report.add(finding);
        }
        return None;
    }
    if document.get_ref().is_empty() {
        let finding = Finding::error(Span::default(), "the file says nothing");
        report.add(finding.hint(empty));
        return None;
    }
    structure::check(&mut document, &schema::schema_of::<T>(), report);
    match T::deserialize(toml::de::Deserializer::from(document)) {
        Ok(file) => Some(file),
        Err(error) => {
            let span = error.span().map_or(Span::default(), Span::from);
            report.add(Finding::error(span, error.message()));
            None
        }
    }
}

/// The first 16 hex digits of the SHA-256 of a text.
fn fingerprint(bytes: &[u8]) -> Arc<str> {
    // rustls already carries SHA-256; another crate for one name of a file would be one too many.
    let rustls::SupportedCipherSuite::Tls13(suite) = rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256
    else {
        unreachable!("the suite is one of TLS 1.3");
    };
    let digest = suite.common.hash_provider.hash(bytes);
    digest
        .as_ref()
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect::<String>()
        .into()
}

#[cfg(test)]
mod tests;
