//! Names to addresses: forwarders by zone, one chain algorithm, a cache in front.
//!
//! In comes a name that a rule could allow; out goes an [`Answer`](crate::policy::Answer) that says for every alias and address
//! which zone and which server said it, or a [`ResolveError`]. Whether an address may be dialled is for
//! [`vet`](crate::policy::vet) to say.
//!
//! - [`plan`] says where a name is asked. Never the hosts file, never a search list, never another zone's forwarders.
//! - [`chain`] walks from the name to its addresses, without IO.
//! - [`message`] is the wire: a question out, a reply in.

pub mod chain;
pub mod error;
pub mod message;
pub mod plan;

pub use error::{ChainFault, ResolveError, Side};
pub use plan::{Authority, CacheLimits, DnsPlan, StaticData, StaticRecord, Timing, Zone};
#[derive(Debug)]
/// stub
pub struct Resolver(std::sync::Arc<DnsPlan>);
impl Resolver {
    /// s
    pub fn new(p: std::sync::Arc<DnsPlan>, _: tokio::runtime::Handle) -> std::sync::Arc<Self> {
        Resolver(p).into()
    }
    /// s
    pub fn plan(&self) -> &std::sync::Arc<DnsPlan> {
        &self.0
    }
    /// s
    pub async fn resolve(
        &self,
        _: &crate::policy::Fqdn,
    ) -> Result<std::sync::Arc<crate::policy::Answer>, ResolveError> {
        todo!()
    }
}
