//! One message on its way from one socket to another: a head of ours, then its body as it comes and is judged.
//!
//! At most one buffer is held, and none while nothing waits in it. What is read is written before more is read, so a side
//! that does not take holds up the one that sends.

use super::framing::{Framing, Progress, Violation};
use crate::flow::relay;
use std::future::Future;
use std::io::{IoSlice, Result};
use std::ops::Range;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;

/// Room for a body on its way, in bytes: as in a tunnel.
const BUFFER_BYTES: usize = 16 * 1024;

/// Reads in a row before other connections of the thread get their turn: as many as a tunnel's.
const READS_PER_TURN: usize = 16;

/// Why a message does not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The sender closed before the end.
    SourceEnded,
    SourceFailed,
    SinkFailed,
    /// What the sender says is none: it goes no further than its first fault.
    Spoilt(Violation),
}

pub(super) struct Passage {
    head: Vec<u8>,
    head_written: usize,
    framing: Framing,
    /// What was read: the first `judged` bytes were judged, of those `kept` go on, what follows waits for more.
    buffer: Vec<u8>,
    judged: usize,
    kept: Range<usize>,
    ended: bool,
    /// Bytes read so far.
    pub read: u64,
    /// Bytes written so far.
    pub written: u64,
}

impl Passage {
    /// A head, and a body of which some may have been read already.
    pub(super) fn new(head: Vec<u8>, framing: Framing, buffer: Vec<u8>) -> Self {
        Self {
            head,
            head_written: 0,
            framing,
            buffer,
            judged: 0,
            kept: 0..0,
            ended: false,
            read: 0,
            written: 0,
        }
    }

    /// A head that goes next, all before it being written, and the body behind it.
    pub(super) fn next(&mut self, head: Vec<u8>, framing: Framing) {
        self.head = head;
        self.head_written = 0;
        self.framing = framing;
    }

    /// Once more from its head on. Nothing of its body is written.
    pub(super) fn rewind(&mut self) {
        self.head_written = 0;
    }

    /// Whether all that may go on is written.
    pub(super) fn is_flushed(&self) -> bool {
        self.head_written == self.head.len() && self.kept.is_empty()
    }

    /// What was read and not judged: behind the end of the body it belongs to the next message.
    pub(super) fn unjudged(&self) -> &[u8] {
        &self.buffer[self.judged..]
    }

    /// These bytes of it are judged, and do not go on as they are.
    pub(super) fn skip(&mut self, bytes: usize) {
        self.judged += bytes;
        self.kept = self.judged..self.judged;
    }

    /// Nothing more is read or written: the buffer goes, and with it what stands behind the end.
    pub(super) fn finish(&mut self) -> Vec<u8> {
        let rest = self.unjudged().to_vec();
        self.buffer = Vec::new();
        (self.judged, self.kept) = (0, 0..0);
        rest
    }

    /// `Ready(Ok)` when the whole message is written.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut TcpStream,
        sink: &mut TcpStream,
    ) -> Poll<std::result::Result<(), Fault>> {
        let mut reads = 0;
        loop {
            // What is at hand is judged first: a head and the start of its body are one write.
            let judged = self.judge().map_err(Fault::Spoilt)?;
            let more = judged || !self.is_flushed();
            ready!(self.poll_flush(cx, sink)).map_err(|_| Fault::SinkFailed)?;
            if self.ended {
                return Poll::Ready(Ok(()));
            }
            if more {
                continue;
            }
            if reads == READS_PER_TURN {
                relay::step_back(cx);
                return Poll::Pending;
            }
            reads += 1;
            let most = self.framing.wants().min(BUFFER_BYTES);
            match ready!(self.poll_more(cx, source, most)) {
                Ok(0) if self.framing == Framing::UntilClose => self.ended = true,
                Ok(0) => return Poll::Ready(Err(Fault::SourceEnded)),
                Ok(_) => {}
                Err(_) => return Poll::Ready(Err(Fault::SourceFailed)),
            }
        }
    }

    /// Judges what was read; whether there was any. A violation is told once nothing before it is left to write.
    fn judge(&mut self) -> std::result::Result<bool, Violation> {
        if self.ended || !self.kept.is_empty() {
            return Ok(false);
        }
        match self.framing.pass(&mut self.buffer[self.judged..]) {
            Ok(Progress { judged, kept, ended }) => {
                self.kept = self.judged..self.judged + kept;
                self.judged += judged;
                self.ended = ended;
                Ok(judged > 0)
            }
            Err(violation) if self.is_flushed() => Err(violation),
            Err(_) => Ok(false),
        }
    }

    /// One read behind what is there, so that no more than `most` bytes wait; 0 at the end.
    pub(super) fn poll_more(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut TcpStream,
        most: usize,
    ) -> Poll<Result<usize>> {
        self.buffer.drain(..self.judged);
        (self.judged, self.kept) = (0, 0..0);
        if self.buffer.is_empty() {
            // Nothing waits: no buffer until something comes.
            self.buffer = Vec::new();
            ready!(source.poll_read_ready(cx))?;
        }
        let room = most.saturating_sub(self.buffer.len()).max(1);
        if self.buffer.capacity() - self.buffer.len() < room {
            self.buffer.reserve_exact(room);
        }
        let count = ready!(pin!(source.take(room as u64).read_buf(&mut self.buffer)).poll(cx))?;
        self.read += count as u64;
        Poll::Ready(Ok(count))
    }

    /// Writes the head and what goes on of the body.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>, sink: &mut TcpStream) -> Poll<Result<()>> {
        while !self.is_flushed() {
            let (head, body) = (&self.head[self.head_written..], &self.buffer[self.kept.clone()]);
            let sink = Pin::new(&mut *sink);
            let count = ready!(match (head, body) {
                (head, []) => sink.poll_write(cx, head),
                ([], body) => sink.poll_write(cx, body),
                (head, body) => sink.poll_write_vectored(cx, &[IoSlice::new(head), IoSlice::new(body)]),
            })?;
            if count == 0 {
                return Poll::Ready(Err(std::io::ErrorKind::WriteZero.into()));
            }
            let of_head = count.min(head.len());
            self.head_written += of_head;
            self.kept.start += count - of_head;
            self.written += count as u64;
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::chunked::Chunked;
    use super::*;
    use std::future::poll_fn;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    use std::task::Wake;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    /// Two connected sockets.
    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let far = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (far, listener.accept().await.unwrap().0)
    }

    /// A passage between two pairs: its sender, itself with its sockets, its recipient.
    async fn world(framing: Framing) -> (TcpStream, (Passage, TcpStream, TcpStream), TcpStream) {
        let ((sender, source), (recipient, sink)) = (pair().await, pair().await);
        let passage = Passage::new(b"head ".to_vec(), framing, Vec::new());
        (sender, (passage, source, sink), recipient)
    }

    #[tokio::test]
    async fn f_04_who_does_not_take_holds_up_who_sends_and_one_buffer_is_held() {
        let (mut sender, (mut passage, mut source, mut sink), recipient) = world(Framing::UntilClose).await;
        let flood = tokio::spawn(async move {
            let block = vec![b'x'; 1 << 20];
            while sender.write_all(&block).await.is_ok() {}
        });
        // It stands still once both sockets are full.
        let stalled = std::time::Duration::from_millis(300);
        let mut written = u64::MAX;
        while std::mem::replace(&mut written, passage.written) != passage.written {
            let poll = poll_fn(|cx| passage.poll(cx, &mut source, &mut sink));
            assert!(tokio::time::timeout(stalled, poll).await.is_err(), "it has no end");
        }
        assert!(written > 0);
        let held = passage.buffer.capacity();
        assert!(held <= BUFFER_BYTES, "{held} bytes");
        drop((recipient, source));
        flood.await.unwrap();
    }

    #[tokio::test]
    async fn f_04_while_nothing_comes_nothing_is_held() {
        let (mut sender, (mut passage, mut source, mut sink), mut recipient) = world(Framing::Length(10)).await;
        sender.write_all(b"hello").await.unwrap();
        let mut got = [0; 10];
        let poll = poll_fn(|cx| passage.poll(cx, &mut source, &mut sink));
        tokio::select! {
            done = poll => panic!("half of it: {done:?}"),
            read = recipient.read_exact(&mut got) => drop(read.unwrap()),
        }
        assert_eq!(&got, b"head hello");
        let mut again = pin!(poll_fn(|cx| passage.poll(cx, &mut source, &mut sink)));
        assert!(poll_fn(|cx| Poll::Ready(again.as_mut().poll(cx).is_pending())).await);
        assert_eq!(passage.buffer.capacity(), 0);
    }

    /// How often a task was woken.
    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    #[tokio::test]
    async fn after_its_turn_a_body_waits_for_everything_else() {
        let (mut sender, (mut passage, mut source, mut sink), mut recipient) = world(Framing::UntilClose).await;
        let sending = tokio::spawn(async move { while sender.write_all(&vec![b'x'; 1 << 20]).await.is_ok() {} });
        let mut room = vec![0; 1 << 20];
        let taking = tokio::spawn(async move { while matches!(recipient.read(&mut room).await, Ok(1..)) {} });
        let woken = Arc::<Woken>::default();
        let waker = woken.clone().into();
        let mut cx = Context::from_waker(&waker);
        let mut turns = 0;
        for _ in 0..10_000 {
            let (read, wakes) = (passage.read, woken.0.load(Relaxed));
            assert!(passage.poll(&mut cx, &mut source, &mut sink).is_pending());
            if passage.read - read == (READS_PER_TURN * BUFFER_BYTES) as u64 && passage.is_flushed() {
                assert_eq!(woken.0.load(Relaxed), wakes, "woken before anything else had its turn");
                tokio::task::yield_now().await;
                assert!(woken.0.load(Relaxed) > wakes, "and then it is");
                turns += 1;
            }
            if turns == 3 {
                break;
            }
            tokio::task::yield_now().await;
        }
        assert_eq!(turns, 3, "turns that were full");
        drop((source, sink));
        sending.await.unwrap();
        taking.await.unwrap();
    }

    #[tokio::test]
    async fn what_stands_behind_the_end_stays() {
        let (mut sender, (mut passage, mut source, mut sink), _recipient) =
            world(Framing::Chunked(Chunked::default())).await;
        sender.write_all(b"2\r\nab\r\n0\r\n\r\nGET next").await.unwrap();
        let done = poll_fn(|cx| passage.poll(cx, &mut source, &mut sink)).await;
        assert_eq!((done, &passage.finish()[..]), (Ok(()), &b"GET next"[..]));
        assert_eq!(passage.buffer.capacity(), 0);
    }

    #[tokio::test]
    async fn a_sender_that_closes_ends_only_a_body_that_ends_so() {
        for (framing, expected) in [
            (Framing::UntilClose, Ok(())),
            (Framing::Length(9), Err(Fault::SourceEnded)),
            (Framing::Chunked(Chunked::default()), Err(Fault::SourceEnded)),
        ] {
            let (mut sender, (mut passage, mut source, mut sink), _recipient) = world(framing).await;
            sender.write_all(b"2\r\nab\r\n").await.unwrap();
            drop(sender);
            let done = poll_fn(|cx| passage.poll(cx, &mut source, &mut sink)).await;
            assert_eq!(done, expected);
        }
    }
}
