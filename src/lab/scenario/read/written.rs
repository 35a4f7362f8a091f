//! A scenario file, field for field.

use crate::{config::at::At, lab::mocks::Serves};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// A scenario file, field for field.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileScenario {
    pub title: String,
    pub config: Option<At<String>>,
    pub config_file: Option<At<String>>,
    pub clients: BTreeMap<String, At<String>>,
    pub dns: BTreeMap<String, Vec<At<String>>>,
    pub site: Vec<FileSite>,
    #[serde(default)]
    pub attempt: Vec<FileAttempt>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileSite {
    pub name: At<String>,
    #[serde(default)]
    pub hosts: Vec<String>,
    pub addresses: Vec<At<String>>,
    #[serde(default)]
    pub ports: Vec<u16>,
    #[serde(default)]
    pub serves: Serves,
    #[serde(default)]
    pub forbidden: bool,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileAttempt {
    pub name: At<String>,
    #[serde(default)]
    pub why: String,
    #[serde(default)]
    pub mend: String,
    pub client: At<String>,
    pub connect: Option<At<String>>,
    #[serde(default)]
    pub unset_proxy: bool,
    pub sni: Option<String>,
    pub split_hello: Option<SplitHello>,
    #[serde(default)]
    pub post_quantum: bool,
    pub raw: Option<String>,
    #[serde(default)]
    pub request: Vec<FileRequest>,
    pub forbidden: Option<Vec<At<String>>>,
    pub expect: FileExpect,
}

/// Bytes of a ClientHello in one record.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct SplitHello(#[schemars(range(min = 1, max = 16384))] pub u16);

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileRequest {
    #[serde(default = "get")]
    pub method: String,
    pub target: At<String>,
    pub host: Option<String>,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    #[serde(default)]
    pub body: String,
    pub reaches: Option<At<String>>,
    #[serde(default)]
    pub events: u16,
}

fn get() -> String {
    "GET".to_owned()
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileExpect {
    pub decision: At<FileDecision>,
    pub reason: Option<At<String>>,
    pub rule: Option<String>,
    #[serde(default)]
    pub audit: bool,
    pub address: Option<At<String>>,
}

#[derive(Clone, Copy, Default, PartialEq, Deserialize, JsonSchema)]
pub enum FileDecision {
    #[default]
    Allow,
    Deny,
}
