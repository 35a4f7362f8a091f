//! `egret env`: the proxy variables in both cases, so that every client reads them.

use super::{
    Answer,
    output::{print, refuse},
};
use crate::config::{self, settings::Listeners};
use clap::{Args, ValueEnum};
use std::{
    fmt::Write,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
};

/// Never through the proxy: the instance metadata service and the platform's own address, which no proxy may speak to for
/// somebody else, and this machine. Full names and single addresses, no blanks: the only form that all clients read.
const NO_PROXY: &str = "169.254.169.254,168.63.129.16,localhost,127.0.0.1";

/// Variables that name a file of certificate authorities: OpenSSL and httpx, requests and azure-core, curl, git, pip, gRPC,
/// Node. Only a lab needs them, whose sites no public authority signs for: egret opens no TLS.
const CA: [&str; 7] = [
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "PIP_CERT",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    "NODE_EXTRA_CA_CERTS",
];

/// Form of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// `export NAME=value`, for `eval "$(egret env)"`
    Sh,
    /// `$env:NAME = 'value'`, for `egret env --shell powershell | Invoke-Expression`
    Powershell,
    /// `NAME=value`, for `docker run --env-file`
    Docker,
    /// A container's `env:` list
    K8s,
}

/// `egret env`
#[derive(Clone, Debug, Args)]
pub struct EnvArgs {
    /// Configuration file; without it, the default listener
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Name this file of certificate authorities (PEM) as well: for a lab, whose sites no public authority signs for
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Form of the output
    #[arg(long, value_enum, default_value_t = Shell::Sh)]
    pub shell: Shell,
}

/// Prints the variables for the first proxy listener that a client on this machine can reach.
pub fn run(args: &EnvArgs) -> anyhow::Result<Answer> {
    let listeners = match &args.config {
        Some(path) => {
            config::load(path)
                .map_err(|problems| refuse(&problems))?
                .settings
                .listeners
        }
        None => Listeners::default(),
    };
    let address = reachable(&listeners.proxy).expect("a checked configuration has a proxy listener");
    print(&text(address, args.ca.as_deref(), args.shell))?;
    Ok(Answer::Yes)
}

/// The listener that this machine reaches best. IPv4 first: not every client reads brackets in a proxy URL.
pub(super) fn reachable(listeners: &[SocketAddr]) -> Option<SocketAddr> {
    let first = listeners.iter().find(|address| address.is_ipv4()).or(listeners.first());
    let mut address = *first?;
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    Some(address)
}

/// The variables for clients of this proxy; `ca` is a file of the certificate authorities that they trust, in place of the
/// system's (Node: besides).
pub(crate) fn text(proxy: SocketAddr, ca: Option<&Path>, shell: Shell) -> String {
    let url = format!("http://{proxy}");
    let mut text = String::new();
    if matches!(shell, Shell::Sh | Shell::Powershell) {
        let (host, port) = (proxy.ip(), proxy.port());
        text += "# Advisory: a program that ignores these variables is not stopped.\n";
        let _ = writeln!(
            text,
            "# Java reads none of them: -Dhttps.proxyHost={host} -Dhttps.proxyPort={port}"
        );
    }
    let ca = ca.map(|ca| ca.display().to_string());
    let trust = CA.iter().filter_map(|name| Some((*name, ca.as_deref()?)));
    let proxy = [
        ("HTTPS_PROXY", url.as_str()),
        ("https_proxy", &url),
        ("HTTP_PROXY", &url),
        ("http_proxy", &url),
        ("NO_PROXY", NO_PROXY),
        ("no_proxy", NO_PROXY),
        // fetch() of Node 22.21 and 24 reads the others only with this one.
        ("NODE_USE_ENV_PROXY", "1"),
    ];
    for (name, value) in proxy.into_iter().chain(trust) {
        let _ = match shell {
            Shell::Sh => writeln!(text, "export {name}='{value}'"),
            // Names of variables have no case on Windows: the second spelling sets the same value again.
            Shell::Powershell => writeln!(text, "$env:{name} = '{value}'"),
            Shell::Docker => writeln!(text, "{name}={value}"),
            Shell::K8s => writeln!(text, "- name: {name}\n  value: \"{value}\""),
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_for_all_is_reached_on_loopback() {
        let cases = [
            (&["0.0.0.0:3128"][..], "127.0.0.1:3128"),
            (&["[::]:3128"], "[::1]:3128"),
            (&["[::1]:3128", "127.0.0.1:3129"], "127.0.0.1:3129"),
            (&["10.1.2.3:3128"], "10.1.2.3:3128"),
        ];
        for (listeners, expected) in cases {
            let listeners: Vec<SocketAddr> = listeners.iter().map(|text| text.parse().unwrap()).collect();
            assert_eq!(reachable(&listeners).unwrap().to_string(), expected);
        }
    }

    #[test]
    fn both_cases_and_the_platform_addresses_are_there() {
        let proxy = "127.0.0.1:3128".parse().unwrap();
        for shell in Shell::value_variants() {
            let text = text(proxy, Some(Path::new("/run/ca.pem")), *shell);
            for part in [
                "HTTPS_PROXY",
                "https_proxy",
                "HTTP_PROXY",
                "http_proxy",
                "no_proxy",
                "169.254.169.254,",
                "SSL_CERT_FILE",
                "/run/ca.pem",
            ] {
                assert!(text.contains(part), "{shell:?} lacks {part}");
            }
            assert!(text.contains("http://127.0.0.1:3128"), "{shell:?} lacks the scheme");
        }
    }
}
