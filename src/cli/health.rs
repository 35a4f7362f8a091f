//! `egret health`: one request to the health listener, for exec probes in images that have no curl.

use super::{
    Answer,
    env::reachable,
    output::{print, refuse},
};
use crate::config::{self, settings::Listeners};
use anyhow::Context;
use clap::Args;
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    time::Duration,
};

/// Longest wait for each step. Kubernetes gives an exec probe 1 s unless told otherwise.
const PATIENCE: Duration = Duration::from_millis(900);

/// Longest answer that is read, in bytes.
const LONGEST_ANSWER: u64 = 16 << 10;

/// `egret health`
#[derive(Clone, Debug, Args)]
pub struct HealthArgs {
    /// Health listener of the egret that is asked [default: 127.0.0.1:9181]
    #[arg(value_name = "ADDRESS:PORT")]
    pub address: Option<SocketAddr>,
    /// Ask the first health listener of this configuration file
    #[arg(long, value_name = "FILE", conflicts_with = "address")]
    pub config: Option<PathBuf>,
}

/// Asks `/readyz`. The answer is no unless it is 200; what was said is printed.
pub fn run(args: &HealthArgs) -> anyhow::Result<Answer> {
    let address = address(args)?;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).with_context(|| {
        format!(
            "no egret answers on {address}; start one with `egret run`, or name the health listener with --config FILE"
        )
    })?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let request = format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream
        .take(LONGEST_ANSWER)
        .read_to_end(&mut answer)
        .with_context(|| format!("{address} does not answer"))?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).context("the answer is not HTTP")?;
    print(&format!("{}\n", body.trim_end()))?;
    Ok((status == "200").into())
}

/// The health listener that is asked: as named, or the first of the file, or the first by default.
fn address(args: &HealthArgs) -> anyhow::Result<SocketAddr> {
    let listeners = match (args.address, &args.config) {
        (Some(address), _) => return Ok(address),
        (None, Some(path)) => {
            config::load(path)
                .map_err(|problems| refuse(&problems))?
                .settings
                .listeners
        }
        (None, None) => Listeners::default(),
    };
    reachable(&listeners.health).context("the configuration has no health listener: `health` under [listeners]")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{net::TcpListener, path::PathBuf, thread};

    fn asking(address: SocketAddr) -> HealthArgs {
        HealthArgs {
            address: Some(address),
            config: None,
        }
    }

    #[test]
    fn the_listener_is_that_of_the_file() {
        let of = |config: Option<&str>| {
            address(&HealthArgs {
                address: None,
                config: config.map(PathBuf::from),
            })
        };
        assert_eq!(of(None).unwrap().to_string(), "127.0.0.1:9181");
        let whole = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/config/whole.toml");
        assert_eq!(of(Some(whole)).unwrap().to_string(), "127.0.0.1:9181");
        assert!(of(Some("not-there.toml")).is_err());
    }

    #[test]
    fn ready_is_yes_all_else_is_no() {
        for (answer, expected) in [
            ("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}", Some(Answer::Yes)),
            ("HTTP/1.1 503 Service Unavailable\r\n\r\n{}", Some(Answer::No)),
            ("SSH-2.0", None),
            ("", None),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let server = thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let mut head = [0; 256];
                let _ = stream.read(&mut head).unwrap();
                stream.write_all(answer.as_bytes()).unwrap();
            });
            assert_eq!(run(&asking(address)).ok(), expected, "{answer}");
            server.join().unwrap();
        }
    }

    #[test]
    fn nobody_there_could_not_run() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        assert!(run(&asking(address)).is_err());
    }
}
