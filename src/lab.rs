//! The lab.
pub mod client;
pub mod dns;
pub mod internet;
pub mod mocks;
pub mod open_proxy;
pub mod site;
