//! egret: an egress firewall for Azure AI labs.
//!
//! The path of a connection, one module a step:
//!
//! ```text
//! listen -> flow::intent -> policy::decide -> dns -> policy::vet -> flow::connect -> flow::gate -> flow::relay -> log
//! ```
//!
//! - [`policy`] decides: names, rules, reasons, vetting of addresses. Pure: no IO, no clock, no async.
//! - [`catalogue`] holds the FQDN tags that rules may name.
//! - [`dns`] resolves through forwarders and private zones and says who answered.
//! - [`flow`] carries one connection from accept to record.
//! - [`log`] turns decisions into Azure Firewall's rows.
//! - [`config`] turns what was written into what can run, or into every problem at once.
//! - [`expect`] holds a policy against the decisions that are expected of it.
//! - [`import`] makes a configuration of an Azure Firewall policy, [`export`] a policy of a configuration.
//! - [`cli`] is the command line: one module a command.
//! - [`gateway`] binds, runs, reloads and drains; [`lab`] builds a world around it.

pub mod catalogue;
pub mod cli;
pub mod config;
pub mod dns;
pub mod expect;
pub mod export;
pub mod flow;
#[cfg(test)]
#[path = "../tests/support/folder.rs"]
mod folder;
#[doc(hidden)]
pub mod fuzz;
pub mod gateway;
pub mod import;
pub mod lab;
pub mod listen;
pub mod log;
#[doc(hidden)]
pub mod measure;
pub mod metrics;
mod nets;
pub mod policy;
mod printable;
pub mod proof;
#[cfg(test)]
#[path = "../tests/support/rules.rs"]
mod rules;
mod seeded;
pub mod snapshot;
mod stripe;
pub mod tls;
