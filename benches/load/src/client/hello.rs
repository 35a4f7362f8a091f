//! Names with what is sent for each, made once: a key share costs more than the rest of a tunnel.

use crate::world;
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use std::{io, sync::Arc};

/// A name and what a client sends for it.
#[derive(Clone, Debug)]
pub struct Target {
    /// The name.
    pub name: String,
    /// A ClientHello of a current client for it, with a post-quantum key share (about 1.6 KB).
    pub hello: Vec<u8>,
}

impl Target {
    /// Fails if it is no host name.
    pub fn new(name: &str) -> io::Result<Self> {
        let server = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
        let mut client = ClientConnection::new(config(), server).map_err(io::Error::other)?;
        let mut hello = Vec::new();
        client.write_tls(&mut hello)?;
        let name = name.to_owned();
        Ok(Self { name, hello })
    }

    /// The names in use of [`world::names`].
    pub fn allowed() -> io::Result<Vec<Self>> {
        world::names().map(|name| Self::new(&name)).collect()
    }

    /// The head of a CONNECT as most clients send it.
    pub fn connect_head(&self, port: u16) -> Vec<u8> {
        let name = &self.name;
        format!("CONNECT {name}:{port} HTTP/1.1\r\nHost: {name}:{port}\r\n\r\n").into()
    }
}

/// TLS without resumption, so that every handshake is whole; takes any certificate, as nothing here is secret.
pub fn config() -> Arc<ClientConfig> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider supports TLS 1.2 and 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Arc::new(config)
}

#[derive(Debug)]
struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, signed, &algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, signed, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        aws_lc_rs::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}
