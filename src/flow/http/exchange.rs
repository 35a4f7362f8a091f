//! One request on its way to upstream, and its response on the way back, both at once: a response may come before its
//! request is whole.
//!
//! In: a judged request, the client and the connection it may go to. Out: how the response ended, or why there is none.

use super::client::Client;
use super::forward::{Recipient, for_client};
use super::framing::{Framing, Violation};
use super::passage::{Fault, Passage};
use super::response::ResponseHead;
use super::section::section_end;
use super::upstream::Connection;
use crate::flow::relay;
use crate::log::FlowEndKind;
use std::future::poll_fn;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// Longest response head, in bytes. Browsers take 256 KiB; more than this is nobody's ordinary answer.
const MAX_RESPONSE_HEAD_BYTES: usize = 64 * 1024;

/// First read for a response head, in bytes: nearly always all of it, and the start of the body.
const FIRST_READ_BYTES: usize = 16 * 1024;

/// Most fields of a response head.
const MAX_RESPONSE_FIELDS: usize = 256;

/// Most interim responses (100 to 199) before a final one.
const MAX_INTERIM_RESPONSES: u8 = 32;

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// What a request says that its response depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub recipient: Recipient,
    /// It waits for a 100 before it sends its body.
    pub expects_continue: bool,
    /// It may go on with WebSocket.
    pub websocket: bool,
    /// It has no body and changes nothing (RFC 9110 section 9.2.1): sending it twice does no harm.
    pub harmless: bool,
}

/// How a response ended.
#[derive(Debug)]
pub(super) enum Answered {
    /// It is whole.
    Whole {
        /// The client may ask again.
        client_stays: bool,
        /// Upstream may be asked again.
        upstream_stays: bool,
    },
    /// Upstream speaks WebSocket now, and said this so far.
    Switched(Vec<u8>),
}

/// Why there is no response, or no whole one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The request's body is none.
    Spoilt(Violation),
    /// The client ended its side in the middle of the body.
    CutOff,
    /// The client's socket failed.
    ClientReset,
    /// What upstream sends is no response: the first fault.
    Invalid(&'static str),
    /// The connection was revoked or drained.
    Stopped(FlowEndKind),
    /// Upstream closed or reset it.
    Closed,
    /// Nothing moved for the idle limit.
    Silent,
}

pub(super) struct Exchange {
    asked: Asked,
    up: Passage,
    upload: Upload,
    down: Passage,
    awaits: Awaits,
    /// Where the search for the end of the response's head stopped.
    searched: usize,
    interim: u8,
}

/// Both sides of an exchange, reset when it is dropped before it is done.
struct Ends<'a> {
    client: &'a mut Client,
    connection: &'a mut Connection,
    done: bool,
}

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        if !self.done {
            relay::reset(&self.client.stream);
            self.connection.reset();
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Upload {
    UnderWay,
    Whole,
    /// Upstream takes no more of it, and may have said why.
    Broken,
}

/// What comes next from upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaits {
    Head,
    Body { client_stays: bool, upstream_stays: bool },
    Frames,
}

impl Exchange {
    /// A request with this head for upstream. `ahead`: what was read behind it of its body.
    pub(super) fn new(asked: Asked, head: Vec<u8>, body: Framing, ahead: Vec<u8>) -> Self {
        let hurry = asked.expects_continue && asked.recipient.minor == 1 && body != Framing::NONE && ahead.is_empty();
        let continues = if hurry { CONTINUE.to_vec() } else { Vec::new() };
        Self {
            asked,
            up: Passage::new(head, body, ahead),
            upload: Upload::UnderWay,
            down: Passage::new(continues, Framing::NONE, Vec::new()),
            awaits: Awaits::Head,
            searched: 0,
            interim: 0,
        }
    }

    /// Whether the client can be told of a failure: nothing of a response has gone to it, or only whole interim ones.
    pub(super) fn can_be_answered(&self) -> bool {
        self.awaits == Awaits::Head && self.down.is_flushed()
    }

    /// Whether it may be sent once more, over another connection, after this one was closed: upstream has not answered, and
    /// got nothing of it or does no harm by getting it twice (RFC 9112 section 9.3.1).
    pub(super) fn may_go_again(&self) -> bool {
        let silent = self.down.read == 0 && self.interim == 0;
        silent && (self.up.written == 0 || self.asked.harmless)
    }

    /// See [`Exchange::may_go_again`].
    pub(super) fn rewind(&mut self) {
        self.up.rewind();
        self.upload = Upload::UnderWay;
    }

    /// Runs it, as long as anything moves within `idle`. `ending`: whether this is to be the client's last response. Dropped before
    /// it has ended, it resets both sides, so that nobody takes a part for the whole.
    pub(super) async fn run(
        &mut self,
        client: &mut Client,
        connection: &mut Connection,
        idle: Duration,
        ending: impl Fn() -> bool,
    ) -> Result<Answered, Failure> {
        connection.used = true;
        let mut ends = Ends {
            client,
            connection,
            done: false,
        };
        let answered = poll_fn(|cx| self.poll(cx, ends.client, ends.connection, idle, &ending)).await;
        ends.done = true;
        answered
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut Client,
        connection: &mut Connection,
        idle: Duration,
        ending: &impl Fn() -> bool,
    ) -> Poll<Result<Answered, Failure>> {
        if let Poll::Ready(end) = connection.poll_stopped(cx) {
            return Poll::Ready(Err(Failure::Stopped(end)));
        }
        let before = (self.up.read, self.up.written, self.down.read, self.down.written);
        let sent = self.poll_up(cx, client, connection);
        let answered = match sent {
            Ok(()) => self.poll_down(cx, client, connection, ending),
            Err(failure) => Poll::Ready(Err(failure)),
        };
        let after = (self.up.read, self.up.written, self.down.read, self.down.written);
        if after != before {
            client.moved();
            connection.moved(after.1 - before.1, after.2 - before.2);
        }
        if answered.is_ready() {
            return answered;
        }
        // What follows a body that is not whole belongs to it, also if upstream takes no more: it may go again.
        if self.upload == Upload::Whole && client.poll_gone(cx).is_ready() {
            return Poll::Ready(Err(Failure::ClientReset));
        }
        client.poll_idle(cx, idle).map(|()| Err(Failure::Silent))
    }

    fn poll_up(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut Client,
        connection: &mut Connection,
    ) -> Result<(), Failure> {
        if self.upload != Upload::UnderWay {
            return Ok(());
        }
        match self.up.poll(cx, &mut client.stream, &mut connection.stream) {
            Poll::Pending => {}
            Poll::Ready(Ok(())) => {
                self.upload = Upload::Whole;
                client.give_back(self.up.finish());
            }
            Poll::Ready(Err(Fault::SinkFailed)) => self.upload = Upload::Broken,
            Poll::Ready(Err(Fault::SourceEnded)) => return Err(Failure::CutOff),
            Poll::Ready(Err(Fault::SourceFailed)) => return Err(Failure::ClientReset),
            Poll::Ready(Err(Fault::Spoilt(violation))) => return Err(Failure::Spoilt(violation)),
        }
        Ok(())
    }

    fn poll_down(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut Client,
        connection: &mut Connection,
        ending: &impl Fn() -> bool,
    ) -> Poll<Result<Answered, Failure>> {
        while self.awaits == Awaits::Head {
            ready!(self.down.poll_flush(cx, &mut client.stream)).map_err(|_| Failure::ClientReset)?;
            let last = client.has_left() || self.upload != Upload::Whole || ending();
            if self.judge_head(last).map_err(Failure::Invalid)? {
                continue;
            }
            let most = match self.down.unjudged().len() {
                0..FIRST_READ_BYTES => FIRST_READ_BYTES,
                _ => MAX_RESPONSE_HEAD_BYTES + 1,
            };
            match ready!(self.down.poll_more(cx, &mut connection.stream, most)) {
                Ok(0) | Err(_) => return Poll::Ready(Err(Failure::Closed)),
                Ok(_) => {}
            }
        }
        let passed = ready!(self.down.poll(cx, &mut connection.stream, &mut client.stream));
        passed.map_err(|fault| match fault {
            Fault::SourceEnded | Fault::SourceFailed => Failure::Closed,
            Fault::SinkFailed => Failure::ClientReset,
            Fault::Spoilt(violation) => Failure::Invalid(violation.what),
        })?;
        let rest = self.down.finish();
        Poll::Ready(Ok(match self.awaits {
            Awaits::Head | Awaits::Frames => Answered::Switched(rest),
            Awaits::Body {
                client_stays,
                upstream_stays,
            } => Answered::Whole {
                client_stays: client_stays && self.upload == Upload::Whole,
                // What stands behind the end answers nobody.
                upstream_stays: upstream_stays && rest.is_empty() && self.upload == Upload::Whole,
            },
        }))
    }

    /// Judges the head at the start of what upstream sent. Whether there was a whole one.
    fn judge_head(&mut self, last: bool) -> Result<bool, &'static str> {
        let bytes = self.down.unjudged();
        let end = section_end(bytes, &mut self.searched).map_err(|()| "a line that ends in a bare line feed")?;
        if end.unwrap_or(bytes.len()) > MAX_RESPONSE_HEAD_BYTES {
            return Err("a response head beyond its limit");
        }
        let Some(end) = end else { return Ok(false) };
        let recipient = Recipient {
            last: last || self.asked.recipient.last,
            ..self.asked.recipient
        };
        let head = ResponseHead::read(&bytes[..end], recipient.to_head, MAX_RESPONSE_FIELDS)?;
        let (next, body) = match head.status {
            101 if self.upload != Upload::Whole => return Err("a 101 before its request was whole"),
            101 if self.asked.websocket && head.websocket => (Awaits::Frames, Framing::NONE),
            101 => return Err("a 101 that no request asked for"),
            100..200 if self.interim == MAX_INTERIM_RESPONSES => return Err("more interim responses than the limit"),
            100..200 => {
                self.interim += 1;
                (Awaits::Head, Framing::NONE)
            }
            _ => self.final_response(&head, recipient),
        };
        // Who waits for a 100 got one from us, and HTTP/1.0 knows no interim responses.
        let passes = next != Awaits::Head || (head.status != 100 && recipient.minor == 1);
        let last = matches!(
            next,
            Awaits::Body {
                client_stays: false,
                ..
            }
        );
        let head = if passes {
            for_client(&head, Recipient { last, ..recipient })
        } else {
            Vec::new()
        };
        self.down.skip(end);
        self.down.next(head, body);
        (self.awaits, self.searched) = (next, 0);
        Ok(true)
    }

    /// How the connections go on behind a final response, and how its body goes to the client.
    fn final_response(&self, head: &ResponseHead<'_>, recipient: Recipient) -> (Awaits, Framing) {
        let until_close = head.body == Framing::UntilClose;
        let body = match head.body.clone() {
            Framing::Chunked(chunked) if recipient.minor == 0 => Framing::Chunked(chunked.bare()),
            body => body,
        };
        let next = Awaits::Body {
            client_stays: !recipient.last && !until_close,
            // HTTP/1.0 closes; where it says otherwise, it is not believed.
            upstream_stays: head.minor == 1 && !head.fields.close && !until_close,
        };
        (next, body)
    }
}

#[cfg(test)]
mod tests {
    use super::super::client::Bounds;
    use super::*;
    use crate::config::settings::Limits;
    use crate::flow::held::Held;
    use std::pin::pin;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    const HEAD: &[u8] = b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n";

    const IDLE: Duration = Duration::from_secs(2);

    /// Two connected sockets.
    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let far = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (far, listener.accept().await.unwrap().0)
    }

    fn post() -> Exchange {
        let asked = Asked {
            recipient: Recipient {
                minor: 1,
                to_head: false,
                last: false,
            },
            expects_continue: false,
            websocket: false,
            harmless: false,
        };
        Exchange::new(asked, HEAD.to_vec(), Framing::Length(5), Vec::new())
    }

    #[tokio::test]
    async fn an_answer_that_is_cut_in_the_middle_is_a_reset_for_both_sides() {
        let ((mut sender, client), (upstream, mut far)) = (pair().await, pair().await);
        let mut client = Client::new(client, Held::from(Vec::new()), Bounds::from(&Limits::default()));
        let (mut connection, mut exchange) = (Connection::over(upstream), post());
        sender.write_all(b"hello").await.unwrap();
        let mut answer = Vec::new();
        {
            let running = pin!(exchange.run(&mut client, &mut connection, IDLE, || false));
            let part = async {
                far.read_exact(&mut vec![0; HEAD.len() + 5]).await.unwrap();
                // To the end of the connection: what there is of it looks whole.
                far.write_all(b"HTTP/1.1 200 OK\r\n\r\npart").await.unwrap();
                while !answer.ends_with(b"part") {
                    sender.read_buf(&mut answer).await.unwrap();
                }
            };
            tokio::select! {
                answered = running => panic!("{answered:?}"),
                () = part => {}
            }
        }
        drop((client, connection));
        for end in [&mut sender, &mut far] {
            let error = end.read(&mut [0; 8]).await.unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        }
    }

    /// The body that came meanwhile was taken for what follows it: the second connection got the head alone.
    #[tokio::test]
    async fn c_39_a_request_that_goes_again_has_its_body_though_upstream_was_gone_before_its_first_byte() {
        let (mut sender, client) = pair().await;
        let mut client = Client::new(client, Held::from(Vec::new()), Bounds::from(&Limits::default()));
        sender.write_all(b"hello").await.unwrap();
        client.stream.readable().await.unwrap();
        let (stale, far) = pair().await;
        let (mut stale, mut exchange) = (Connection::over(stale), post());
        // No await behind it: the write fails before the thread hears of the reset.
        crate::flow::relay::reset(&far);
        drop(far);
        let failure = exchange.run(&mut client, &mut stale, IDLE, || false).await.unwrap_err();
        assert_eq!((failure, exchange.may_go_again()), (Failure::Closed, true));
        exchange.rewind();
        let (fresh, mut far) = pair().await;
        let mut fresh = Connection::over(fresh);
        let mut heard = vec![0; HEAD.len() + 5];
        let origin = async {
            far.read_exact(&mut heard).await.unwrap();
            far.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                .await
                .unwrap();
        };
        let both = async { tokio::join!(exchange.run(&mut client, &mut fresh, IDLE, || false), origin) };
        let (answered, ()) = tokio::time::timeout(5 * IDLE, both)
            .await
            .expect("the origin has the body");
        assert!(
            matches!(
                answered,
                Ok(Answered::Whole {
                    client_stays: true,
                    upstream_stays: true
                })
            ),
            "{answered:?}"
        );
        assert_eq!(heard, [HEAD, b"hello"].concat());
        assert!(client.held.bytes.is_empty());
    }
}
