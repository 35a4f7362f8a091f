//! The server's half of a WebSocket, RFC 6455: text messages, pings answered, messages bounded.
//!
//! A crate would bring a second HTTP parser and a second SHA-1 for these few frames.

use super::{
    answers::{Answer, empty, refuse, with},
    digest::{base64, sha1},
    route::Call,
};
use hyper::{StatusCode, upgrade::Upgraded};
use hyper_util::rt::TokioIo;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Longest message that is taken, in bytes: more than ten seconds of audio in base64.
const MAX_MESSAGE: usize = 1024 * 1024;

/// RFC 6455 1.3: what is hashed behind the client's key.
const PROOF: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

// RFC 6455 5.2.
const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// Answers the handshake; `talk` then speaks until either side ends.
pub fn accept<F, T>(call: &Call<'_>, talk: F) -> Answer
where
    F: FnOnce(Socket<TokioIo<Upgraded>>) -> T + Send + 'static,
    T: Future<Output = io::Result<()>> + Send,
{
    let wanted = call
        .header("upgrade")
        .is_some_and(|u| u.eq_ignore_ascii_case("websocket"));
    let (Some(key), Some(upgrade), true) = (call.header("sec-websocket-key"), call.upgrade(), wanted) else {
        let refusal = refuse(StatusCode::UPGRADE_REQUIRED, "426", "This is a WebSocket.");
        return with(with(refusal, "upgrade", "websocket"), "connection", "upgrade");
    };
    tokio::spawn(async move {
        if let Ok(stream) = upgrade.await {
            // How it ends is the client's business.
            let _ = talk(Socket(TokioIo::new(stream))).await;
        }
    });
    let answer = with(empty(StatusCode::SWITCHING_PROTOCOLS), "upgrade", "websocket");
    let answer = with(
        with(answer, "connection", "Upgrade"),
        "sec-websocket-accept",
        proof(key),
    );
    // Browsers want one of the subprotocols back that they offer.
    match call
        .header("sec-websocket-protocol")
        .and_then(|offered| offered.split(',').next())
    {
        Some(first) => with(answer, "sec-websocket-protocol", first.trim()),
        None => answer,
    }
}

fn proof(key: &str) -> String {
    base64(&sha1(format!("{key}{PROOF}").as_bytes()))
}

/// An open WebSocket.
#[derive(Debug)]
pub struct Socket<S>(S);

struct Frame {
    last: bool,
    kind: u8,
    payload: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    /// The next message, `None` once the client has said that it ends.
    ///
    /// # Errors
    /// The connection broke, or what came was no WebSocket's, or too long.
    pub async fn message(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut message = Vec::new();
        loop {
            let frame = self.frame(MAX_MESSAGE - message.len()).await?;
            match frame.kind {
                CONTINUATION | TEXT | BINARY => message.extend(frame.payload),
                PING => self.send(PONG, &frame.payload).await?,
                CLOSE => {
                    self.send(CLOSE, &frame.payload).await?;
                    return Ok(None);
                }
                _ => {}
            }
            if frame.last && frame.kind <= BINARY {
                return Ok(Some(message));
            }
        }
    }

    /// Sends a text.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn say(&mut self, text: &str) -> io::Result<()> {
        self.send(TEXT, text.as_bytes()).await
    }

    async fn frame(&mut self, room: usize) -> io::Result<Frame> {
        let odd = |what| io::Error::new(io::ErrorKind::InvalidData, what);
        let mut head = [0; 2];
        self.0.read_exact(&mut head).await?;
        let length = match head[1] & 0x7f {
            126 => u64::from(self.0.read_u16().await?),
            127 => self.0.read_u64().await?,
            short => u64::from(short),
        };
        let length = usize::try_from(length).ok().filter(|length| *length <= room);
        let length = length.ok_or_else(|| odd("the message is too long"))?;
        if head[1] & 0x80 == 0 {
            return Err(odd("a client masks what it sends"));
        }
        let mut mask = [0; 4];
        self.0.read_exact(&mut mask).await?;
        let mut payload = vec![0; length];
        self.0.read_exact(&mut payload).await?;
        payload
            .iter_mut()
            .zip(mask.iter().cycle())
            .for_each(|(byte, mask)| *byte ^= mask);
        Ok(Frame {
            last: head[0] & 0x80 != 0,
            kind: head[0] & 0xf,
            payload,
        })
    }

    async fn send(&mut self, kind: u8, payload: &[u8]) -> io::Result<()> {
        let mut frame = vec![0x80 | kind];
        match payload.len() {
            length @ 0..=125 => frame.push(length as u8),
            length @ 126..=0xffff => {
                frame.push(126);
                frame.extend((length as u16).to_be_bytes());
            }
            length => {
                frame.push(127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        frame.extend_from_slice(payload);
        self.0.write_all(&frame).await?;
        self.0.flush().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_handshake_is_proved_as_in_the_standard() {
        assert_eq!(
            proof("dGhlIHNhbXBsZSBub25jZQ=="),
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
            "RFC 6455 1.3"
        );
    }

    /// What a client sends, masked with zeros.
    fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![first, 0x80 | payload.len() as u8, 0, 0, 0, 0];
        frame.extend_from_slice(payload);
        frame
    }

    #[tokio::test]
    async fn messages_are_joined_pings_answered_and_ends_said() {
        let (mut client, server) = tokio::io::duplex(4096);
        let mut socket = Socket(server);
        // RFC 6455 5.7: "Hello" as a client masks it.
        let hello = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
        client.write_all(&hello).await.unwrap();
        assert_eq!(socket.message().await.unwrap().unwrap(), b"Hello");
        for frame in [
            masked(TEXT, b"in "),
            masked(0x80 | PING, b"?"),
            masked(0x80, b"parts"),
            masked(0x80 | CLOSE, b""),
        ] {
            client.write_all(&frame).await.unwrap();
        }
        assert_eq!(socket.message().await.unwrap().unwrap(), b"in parts");
        assert_eq!(socket.message().await.unwrap(), None);
        socket.say(&"x".repeat(300)).await.unwrap();
        drop(socket);
        let mut heard = Vec::new();
        client.read_to_end(&mut heard).await.unwrap();
        assert!(
            heard.starts_with(&[0x8a, 1, b'?', 0x88, 0, 0x81, 126, 1, 44, b'x']),
            "{heard:?}"
        );
    }

    #[tokio::test]
    async fn what_is_not_masked_or_too_long_ends_it() {
        for bytes in [
            &[0x81, 1, b'x'][..],
            &[0x81, 0xff, 0, 0, 0, 0, 0, 0x20, 0, 0],
            &[0x81, 0xff, 255, 255, 255, 255, 255, 255, 255, 255],
        ] {
            let (mut client, server) = tokio::io::duplex(4096);
            client.write_all(bytes).await.unwrap();
            let end = Socket(server).message().await.unwrap_err();
            assert_eq!(end.kind(), io::ErrorKind::InvalidData, "{bytes:?}");
        }
    }
}
