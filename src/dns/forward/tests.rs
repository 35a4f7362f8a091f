use super::*;
use crate::{
    dns::{Zone, message::Family},
    lab::dns::{Behaviour, LabDns},
    policy::Fqdn,
};
use std::collections::HashSet;

#[test]
fn a_server_rests_then_one_question_tries_it() {
    let health = Health::new(REST);
    let start = Instant::now();
    assert_eq!(health.standing(start), Standing::Well);
    health.rest(start);
    assert_eq!(health.standing(start), Standing::Resting);
    assert_eq!(
        health.standing(start + REST - Duration::from_secs(1)),
        Standing::Resting
    );
    let after = start + REST + Duration::from_secs(1);
    assert_eq!(health.standing(after), Standing::Due);
    assert_eq!(health.standing(after), Standing::Resting, "only one question tries it");
    assert_eq!(health.standing(after + REST), Standing::Due, "and another one later");
    health.recover();
    assert_eq!(health.standing(after), Standing::Well);
}

#[test]
fn only_a_missing_descriptor_is_our_own_limit() {
    for (code, ours) in [(24, true), (23, true), (111, false), (101, false)] {
        assert_eq!(
            out_of_sockets(&io::Error::from_raw_os_error(code)),
            ours,
            "errno {code}"
        );
    }
}

#[tokio::test]
async fn a_server_that_has_rested_is_tried_on_the_side_and_comes_back() {
    let (first, second) = (LabDns::start().await.unwrap(), LabDns::start().await.unwrap());
    for dns in [&first, &second] {
        dns.address_of("a.test", [203, 0, 113, 5].into());
    }
    first.behave("*", Behaviour::Silent);
    let mut plan = DnsPlan {
        zones: vec![Zone::default_zone(vec![first.address(), second.address()])],
        ..DnsPlan::default()
    };
    plan.timing.per_try = Duration::from_millis(100);
    let forwarders = Forwarders::resting(&plan, Arc::default(), Duration::from_millis(1500));
    let deadline = Instant::now() + Duration::from_secs(10);
    let ask = async || {
        let name = Fqdn::parse("a.test").unwrap();
        let question = Question {
            name,
            family: Family::V4,
        };
        forwarders.ask(0, question, deadline).await.unwrap().server
    };
    let (first_label, second_label) = (first.address().to_string(), second.address().to_string());
    assert_eq!(*ask().await, second_label, "the first is silent");
    assert_eq!(*ask().await, second_label, "the first rests");
    let questions: HashSet<u16> = first.asked().iter().map(|asked| asked.id).collect();
    assert_eq!(questions.len(), 1, "nobody asked it again");
    first.forget("*");
    while *ask().await != first_label {
        assert!(Instant::now() < deadline, "the first never came back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
