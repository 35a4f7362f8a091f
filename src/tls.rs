//! TLS as egret sees it from outside: the first flight is read, nothing is decrypted.

pub mod client_hello;
