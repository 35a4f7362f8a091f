//! [`Template`]: a pattern with placeholders, as documentation writes it.

use crate::policy::{FqdnPattern, NameFault, PatternError};
use std::{collections::BTreeMap, fmt};

/// `<account>-secondary.blob.core.windows.net`: texts and placeholders in turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Placeholder(String),
}

/// Why a text is no template, or a value no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateFault {
    /// `<` or `>` alone, or nothing between them.
    #[error("a placeholder is written `<name>`")]
    Placeholder,
    /// Not a label.
    #[error("one label was expected: letters, digits and `-`")]
    Label,
    /// Not a host name.
    #[error("a host name was expected: {0}")]
    Name(NameFault),
    /// With its values in place it is not a pattern.
    #[error(transparent)]
    Pattern(#[from] PatternError),
}

/// Which placeholder got which value, and what is wrong with the outcome.
pub(super) type BindFault = (String, String, TemplateFault);

impl Template {
    pub(super) fn parse(text: &str) -> Result<Self, TemplateFault> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('<') {
            let (name, after) = after.split_once('>').ok_or(TemplateFault::Placeholder)?;
            if name.is_empty() || name.contains('<') || before.contains('>') {
                return Err(TemplateFault::Placeholder);
            }
            pieces.push(Piece::Text(before.to_owned()));
            pieces.push(Piece::Placeholder(name.to_owned()));
            rest = after;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        pieces.retain(|piece| *piece != Piece::Text(String::new()));
        let template = Self { pieces };
        template.pattern(|_| "x")?;
        Ok(template)
    }

    /// Names of the placeholders, from the left.
    pub(super) fn placeholders(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Placeholder(name) => Some(name.as_str()),
            Piece::Text(_) => None,
        })
    }

    /// Whether the placeholder stands for a whole host: nothing is written behind it.
    pub(super) fn is_host(&self, placeholder: &str) -> bool {
        matches!(self.pieces.last(), Some(Piece::Placeholder(name)) if name == placeholder)
    }

    /// The text behind the last placeholder; all of it if there is none.
    pub(super) fn ending(&self) -> &str {
        match self.pieces.last() {
            Some(Piece::Text(text)) => text,
            _ => "",
        }
    }

    /// Labels that hold a placeholder or stand left of one.
    pub(super) fn levels(&self) -> usize {
        let all = self.to_string().split('.').count();
        all - self.ending().split('.').skip(1).count()
    }

    /// The wildcard that stands for all placeholders: a star before what is written behind the last one; the pattern itself
    /// if there is none. Not for hosts.
    pub(super) fn widened(&self) -> FqdnPattern {
        let star = if self.placeholders().next().is_some() { "*" } else { "" };
        let text = format!("{star}{}", self.ending());
        FqdnPattern::parse(&text).expect("the template was checked with something in place of each placeholder")
    }

    /// What each placeholder stands for in this name, in normal form; `None` if the template does not come to it. Inside a
    /// label with several placeholders the first takes as little as it can.
    pub(super) fn read<'a>(&'a self, name: &'a str) -> Option<BTreeMap<&'a str, &'a str>> {
        let mut values = BTreeMap::new();
        read(&self.pieces, name, &mut values).then_some(values)
    }

    /// Every combination of the values. Each placeholder must have a list.
    pub(super) fn bind(&self, values: &BTreeMap<&str, Vec<String>>) -> Vec<Result<FqdnPattern, BindFault>> {
        let mut names: Vec<&str> = self.placeholders().collect();
        names.sort_unstable();
        names.dedup();
        let mut combinations: Vec<Vec<&str>> = vec![Vec::new()];
        for name in &names {
            let longer = |chosen: &Vec<_>| {
                values[name]
                    .iter()
                    .map(|value| extended(chosen, value))
                    .collect::<Vec<_>>()
            };
            combinations = combinations.iter().flat_map(longer).collect();
        }
        let bound = |chosen: Vec<&str>| {
            let value = |name: &str| {
                names
                    .iter()
                    .position(|known| *known == name)
                    .map_or("", |at| chosen[at])
            };
            self.pattern(value)
                .map_err(|fault| (names.join(", "), chosen.join(", "), fault))
        };
        combinations.into_iter().map(bound).collect()
    }

    fn pattern<'a>(&self, value: impl Fn(&str) -> &'a str) -> Result<FqdnPattern, TemplateFault> {
        let text: String = self
            .pieces
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => text,
                Piece::Placeholder(name) => value(name),
            })
            .collect();
        Ok(FqdnPattern::parse(&text)?)
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pieces.iter().try_for_each(|piece| match piece {
            Piece::Text(text) => f.write_str(text),
            Piece::Placeholder(name) => write!(f, "<{name}>"),
        })
    }
}

/// Whether the pieces come to the whole of `name`, with the values that were read so far.
fn read<'a>(pieces: &'a [Piece], name: &'a str, values: &mut BTreeMap<&'a str, &'a str>) -> bool {
    match pieces {
        [] => name.is_empty(),
        [Piece::Text(text), rest @ ..] => name
            .strip_prefix(text.as_str())
            .is_some_and(|name| read(rest, name, values)),
        [Piece::Placeholder(placeholder), rest @ ..] => {
            let label = name.find('.').unwrap_or(name.len());
            (1..=label).any(|length| {
                let (value, after) = name.split_at(length);
                if values.get(placeholder.as_str()).is_some_and(|known| *known != value) {
                    return false;
                }
                let first = values.insert(placeholder, value).is_none();
                let whole = read(rest, after, values);
                if !whole && first {
                    values.remove(placeholder.as_str());
                }
                whole
            })
        }
    }
}

fn extended<'a>(chosen: &[&'a str], value: &'a str) -> Vec<&'a str> {
    chosen.iter().copied().chain([value]).collect()
}

/// A value for a placeholder inside a name, in normal form: part of one label, so that it can neither add labels nor be a
/// star.
pub(super) fn label_value(text: &str) -> Result<String, TemplateFault> {
    let plain = !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    if plain {
        Ok(text.to_ascii_lowercase())
    } else {
        Err(TemplateFault::Label)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(text: &str) -> Template {
        Template::parse(text).unwrap_or_else(|fault| panic!("{text}: {fault}"))
    }

    fn bound(text: &str, values: &[(&'static str, &[&str])]) -> Vec<String> {
        let values = values
            .iter()
            .map(|(name, list)| (*name, list.iter().map(|v| (*v).to_owned()).collect()))
            .collect();
        template(text)
            .bind(&values)
            .into_iter()
            .map(|pattern| pattern.unwrap().to_string())
            .collect()
    }

    #[test]
    fn placeholders_are_filled_in_every_combination() {
        assert_eq!(bound("a.example", &[]), ["a.example"]);
        assert_eq!(bound("<r>.example", &[("r", &["x", "y"])]), ["x.example", "y.example"]);
        assert_eq!(
            bound("<r>-2.<z>.example", &[("r", &["x", "y"]), ("z", &["e"])]),
            ["x-2.e.example", "y-2.e.example"]
        );
        assert_eq!(
            bound("<r>.<r>.example", &[("r", &["x", "y"])]),
            ["x.x.example", "y.y.example"]
        );
        assert_eq!(bound("*.<host>", &[("host", &["files.example"])]), ["*.files.example"]);
        assert!(
            bound("<r>.example", &[("r", &[])]).is_empty(),
            "an empty list is nobody"
        );
    }

    #[test]
    fn an_unbound_placeholder_is_a_star_as_narrow_as_can_be_written() {
        for (text, wide) in [
            ("<r>.openai.azure.com", "*.openai.azure.com"),
            (
                "<r>-secondary.blob.core.windows.net",
                "*-secondary.blob.core.windows.net",
            ),
            ("*.hcp.<region>.azmk8s.io", "*.azmk8s.io"),
            ("<r>.<region>.kusto.windows.net", "*.kusto.windows.net"),
        ] {
            assert_eq!(template(text).widened().to_string(), wide, "{text}");
        }
        assert!(template("<host>").is_host("host") && template("*.<host>").is_host("host"));
        assert!(!template("<r>.example").is_host("r"));
    }

    #[test]
    fn a_name_is_read_back() {
        let read = |text: &str, name: &str| {
            let template = template(text);
            let values = template.read(name);
            values.map(|values| {
                values
                    .into_iter()
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect::<Vec<_>>()
                    .join(" ")
            })
        };
        for (text, name, values) in [
            ("<r>.example", "a.example", Some("r=a")),
            ("<r>.example", "a.b.example", None),
            ("<r>.example", ".example", None),
            ("<r>.<z>.example", "a.b.example", Some("r=a z=b")),
            ("<r>-2.example", "a-2-2.example", Some("r=a-2")),
            ("<r>-2.example", "a.example", None),
            ("<r>-<z>.<z>.example", "a-b-c.b-c.example", Some("r=a z=b-c")),
            ("<r>-<z>.<z>.example", "a-b.c.example", None),
            ("a.example", "a.example", Some("")),
        ] {
            assert_eq!(read(text, name).as_deref(), values, "{text} {name}");
        }
    }

    #[test]
    fn what_is_no_template_is_refused() {
        for text in [
            "<r.example",
            "<>.example",
            "<<r>>.example",
            "a>b<r>.example",
            "a.*.<r>",
            "<r>..example",
            "-<r>.1",
        ] {
            assert!(Template::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn values_are_labels() {
        assert_eq!(label_value("Contoso-AI"), Ok("contoso-ai".into()));
        for text in ["", "*", "a.b", "a b", "bücher", "a/", "<r>"] {
            assert_eq!(label_value(text), Err(TemplateFault::Label), "{text}");
        }
        let values = BTreeMap::from([("r", vec!["-x".to_owned()])]);
        assert!(
            template("<r>.example").bind(&values)[0].is_err(),
            "a label does not start with a hyphen"
        );
    }
}
