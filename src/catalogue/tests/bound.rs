//! Tags as they are bound: what they hold, what is left out, and what is told of it.

use super::*;

#[test]
fn a_bound_tag_holds_exactly_its_names() {
    assert_eq!(
        entries("AzureOpenAI", &[("resource", &["contoso-ai"])], &[], &[]),
        ["contoso-ai.openai.azure.com"]
    );
    assert_eq!(
        entries(
            "AzureOpenAI",
            &[("resource", &["Contoso-AI", "other"])],
            &[],
            &["keyless"]
        ),
        [
            "contoso-ai.openai.azure.com",
            "other.openai.azure.com",
            "login.microsoftonline.com"
        ]
    );
    assert_eq!(
        entries("AzureAIFoundry", &[("resource", &["lab"])], &[], &[]),
        [
            "lab.services.ai.azure.com",
            "lab.cognitiveservices.azure.com",
            "lab.openai.azure.com"
        ]
    );
    assert!(
        entries("AzureOpenAI", &[("resource", &[])], &[], &[]).is_empty(),
        "an empty list admits nothing"
    );
}

/// A placeholder and its values.
type Bound = (&'static str, &'static [&'static str]);

/// Everything that these four tags have for the public cloud, bound to resources of Contoso.
const CONTOSO: [(&str, &[Bound], &[&str]); 4] = [
    ("AzureOpenAI", &[("resource", &["contoso"])], &["keyless"]),
    (
        "AzureKeyVault",
        &[("vault", &["contoso"]), ("hsm", &["contoso"])],
        &["vaultcore", "managed-hsm"],
    ),
    (
        "AzureContainerRegistry",
        &[("registry", &["contoso"]), ("region", &["westeurope"])],
        &["certificate-chain", "data-endpoint", "regional-endpoint", "blob-layers"],
    ),
    (
        "AzureStorage",
        &[("account", &["contoso"]), ("region", &["westeurope"])],
        &[
            "dfs",
            "queue",
            "table",
            "file",
            "web",
            "secondary",
            "vm-internals",
            "file-sync",
        ],
    ),
];

#[test]
fn a_bound_tag_admits_no_name_of_another_tenant() {
    for (name, values, features) in CONTOSO {
        let features_of_tag = tag(name).features();
        let public = tag(name)
            .endpoints()
            .iter()
            .filter(|endpoint| endpoint.cloud == Cloud::Public);
        let asked: Vec<&str> = public.filter_map(|endpoint| endpoint.feature.as_deref()).collect();
        assert!(
            asked.iter().all(|feature| features.contains(feature)),
            "{name}: {features_of_tag:?}"
        );
        let targets = tag(name).narrow(&binding(values, &[], features)).unwrap().targets;
        for target in &targets {
            assert!(
                matches!(target.pattern, FqdnPattern::Exact(_)),
                "{name}: {}",
                target.pattern
            );
            assert!(!target.wide, "{name}: {}", target.pattern);
        }
        let admitted = |name: &str| {
            let asked = crate::policy::Fqdn::parse(name).unwrap();
            targets.iter().any(|target| target.pattern.matches(&asked))
        };
        let ours: Vec<String> = targets.iter().map(|target| target.pattern.to_string()).collect();
        assert!(ours.iter().all(|name| admitted(name)), "{ours:?}");
        for own in ours.iter().filter(|own| own.contains("contoso")) {
            for theirs in [
                own.replace("contoso", "fabrikam"),
                own.replace("contoso", "contoso2"),
                own.replace("contoso", "xcontoso"),
                own.replace("contoso", "contoso.fabrikam"),
                format!("fabrikam.{own}"),
                format!("{own}.fabrikam.example"),
            ] {
                assert!(!admitted(&theirs), "{name}: {theirs}");
            }
        }
    }
}

#[test]
fn a_pattern_with_a_star_inside_a_label_never_becomes_a_wider_one() {
    let narrowed = tag("AzureStorage")
        .narrow(&binding(&[], &[], &["vm-internals"]))
        .unwrap();
    assert_eq!(
        shown(narrowed.clone()),
        ["*.blob.core.windows.net!"],
        "the plain tag alone"
    );
    let left: Vec<(&str, WhyLeftOut)> = narrowed
        .left_out
        .iter()
        .map(|left| (left.pattern.as_str(), left.why))
        .collect();
    assert_eq!(
        left,
        [
            ("md-*.blob.storage.azure.net", WhyLeftOut::InnerStar),
            ("umsa*.blob.core.windows.net", WhyLeftOut::InnerStar)
        ]
    );
}

#[test]
fn what_was_chosen_and_is_not_admitted_is_told_with_its_reason() {
    let told = |name: &str, values, features| {
        let narrowed = tag(name).narrow(&binding(values, &[], features)).unwrap();
        let left = narrowed.left_out.into_iter();
        left.map(|left| (left.pattern, left.why)).collect::<Vec<_>>()
    };
    assert_eq!(
        told(
            "AzureContainerRegistry",
            &[("registry", &["contoso"])],
            &["blob-layers"]
        ),
        [("*.blob.core.windows.net".to_owned(), WhyLeftOut::EveryTenant)]
    );
    assert_eq!(
        told("AzureRedis", &[("cache", &["contoso"])], &[]),
        [("<cache>.redis.cache.windows.net".to_owned(), WhyLeftOut::NotHttp)]
    );
    assert_eq!(
        told("NpmPackages", &[], &[]),
        [("<npm-registry>".to_owned(), WhyLeftOut::HostNotBound)]
    );
}

#[test]
fn a_binding_that_no_chosen_entry_uses_is_told_with_the_features_that_would() {
    let values: &[(&str, &[&str])] = &[("registry", &["contoso"]), ("region", &["westeurope"])];
    let unused = |features| {
        tag("AzureContainerRegistry")
            .narrow(&binding(values, &[], features))
            .unwrap()
            .unused
    };
    let told = unused(&[]);
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].placeholder.as_str(), told[0].features.len()), ("region", 2));
    assert!(unused(&["data-endpoint"]).is_empty());
}

#[test]
fn a_feature_that_adds_nothing_is_told() {
    let idle = |name: &str, values, features| tag(name).narrow(&binding(values, &[], features)).unwrap().idle;
    let contoso: &[Bound] = &[("resource", &["contoso"])];
    assert_eq!(
        idle("AzureContainerRegistry", contoso, &["blob-layers"]),
        ["blob-layers"]
    );
    assert!(
        idle("AzureContainerRegistry", &[], &["blob-layers"]).is_empty(),
        "unbound it is held"
    );
    assert_eq!(
        idle("AzureEventHubs", contoso, &["kafka"]),
        ["kafka"],
        "TCP is for network rules"
    );
    assert_eq!(
        idle("AzureOpenAI", contoso, &["usgov", "keyless"]),
        ["keyless"],
        "the public cloud's"
    );
    assert!(idle("AzureStorage", contoso, &["file", "public"]).is_empty());
}

#[test]
fn an_unbound_placeholder_admits_every_tenant_and_says_so() {
    assert_eq!(entries("AzureOpenAI", &[], &[], &[]), ["*.openai.azure.com!"]);
    assert_eq!(
        entries("AzureStorage", &[], &[], &["secondary"]),
        ["*.blob.core.windows.net!", "*-secondary.blob.core.windows.net!"]
    );
}

#[test]
fn resource_stands_for_the_placeholder_of_the_tag_whatever_its_name() {
    assert_eq!(
        entries("AzureKeyVault", &[("resource", &["kv1"])], &[], &[]),
        ["kv1.vault.azure.net"]
    );
    assert_eq!(
        entries("AzureKeyVault", &[("vault", &["kv1"])], &[], &[]),
        ["kv1.vault.azure.net"]
    );
}

#[test]
fn wildcards_over_a_multi_tenant_suffix_are_dropped_from_a_bound_tag_unless_kept() {
    let lab: &[(&str, &[&str])] = &[("resource", &["lab"])];
    let has = |list: &[String], text: &str| list.iter().any(|pattern| pattern == text);
    let dropped = entries("AzureAIFoundry", lab, &[], &["service-bus", "agents"]);
    assert!(
        !dropped.iter().any(|pattern| pattern.contains("servicebus")),
        "{dropped:?}"
    );
    assert!(
        has(&dropped, "*.data.mcr.microsoft.com"),
        "no tenant has names there: {dropped:?}"
    );
    let kept = entries("AzureAIFoundry", lab, &["*.ServiceBus.windows.net"], &["service-bus"]);
    assert!(
        has(&kept, "*.servicebus.windows.net!"),
        "kept, and said to be wide: {kept:?}"
    );
    assert!(
        has(
            &entries("AzureAIFoundry", &[], &[], &["service-bus"]),
            "*.servicebus.windows.net!"
        ),
        "unbound: not dropped"
    );
    assert!(matches!(
        refused("AzureAIFoundry", lab, &["*.example.com"], &[]),
        TagError::UnknownKeep { .. }
    ));
}

#[test]
fn placeholders_that_are_hosts_admit_nothing_until_bound() {
    assert!(entries("PythonPackages", &[], &[], &[]).is_empty());
    assert_eq!(
        entries("PythonPackages", &[("python-index", &["Feed.Example"])], &[], &[]),
        ["feed.example"]
    );
    assert_eq!(
        entries(
            "PythonPackages",
            &[("resource", &["feed.example"]), ("python-files", &["files.example"])],
            &[],
            &[]
        ),
        ["feed.example", "files.example"]
    );
    for value in ["*", "*.example", "10.0.0.1", "a b", ""] {
        let error = refused("PythonPackages", &[("python-index", &[value])], &[], &[]);
        assert!(
            matches!(&error, TagError::BadValue { value: told, .. } if told == value),
            "{error}"
        );
    }
}

#[test]
fn bad_bindings_say_which_value() {
    for value in [
        "",
        "*",
        "a.b",
        "contoso-ai.openai.azure.com",
        "-x",
        "x-",
        &"x".repeat(64),
    ] {
        let error = refused("AzureOpenAI", &[("resource", &["good", value])], &[], &[]);
        assert!(
            matches!(&error, TagError::BadValue { value: told, .. } if told == value),
            "{error}"
        );
    }
    assert_eq!(
        refused("AzureOpenAI", &[("acount", &["x"])], &[], &[]).to_string(),
        "tag AzureOpenAI has no placeholder `acount`; it has `resource`"
    );
    assert_eq!(
        refused("EntraID", &[("resource", &["x"])], &[], &[]).to_string(),
        "tag EntraID has no placeholder `resource`"
    );
    assert_eq!(
        refused("AzureAIServices", &[("resource", &["x"])], &[], &["speech"]).to_string(),
        "tag AzureAIServices: `<region>.stt.speech.microsoft.com` needs `region`, which is not bound; \
         unbound it would admit every tenant"
    );
    assert!(matches!(
        refused("EntraID", &[], &[], &["grph"]),
        TagError::UnknownFeature { .. }
    ));
}

#[test]
fn features_add_entries_and_clouds_take_the_place_of_the_public_one() {
    assert_eq!(
        entries("EntraID", &[], &[], &[]),
        ["login.microsoftonline.com", "login.microsoft.com"]
    );
    assert!(entries("EntraID", &[], &[], &["graph"]).contains(&"graph.microsoft.com".to_owned()));
    assert_eq!(entries("EntraID", &[], &[], &["usgov"]), ["login.microsoftonline.us"]);
    assert_eq!(
        entries("AzureKeyVault", &[("vault", &["kv"])], &[], &["china", "public"]),
        ["kv.vault.azure.net", "kv.vault.azure.cn"]
    );
}

#[test]
fn too_many_names_are_refused() {
    let many: Vec<String> = (0..MAX_NAMES_PER_ENTRY + 1).map(|i| format!("r{i}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let error = refused("AzureOpenAI", &[("resource", &many)], &[], &[]);
    assert!(matches!(error, TagError::TooManyNames { .. }), "{error}");
}
