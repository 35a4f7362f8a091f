//! Listening sockets that somebody else holds, as systemd does: used, and left open.

use egret::config;
use egret::gateway::{Gateway, GatewayOptions};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

fn start(proxy: SocketAddr, passed: &TcpListener) -> Result<Gateway, String> {
    let text =
        format!("[listeners]\nproxy = [\"{proxy}\"]\n[dns]\nforwarders = [\"127.0.0.1:1\"]\n[log]\nstdout = false\n");
    let checked = config::from_text("passed.toml", &text).expect("a configuration");
    let options = GatewayOptions {
        log: None,
        passed: vec![passed.try_clone().unwrap()],
    };
    Gateway::start(checked, options).map_err(|error| error.to_string())
}

fn ask(proxy: SocketAddr) -> TcpStream {
    let mut client = TcpStream::connect(proxy).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    client
        .write_all(b"CONNECT api.example.com:443 HTTP/1.1\r\n\r\n")
        .unwrap();
    client
}

fn status(mut client: TcpStream) -> String {
    let mut answer = [0; 12];
    client.read_exact(&mut answer).unwrap();
    String::from_utf8_lossy(&answer[9..]).into_owned()
}

#[test]
fn who_comes_during_a_restart_waits_in_the_socket_for_the_next_gateway() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = socket.local_addr().unwrap();
    let gateway = start(proxy, &socket).unwrap();
    assert_eq!(gateway.proxy_addrs(), [proxy]);
    assert_eq!(status(ask(proxy)), "403");
    gateway.drain(Duration::from_secs(1));
    drop(gateway);
    let waiting = ask(proxy);
    let _next = start(proxy, &socket).unwrap();
    assert_eq!(status(waiting), "403", "neither reset nor told that egret drains");
}

#[test]
fn a_socket_that_no_listener_names_is_an_error_that_says_which() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap().to_string();
    let error = start("127.0.0.1:0".parse().unwrap(), &socket)
        .err()
        .expect("it does not start");
    assert!(error.contains(&address) && error.contains("[listeners]"), "{error}");
}
