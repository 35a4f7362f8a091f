//! Compares what came of an attempt with what its scenario expects. Pure.

use super::{
    play::Played,
    row::Row,
    scenario::{Attempt, Request},
};
use crate::{
    config::problem::printable,
    policy::{Action, Reason},
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
    } else if let Some(reason) = expect.reason.filter(|reason| row.reason != reason.name())
        && !(expect.of_other_rules && is_of_rules(&row.reason) && is_of_rules(reason.name()))
    {
        faults.push(format!("reason {}, expected {reason}", row.reason));
    }
    if row.audit != expect.audit {
        faults.push(format!(
            "audit let it through: {}, expected {}",
            row.audit, expect.audit
        ));
    }
    let looked_at = expect.rule.as_deref().filter(|_| !expect.of_other_rules);
    if let Some(rule) = looked_at.filter(|rule| row.rule.as_deref() != Some(*rule)) {
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
    if row.action == Action::Deny && !row.audit {
        faults.extend(refusal(&row.reason, played));
    }
    faults
}

/// A rule decided, or none.
fn is_of_rules(reason: &str) -> bool {
    [Reason::RuleMatched, Reason::NoRuleMatched]
        .iter()
        .any(|of_rules| of_rules.name() == reason)
}

/// What a proxy that writes no rows, or none at all, let through or broke; empty if nothing. A client without a proxy
/// variable writes no row either, whoever the proxy is.
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
                let phrase = printable(&reply.phrase);
                faults.push(format!("{who} answered ({} {phrase}), expected {wanted}", reply.status));
            }
            None => faults.push(format!("{wanted} did not answer: {}", played.told())),
        }
    }
    faults
}

fn streamed(request: &Request, reply: &super::client::Reply) -> Option<String> {
    if reply.status >= 400 {
        return Some(format!("answered {} {}", reply.status, printable(&reply.phrase)));
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

/// A client that is refused must be told so: by the reason in the answer, by an alert, or by an end.
fn refusal(reason: &str, played: &Played) -> Option<String> {
    match (&played.ended, played.replies.last()) {
        (Some(_), _) => None,
        (None, Some(reply)) if reply.site().is_none() && reply.phrase.contains(reason) => None,
        _ => Some(format!("the client was told: {}", played.told())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::{
        client::Reply,
        scenario::{CORE, Scenario},
    };

    fn attempt(name: &str) -> Attempt {
        let scenario = Scenario::parse("core.toml", CORE).unwrap_or_else(|p| panic!("{}", p[0]));
        scenario.attempts.into_iter().find(|a| a.name.contains(name)).unwrap()
    }

    fn reply(status: u16, phrase: &str, site: Option<&str>) -> Reply {
        let headers = site.map(|site| ("X-Lab-Site".to_owned(), site.to_owned()));
        Reply {
            status,
            phrase: phrase.to_owned(),
            headers: headers.into_iter().collect(),
            ..Reply::default()
        }
    }

    fn row(properties: &str) -> Row {
        Row::parse(&format!(
            r#"{{"category":"AZFWApplicationRule","properties":{{"SourceIp":"127.0.1.10","SourcePort":9,"DestinationPort":443,{properties}}}}}"#
        ))
        .unwrap()
    }

    const DENIED: &str = r#""Action":"Deny","egret":{"reason":"NoRuleMatched"}"#;

    #[test]
    fn a_denial_holds_only_if_nobody_heard_it_and_the_client_was_told() {
        let attempt = attempt("another tenant's OpenAI");
        let told = |phrase: &str, site| Played {
            replies: vec![reply(403, phrase, site)],
            ..Played::default()
        };
        let good = told(
            "egret: fabrikam-ai.openai.azure.com:443 denied, NoRuleMatched (flow 1)",
            None,
        );
        let heard = vec![("forbidden".to_owned(), 1)];
        let (denied, another) = (row(DENIED), row(&DENIED.replace("NoRuleMatched", "Loop")));
        let allowed = row(r#""Action":"Allow","egret":{"reason":"RuleMatched"}"#);
        for (played, heard, row, fault, why) in [
            (&good, &vec![], Some(&denied), None, "all as it should be"),
            (
                &good,
                &heard,
                Some(&denied),
                Some("let through: forbidden heard 1 bytes"),
                "one byte is one too many",
            ),
            (
                &good,
                &vec![],
                None,
                Some("no row was written"),
                "egret must write a row",
            ),
            (
                &good,
                &vec![],
                Some(&another),
                Some("reason Loop, expected NoRuleMatched"),
                "for the wrong reason",
            ),
            (
                &good,
                &vec![],
                Some(&allowed),
                Some("decided Allow (RuleMatched), expected Deny"),
                "it was no denial",
            ),
            (
                &told("Forbidden", None),
                &vec![],
                Some(&denied),
                Some("the client was told: 403"),
                "nobody learns why",
            ),
            (
                &told("NoRuleMatched", Some("x")),
                &vec![],
                Some(&denied),
                Some("the client was told"),
                "a site said so",
            ),
        ] {
            let faults = through_egret(&attempt, played, heard, row);
            match fault {
                None => assert!(faults.is_empty(), "{why}: {faults:?}"),
                Some(fault) => assert!(faults.iter().any(|f| f.starts_with(fault)), "{why}: {faults:?}"),
            }
        }
    }

    #[test]
    fn what_is_let_through_must_be_answered_by_its_site_at_its_address_and_in_pieces() {
        let attempt = attempt("streamed");
        let allowed = row(
            r#""Action":"Allow","RuleCollectionGroup":"lab","RuleCollection":"azure","Rule":"openai",
            "egret":{"reason":"RuleMatched","address":"10.1.2.4"}"#,
        );
        let stream = |events: usize, pieces| Reply {
            body: "data: x\n\n".repeat(events).into_bytes(),
            pieces,
            ..reply(200, "OK", Some("contoso-ai"))
        };
        let public = Row {
            address: Some("203.0.113.4:443".parse().unwrap()),
            ..allowed.clone()
        };
        for (answer, row, fault, why) in [
            (stream(7, 4), &allowed, None, "all as it should be"),
            (
                stream(7, 1),
                &allowed,
                Some("7 events in 1 pieces"),
                "the stream was held back",
            ),
            (stream(3, 3), &allowed, Some("3 events"), "the stream was cut"),
            (
                stream(7, 4),
                &public,
                Some("dialled 203.0.113.4, expected 10.1.2.4"),
                "by the public endpoint",
            ),
            (
                reply(200, "OK", Some("forbidden")),
                &allowed,
                Some("forbidden answered"),
                "another site",
            ),
            (
                reply(502, "no", None),
                &allowed,
                Some("the proxy answered (502 no)"),
                "no site at all",
            ),
        ] {
            let played = Played {
                replies: vec![answer],
                ..Played::default()
            };
            let faults = through_egret(&attempt, &played, &vec![], Some(row));
            match fault {
                None => assert!(faults.is_empty(), "{why}: {faults:?}"),
                Some(fault) => assert!(faults.iter().any(|f| f.starts_with(fault)), "{why}: {faults:?}"),
            }
        }
    }
}
