//! stub
use super::{connect::Upstream, record::Record};
use crate::policy::Fqdn;
use tokio::net::TcpStream;
pub(crate) async fn serve_absolute(_: TcpStream, _: Vec<u8>, _: Record) {}
pub(crate) async fn serve_tunnel(_: TcpStream, _: Vec<u8>, _: Fqdn, _: Upstream, _: Record) {}
