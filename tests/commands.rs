//! `egret run` as a process: start, reload, stop, and what it refuses to start with. Loopback and free ports only.
//!
//! A build with the feature `proof` does not run: `tests/proof.rs`.
#![cfg(not(feature = "proof"))]

#[path = "support/folder.rs"]
mod folder;

use folder::Folder;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    env, fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

/// Longest wait for anything: the file is looked at once a second, and the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(20);

impl Folder {
    /// Writes a file and names it.
    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

/// A running egret; ended with the test, whatever becomes of it.
struct Egret {
    child: Child,
    stderr: Receiver<String>,
    seen: String,
}

impl Egret {
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_egret"))
            .arg("run")
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (send, stderr) = channel();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| send.send(line)));
        Self {
            child,
            stderr,
            seen: String::new(),
        }
    }

    fn with_file(path: &Path) -> Self {
        Self::start(&["--config", path.to_str().unwrap()])
    }

    /// Waits for a line of diagnostics that holds every part.
    fn says(&mut self, parts: &[&str]) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self
                .stderr
                .recv_timeout(deadline.saturating_duration_since(Instant::now()))
            {
                Ok(line) => {
                    self.seen += &format!("{line}\n");
                    if parts.iter().all(|part| line.contains(part)) {
                        return line;
                    }
                }
                Err(why @ (RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected)) => {
                    panic!("{why}: no line with {parts:?} in:\n{}", self.seen)
                }
            }
        }
    }

    /// Where the first proxy listener is, once it is ready.
    fn ready(&mut self) -> SocketAddr {
        let line = self.says(&["ready", "listening"]);
        let address = line.split('"').nth(1).and_then(|list| list.split(", ").next());
        address
            .and_then(|address| address.parse().ok())
            .unwrap_or_else(|| panic!("no address in {line}"))
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// The exit code, within [`PATIENCE`].
    fn code(&mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < deadline, "still running:\n{}", self.seen);
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Egret {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The first line of the answer to a CONNECT.
fn connect(proxy: SocketAddr, target: &str) -> String {
    let mut stream = TcpStream::connect(proxy).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n").unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    line
}

/// Names that are let through end at a forwarder that nobody answers on: `502`, where others get `403`.
fn config(names: &str) -> String {
    format!(
        "[listeners]\nproxy = [\"127.0.0.1:0\"]\nhealth = [\"127.0.0.1:0\"]\nadmin = []\n\
         [dns]\nforwarders = [\"127.0.0.1:1\"]\ntry_ms = 50\ntotal_ms = 200\n[limits]\nworkers = 1\n\
         [[application_rule_collection]]\nname = \"c\"\npriority = 100\naction = \"Allow\"\n\
         [[application_rule_collection.rule]]\nname = \"r\"\ndestination_fqdns = [{names}]\n"
    )
}

fn allowed(answer: &str) -> bool {
    assert!(
        answer.starts_with("HTTP/1.1 403") || answer.starts_with("HTTP/1.1 50"),
        "{answer}"
    );
    !answer.starts_with("HTTP/1.1 403")
}

#[test]
fn l_01_a_bad_file_keeps_the_old_policy_and_names_the_place() {
    let folder = Folder::new("l01");
    let file = folder.file("egret.toml", &config("\"one.example\""));
    let mut egret = Egret::with_file(&file);
    let proxy = egret.ready();
    assert!(allowed(&connect(proxy, "one.example:443")));
    assert!(!allowed(&connect(proxy, "two.example:443")));

    fs::write(&file, config("\"two.example\"").replace("[limits]", "[limits")).unwrap();
    egret.says(&["ERROR", "egret.toml:9:8: "]);
    egret.says(&["not reloaded", "the old configuration stays"]);
    assert!(allowed(&connect(proxy, "one.example:443")), "the old policy");

    fs::write(&file, config("\"two.example\"")).unwrap();
    egret.says(&["reloaded", "generation=2"]);
    assert!(!allowed(&connect(proxy, "one.example:443")), "the new policy");
    assert!(allowed(&connect(proxy, "two.example:443")), "the new policy");

    egret.signal(Signal::TERM);
    assert_eq!(egret.code(), Some(0));
}

#[test]
fn l_02_l_03_l_04_whatever_becomes_of_the_file_the_rules_in_force_stay() {
    let folder = Folder::new("l04");
    let file = folder.file("egret.toml", &config("\"one.example\""));
    let mut egret = Egret::with_file(&file);
    let proxy = egret.ready();
    let stays = |egret: &mut Egret, says: &str| {
        egret.says(&["ERROR", says]);
        egret.says(&["not reloaded", "the old configuration stays"]);
        assert!(
            allowed(&connect(proxy, "one.example:443")),
            "{says}: the rules in force"
        );
        assert!(
            !allowed(&connect(proxy, "two.example:443")),
            "{says}: no part of others"
        );
    };
    fs::write(&file, config("\"two.example\", \"a.*.example\"")).unwrap();
    stays(&mut egret, "`a.*.example`");
    fs::write(&file, "").unwrap();
    stays(&mut egret, "the file says nothing");
    fs::remove_file(&file).unwrap();
    stays(&mut egret, "cannot be read");
    fs::create_dir(&file).unwrap();
    stays(&mut egret, "is not a regular file");
    fs::remove_dir(&file).unwrap();
    assert!(Command::new("mkfifo").arg(&file).status().unwrap().success());
    // Told once already, unless somebody asks.
    egret.signal(Signal::HUP);
    stays(&mut egret, "is not a regular file");

    fs::remove_file(&file).unwrap();
    fs::write(
        &file,
        config("").replace("destination_fqdns = []", "destination_fqdns = [\"two.example\"]"),
    )
    .unwrap();
    egret.says(&["reloaded", "generation=2"]);
    assert!(allowed(&connect(proxy, "two.example:443")), "and it goes on from there");
}

#[test]
fn l_04_a_config_map_is_loaded_once_when_its_link_is_swapped() {
    let folder = Folder::new("l04-link");
    for (version, name) in [("v1", "\"one.example\""), ("v2", "\"two.example\"")] {
        fs::create_dir(folder.0.join(version)).unwrap();
        folder.file(&format!("{version}/egret.toml"), &config(name));
    }
    // egret.toml -> ..data/egret.toml, ..data -> v1: an update renames another link over ..data.
    symlink("v1", folder.0.join("..data")).unwrap();
    symlink("..data/egret.toml", folder.0.join("egret.toml")).unwrap();
    let mut egret = Egret::with_file(&folder.0.join("egret.toml"));
    let proxy = egret.ready();
    symlink("v2", folder.0.join("next")).unwrap();
    fs::rename(folder.0.join("next"), folder.0.join("..data")).unwrap();
    egret.says(&["reloaded", "generation=2"]);
    assert!(allowed(&connect(proxy, "two.example:443")));
    // Were it loaded again, the next one would not be the third.
    fs::write(folder.0.join("v2/egret.toml"), config("\"three.example\"")).unwrap();
    egret.says(&["reloaded", "generation=3"]);
}

#[test]
fn l_05_a_file_that_is_being_written_is_loaded_once_it_is_whole() {
    let folder = Folder::new("l05");
    let file = folder.file("egret.toml", &config("\"one.example\""));
    let mut egret = Egret::with_file(&file);
    let proxy = egret.ready();
    // Each state on the way is a valid file, and allows less than the whole.
    let whole = config("\"one.example\"")
        + "[[application_rule_collection]]\nname = \"d\"\npriority = 200\naction = \"Allow\"\n";
    let mut written = config("\"zero.example\"");
    for n in 0..8 {
        written += &format!("# line {n}\n");
        fs::write(&file, &written).unwrap();
        thread::sleep(Duration::from_millis(300));
        assert!(allowed(&connect(proxy, "one.example:443")), "a part of a file applies");
    }
    let last = "[[application_rule_collection.rule]]\nname = \"two\"\ndestination_fqdns = [\"two.example\"]\n";
    fs::write(&file, whole + last).unwrap();
    egret.says(&["reloaded", "generation=2"]);
    assert!(allowed(&connect(proxy, "one.example:443")));
    assert!(allowed(&connect(proxy, "two.example:443")));
}

#[test]
fn l_09_a_reload_that_would_move_a_listener_is_refused_with_its_name() {
    let folder = Folder::new("l09");
    let file = folder.file("egret.toml", &config("\"one.example\""));
    let mut egret = Egret::with_file(&file);
    let proxy = egret.ready();
    fs::write(&file, config("\"two.example\"").replace("127.0.0.1:0", "127.0.0.2:0")).unwrap();
    egret.signal(Signal::HUP);
    egret.says(&["not reloaded", "listeners cannot change"]);
    assert!(
        allowed(&connect(proxy, "one.example:443")),
        "nothing of the new file applies"
    );
    assert!(
        !allowed(&connect(proxy, "two.example:443")),
        "nothing of the new file applies"
    );
}

#[test]
fn l_11_a_bad_file_at_the_start_opens_no_listener() {
    let folder = Folder::new("l11");
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let text = config("\"a.*.example\"").replace("proxy = [\"127.0.0.1:0\"]", &format!("proxy = [\"{free}\"]"));
    let mut egret = Egret::with_file(&folder.file("egret.toml", &text));
    egret.says(&["error: `a.*.example`"]);
    assert_eq!(egret.code(), Some(2));
    assert!(TcpStream::connect(free).is_err());
}

#[test]
fn without_rules_everything_is_denied_and_said_so() {
    let mut egret = Egret::start(&["--listen", "127.0.0.1:0"]);
    egret.says(&["NO RULES", "every attempt is denied"]);
}

#[test]
fn a_second_signal_cuts_what_is_left() {
    let folder = Folder::new("hurry");
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let text = config("\"one.example\"")
        + "[[dns.record]]\nname = \"one.example\"\na = [\"203.0.113.1\"]\n[[dial.override]]\nfrom = \"203.0.113.1:*\"\n"
        + &format!("to = \"{}\"\n", upstream.local_addr().unwrap());
    let file = folder.file("egret.toml", &text);
    let mut egret = Egret::start(&["--lab", "--config", file.to_str().unwrap()]);
    egret.says(&["LAB:", "dial.override"]);
    let proxy = egret.ready();
    let mut client = TcpStream::connect(proxy).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.write_all(b"CONNECT one.example:443 HTTP/1.1\r\n\r\n").unwrap();
    let mut head = [0; 12];
    client.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");

    egret.signal(Signal::TERM);
    egret.says(&["stopping"]);
    assert!(egret.child.try_wait().unwrap().is_none(), "a tunnel is open");
    let start = Instant::now();
    egret.signal(Signal::TERM);
    assert_eq!(egret.code(), Some(0));
    assert!(
        start.elapsed() < Duration::from_secs(10),
        "not the whole drain time: {:?}",
        start.elapsed()
    );
}
