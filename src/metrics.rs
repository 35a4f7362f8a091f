//! stub
#![allow(missing_docs)]
use crate::log::*;
use crate::policy::*;
pub struct Metrics;
impl Metrics {
    pub fn new() -> std::sync::Arc<Self> {
        Metrics.into()
    }
    pub fn panicked(&self) {}
    pub fn accepted(&self) {}
    pub fn accept_failed(&self) {}
    pub fn flow_ended(&self, _: FlowEndKind, _: Stage, _: u64, _: u64) {}
    pub fn decided(&self, _: Action, _: Reason) {}
    pub fn reloaded(&self, _: bool) {}
}
