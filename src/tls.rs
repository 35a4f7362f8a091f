//! TLS as egret sees it from outside: the first flight is read, nothing is decrypted. Only the lab ends TLS
//! ([`authority`]). The only file that names the crypto provider.

pub mod authority;
pub mod client_hello;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use std::sync::{Arc, LazyLock};

/// The one crypto provider of the process: aws-lc-rs, X25519MLKEM768 first.
pub fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| Arc::new(aws_lc_rs::default_provider()));
    PROVIDER.clone()
}

/// The same provider without post-quantum key exchange: its ClientHellos fit one TCP segment.
pub fn classical_provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
        let mut provider = aws_lc_rs::default_provider();
        provider.kx_groups = vec![aws_lc_rs::kx_group::X25519, aws_lc_rs::kx_group::SECP256R1];
        Arc::new(provider)
    });
    PROVIDER.clone()
}
