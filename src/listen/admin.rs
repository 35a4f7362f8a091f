//! stub
#![allow(missing_docs)]
pub async fn serve(_: tokio::net::TcpListener, _: std::sync::Arc<crate::gateway::AdminView>) {}
