//! The gate: a tunnel's first flight is held and judged; nothing reaches upstream before it opens.
//!
//! In: a client that has its 200, the bytes it sent early, and the name it asked for. Out: [`Passed`], which only this
//! module makes and only the relay takes, or a [`Denial`].

use super::Denial;
use super::held::Held;
use crate::config::settings::{EchPolicy, Limits};
use crate::log::Stage;
use crate::policy::{Fqdn, Reason};
use crate::proof::{Guard, off};
use crate::tls::client_hello::{self, ClientHello, NAME_BUFFER_BYTES, Parsed};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

/// A judged first flight: the bytes to send on.
#[derive(Debug)]
pub(crate) struct Passed {
    held: Box<Held>,
}

impl Passed {
    /// What was held, for the relay alone.
    pub(super) fn into_held(self) -> Box<Held> {
        self.held
    }

    /// A tunnel that `flow::http` opened: a request was judged and its upstream answered 101.
    pub(super) fn upgraded(held: Held) -> Self {
        Self { held: Box::new(held) }
    }
}

/// What the ClientHello said, for the row and for `sni_mismatch = "decide"`.
#[derive(Clone, Debug, Default)]
pub(crate) struct FirstFlight {
    /// SNI as sent.
    pub sni: Option<Vec<u8>>,
    /// Which form of Encrypted Client Hello was seen.
    pub ech: Option<&'static str>,
}

/// What the gate makes of a whole ClientHello.
pub(crate) enum Opening {
    /// The SNI is the CONNECT host.
    Same,
    /// It is another name: the caller decides what that means.
    Other(Fqdn),
}

/// What the first bytes of a tunnel turned out to be, where the policy admits both protocols on the port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spoken {
    Tls,
    Http,
}

/// Wait for the first byte and tell TLS from HTTP by it: a TLS record of a handshake starts with 22.
pub(crate) async fn first_byte(client: &mut TcpStream, held: &mut Held, limits: &Limits) -> Result<Spoken, Denial> {
    let deadline = Instant::now() + limits.client_hello_time;
    while held.bytes.is_empty() {
        read_more(client, held, limits, deadline, Reason::TlsIncomplete).await?;
    }
    // 128 and above: a record of SSL 2.0, which the gate refuses by its name.
    Ok(if held.bytes[0] == 22 || held.bytes[0] >= 0x80 {
        Spoken::Tls
    } else {
        Spoken::Http
    })
}

/// Hold bytes until they are one whole ClientHello, and compare its SNI with `asked`.
pub(crate) async fn tls(
    client: &mut TcpStream,
    held: &mut Held,
    asked: &Fqdn,
    limits: &Limits,
    ech: EchPolicy,
    seen: &mut FirstFlight,
) -> Result<Opening, Denial> {
    let mut deadline = Instant::now() + limits.client_hello_time;
    loop {
        match client_hello::parse(&held.bytes) {
            _ if off(Guard::Gate) && !held.bytes.is_empty() => return Ok(Opening::Same),
            Parsed::Incomplete if held.bytes.len() >= limits.client_hello_bytes => {
                return Err(denial(Reason::TlsTooLarge));
            }
            Parsed::Incomplete => {
                let silent = held.bytes.is_empty();
                read_more(client, held, limits, deadline, Reason::TlsIncomplete).await?;
                // The time for a hello runs from its first byte: a client may think first, and be slow then.
                if silent {
                    deadline = Instant::now() + limits.client_hello_time;
                }
            }
            Parsed::NotTls => return Err(denial(Reason::NotTls)),
            Parsed::Sslv2 => return Err(denial(Reason::TlsSslv2)),
            Parsed::Malformed(what) => return Err(denial(Reason::TlsMalformed).detail(what.to_string())),
            Parsed::Hello(hello) if hello.hello_end > limits.client_hello_bytes => {
                return Err(denial(Reason::TlsTooLarge));
            }
            Parsed::Hello(hello) => return judge(&hello, asked, ech, seen),
        }
    }
}

/// The flight is judged, or a network rule opened the tunnel and nothing in it is: the held bytes may go.
pub(crate) fn open(held: Held) -> Passed {
    Passed { held: Box::new(held) }
}

fn judge(hello: &ClientHello<'_>, asked: &Fqdn, policy: EchPolicy, seen: &mut FirstFlight) -> Result<Opening, Denial> {
    seen.ech = hello.ech.label();
    let mut buffer = [0; NAME_BUFFER_BYTES];
    let sent = hello.server_name.as_ref().map(|name| name.copy_to(&mut buffer));
    seen.sni = sent.map(<[u8]>::to_vec);
    if seen.ech.is_some() && policy == EchPolicy::Deny {
        return Err(denial(Reason::EchDenied));
    }
    let Some(name) = &hello.server_name else {
        return Err(denial(Reason::SniMissing));
    };
    // The very text of the name that was asked for: there is nothing to read in it.
    if sent == Some(asked.as_str().as_bytes()) {
        return Ok(Opening::Same);
    }
    let name = name.fqdn().map_err(denial)?;
    Ok(if name == *asked {
        Opening::Same
    } else {
        Opening::Other(name)
    })
}

async fn read_more(
    client: &mut TcpStream,
    held: &mut Held,
    limits: &Limits,
    deadline: Instant,
    cut_short: Reason,
) -> Result<(), Denial> {
    let read = timeout_at(
        deadline,
        held.read(client, limits.client_hello_bytes, limits.held_bytes),
    )
    .await;
    match read.map_err(|_| denial(cut_short))?.map_err(denial)? {
        // A spare connection of a browser ends without a byte: that is no violation.
        Ok(0) | Err(_) if held.bytes.is_empty() => Err(denial(Reason::ClientClosed)),
        Ok(0) | Err(_) => Err(denial(cut_short)),
        Ok(_) => Ok(()),
    }
}

fn denial(reason: Reason) -> Denial {
    Denial::new(reason, Stage::Gate)
}
