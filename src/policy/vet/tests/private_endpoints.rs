//! Names that have private endpoints: what must lead to one, and who may say so.

use super::*;

#[test]
fn d07_a_chain_through_privatelink_that_ends_in_a_public_address() {
    let with = |mode| AddressPlan {
        private_endpoints: mode,
        ..plan()
    };
    let leaving = answer(&OPENAI, &["203.0.113.7"]);
    let flattened = answer(&OPENAI[..1], &["203.0.113.7"]);
    let unlisted = answer(
        &["x.new.example.com", "x.privatelink.new.example.com"],
        &["203.0.113.7"],
    );
    let onward = answer(
        &["a.contoso.com", OPENAI[0], OPENAI[1], "vnet.cloudapp.example"],
        &["203.0.113.7"],
    );
    for answer in [&leaving, &flattened, &unlisted, &onward] {
        assert_eq!(
            vet(&with(PrivateEndpoints::Require), answer),
            Err(Reason::PublicResolution),
            "{:?}",
            answer.links
        );
        assert!(vet(&with(PrivateEndpoints::Off), answer).is_ok());
        let logged = with(PrivateEndpoints::Log)
            .vet(answer, 443, RuleScope::default())
            .unwrap();
        assert!(logged.public_resolution());
    }
    let plain = answer(&["api.example.com"], &["203.0.113.7"]);
    assert!(
        vet(&with(PrivateEndpoints::Require), &plain).is_ok(),
        "no private-link zone: nothing is asked"
    );
    assert!(
        !with(PrivateEndpoints::Log)
            .vet(&plain, 443, RuleScope::default())
            .unwrap()
            .public_resolution()
    );
}

#[test]
fn require_drops_public_addresses_and_keeps_the_private_ones() {
    let both = answer(&OPENAI, &["203.0.113.7", "10.1.2.4"]);
    assert_eq!(vet(&requiring(), &both), Ok(vec!["10.1.2.4".into()]));
    assert_eq!(
        requiring().vet(&both, 443, RuleScope::default()).unwrap().refused(),
        [ip("203.0.113.7")]
    );
    let neither = answer(&OPENAI, &["192.168.0.1", "203.0.113.7"]);
    assert_eq!(vet(&requiring(), &neither), Err(Reason::PublicResolution));
}

#[test]
fn a_rule_may_ask_for_other_private_endpoints_than_the_default() {
    let public = answer(&OPENAI, &["203.0.113.7"]);
    let rule = |mode| RuleScope {
        private_endpoints: Some(mode),
        ..RuleScope::default()
    };
    assert!(vet_for(&requiring(), &public, rule(PrivateEndpoints::Off)).is_ok());
    assert_eq!(
        vet_for(&plan(), &public, rule(PrivateEndpoints::Require)),
        Err(Reason::PublicResolution)
    );
}

#[test]
fn a_tag_may_ask_for_other_private_endpoints_than_the_default_and_a_rule_goes_before_it() {
    let public = answer(&OPENAI, &["203.0.113.7"]);
    let tagged = |mode| AddressPlan {
        tagged: vec![(FqdnPattern::parse("*.openai.azure.com").unwrap(), mode)],
        ..plan()
    };
    let requiring = tagged(PrivateEndpoints::Require);
    assert_eq!(
        vet_for(&requiring, &public, RuleScope::default()),
        Err(Reason::PublicResolution)
    );
    let off = RuleScope {
        private_endpoints: Some(PrivateEndpoints::Off),
        ..RuleScope::default()
    };
    assert!(vet_for(&requiring, &public, off).is_ok());
}

#[test]
fn an_alias_of_somebodys_own_does_not_lead_round_a_private_endpoint() {
    let aliased = answer(&["models.contoso.com", "contoso-ai.openai.azure.com"], &["203.0.113.7"]);
    assert_eq!(vet(&requiring(), &aliased), Err(Reason::PublicResolution));
    let onward = answer(
        &[
            "models.contoso.com",
            "contoso-ai.openai.azure.com",
            "eastus.api.example.net",
        ],
        &["203.0.113.7"],
    );
    assert_eq!(vet(&requiring(), &onward), Err(Reason::PublicResolution));
}
