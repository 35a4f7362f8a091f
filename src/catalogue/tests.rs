use super::{narrow::MAX_NAMES_PER_ENTRY, *};

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

/// A folder that is gone with the test.
struct Folder(PathBuf);

impl Folder {
    fn with(name: &str, files: &[(&str, &str)]) -> Self {
        let path = std::env::temp_dir().join(format!("egret-catalogue-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        for (file, text) in files {
            fs::write(path.join(file), text).unwrap();
        }
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_folder_extends_replaces_and_adds_tags() {
    let folder = Folder::with(
        "good",
        &[
            (
                "a.toml",
                "tag = 'AzureOpenAI'\nextends = true\n[[endpoint]]\npattern = 'gateway.contoso.com'\n",
            ),
            (
                "b.toml",
                "tag = 'HuggingFace'\n[[endpoint]]\npattern = 'models.contoso.com'\n",
            ),
            (
                "c.toml",
                "tag = 'Own'\nplaceholder = 'app'\n[[endpoint]]\npattern = '<app>.apps.contoso.com'\n",
            ),
            ("notes.txt", "not a tag"),
        ],
    );
    let catalogue = Catalogue::load(&folder.0).unwrap();
    let plain = |name: &str| shown(catalogue.tag(name).unwrap().narrow(&Binding::default()).unwrap());
    assert_eq!(plain("AzureOpenAI"), ["*.openai.azure.com!", "gateway.contoso.com"]);
    assert_eq!(plain("HuggingFace"), ["models.contoso.com"]);
    assert_eq!(plain("Own"), ["*.apps.contoso.com!"]);
    let star = FqdnPattern::parse("*.apps.contoso.com").unwrap();
    assert_eq!(
        catalogue.multi_tenant(&star),
        Some("apps.contoso.com"),
        "our own placeholders count"
    );
}

#[test]
fn a_bad_file_is_named_with_its_fault() {
    for (name, text, fault) in [
        (
            "key",
            "tag = 'A'\n[[endpoint]]\npattern = 'a.example'\nport = [443]\n",
            "line 4",
        ),
        (
            "pattern",
            "tag = 'A'\n[[endpoint]]\npattern = 'a.*.example'\n",
            "far left",
        ),
        (
            "need",
            "tag = 'A'\n[[endpoint]]\npattern = 'a.example'\nneed = 'optional'\n",
            "no `feature`",
        ),
        (
            "source",
            "tag = 'A'\n[[endpoint]]\npattern = 'a.example'\nsource = ['x']\n",
            "source `x`",
        ),
        (
            "port",
            "tag = 'A'\n[[endpoint]]\npattern = 'a.example'\nports = [0]\n",
            "not a port",
        ),
        (
            "high-port",
            "tag = 'A'\n[[endpoint]]\npattern = 'a.example'\nports = [70000]\n",
            "not a port",
        ),
        (
            "range",
            "tag = 'A'\n[[endpoint]]\npattern = 'a.example'\nports = ['90-80']\n",
            "not a port",
        ),
        (
            "https-range",
            "tag = 'A'\n[[endpoint]]\npattern = 'a.example'\nports = ['80-90']\n",
            "needs `protocol",
        ),
        (
            "inner-star",
            "tag = 'A'\n[[endpoint]]\npattern = 'a*.example'\nexpressible = false\n",
            "needs a `note`",
        ),
        (
            "no-inner-star",
            "tag = 'A'\n[[endpoint]]\npattern = 'a.example'\nexpressible = false\nnote = 'x'\n",
            "can be expressed",
        ),
    ] {
        let folder = Folder::with(name, &[("bad.toml", text)]);
        let error = Catalogue::load(&folder.0).unwrap_err().to_string();
        assert!(error.contains("bad.toml") && error.contains(fault), "{error}");
    }
    let entry = "tag = 'A'\n[[endpoint]]\npattern = 'a.example'\n";
    let folder = Folder::with("twice", &[("a.toml", entry), ("b.toml", entry)]);
    let error = Catalogue::load(&folder.0).unwrap_err().to_string();
    assert!(
        error.contains("b.toml") && error.contains("`extends = true`"),
        "{error}"
    );
    let extends = format!("extends = true\n{entry}");
    let folder = Folder::with("added", &[("a.toml", entry), ("b.toml", &extends)]);
    assert!(Catalogue::load(&folder.0).is_ok());
    assert!(matches!(
        Catalogue::load(Path::new("/nonexistent/egret")),
        Err(CatalogueError::Io { .. })
    ));
}
