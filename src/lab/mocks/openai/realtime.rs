//! Realtime: events over a WebSocket, text only.

use super::missing;
use crate::lab::mocks::{answers::Answer, route::Call};

pub(super) fn open(call: &Call<'_>) -> Answer {
    missing(call)
}
