//! What a build that can lose its guards must not do.
#![cfg(feature = "proof")]

use std::process::{Command, Stdio};

#[test]
fn a_build_that_can_lose_a_guard_does_not_serve() {
    for off in [None, Some("gate")] {
        let mut egret = Command::new(env!("CARGO_BIN_EXE_egret"));
        egret.args(["run", "--listen", "127.0.0.1:0", "--allow", "example.com"]);
        if let Some(guard) = off {
            egret.env("EGRET_PROOF_OFF", guard);
        }
        let done = egret.stdin(Stdio::null()).output().expect("the binary of this package");
        assert_eq!(done.status.code(), Some(2), "{off:?}");
        assert!(
            String::from_utf8_lossy(&done.stderr).contains("feature `proof`"),
            "{off:?}"
        );
    }
}
