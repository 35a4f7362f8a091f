//! How each peer is started: the file of `peers/` with ports, suffixes and DNS server of the run.

use egret_load::{
    subject::{AccessLog, Recipe, free_port},
    world::{SUFFIXES, World, suffixes},
};
use std::{io, net::SocketAddr, path::Path};

/// The peers that `fetch` brings.
pub const PEERS: [&str; 4] = ["haproxy", "envoy", "squid", "tinyproxy"];

/// The recipe of one of [`PEERS`] from the folder `peers`. None where it cannot be told of a DNS server: squid and tinyproxy
/// know port 53 alone, which this process may not have.
pub fn recipe(name: &str, peers: &Path, world: &World) -> io::Result<Option<Recipe>> {
    let port = free_port()?;
    let fill = |template: &str, dns: SocketAddr| fill(template, port, dns, peers, world);
    let list = |line: fn(String) -> String| suffixes(SUFFIXES).map(line).collect::<String>();
    let recipe = match (name, world.dns_53) {
        ("haproxy", _) => {
            let config = fill(include_str!("../peers/haproxy.cfg"), world.dns);
            let files = vec![
                ("haproxy.cfg", config),
                ("suffixes", list(|suffix| format!(".{suffix}\n"))),
            ];
            recipe_of(
                ("said", " HTTP/1.1\""),
                files,
                with_libraries(peers, "exec PEERS/root/usr/sbin/haproxy -f haproxy.cfg"),
            )
        }
        ("envoy", _) => {
            let config = fill(include_str!("../peers/envoy.yaml"), world.dns);
            let command = format!(
                "exec PEERS/envoy-binary -c envoy.yaml --concurrency {} --log-level error --disable-hot-restart",
                egret_load::cores()
            );
            recipe_of(
                ("access.log", " HTTP/1.1\""),
                vec![("envoy.yaml", config)],
                with_libraries(peers, &command),
            )
        }
        ("squid", Some(dns)) => {
            let config = fill(include_str!("../peers/squid.conf"), dns);
            let files = vec![
                ("squid.conf", config),
                ("suffixes", list(|suffix| format!(".{suffix}\n"))),
            ];
            // Started by root it goes on as `proxy`, which must be able to write its logs.
            let command = "chown proxy . 2>&1; exec PEERS/root/usr/sbin/squid -N -f squid.conf";
            recipe_of(("access.log", " TCP_"), files, with_libraries(peers, command))
        }
        ("tinyproxy", Some(dns)) => {
            let config = fill(include_str!("../peers/tinyproxy.conf"), dns);
            let files = vec![
                ("tinyproxy.conf", config),
                (
                    "suffixes",
                    list(|suffix| format!("\\.{}$\n", suffix.replace('.', "\\."))),
                ),
                ("resolv.conf", format!("nameserver {}\n", dns.ip())),
            ];
            // It asks the C library for names, which reads one file alone: it gets another in a mount namespace of its own.
            let command =
                "mount --bind resolv.conf /etc/resolv.conf && exec PEERS/root/usr/bin/tinyproxy -d -c tinyproxy.conf";
            let log = ("access.log", "Request (file descriptor");
            let mut recipe = recipe_of(log, files, with_libraries(peers, command));
            recipe.args.splice(0..0, ["--mount".to_owned(), "sh".to_owned()]);
            recipe.program = "unshare".into();
            recipe
        }
        _ => return Ok(None),
    };
    Ok(Some(Recipe { proxy: port, ..recipe }))
}

fn recipe_of((file, mark): (&'static str, &'static str), files: Vec<(&'static str, String)>, script: String) -> Recipe {
    Recipe {
        program: "sh".into(),
        args: vec!["-c".into(), script],
        files,
        log: Some(AccessLog { file, mark }),
        ..Recipe::default()
    }
}

/// A shell command with the libraries that were unpacked beside the peers.
fn with_libraries(peers: &Path, command: &str) -> String {
    let libraries = format!(
        "export LD_LIBRARY_PATH=PEERS/root/usr/lib/{}-linux-gnu; ",
        std::env::consts::ARCH
    );
    (libraries + command).replace("PEERS", &peers.to_string_lossy())
}

fn fill(template: &str, port: u16, dns: SocketAddr, peers: &Path, world: &World) -> String {
    let quoted: Vec<String> = suffixes(SUFFIXES).map(|suffix| format!("\"*.{suffix}\"")).collect();
    let values = [
        ("PROXY_PORT", port.to_string()),
        ("TUNNELS_PORT", world.tunnels.port().to_string()),
        ("TLS_PORT", world.tls.port().to_string()),
        ("HTTP_PORT", world.http.port().to_string()),
        ("DNS_ADDRESS", dns.ip().to_string()),
        ("DNS_PORT", dns.port().to_string()),
        ("DNS", dns.to_string()),
        // two descriptors each, and some for itself
        ("CONNECTIONS", (egret_load::raise_file_limit() / 2 - 200).to_string()),
        ("CORES", egret_load::cores().to_string()),
        ("PEERS", peers.to_string_lossy().into_owned()),
        ("SUFFIXES", quoted.join(", ")),
    ];
    // A word of its own: `nameserver local DNS`, not the beginning of `DNS_PORT`, which comes first.
    values
        .into_iter()
        .fold(template.to_owned(), |text, (word, value)| text.replace(word, &value))
}
