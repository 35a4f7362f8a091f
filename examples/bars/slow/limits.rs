//! Each limit, gone to on purpose: the answer must name it.

use super::{ATTEMPTS, Room};
use crate::{
    report::Report,
    tunnel::{Refusal, connect, read_head, source},
};
use egret::lab::internet::connect_from;
use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    time::{sleep, timeout},
};

/// Goes to each limit, with the crowd still there, and reads what the answer names.
pub async fn probe(proxy: SocketAddr, room: &Room, report: &mut Report) -> io::Result<()> {
    let one_source = silent(proxy, source(101), room.per_source + 20).await?;
    report.bar(
        "one source too many connections",
        &one_source.1,
        "LimitSourceTunnels",
        one_source.1.contains("LimitSourceTunnels"),
    );
    let all = silent(proxy, source(102), 600).await?;
    report.bar(
        "too many connections in all",
        &all.1,
        "LimitTunnels",
        all.1.contains("LimitTunnels"),
    );
    drop((one_source, all));
    sleep(Duration::from_millis(500)).await;
    let fast = too_fast(proxy, source(103)).await?;
    report.bar(
        "one source too many attempts",
        &fast,
        "LimitSourceRate",
        fast.contains("LimitSourceRate"),
    );
    let large = too_large(proxy, source(104)).await?;
    report.bar(
        "too large a head",
        &large,
        "HeadTooLarge",
        large.contains("HeadTooLarge"),
    );
    Ok(())
}

/// Silent connections until one is refused, or `most`; and what the refusal said.
async fn silent(proxy: SocketAddr, from: IpAddr, most: usize) -> io::Result<(Vec<TcpStream>, String)> {
    let mut held = Vec::new();
    for _ in 0..most {
        let mut stream = connect_from(from, proxy).await?;
        // A refusal at accept comes unasked.
        if let Ok(answer) = timeout(Duration::from_millis(3), read_head(&mut stream)).await {
            return Ok((held, reason(&answer?)));
        }
        held.push(stream);
    }
    // Those that were accepted late may have been refused meanwhile.
    for stream in &mut held {
        if let Ok(answer) = timeout(Duration::from_millis(1), read_head(stream)).await {
            let answer = answer?;
            return Ok((held, reason(&answer)));
        }
    }
    Ok((held, "nothing".into()))
}

async fn too_fast(proxy: SocketAddr, from: IpAddr) -> io::Result<String> {
    for _ in 0..20 * ATTEMPTS {
        match connect(proxy, from, "never.load.test").await {
            Err(Refusal::Answered(line)) if line.contains("NoRuleMatched") => {}
            Err(Refusal::Answered(line)) => return Ok(reason(&line)),
            Err(other) => return Ok(other.to_string()),
            Ok(_) => return Ok("200".into()),
        }
    }
    Ok("nothing".into())
}

async fn too_large(proxy: SocketAddr, from: IpAddr) -> io::Result<String> {
    let mut stream = connect_from(from, proxy).await?;
    let head = format!(
        "CONNECT always.load.test:443 HTTP/1.1\r\nX: {}\r\n\r\n",
        "x".repeat(20 << 10)
    );
    stream.write_all(head.as_bytes()).await?;
    Ok(reason(&read_head(&mut stream).await?))
}

/// Status and reason of an answer: what stands before the flow id.
fn reason(answer: &str) -> String {
    let line = answer.lines().next().unwrap_or("closed without an answer");
    let line = line.strip_prefix("HTTP/1.1 ").unwrap_or(line);
    line.split(" (flow").next().unwrap_or(line).into()
}
