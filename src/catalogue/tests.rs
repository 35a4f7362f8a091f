use super::{narrow::MAX_NAMES_PER_ENTRY, *};

mod bound;
mod folder;
mod reference;

fn binding(values: &[(&str, &[&str])], keep: &[&str], features: &[&str]) -> Binding {
    let values = values.iter();
    Binding {
        values: values.map(|(name, list)| ((*name).to_owned(), texts(list))).collect(),
        keep: texts(keep),
        features: texts(features),
    }
}

fn texts(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

fn tag(name: &str) -> &'static FqdnTag {
    Catalogue::embedded().tag(name).unwrap_or_else(|| panic!("{name}"))
}

/// Patterns, a `!` behind the wide ones.
fn shown(narrowed: Narrowed) -> Vec<String> {
    let targets = narrowed.targets.iter();
    targets
        .map(|target| format!("{}{}", target.pattern, if target.wide { "!" } else { "" }))
        .collect()
}

fn entries(name: &str, values: &[(&str, &[&str])], keep: &[&str], features: &[&str]) -> Vec<String> {
    let narrowed = tag(name).narrow(&binding(values, keep, features));
    shown(narrowed.unwrap_or_else(|error| panic!("{error}")))
}

fn refused(name: &str, values: &[(&str, &[&str])], keep: &[&str], features: &[&str]) -> TagError {
    let narrowed = tag(name).narrow(&binding(values, keep, features));
    narrowed.map(shown).expect_err("refused")
}

#[test]
fn every_built_in_tag_is_read_and_each_entry_has_a_source_and_a_known_zone() {
    assert_eq!(Catalogue::embedded().tags().count(), EMBEDDED.len());
    let zones = include_str!("../../allowlists/private-link-zones.toml");
    for tag in Catalogue::embedded().tags() {
        assert!(!tag.title().is_empty() && !tag.endpoints().is_empty(), "{}", tag.name());
        let placeholders = tag.placeholders();
        assert!(
            tag.placeholder().is_none_or(|main| placeholders.contains(main)),
            "{}",
            tag.name()
        );
        assert!(placeholders.is_empty() || tag.placeholder().is_some(), "{}", tag.name());
        for endpoint in tag.endpoints() {
            assert!(
                !endpoint.source.is_empty() && !endpoint.purpose.is_empty(),
                "{}",
                endpoint.pattern()
            );
            let zone = endpoint.private_link_zone.as_ref();
            assert!(
                zone.is_none_or(|zone| zones.contains(&format!("{zone:?}"))),
                "{}",
                endpoint.pattern()
            );
        }
    }
}

#[test]
fn ports_of_an_entry_are_those_that_an_application_rule_can_match() {
    let narrowed = tag("AzureStorage").narrow(&binding(&[("account", &["a"])], &[], &["file"]));
    let targets = narrowed.unwrap().targets;
    let file = targets
        .iter()
        .find(|target| target.pattern.to_string().starts_with("a.file"))
        .unwrap();
    let ports: Vec<u16> = file.ports.as_ref().unwrap().iter().map(|port| port.port).collect();
    assert_eq!(ports, [443, 445]);
    assert_eq!(file.tag.as_deref(), Some("AzureStorage"));
}

#[test]
fn a_star_over_a_multi_tenant_suffix_is_known_as_one() {
    for (text, suffix) in [
        ("*.openai.azure.com", Some("openai.azure.com")),
        ("*openai.azure.com", Some("openai.azure.com")),
        ("*-ai.openai.azure.com", Some("openai.azure.com")),
        ("*.azure.com", Some("services.ai.azure.com")),
        ("*.blob.core.windows.net", Some("blob.core.windows.net")),
        ("*.z01.azurefd.net", Some("z01.azurefd.net")),
        ("*.b02.azurefd.net", Some("azurefd.net")),
        ("*.cloudfront.net", Some("cloudfront.net")),
        ("*.eastus.kusto.windows.net", Some("kusto.windows.net")),
        ("*.privatelink.openai.azure.com", Some("openai.azure.com")),
        ("*.privatelink.blob.core.windows.net", Some("blob.core.windows.net")),
        ("*.privatelink.eastus.kusto.windows.net", Some("kusto.windows.net")),
        ("*.z6.web.core.windows.net", Some("web.core.windows.net")),
        ("*.z01.blob.storage.azure.net", Some("blob.storage.azure.net")),
        ("*.eastus-01.azurewebsites.net", Some("azurewebsites.net")),
        ("*.eastus.models.ai.azure.com", Some("models.ai.azure.com")),
        ("*.vercel.app", Some("vercel.app")),
        ("*.contoso.privatelink.openai.azure.com", None),
        ("*.contoso.openai.azure.com", None),
        ("*.c1.eastus.kusto.windows.net", None),
        ("*.contoso.com", None),
        ("*.login.microsoft.com", None),
        ("contoso.openai.azure.com", None),
    ] {
        let pattern = FqdnPattern::parse(text).unwrap();
        assert_eq!(Catalogue::embedded().multi_tenant(&pattern), suffix, "{text}");
    }
    assert!(Catalogue::embedded().multi_tenant(&FqdnPattern::Any).is_some());
}

#[test]
fn a_name_leads_back_to_the_tag_that_would_hold_it() {
    for (name, first) in [
        ("contoso-ai.openai.azure.com", Some("AzureOpenAI=contoso-ai")),
        ("contosodata.blob.core.windows.net", Some("AzureStorage=contosodata")),
        (
            "contosodata.table.core.windows.net",
            Some("AzureStorage=contosodata,features=table"),
        ),
        (
            "contoso.westeurope.data.azurecr.io",
            Some("AzureContainerRegistry=contoso,region=westeurope,features=data-endpoint"),
        ),
        ("kv.vault.azure.cn", Some("AzureKeyVault=kv,features=china")),
        ("x.y.openai.azure.com", None),
        ("login.microsoftonline.com", None),
        ("contoso.redis.cache.windows.net", None),
    ] {
        let asked = crate::policy::Fqdn::parse(name).unwrap();
        let holders = Catalogue::embedded().holders(&asked);
        assert_eq!(holders.first().map(Holder::to_string).as_deref(), first, "{name}");
        for holder in holders {
            let flags = crate::config::Flags {
                allow: vec![holder.to_string()],
                ..Default::default()
            };
            let checked = crate::config::from_flags(&flags).unwrap_or_else(|problems| panic!("{holder}: {problems:?}"));
            let crate::policy::Rules::Application(rules) = &checked.policy.groups[0].collections[0].rules else {
                panic!("{checked:?}")
            };
            assert!(
                rules[0].targets.iter().any(|target| target.pattern.matches(&asked)),
                "{holder}"
            );
        }
    }
}
