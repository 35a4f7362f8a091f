//! Scenarios: whole parts of egret over real sockets on loopback; a module per capability, each test named after the threat
//! that it answers.

mod addresses;
mod admin;
mod attempts;
mod audited;
mod connect;
mod corpus;
mod dns;
mod far;
mod flight;
mod gate;
mod heads;
mod lab;
mod limits;
mod logs;
mod names;
mod network_rows;
mod network_rules;
mod passed;
mod plain_http;
mod private_endpoints;
#[cfg(not(feature = "proof"))]
mod process;
#[path = "../support/random.rs"]
mod random;
mod recorded;
mod records;
mod reload;
mod requests;
mod rows;
mod sink;
mod tables;
mod tags;
mod threat_intelligence;
mod tunnels;
mod verdicts;
mod world;
