//! A throw-away certificate authority for the lab: made at start, its key never leaves memory.
//!
//! In: host names. Out: a root in PEM for clients to trust, a server configuration that mints a certificate for every
//! name it is asked for, client configurations that trust the root. Checking what a certificate may be used for is left
//! to the clients.

use super::provider;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    server::{ClientHello, ResolvesServerCert},
    sign::{CertifiedKey, SigningKey},
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Certificates are valid from this long ago: the clock of a container may lag a little.
const BACK_DATED: Duration = Duration::from_secs(3600);

/// Certificates are valid this long: far below the 398 days after which clients refuse a server certificate
/// (CA/Browser Forum baseline requirements 6.3.2), and longer than a lab stays up.
const VALID: Duration = Duration::from_secs(30 * 24 * 3600);

/// Names for which a certificate is kept. A lab has a few dozen; a client that makes up names gets the default one.
const MAX_NAMES: usize = 1024;

/// The lab's certificate authority.
pub struct Authority {
    root: CertificateDer<'static>,
    pem: String,
    issuer: Issuer<'static, KeyPair>,
    leaf: KeyPair,
    signing: Arc<dyn SigningKey>,
    minted: Mutex<HashMap<String, Arc<CertifiedKey>>>,
}

/// The authority could not be made: the crypto library refused.
#[derive(Debug, thiserror::Error)]
#[error("lab certificate authority: {0}")]
pub struct AuthorityError(String);

impl Authority {
    /// A new root and one key for all leaves. Fails only if the crypto library does.
    pub fn new() -> Result<Self, AuthorityError> {
        let failed = |e: &dyn std::fmt::Display| AuthorityError(e.to_string());
        let key = KeyPair::generate().map_err(|e| failed(&e))?;
        let leaf = KeyPair::generate().map_err(|e| failed(&e))?;
        let params = root_params();
        let certificate = params.self_signed(&key).map_err(|e| failed(&e))?;
        let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(leaf.serialize_der()));
        let signing = provider().key_provider.load_private_key(der).map_err(|e| failed(&e))?;
        Ok(Self {
            root: certificate.der().clone(),
            pem: certificate.pem(),
            issuer: Issuer::new(params, key),
            leaf,
            signing,
            minted: Mutex::default(),
        })
    }

    /// The root in PEM, for `SSL_CERT_FILE` and `curl --cacert`.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A server that shows a certificate for whatever name the client asks for, and one for `default_names` if it asks
    /// for none. ALPN `http/1.1`, TLS 1.2 and 1.3.
    pub fn server_config(self: &Arc<Self>, default_names: &[String]) -> Arc<ServerConfig> {
        let resolver = Resolver {
            authority: self.clone(),
            default: self.mint(default_names),
        };
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("the provider has cipher suites for TLS 1.2 and 1.3")
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(resolver));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Arc::new(config)
    }

    /// A client that trusts this root and no other.
    pub fn client_config(&self, provider: Arc<CryptoProvider>) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone()).expect("our own root parses");
        ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has cipher suites for TLS 1.2 and 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth()
    }

    /// `None` if no name can stand in a certificate.
    fn mint(&self, names: &[String]) -> Option<Arc<CertifiedKey>> {
        let valid: Vec<String> = names
            .iter()
            .filter(|n| n.is_ascii() && !n.is_empty())
            .cloned()
            .collect();
        if valid.is_empty() {
            return None;
        }
        let mut params = CertificateParams::new(valid).ok()?;
        params.distinguished_name = named("egret lab");
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        date(&mut params);
        let certificate = params.signed_by(&self.leaf, &self.issuer).ok()?;
        Some(Arc::new(CertifiedKey::new(
            vec![certificate.into()],
            self.signing.clone(),
        )))
    }

    fn for_name(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        let mut minted = self.minted.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = minted.get(name) {
            return Some(known.clone());
        }
        let fresh = self.mint(&[name.to_owned()])?;
        if minted.len() < MAX_NAMES {
            minted.insert(name.to_owned(), fresh.clone());
        }
        Some(fresh)
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authority")
    }
}

#[derive(Debug)]
struct Resolver {
    authority: Arc<Authority>,
    default: Option<Arc<CertifiedKey>>,
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        match hello.server_name() {
            Some(name) => self.authority.for_name(name),
            None => self.default.clone(),
        }
    }
}

fn root_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = named("egret lab CA (throw-away)");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    date(&mut params);
    params
}

fn named(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

fn date(params: &mut CertificateParams) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // The type of rcgen's dates belongs to a crate that we do not name; it adds std durations.
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + now.saturating_sub(BACK_DATED);
    params.not_after = epoch + now + VALID;
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::{ClientConnection, ServerConnection, pki_types::ServerName};

    /// Both halves in memory until neither has anything to say.
    fn handshake(client: &mut ClientConnection, server: &mut ServerConnection) -> Result<(), rustls::Error> {
        while client.is_handshaking() || server.is_handshaking() {
            let mut wire = Vec::new();
            client.write_tls(&mut wire).unwrap();
            server.read_tls(&mut &wire[..]).unwrap();
            server.process_new_packets()?;
            wire.clear();
            server.write_tls(&mut wire).unwrap();
            client.read_tls(&mut &wire[..]).unwrap();
            client.process_new_packets()?;
        }
        Ok(())
    }

    #[test]
    fn a_client_that_trusts_the_root_verifies_every_minted_name() {
        let authority = Arc::new(Authority::new().unwrap());
        let server = authority.server_config(&["fallback.example".to_owned()]);
        let client = Arc::new(authority.client_config(provider()));
        for name in ["contoso-ai.openai.azure.com", "a.b.c.test", "xn--bcher-kva.example"] {
            let wanted = ServerName::try_from(name).unwrap();
            let mut client = ClientConnection::new(client.clone(), wanted).unwrap();
            let mut server = ServerConnection::new(server.clone()).unwrap();
            handshake(&mut client, &mut server).expect(name);
        }
    }

    #[test]
    fn a_client_without_sni_gets_the_default_names() {
        let authority = Arc::new(Authority::new().unwrap());
        let server = authority.server_config(&["fallback.example".to_owned()]);
        let mut config = authority.client_config(provider());
        config.enable_sni = false;
        let wanted = ServerName::try_from("fallback.example").unwrap();
        let mut client = ClientConnection::new(Arc::new(config), wanted).unwrap();
        let mut server = ServerConnection::new(server).unwrap();
        handshake(&mut client, &mut server).unwrap();
        assert_eq!(server.server_name(), None);
    }

    #[test]
    fn another_lab_is_not_trusted() {
        let ours = Arc::new(Authority::new().unwrap());
        let theirs = Authority::new().unwrap();
        let wanted = ServerName::try_from("a.example").unwrap();
        let mut client = ClientConnection::new(Arc::new(theirs.client_config(provider())), wanted).unwrap();
        let mut server = ServerConnection::new(ours.server_config(&[])).unwrap();
        assert!(handshake(&mut client, &mut server).is_err());
    }
}
