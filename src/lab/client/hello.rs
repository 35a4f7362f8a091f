//! ClientHellos of the lab's client: real ones, sent whole or in pieces.

use super::Ended;
use crate::tls::{authority::Authority, classical_provider, provider};
use rustls::{ClientConnection, pki_types::ServerName};
use std::{sync::Arc, time::Duration};

/// The ClientHello of a handshake: a real one of rustls, sent in a chosen way.
#[derive(Clone, Debug)]
pub struct Hello {
    /// The name that the certificate must be good for.
    pub host: String,
    /// Whether the name is sent as SNI.
    pub sni: bool,
    /// X25519MLKEM768 is offered and must be what the server takes. The hello is then about 1.5 KiB long.
    pub post_quantum: bool,
    /// Bytes of the hello in one TLS record (RFC 8446 5.1), each written by itself; `None`: one record.
    pub split: Option<usize>,
    /// Pause between these writes.
    pub pause: Duration,
}

impl Hello {
    /// A plain hello for a host.
    pub fn to(host: &str) -> Self {
        Self {
            host: host.to_owned(),
            sni: true,
            post_quantum: false,
            split: None,
            pause: Duration::ZERO,
        }
    }

    /// The TLS connection of a client that says this hello.
    pub(super) fn start(&self, authority: &Authority) -> Result<ClientConnection, Ended> {
        let provider = if self.post_quantum {
            provider()
        } else {
            classical_provider()
        };
        let mut config = authority.client_config(provider);
        config.enable_sni = self.sni;
        let name = ServerName::try_from(self.host.clone())
            .map_err(|_| Ended::Failed(format!("{} cannot be an SNI", self.host)))?;
        ClientConnection::new(Arc::new(config), name).map_err(|e| Ended::Failed(e.to_string()))
    }

    /// The bytes of this hello, for tests that send them by hand.
    pub fn bytes(&self, authority: &Authority) -> Result<Vec<u8>, Ended> {
        let mut hello = Vec::new();
        self.start(authority)?.write_tls(&mut hello)?;
        Ok(hello)
    }
}

/// One TLS record as several of at most `size` bytes of payload each.
pub fn split_record(record: &[u8], size: usize) -> Vec<Vec<u8>> {
    let Some((header, payload)) = record.split_at_checked(5) else {
        return vec![record.to_vec()];
    };
    let fragment = |part: &[u8]| {
        let length = u16::try_from(part.len()).expect("a part of a record is no longer than the record");
        [&header[..3], &length.to_be_bytes(), part].concat()
    };
    payload.chunks(size.max(1)).map(fragment).collect()
}
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_split_record_is_the_same_bytes_in_smaller_records() {
        let record = [&[22, 3, 1, 0, 7][..], b"abcdefg"].concat();
        let parts = split_record(&record, 3);
        assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [8, 8, 6]);
        let joined: Vec<u8> = parts.iter().flat_map(|p| p[5..].iter().copied()).collect();
        assert_eq!(joined, b"abcdefg");
        assert!(
            parts
                .iter()
                .all(|p| p[..3] == [22, 3, 1] && usize::from(p[4]) == p.len() - 5)
        );
    }

    #[test]
    fn a_post_quantum_hello_does_not_fit_one_segment_and_a_classical_one_does() {
        let authority = Authority::new().unwrap();
        let hello = Hello::to("a.example");
        assert!(hello.bytes(&authority).unwrap().len() < 600);
        let hello = Hello {
            post_quantum: true,
            ..hello
        };
        assert!(hello.bytes(&authority).unwrap().len() > 1400);
    }
}
