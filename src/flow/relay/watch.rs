//! What ends a relay from outside: an order to its tunnel, or that nothing moved for too long.
//!
//! Both know whom to wake once they were asked, so they are asked again only if that may have changed: a relay is woken for
//! each message, and to ask both each time was a tenth of its instructions.

use crate::flow::tunnels::Tunnel;
use crate::log::FlowEndKind;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use tokio::task::coop::has_budget_remaining;
use tokio::time::{Instant, Sleep};

/// One relay's watch.
pub(super) struct Watch<'a> {
    tunnel: &'a Tunnel,
    /// When something moved last.
    last: Instant,
    idle: Duration,
    /// One timer a tunnel, moved on only when it fires: re-arming it at every read would cost more than the read's own work.
    timer: Pin<&'a mut Sleep>,
    /// Whom an order wakes.
    waiter: Option<Waker>,
    /// The timer wakes it too.
    armed: bool,
}

impl<'a> Watch<'a> {
    /// Idle time begins now. `timer` ends after `idle`, and nobody has asked it yet.
    pub(super) fn new(tunnel: &'a Tunnel, idle: Duration, timer: Pin<&'a mut Sleep>) -> Self {
        Self {
            tunnel,
            last: Instant::now(),
            idle,
            timer,
            waiter: None,
            armed: false,
        }
    }

    /// Ready when the tunnel was told to stop. To be asked at each poll, before anything is moved.
    pub(super) fn poll_order(&mut self, cx: &mut Context<'_>) -> Poll<FlowEndKind> {
        if self.waiter.as_ref().is_some_and(|waiter| waiter.will_wake(cx.waker())) {
            return self.tunnel.order().map_or(Poll::Pending, Poll::Ready);
        }
        self.waiter = Some(cx.waker().clone());
        self.armed = false;
        self.tunnel.poll_stopped(cx)
    }

    /// Ready when nothing has moved for too long. To be asked at the end of each poll.
    pub(super) fn poll_idle(&mut self, cx: &mut Context<'_>, moved: bool) -> Poll<()> {
        if moved {
            self.last = Instant::now();
            if self.armed && self.last < self.timer.deadline() {
                return Poll::Pending;
            }
        }
        loop {
            // Without it tokio's timer does not look whom to wake.
            self.armed = has_budget_remaining();
            ready!(self.timer.as_mut().poll(cx));
            let deadline = self.last + self.idle;
            if self.timer.deadline() >= deadline {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(deadline);
        }
    }
}
