//! `relay/<down|message>/<engine>/<bytes>`: bytes from upstream to client, and a round trip, through an open tunnel: without
//! anything between (a direct loopback copy), through tokio's `copy_bidirectional`, and through egret's relay. Client, relay and
//! upstream share one thread, so that the time is the CPU time of all three; the claim is the ratio in one run. What is
//! not measured: opening and closing a tunnel, policy, several tunnels at once (`benches/load` does).

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    runtime::{Builder, Runtime},
};

/// Bytes of one transfer: one read, a picture, a file.
const TRANSFERS: [usize; 3] = [16 << 10, 1 << 20, 16 << 20];

/// Bytes of a message.
const MESSAGE: usize = 512;

const ENGINES: [&str; 3] = ["direct", "copy_bidirectional", "egret"];

/// The far ends of an open tunnel.
struct Tunnel {
    client: TcpStream,
    upstream: TcpStream,
}

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("it is bound");
    let near = TcpStream::connect(address).await.expect("loopback");
    let (far, _) = listener.accept().await.expect("it was connected");
    for stream in [&near, &far] {
        stream.set_nodelay(true).expect("TCP");
    }
    (near, far)
}

impl Tunnel {
    async fn open(engine: &str) -> Self {
        let (client, mut near_client) = pair().await;
        if engine == "direct" {
            return Self {
                client,
                upstream: near_client,
            };
        }
        let (mut near_upstream, upstream) = pair().await;
        if engine == "egret" {
            tokio::spawn(egret::measure::relay(near_client, near_upstream));
        } else {
            tokio::spawn(async move { copy_bidirectional(&mut near_client, &mut near_upstream).await });
        }
        Self { client, upstream }
    }

    async fn down(&mut self, bytes: &[u8], into: &mut [u8]) {
        let (sent, received) = tokio::join!(self.upstream.write_all(bytes), self.client.read_exact(into));
        sent.expect("the tunnel is open");
        received.expect("the tunnel is open");
    }

    async fn message(&mut self, message: &[u8; MESSAGE]) -> [u8; MESSAGE] {
        let (mut there, mut back) = ([0; MESSAGE], [0; MESSAGE]);
        self.client.write_all(message).await.expect("the tunnel is open");
        self.upstream.read_exact(&mut there).await.expect("the tunnel is open");
        self.upstream.write_all(&there).await.expect("the tunnel is open");
        self.client.read_exact(&mut back).await.expect("the tunnel is open");
        back
    }
}

fn runtime() -> Runtime {
    let built = Builder::new_current_thread().enable_all().build();
    built.expect("a process may have an epoll descriptor")
}

fn down(c: &mut Criterion) {
    let mut group = c.benchmark_group("relay/down");
    let bytes: Vec<u8> = (0..TRANSFERS[2]).map(|n| (n % 251) as u8).collect();
    let mut into = vec![0; bytes.len()];
    for length in TRANSFERS {
        group.throughput(Throughput::Bytes(length as u64));
        for engine in ENGINES {
            let runtime = runtime();
            let mut tunnel = runtime.block_on(Tunnel::open(engine));
            into.fill(0);
            runtime.block_on(tunnel.down(&bytes[..length], &mut into[..length]));
            assert!(bytes[..length] == into[..length], "{engine} carries what it was given");
            group.bench_function(BenchmarkId::new(engine, length), |b| {
                b.iter(|| runtime.block_on(tunnel.down(black_box(&bytes[..length]), &mut into[..length])));
            });
        }
    }
    group.finish();
}

fn message(c: &mut Criterion) {
    let mut group = c.benchmark_group("relay/message");
    for engine in ENGINES {
        let runtime = runtime();
        let mut tunnel = runtime.block_on(Tunnel::open(engine));
        let message = [7; MESSAGE];
        assert_eq!(runtime.block_on(tunnel.message(&message)), message, "{engine}");
        group.bench_function(BenchmarkId::new(engine, MESSAGE), |b| {
            b.iter(|| runtime.block_on(tunnel.message(black_box(&message))));
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = down, message
}
criterion_main!(benches);
