//! What is on disk after a crash, and what happens when nothing more can be written.

use super::*;
use egret::lab::client::Ended;
use egret::metrics::Metric;

/// The other process of `g_05_..`: writes rows until it is killed. Does nothing unless it was told where to.
#[test]
fn writes_until_it_is_killed() {
    let Some(path) = std::env::var_os("EGRET_TEST_ROWS") else {
        return;
    };
    let log = file_log(path.into());
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut number = 0;
    while Instant::now() < deadline {
        log.write(&Row::FlowEnd(FlowEnd { sent: number, ..end() }));
        number += 1;
        if !log.accepts_new_flows() {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn file_log(path: PathBuf) -> Log {
    let file = FileLog {
        path,
        max_bytes: 1 << 30,
        keep: 1,
        max_age: None,
        on_full: OnFull::Deny,
    };
    let settings = LogSettings {
        stdout: false,
        file: Some(file),
        ..LogSettings::default()
    };
    Log::start(&settings, &Azure::default(), &Limits::default()).unwrap()
}

#[test]
fn g_05_after_sigkill_rows_are_there_without_a_gap_and_the_next_start_leaves_none_torn() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("killed-{}.ndjson", std::process::id()));
    let _ = fs::remove_file(&path);
    for _ in 0..3 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "logs::durable::writes_until_it_is_killed"])
            .env("EGRET_TEST_ROWS", &path)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let before = fs::metadata(&path).map_or(0, |there| there.len());
        let deadline = Instant::now() + Duration::from_secs(20);
        while fs::metadata(&path).map_or(0, |there| there.len()) < before + 1_000_000 {
            assert!(Instant::now() < deadline, "the other process writes nothing");
            std::thread::sleep(Duration::from_millis(2));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // The next start finds the file as the kill left it.
        file_log(path.clone()).close();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.ends_with('\n'));
        let rows = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).expect(line));
        let sent = rows.filter_map(|row| row["properties"]["BytesSent"].as_u64());
        let mut next = 0;
        for number in sent {
            assert!(number == next || number == 0, "a gap: {number} where {next} should be");
            next = number + 1;
        }
        assert!(next > 1000);
    }
    fs::remove_file(&path).unwrap();
}

/// A folder that can be taken away: the disk of these tests.
struct Disk(PathBuf);

impl Disk {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("egret.ndjson")
    }

    fn rows(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.file()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Another gateway of this world that logs to a file on the disk, its log, and a client of it.
async fn logging_to(world: &World, disk: &Disk) -> (Gateway, Log, Client) {
    let log = file_log(disk.file());
    let checked = config::from_text("scenario.toml", &world.text(POLICY)).unwrap();
    let options = GatewayOptions::logging_to(log.clone());
    let gateway = tokio::task::spawn_blocking(|| Gateway::start(checked, options))
        .await
        .unwrap()
        .unwrap();
    let road = Road::Proxy(gateway.proxy_addrs()[0]);
    let client = Client::new("127.0.0.1".parse().unwrap(), road, world.lab.authority.clone());
    (gateway, log, client)
}

#[tokio::test]
async fn g_03_a_log_that_cannot_be_written_refuses_new_flows_and_leaves_open_tunnels_alone() {
    let (world, disk) = (World::usual().await, Disk::new("gone"));
    let (gateway, log, client) = logging_to(&world, &disk).await;
    let mut open = client.connect("api.example.com:443").await.unwrap().wire;
    open.handshake(&Hello::to("api.example.com")).await.unwrap();

    fs::remove_dir_all(&disk.0).unwrap();
    // The row that finds out waits for the disk; it is not lost.
    client.connect("evil.test:443").await.unwrap();
    until("the log is found broken", || !log.accepts_new_flows()).await;
    let refused = client.connect("api.example.com:443").await.unwrap();
    assert_eq!(refused.status(), 503, "{}", refused.phrase());
    assert!(refused.phrase().contains("LogUnavailable"), "{}", refused.phrase());
    open.send(b"GET /hello HTTP/1.1\r\nHost: api.example.com\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(open.reply("GET").await.unwrap().status, 200, "the open tunnel lives");

    fs::create_dir_all(&disk.0).unwrap();
    until("the log is written again", || log.accepts_new_flows()).await;
    assert_eq!(client.connect("api.example.com:443").await.unwrap().status(), 200);
    log.flush();
    let reasons: Vec<_> = disk
        .rows()
        .iter()
        .map(|row| row["properties"]["egret"]["reason"].clone())
        .collect();
    assert!(
        reasons.contains(&"NoRuleMatched".into()) && reasons.contains(&"LogUnavailable".into()),
        "{reasons:?}"
    );
    tokio::task::spawn_blocking(move || drop(gateway)).await.unwrap();
}

#[tokio::test]
async fn g_03_what_a_full_log_refuses_leaves_the_rest_of_it_to_open_tunnels() {
    let (world, disk) = (World::usual().await, Disk::new("spared"));
    let (gateway, log, client) = logging_to(&world, &disk).await;
    fs::remove_dir_all(&disk.0).unwrap();
    client.connect("evil.test:443").await.unwrap();
    until("the log is found broken", || !log.accepts_new_flows()).await;
    let started = Instant::now();
    for target in ["api.example.com:443", "not a target"].repeat(30) {
        client.connect(target).await.unwrap();
        drop(client.open().await.unwrap());
    }
    until("all are gone", || gateway.connections() == 0).await;
    let seconds = 1 + started.elapsed().as_secs();
    fs::create_dir_all(&disk.0).unwrap();
    until("the log is written again", || log.accepts_new_flows()).await;
    log.flush();
    let rows = disk.rows();
    let of_flows = rows.iter().filter(|row| row["category"] == "EgretFlow").count() as u64;
    // Three a second, of which the first began before; three more where the source was forgotten in between; and the row that found out.
    let most = 1 + 3 * (seconds + 2);
    assert!((3..=most).contains(&of_flows), "{of_flows} rows in {seconds} s");
    // Two rows of each of 60 that asked, one of each of 60 that did not.
    let suppressed = gateway.metrics().value(Metric::LogSuppressed, &[]).unwrap();
    assert!(
        (180_u64.saturating_sub(2 * most)..180).contains(&suppressed),
        "{suppressed} of 180 are counted"
    );
    tokio::task::spawn_blocking(move || drop(gateway)).await.unwrap();
}

#[tokio::test]
async fn g_08_what_its_gateway_cuts_off_is_recorded_with_its_bytes() {
    let (world, disk) = (World::usual().await, Disk::new("cut"));
    let (gateway, log, client) = logging_to(&world, &disk).await;
    let mut open = client.connect("api.example.com:443").await.unwrap().wire;
    open.handshake(&Hello::to("api.example.com")).await.unwrap();
    open.send(b"GET /hello HTTP/1.1\r\nHost: api.example.com\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(open.reply("GET").await.unwrap().status, 200);
    let mut plain = client.open().await.unwrap();
    plain
        .send(b"GET http://api.example.com/hello HTTP/1.1\r\nHost: api.example.com\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(plain.reply("GET").await.unwrap().status, 200);
    // Without a drain nobody tells them: their thread ends.
    tokio::task::spawn_blocking(move || drop(gateway)).await.unwrap();
    assert_eq!(open.to_end().await.1, Ended::Reset);
    log.flush();
    let rows = disk.rows();
    let ends = rows.iter().filter(|row| row["category"] == "EgretFlow");
    let said: Vec<_> = ends.map(|end| &end["properties"]).collect();
    assert_eq!(said.len(), 2, "{said:?}");
    for end in said {
        assert_eq!((&end["End"], &end["Stage"]), (&"Drained".into(), &"Relay".into()));
        for bytes in ["BytesSent", "BytesReceived"] {
            assert!(end[bytes].as_u64() > Some(40), "{end}");
        }
    }
}

#[tokio::test]
async fn g_08_every_connection_has_a_row_however_it_ends() {
    let world = World::usual().await;
    let client = world.client();
    client.get_https("api.example.com", "/hello").await.unwrap();
    for request in [
        "CONNECT evil.test:443 HTTP/1.1\r\nHost: x\r\n\r\n",
        "CONNECT 127.0.0.1:443 HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET http://evil.test/ HTTP/1.1\r\nHost: evil.test\r\n\r\n",
        "GARBAGE\r\n\r\n",
        "\x16\x03\x01\x00\x05hello\r\n\r\n",
    ] {
        let _ = client.ask(request).await;
    }
    // One says nothing, one breaks off in its head, one in its tunnel.
    drop(client.open().await.unwrap());
    let mut broken = client.open().await.unwrap();
    broken.send(b"CONNECT api.exa").await.unwrap();
    drop(broken);
    drop(client.connect("api.example.com:443").await.unwrap());
    until("nine connections, nine rows", || world.rows("EgretFlow").len() >= 9).await;
    assert_eq!(world.rows("EgretFlow").len(), 9);
    let metrics = world.gateway.metrics();
    let accepted = metrics.value(egret::metrics::Metric::Accepted, &[]).unwrap();
    assert_eq!(accepted, 9 + 1, "and the self-test, which leaves no rows");
    // A decision has a rule row, which names the flow that its end names.
    let flows: Vec<_> = world
        .rows("EgretFlow")
        .iter()
        .map(|row| row["properties"]["FlowId"].clone())
        .collect();
    for row in world.rule_rows() {
        assert!(flows.contains(&row["properties"]["egret"]["flow"]), "{row}");
    }
}
