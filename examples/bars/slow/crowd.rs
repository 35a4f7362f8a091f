//! The slow clients: silent ones, ones that send a byte now and then, ones that stop in a ClientHello, ones that do not read.

use crate::{
    Pace,
    tunnel::{Refusal, connect, connect_head, hello, read_head, source},
};
use egret::lab::internet::connect_from;
use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
    time::sleep,
};

/// Addresses that the slow clients come from.
pub const SOURCES: usize = 40;

/// Time for a request head, as configured by default.
const HEAD_TIME: Duration = Duration::from_secs(10);

/// Pause between two bytes of a slow client.
const DRIBBLE: Duration = Duration::from_secs(2);

/// What became of slow clients.
#[derive(Debug, Default)]
pub struct Answers {
    /// Silent ones and ones with half a head that were told `HeadTimeout`.
    pub head: AtomicU64,
    /// Ones with half a ClientHello that got the alert `access_denied`.
    pub hello: AtomicU64,
    /// Ones that read too slowly and were reset.
    pub idle: AtomicU64,
    /// Ones that were told something else, or nothing.
    pub other: AtomicU64,
}

/// The slow clients, on a thread of their own. Each comes again when it has been turned out.
pub struct Crowd {
    clients: usize,
    /// Slow clients that are connected now.
    pub standing: Arc<AtomicI64>,
    answers: Arc<Answers>,
    over: watch::Sender<bool>,
    thread: thread::JoinHandle<()>,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Silent,
    HalfHead,
    HalfHello,
    SlowReader,
}

impl Kind {
    fn of(n: usize) -> Self {
        match n % 10 {
            0..=3 => Self::Silent,
            4..=6 => Self::HalfHead,
            7 | 8 => Self::HalfHello,
            _ => Self::SlowReader,
        }
    }
}

impl Crowd {
    /// Lets them come one after the other.
    pub fn start(proxy: SocketAddr, clients: usize) -> io::Result<Self> {
        let (over, is_over) = watch::channel(false);
        let (standing, answers) = (Arc::new(AtomicI64::new(0)), Arc::new(Answers::default()));
        let (s, a) = (standing.clone(), answers.clone());
        let thread = thread::Builder::new().name("crowd".into()).spawn(move || {
            crate::stand_behind();
            crate::block_on(async {
                let mut tasks = tokio::task::JoinSet::new();
                // Spread over a head's time: all at once would come again all at once for ever.
                let mut pace = Pace::new(clients as f64 / HEAD_TIME.as_secs_f64());
                for n in 0..clients {
                    pace.next().await;
                    let (standing, answers, mut over) = (s.clone(), a.clone(), is_over.clone());
                    tasks.spawn(async move {
                        tokio::select! {
                            () = again_and_again(proxy, n, &standing, &answers) => {}
                            _ = over.wait_for(|over| *over) => {}
                        }
                    });
                }
                while tasks.join_next().await.is_some() {}
            });
        })?;
        Ok(Self {
            clients,
            standing,
            answers,
            over,
            thread,
        })
    }

    /// Fails if they do not get in.
    pub fn wait_until_there(&self) -> io::Result<()> {
        let deadline = Instant::now() + 3 * HEAD_TIME;
        while self.standing.load(Relaxed) < self.clients as i64 * 95 / 100 {
            if Instant::now() > deadline {
                let text = format!("only {} slow clients are there", self.standing.load(Relaxed));
                return Err(io::Error::other(text));
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Lets them all go at once. What they were told until then.
    pub fn leave(self) -> io::Result<Arc<Answers>> {
        self.over.send_replace(true);
        self.thread
            .join()
            .map_err(|_| io::Error::other("a slow client panicked"))?;
        Ok(self.answers)
    }
}

async fn again_and_again(proxy: SocketAddr, n: usize, standing: &AtomicI64, answers: &Answers) {
    loop {
        let told = one_stay(proxy, n, standing).await;
        let counter = match told {
            Ok(Told::HeadTimeout) => &answers.head,
            Ok(Told::AccessDenied) => &answers.hello,
            Ok(Told::Reset) => &answers.idle,
            // While the limit on all connections is being probed there is no place for anybody.
            Err(Refusal::Answered(line)) if line.contains("LimitTunnels") => continue,
            Err(why) => {
                if answers.other.load(Relaxed) < 5 {
                    eprintln!("  {:?} client: {why}", Kind::of(n));
                }
                &answers.other
            }
        };
        counter.fetch_add(1, Relaxed);
    }
}

enum Told {
    HeadTimeout,
    AccessDenied,
    Reset,
}

async fn one_stay(proxy: SocketAddr, n: usize, standing: &AtomicI64) -> Result<Told, Refusal> {
    let from = source(1 + n % SOURCES);
    let name = if matches!(Kind::of(n), Kind::SlowReader) {
        "flood.load.test"
    } else {
        "always.load.test"
    };
    let mut stream = match Kind::of(n) {
        Kind::Silent | Kind::HalfHead => connect_from(from, proxy).await?,
        Kind::HalfHello | Kind::SlowReader => connect(proxy, from, name).await?,
    };
    let _here = Here::new(standing);
    match Kind::of(n) {
        Kind::Silent => head_timeout(&mut stream).await,
        Kind::HalfHead => {
            let head = connect_head(name);
            let (mut reads, mut writes) = stream.split();
            tokio::select! {
                told = async {
                    let mut answer = String::new();
                    reads.read_to_string(&mut answer).await?;
                    Ok::<_, Refusal>(answer)
                } => named_head_timeout(&told?),
                never = dribble(&mut writes, head.as_bytes()) => Err(never.into()),
            }
        }
        Kind::HalfHello => {
            let hello = hello(name);
            stream.write_all(&hello[..hello.len() / 2]).await?;
            let mut alert = Vec::new();
            stream.read_to_end(&mut alert).await?;
            // a fatal alert, access_denied (RFC 8446 section 6.2)
            if alert.ends_with(&[2, 49]) {
                Ok(Told::AccessDenied)
            } else {
                Err(Refusal::AtGate(format!("{alert:?}")))
            }
        }
        Kind::SlowReader => {
            stream.write_all(&hello(name)).await?;
            loop {
                sleep(DRIBBLE).await;
                // Asked for by itself: bytes that came before a reset would be read before it.
                match stream.take_error()? {
                    None => drop(stream.read_u8().await?),
                    Some(e) if e.kind() == io::ErrorKind::ConnectionReset => return Ok(Told::Reset),
                    Some(e) => return Err(Refusal::AtGate(e.to_string())),
                }
            }
        }
    }
}

/// Counts a slow client for as long as it is connected.
struct Here<'a>(&'a AtomicI64);

impl<'a> Here<'a> {
    fn new(standing: &'a AtomicI64) -> Self {
        standing.fetch_add(1, Relaxed);
        Self(standing)
    }
}

impl Drop for Here<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

async fn dribble(to: &mut (impl AsyncWriteExt + Unpin), bytes: &[u8]) -> io::Error {
    for byte in bytes {
        if let Err(error) = to.write_u8(*byte).await {
            return error;
        }
        sleep(DRIBBLE).await;
    }
    io::Error::other("a whole head fitted into its time")
}

async fn head_timeout(stream: &mut TcpStream) -> Result<Told, Refusal> {
    named_head_timeout(&read_head(stream).await?)
}

fn named_head_timeout(answer: &str) -> Result<Told, Refusal> {
    if answer.contains("HeadTimeout") {
        Ok(Told::HeadTimeout)
    } else {
        Err(Refusal::Answered(answer.lines().next().unwrap_or("nothing").into()))
    }
}
