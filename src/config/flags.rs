//! `--allow`, `--listen`, `--clients`: a configuration without a file. Flags become the same [`FileConfig`] that a file does,
//! so they are checked by the same code and run the same way.

use super::{
    Checked, Problem,
    at::{At, Span},
    checked,
    file::{self, ApplicationRule, Collection, FileConfig},
    fingerprint,
    problem::{Finding, Report},
};
use crate::nets;
use std::collections::BTreeMap;

/// What the flags said, word for word.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// `--allow`: `TAG`, `TAG=NAME,NAME`, `TAG=NAME,KEY=NAME`, `FQDN`, `FQDN:PORT`, `http://FQDN[:PORT]`.
    pub allow: Vec<String>,
    /// `--listen`: `address:port`; none: the default listeners.
    pub listen: Vec<String>,
    /// `--clients`: who may use them; none: anyone, on loopback listeners only.
    pub clients: Vec<String>,
}

/// Checks what the flags say. Fails with every problem of them.
pub fn from_flags(flags: &Flags) -> Result<Checked, Vec<Problem>> {
    let mut report = Report::default();
    let file = file_of(flags, &mut report);
    let hash = fingerprint(format!("{flags:?}").as_bytes());
    checked(&"command line".into(), None, Some(&file), hash, report)
}

fn at<T>(value: T) -> At<T> {
    At {
        value,
        span: Span::default(),
    }
}

fn list(texts: &[String]) -> file::Texts {
    (!texts.is_empty()).then(|| at(texts.iter().cloned().map(at).collect()))
}

fn file_of(flags: &Flags, report: &mut Report) -> FileConfig {
    let mut file = FileConfig::default();
    file.listeners.proxy = list(&flags.listen);
    let mut rules: Vec<ApplicationRule> = Vec::new();
    for text in &flags.allow {
        let rule = ApplicationRule {
            name: Some(at(text.clone())),
            source_addresses: list(&flags.clients),
            ..ApplicationRule::default()
        };
        if rules.iter().any(|rule| rule.name.as_deref() == Some(text)) {
            continue;
        }
        match text.split_once('=') {
            Some((tag, resources)) => rules.push(bound_tag(tag, resources, rule, &mut file.fqdn_tag, report)),
            None if !text.contains(['.', '*', ':']) => {
                rules.push(ApplicationRule {
                    destination_fqdn_tags: list(std::slice::from_ref(text)),
                    ..rule
                });
            }
            None => rules.extend(name_and_port(text, rule, report)),
        }
    }
    if !rules.is_empty() {
        file.application_rule_collection.push(Collection {
            name: Some(at("allow".into())),
            priority: Some(at(1000)),
            action: Some(file::Action::Allow),
            rule: rules,
            ..Collection::default()
        });
    }
    file
}

/// `TAG=NAME,NAME,KEY=NAME` is `[fqdn_tag.TAG] resource = ["NAME", "NAME"]` and `KEY = ["NAME"]`: a key holds until the next.
fn bound_tag(
    tag: &str,
    written: &str,
    rule: ApplicationRule,
    bindings: &mut BTreeMap<String, file::Binding>,
    report: &mut Report,
) -> ApplicationRule {
    let mut binding = BTreeMap::<String, At<Vec<At<String>>>>::new();
    let mut key = "resource";
    for item in written.split(',') {
        let name = match item.split_once('=') {
            Some((next, name)) => {
                key = next.trim();
                name
            }
            None => item,
        };
        let values = binding.entry(key.to_owned()).or_default();
        values.value.push(at(name.trim().to_owned()));
    }
    if bindings.insert(tag.to_owned(), at(binding)).is_some() {
        let finding = Finding::error(Span::default(), format!("tag `{tag}` is bound twice"));
        report.add(finding.hint(format!("`--allow {tag}=first,second`")));
    }
    ApplicationRule {
        destination_fqdn_tags: list(&[tag.to_owned()]),
        ..rule
    }
}

fn name_and_port(text: &str, rule: ApplicationRule, report: &mut Report) -> Option<ApplicationRule> {
    let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
    let (name, port) = rest
        .split_once(':')
        .map_or((rest, None), |(name, port)| (name, Some(port)));
    let number = port.map_or(Some(if scheme == "http" { 80 } else { 443 }), nets::port);
    let kind = match (scheme, number) {
        ("http", Some(_)) | ("", Some(80)) => file::ProtocolType::Http,
        ("" | "https", Some(_)) => file::ProtocolType::Https,
        _ => {
            let finding = Finding::error(Span::default(), format!("`--allow {text}` is no name with a port"));
            report
                .add(finding.expected("`TAG`, `TAG=NAME`, `api.contoso.com`, `api.contoso.com:8443` or `http://name`"));
            return None;
        }
    };
    let protocol = file::Protocol {
        kind: Some(kind),
        port: number.map(|port| at(i64::from(port))),
    };
    Some(ApplicationRule {
        protocols: Some(at(vec![protocol])),
        destination_fqdns: list(&[name.to_owned()]),
        ..rule
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Protocol, Rules};

    fn flags(allow: &[&str]) -> Flags {
        Flags {
            allow: allow.iter().map(|text| text.to_string()).collect(),
            ..Flags::default()
        }
    }

    #[test]
    fn a_name_with_a_port_is_a_rule_of_its_own() {
        let cases = [
            ("api.example.com", Protocol::Https, 443),
            ("*.example.com:8443", Protocol::Https, 8443),
            ("deb.example.org:80", Protocol::Http, 80),
            ("http://deb.example.org", Protocol::Http, 80),
            ("http://deb.example.org:8080", Protocol::Http, 8080),
            ("https://api.example.com", Protocol::Https, 443),
        ];
        for (text, protocol, port) in cases {
            let checked = from_flags(&flags(&[text])).unwrap_or_else(|problems| panic!("{text}: {problems:?}"));
            let Rules::Application(rules) = &checked.policy.groups[0].collections[0].rules else {
                panic!("{text}")
            };
            assert_eq!(
                (rules[0].protocols[0].protocol, rules[0].protocols[0].port),
                (protocol, port),
                "{text}"
            );
            assert_eq!(&*rules[0].name, text);
        }
    }

    #[test]
    fn a_tag_is_bound_key_by_key() {
        let text = "AzureContainerRegistry=contoso,fabrikam,region=westeurope,features=data-endpoint";
        let checked = from_flags(&flags(&[text, "EntraID=features=graph"])).unwrap();
        let Rules::Application(rules) = &checked.policy.groups[0].collections[0].rules else {
            panic!("{checked:?}")
        };
        let admitted: Vec<String> = rules
            .iter()
            .flat_map(|rule| &rule.targets)
            .map(|target| target.pattern.to_string())
            .collect();
        assert_eq!(
            admitted,
            [
                "contoso.azurecr.io",
                "fabrikam.azurecr.io",
                "contoso.westeurope.data.azurecr.io",
                "fabrikam.westeurope.data.azurecr.io",
                "login.microsoftonline.com",
                "login.microsoft.com",
                "graph.microsoft.com"
            ]
        );
        assert!(checked.warnings.is_empty(), "{:?}", checked.warnings);
    }

    #[test]
    fn a_tag_that_would_admit_every_tenant_though_it_is_bound_does_not_load() {
        for (text, found) in [
            (
                "AzureContainerRegistry=contoso,features=data-endpoint",
                "needs `region`, which is not bound",
            ),
            (
                "AzureContainerRegistry=region=westeurope",
                "needs `registry`, which is not bound",
            ),
            ("AzureOpenAI=*", "one label was expected"),
            ("AzureOpenAI=", "one label was expected"),
            ("AzureOpenAI=contoso,keep=*.openai.azure.com", "holds no wildcard"),
        ] {
            let problems = from_flags(&flags(&[text])).expect_err(text);
            assert!(problems[0].found.contains(found), "{text}: {problems:?}");
        }
    }

    #[test]
    fn a_tag_is_bound_once() {
        let problems = from_flags(&flags(&["AzureOpenAI=a", "AzureOpenAI=b"])).expect_err("bound twice");
        assert!(problems[0].found.contains("is bound twice"), "{problems:?}");
    }

    #[test]
    fn what_is_no_name_is_told() {
        for text in [
            "api.example.com:0",
            "ftp://x.example",
            "api.example.com:x",
            "api.*.example.com",
            "*.com",
            "1.2.3.4",
        ] {
            let problems = from_flags(&flags(&[text])).expect_err(text);
            assert_eq!(problems[0].place(), "command line", "{text}");
        }
    }

    #[test]
    fn without_flags_everything_is_denied() {
        let checked = from_flags(&Flags::default()).unwrap();
        assert!(checked.policy.groups.is_empty());
    }

    #[test]
    fn an_open_listener_asks_for_clients() {
        let open = Flags {
            listen: vec!["0.0.0.0:3128".into()],
            ..flags(&["api.example.com"])
        };
        let problems = from_flags(&open).expect_err("no clients");
        assert!(problems[0].found.contains("names no source"), "{problems:?}");
        from_flags(&Flags {
            clients: vec!["10.1.0.0/16".into()],
            ..open.clone()
        })
        .expect("clients are named");
        from_flags(&Flags {
            clients: vec!["*".into()],
            ..open
        })
        .expect("anyone is meant");
    }
}
