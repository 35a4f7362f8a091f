//! One connection from accept to record: the module to read first.
//!
//! ```text
//! accept -> source -> intent -> decide -> resolve -> vet -> connect -> gate -> relay -> record
//! ```
//!
//! `Arrival` looks at what has come with the connection and decides, `reach` goes on to connect, `tunnel` to the end. The
//! types make the order unbreakable: `connect::connect` takes only [`Vetted`](crate::policy::Vetted), `relay::relay` only
//! `gate::Passed`. A denial ends the flow wherever it is made, with one rule row and one answer that the client can show.

pub(crate) mod answer;
pub(crate) mod connect;
pub(crate) mod gate;
pub(crate) mod held;
pub(crate) mod http;
pub(crate) mod intent;
pub(crate) mod judge;
pub(crate) mod limits;
pub(crate) mod lingering;
pub(crate) mod reach;
pub(crate) mod record;
mod refusal;
pub(crate) mod relay;
pub(crate) mod shared;
mod tunnel;
pub mod tunnels;

pub use crate::log::FlowId;
use shared::Own;
pub(crate) use shared::{Phase, Shared};

use crate::log::Stage;
use crate::policy::Reason;
use crate::snapshot::Snapshot;
use held::Held;
use intent::{Intent, IntentError, Target};
use judge::Judged;
use limits::ConnectionPermit;
use lingering::Lingering;
use reach::{begin, charged, closed, named};
use record::{Attempted, Record};
use refusal::Refusal;
use std::net::{IpAddr, SocketAddr, TcpStream as Accepted};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tunnel::tunnel;

/// How long a client may take for its head once egret drains.
const HEAD_WHILE_DRAINING: Duration = Duration::from_millis(250);

/// The end of an attempt before it passed. Not an error: somebody decided it, or something out there failed.
#[derive(Clone, Debug)]
pub(crate) struct Denial {
    pub reason: Reason,
    /// The step that made it.
    pub stage: Stage,
    /// For people: what exactly, where the reason alone does not say it.
    pub detail: Option<String>,
    /// Addresses that vetting refused.
    pub refused: Vec<IpAddr>,
    /// The address that it is about: judged, or dialled in vain.
    pub at: Option<IpAddr>,
}

impl Denial {
    pub(crate) fn new(reason: Reason, stage: Stage) -> Self {
        Self {
            reason,
            stage,
            detail: None,
            refused: Vec::new(),
            at: None,
        }
    }

    pub(crate) fn detail(self, detail: String) -> Self {
        Self {
            detail: Some(detail),
            ..self
        }
    }

    /// Whether its client left before it was decided: nobody saw a decision, and none is told.
    pub(crate) fn is_undecided(&self) -> bool {
        self.reason == Reason::ClientClosed && !matches!(self.stage, Stage::Connect | Stage::Gate)
    }

    /// Unless it is said otherwise the first of them is what it is about.
    fn refused(self, refused: Vec<IpAddr>) -> Self {
        let at = self.at.or(refused.first().copied());
        Self { refused, at, ..self }
    }

    fn at(self, ip: IpAddr) -> Self {
        Self { at: Some(ip), ..self }
    }
}

/// What a whole head asks for.
enum Asked {
    /// A tunnel that the policy permits so far.
    Tunnel(Box<tunnel::Asked>),
    /// Plain HTTP: each request is judged for itself.
    Http,
}

/// A connection that was just accepted.
pub(crate) struct Arrival {
    client: Accepted,
    held: Held,
    record: Record,
    admission: Admission,
}

/// What a flow has of its listener until its tunnel opens: its place, and where it lingers if it is refused.
pub(crate) struct Admission {
    permit: ConnectionPermit,
    lingering: Lingering,
}

impl Admission {
    /// Rows, answer, close. Nothing was sent to the client before.
    fn refuse(self, client: Accepted, refusal: Refusal, mut record: Record) {
        let response = refusal.tell(&mut record);
        let (source, limits) = (record.source.ip(), record.shared.limits.clone());
        drop(record);
        // Whoever is refused may ask again at once.
        drop(self.permit);
        if let Some(response) = response {
            self.lingering.refuse(client, source, &response, &limits);
        }
    }
}

impl Arrival {
    pub(crate) fn new(
        client: Accepted,
        source: SocketAddr,
        shared: Arc<Shared>,
        permit: ConnectionPermit,
        lingering: Lingering,
    ) -> Self {
        let held = Held::new(shared.limits.hold(source.ip()));
        let mut record = Record::new(shared, source);
        record.stage = Stage::Intent;
        Self {
            client,
            held,
            record,
            admission: Admission { permit, lingering },
        }
    }

    /// Look at what has arrived. A head that is whole is judged: a denial is answered here, without a task, a timer or a
    /// registration of its own. What is permitted, or not there yet, goes on in a task.
    pub(crate) fn look(mut self) {
        let arrived = intent::arrived(&self.client, &mut self.held, &self.record.shared.now().settings.limits);
        match arrived
            .map(|intent| ask(intent, &mut self.held, &mut self.record))
            .transpose()
        {
            Ok(asked) => self.spawn(asked),
            Err(refusal) => self.admission.refuse(self.client, *refusal, self.record),
        }
    }

    fn spawn(self, asked: Option<Asked>) {
        let Self {
            client,
            held,
            record,
            admission,
        } = self;
        let mut record = Box::new(record);
        // All that judges is larger than what relays, and gone once a tunnel is open: an idle one does not carry it. All are boxed,
        // since a task's own future is moved several times before it runs.
        match (TcpStream::from_std(client), asked) {
            (Ok(client), Some(Asked::Tunnel(asked))) => {
                let opening = Box::pin(tunnel(client, held, asked, record, admission));
                drop(tokio::spawn(serve(opening)));
            }
            (Ok(client), asked) => {
                let opening = Box::pin(open(client, held, asked, record, admission));
                drop(tokio::spawn(serve(opening)));
            }
            // The kernel has no room for another registration.
            (Err(_), _) => record.denied(&Denial::new(Reason::LimitFiles, Stage::Accept)),
        }
    }
}

async fn serve(opening: Pin<Box<impl Future<Output = Option<Pin<Box<impl Future<Output = ()>>>>>>>) {
    if let Some(relaying) = opening.await {
        relaying.await;
    }
}

/// Everything up to the relay, which comes out. `asked`: what the head asks for, if it was read already. `None`: there is nothing
/// to relay, and whoever asked was answered.
async fn open(
    mut client: TcpStream,
    mut held: Held,
    asked: Option<Asked>,
    mut record: Box<Record>,
    admission: Admission,
) -> Option<Pin<Box<impl Future<Output = ()>>>> {
    let asked = match asked {
        Some(asked) => Ok(asked),
        None => {
            let now = record.shared.snapshot();
            let intent = tokio::select! {
                biased;
                intent = intent::read(&mut client, &mut held, &now.settings.limits) => intent,
                () = too_late(&record.shared) => Err(IntentError::Refused(Reason::Draining, None)),
            };
            drop(now);
            ask(intent, &mut held, &mut record)
        }
    };
    match asked {
        Ok(Asked::Tunnel(asked)) => return Box::pin(tunnel(client, held, asked, record, admission)).await,
        Ok(Asked::Http) => {
            let _permit = admission.permit;
            // Boxed, so that a tunnel does not carry the size of what it never does.
            Box::pin(http::serve_absolute(client, held, record)).await;
        }
        Err(refusal) => refuse(client, *refusal, *record, admission),
    }
    None
}

/// Row, answer, close. Nothing was sent to the client before.
fn refuse(client: TcpStream, refusal: Refusal, record: Record, admission: Admission) {
    // Fails only on a socket that is gone already.
    if let Ok(client) = client.into_std() {
        admission.refuse(client, refusal, record);
    }
}

/// Resolves a moment after egret began to drain: whoever was accepted just before has its head under way.
async fn too_late(shared: &Shared) {
    shared.until(Phase::Draining).await;
    tokio::time::sleep(HEAD_WHILE_DRAINING).await;
}

/// Judge what a head asks for, as far as that goes before anything is looked up. What came behind a CONNECT stays held.
fn ask(intent: Result<Intent, IntentError>, held: &mut Held, record: &mut Record) -> Result<Asked, Box<Refusal>> {
    match intent {
        Ok(Intent::Connect {
            target,
            raw,
            host_header,
            head_end,
        }) => {
            let mut attempted = Attempted::connect(&held.bytes, &raw, host_header.as_ref(), target.port);
            held.bytes.drain(..head_end);
            record.port = target.port;
            match permitted(&target, &mut attempted, record) {
                Ok((snapshot, judged)) => Ok(Asked::Tunnel(Box::new(tunnel::Asked {
                    target,
                    snapshot,
                    judged,
                    attempted,
                }))),
                Err(denial) => Err(Box::new(Refusal { denial, attempted })),
            }
        }
        Ok(Intent::Http) => Ok(Asked::Http),
        Err(IntentError::Closed) => Err(Box::new(Refusal {
            denial: closed(record),
            attempted: Attempted::default(),
        })),
        Err(IntentError::Refused(reason, raw)) => Err(Box::new(Refusal {
            attempted: Attempted::refused(raw.map(|raw| &held.bytes[raw])),
            denial: charged(Denial::new(reason, Stage::Intent), record),
        })),
    }
}

/// *Decide* for the target of a CONNECT: under which snapshot, and how.
fn permitted(
    target: &Target,
    attempted: &mut Attempted,
    record: &mut Record,
) -> Result<(Own<Snapshot>, Judged), Denial> {
    let snapshot = begin(attempted, record)?;
    named(target, &snapshot, attempted, record)?;
    let judged = judge::connect(&snapshot, record.source.ip(), &target.host, target.port);
    let decision = attempted.decided(&snapshot, &target.host, judged.decision);
    let by_rule = decision.permits() || decision.rule.is_some();
    attempted.opened_for = judged.expected.map(|(_, stands)| stands).filter(|_| by_rule);
    if !decision.permits() {
        return Err(Denial::new(decision.reason, Stage::Decide));
    }
    Ok((snapshot, judged))
}

#[cfg(test)]
mod tests {
    use super::tunnel::relaying;
    use super::*;
    use std::future::Pending;

    /// A task holds its future whole, from accept to close: what a step adds here, every idle tunnel pays.
    #[test]
    fn f_03_an_idle_tunnel_carries_no_more_than_its_relay() {
        fn size<A, F>(_: impl FnOnce(A) -> F) -> usize {
            size_of::<F>()
        }
        type Opening = Pin<Box<Pending<Option<Pin<Box<Pending<()>>>>>>>;
        let bytes = size(|opening: Opening| serve(opening)) + size(relaying) + size_of::<Record>();
        assert!(bytes <= 1024, "{bytes} bytes a flow");
    }

    /// Until it is open, or denied, a flow is larger; how many there are is limited.
    #[test]
    fn a_flow_that_is_judged_fits_in_a_few_kilobytes() {
        fn head<F>(_: impl FnOnce(TcpStream, Held, Option<Asked>, Box<Record>, Admission) -> F) -> usize {
            size_of::<F>()
        }
        fn judged<F>(_: impl FnOnce(TcpStream, Held, Box<tunnel::Asked>, Box<Record>, Admission) -> F) -> usize {
            size_of::<F>()
        }
        let bytes = head(open) + judged(tunnel) + size_of::<Record>() + size_of::<tunnel::Asked>();
        assert!(bytes <= 4096, "{bytes} bytes a flow");
    }
}
