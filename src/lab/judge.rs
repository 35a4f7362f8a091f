//! Compares what came of an attempt with what its scenario expects. Pure.

use super::{
    play::Played,
    row::Row,
    scenario::{Attempt, Request},
};

/// Bytes that each forbidden site of the attempt heard, without those that heard none.
pub type Heard = Vec<(String, u64)>;

/// What did not come as expected through egret, in sentences; empty if all did.
pub fn through_egret(attempt: &Attempt, played: &Played, heard: &Heard, row: Option<&Row>) -> Vec<String> {
    let mut faults = reached(heard);
    let Some(row) = row else {
        faults.push(format!("no row was written; the client was told: {}", played.told()));
        return faults;
    };
    let expect = &attempt.expect;
    if row.action != expect.decision {
        faults.push(format!(
            "decided {:?} ({}), expected {:?}",
            row.action, row.reason, expect.decision
        ));
    } else if row.reason != expect.reason.name() {
        faults.push(format!("reason {}, expected {}", row.reason, expect.reason));
    }
    if row.audit != expect.audit {
        faults.push(format!(
            "audit let it through: {}, expected {}",
            row.audit, expect.audit
        ));
    }
    if let Some(rule) = expect.rule.as_deref().filter(|rule| row.rule.as_deref() != Some(*rule)) {
        faults.push(format!(
            "rule {}, expected {rule}",
            row.rule.as_deref().unwrap_or("none")
        ));
    }
    if let Some(address) = expect.address.filter(|a| row.address.map(|at| at.ip()) != Some(*a)) {
        let dialled = row.address.map_or("nothing".to_owned(), |at| at.ip().to_string());
        faults.push(format!("dialled {dialled}, expected {address}"));
    }
    faults.extend(answers(attempt, played));
    if expect.refused() {
        faults.extend(refusal(attempt, played));
    }
    faults
}

/// What a proxy that writes no rows, or none at all, let through or broke; empty if nothing.
pub fn through_other(attempt: &Attempt, played: &Played, heard: &Heard) -> Vec<String> {
    let mut faults = reached(heard);
    if !attempt.expect.refused() {
        faults.extend(answers(attempt, played));
    }
    faults
}

fn reached(heard: &Heard) -> Vec<String> {
    heard
        .iter()
        .map(|(site, bytes)| format!("let through: {site} heard {bytes} bytes"))
        .collect()
}

/// Each request that must be answered was, by its site.
fn answers(attempt: &Attempt, played: &Played) -> Vec<String> {
    let mut faults = Vec::new();
    for (n, request) in attempt.requests.iter().enumerate() {
        let Some(wanted) = &request.reaches else { continue };
        match played.replies.get(n) {
            Some(reply) if reply.site() == Some(wanted) => faults.extend(streamed(request, reply)),
            Some(reply) => {
                let who = reply.site().map_or("the proxy".to_owned(), str::to_owned);
                faults.push(format!(
                    "{who} answered ({} {}), expected {wanted}",
                    reply.status, reply.phrase
                ));
            }
            None => faults.push(format!("{wanted} did not answer: {}", played.told())),
        }
    }
    faults
}

fn streamed(request: &Request, reply: &super::client::Reply) -> Option<String> {
    if reply.status >= 400 {
        return Some(format!("answered {} {}", reply.status, reply.phrase));
    }
    let events = reply.text().matches("data: ").count();
    let one_by_one = request.events == 0 || reply.pieces > 1;
    (events < request.events || !one_by_one).then(|| {
        format!(
            "{events} events in {} pieces, expected {} one by one",
            reply.pieces, request.events
        )
    })
}

/// The client of a denied attempt must be told so: by the reason in the answer, by an alert, or by an end.
fn refusal(attempt: &Attempt, played: &Played) -> Option<String> {
    let reason = attempt.expect.reason.name();
    match (&played.ended, played.replies.last()) {
        (Some(_), _) => None,
        (None, Some(reply)) if reply.site().is_none() && reply.phrase.contains(reason) => None,
        _ => Some(format!("the client was told: {}", played.told())),
    }
}
