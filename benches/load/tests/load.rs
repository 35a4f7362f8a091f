//! The load against the floors: every kind of work goes right, and what a bad proxy does is noticed.

use clap::ValueEnum;
use egret_load::{
    client::Route,
    process::Tree,
    subject::bare,
    work::{Sample, Setup, Work},
    world::World,
};
use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Command, Stdio},
    sync::atomic::Ordering::Relaxed,
    thread,
    time::Duration,
};

/// A few operations of each kind.
fn setup() -> Setup {
    egret_load::raise_file_limit();
    let mut setup = Setup::new(World::start().expect("ports"), Route::Direct, None).expect("TLS");
    setup.scale = 0.002;
    setup.tunnels = 40;
    setup
}

fn through_floor(program: Work, work: Work, setup: &Setup) -> Sample {
    let folder = Path::new(env!("CARGO_BIN_EXE_bare-relay")).parent().expect("a folder");
    let recipe = bare::recipe(program, &setup.world, folder).expect("a port");
    let running = recipe.start().expect("the floor starts");
    work.run(&setup.with(Route::Proxy(running.proxy), Some(running.tree())))
        .expect("the floor goes on")
}

#[test]
fn every_kind_of_work_goes_right_without_a_proxy_and_through_the_floor() {
    let setup = setup();
    // A crowd is a download of more tunnels than every machine has descriptors for.
    for &work in Work::value_variants().iter().filter(|&&work| work != Work::Crowd) {
        let sample = through_floor(work, work, &setup);
        assert!(sample.failed == 0 && sample.done > 0, "{work:?}: {sample:?}");
        let rate = sample.gib_per_second.unwrap_or(1.0);
        assert!(rate > 0.0 && rate.is_finite(), "{work:?}: {rate} GiB/s");
        assert!(
            sample.cpu_us.or(sample.cpu_s_gib).is_some(),
            "{work:?} has its CPU time"
        );
        if work != Work::Deny {
            let sample = work.run(&setup).expect("loopback");
            assert!(sample.failed == 0 && sample.done > 0, "{work:?} direct: {sample:?}");
        }
    }
    assert_eq!(setup.world.heard.spoilt.load(Relaxed), 0, "upstreams got what was sent");
}

#[test]
fn a_proxy_that_lets_a_denied_name_through_fails_the_run() {
    let sample = through_floor(Work::Connect, Work::Deny, &setup());
    assert_eq!(sample.done, 0);
    let why = sample.failure.expect("a reason");
    assert_eq!(why, "a name that is not allowed was answered 200");
}

#[test]
fn a_proxy_that_spoils_one_byte_fails_the_run() {
    let setup = setup();
    let proxy = spoiling_proxy(setup.world.tunnels);
    for work in [Work::Connect, Work::Download] {
        let sample = work.run(&setup.with(Route::Proxy(proxy), None)).expect("it goes on");
        assert_eq!(sample.done, 0, "{work:?}");
        assert_eq!(
            sample.failure.as_deref(),
            Some("other bytes than were sent"),
            "{work:?}"
        );
    }
}

#[test]
fn what_was_started_ends_with_a_program_that_a_signal_ends() {
    use rustix::process::{Pid, Signal, kill_process};
    // Who starts this test may ignore SIGINT or SIGHUP, and then so does the program; nobody ignores SIGTERM.
    let mut load = Command::new(env!("CARGO_BIN_EXE_egret-load"))
        .args(["pace", "--bare", "--scale", "100"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let tree = Tree { pid: load.id() };
    let (relay, folder) = soon(|| {
        let relay = *tree.pids().ok()?.get(1)?;
        let folder = fs::read_link(format!("/proc/{relay}/cwd")).ok()?;
        // Until it is in its folder it is not the relay yet.
        folder.starts_with(std::env::temp_dir()).then_some((relay, folder))
    });
    kill_process(Pid::from_child(&load), Signal::TERM).expect("it lives");
    assert_eq!(load.wait().expect("it was started here").code(), Some(128 + 15));
    soon(|| Tree { pid: relay }.usage().is_err().then_some(()));
    assert!(!folder.exists(), "{} was left", folder.display());
}

#[test]
fn what_ignores_hangups_goes_on_after_one() {
    use rustix::process::{Pid, Signal, kill_process};
    let mut load = Command::new("nohup")
        .arg(env!("CARGO_BIN_EXE_egret-load"))
        .args(["pace", "--bare", "--scale", "0.5"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let tree = Tree { pid: load.id() };
    soon(|| tree.pids().ok()?.get(1).copied());
    kill_process(Pid::from_child(&load), Signal::HUP).expect("it lives");
    assert_eq!(load.wait().expect("it was started here").code(), Some(0));
}

/// What comes within ten seconds.
fn soon<T>(look: impl Fn() -> Option<T>) -> T {
    for _ in 0..1000 {
        if let Some(found) = look() {
            return found;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("not in ten seconds");
}

/// Answers 200 and relays one answer, the last byte of its first read with a bit turned.
fn spoiling_proxy(upstream: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            // A client that has seen enough hangs up.
            thread::spawn(move || spoil(client, upstream).ok());
        }
    });
    address
}

fn spoil(mut client: TcpStream, upstream: SocketAddr) -> std::io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    let _head = client.read(&mut buffer)?;
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
    let mut upstream = TcpStream::connect(upstream)?;
    let hello = client.read(&mut buffer)?;
    upstream.write_all(&buffer[..hello])?;
    upstream.read_exact(&mut buffer[..2_500])?;
    buffer[2_499] ^= 1;
    client.write_all(&buffer[..2_500])
}
