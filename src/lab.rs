//! The lab: a small Azure on loopback, egret in front of it, and everything that tries to get out.
//!
//! [`scenario`] says what there is and what must come of it; [`world`] builds it (sites, DNS); [`course`] plays it through
//! egret, through another proxy or without any, with a control for every denial; [`report`] shows it. Nothing here leaves
//! the machine, and nothing needs privileges but [`world::Ground::StandIns`].

pub mod client;
pub mod course;
pub mod decision;
pub mod diff;
pub mod dns;
pub mod elsewhere;
pub mod internet;
pub mod judge;
pub mod mocks;
pub mod open_proxy;
pub mod play;
pub mod report;
pub mod row;
pub mod scenario;
pub mod site;
mod sources;
pub mod stand_ins;
pub mod world;
