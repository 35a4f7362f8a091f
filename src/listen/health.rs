//! stub
#![allow(missing_docs)]
use std::sync::Arc;
pub struct Health;
impl Health {
    pub fn new() -> Arc<Self> {
        Health.into()
    }
    pub fn set_ready(&self, _: bool) {}
    pub fn set_draining(&self) {}
    pub fn set_reload_error(&self, _: Option<String>) {}
    pub fn set_policy(&self, _: u64, _: &str, _: bool, _: &[Arc<str>], _: bool) {}
}
pub async fn serve(_: tokio::net::TcpListener, _: Arc<Health>) {}
