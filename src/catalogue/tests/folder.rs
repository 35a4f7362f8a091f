//! Tag files of a folder beside those that are built in.

use super::*;
use crate::folder::Folder;

/// A folder that holds these files.
fn with(name: &str, files: &[(&str, &str)]) -> Folder {
    let folder = Folder::new(name);
    for (file, text) in files {
        fs::write(folder.0.join(file), text).unwrap();
    }
    folder
}

#[test]
fn a_folder_extends_replaces_and_adds_tags() {
    let folder = with(
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
        let folder = with(name, &[("bad.toml", text)]);
        let error = Catalogue::load(&folder.0).unwrap_err().to_string();
        assert!(error.contains("bad.toml") && error.contains(fault), "{error}");
    }
    let entry = "tag = 'A'\n[[endpoint]]\npattern = 'a.example'\n";
    let folder = with("twice", &[("a.toml", entry), ("b.toml", entry)]);
    let error = Catalogue::load(&folder.0).unwrap_err().to_string();
    assert!(
        error.contains("b.toml") && error.contains("`extends = true`"),
        "{error}"
    );
    let extends = format!("extends = true\n{entry}");
    let folder = with("added", &[("a.toml", entry), ("b.toml", &extends)]);
    assert!(Catalogue::load(&folder.0).is_ok());
    assert!(matches!(
        Catalogue::load(Path::new("/nonexistent/egret")),
        Err(CatalogueError::Io { .. })
    ));
}
