//! The scenarios that are in the binary, and the words by which `egret lab` finds one.

use super::Scenario;
use crate::config::{Problem, nearest::nearest};
use std::path::Path;

/// The scenario that `egret lab` plays if none is named.
pub const CORE: &str = SHIPPED[0].text;

/// A scenario in the binary.
#[derive(Clone, Copy, Debug)]
pub struct Shipped {
    /// What it is called on the command line.
    pub name: &'static str,
    /// Its file, as written.
    pub text: &'static str,
}

macro_rules! shipped {
    ($($name:literal),*) => {
        [$(Shipped { name: $name, text: include_str!(concat!("../scenarios/", $name, ".toml")) }),*]
    };
}

/// Every shipped scenario, the first one first.
pub const SHIPPED: [Shipped; 6] = shipped![
    "core",
    "openai-rag",
    "foundry-agent",
    "ml-training",
    "locked-down",
    "misconfigured"
];

impl Shipped {
    /// The scenario of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        SHIPPED.iter().find(|shipped| shipped.name == name)
    }

    /// Reads it. It has no problems: a test reads them all.
    pub fn scenario(&self) -> Result<Scenario, Vec<Problem>> {
        Scenario::parse(&format!("scenarios/{}.toml", self.name), self.text)
    }

    /// What is wrong with a name that none has.
    pub fn unknown(name: &str) -> Problem {
        let all = SHIPPED.map(|shipped| shipped.name);
        let found = format!("no scenario is called `{name}`");
        let near = nearest(name, all.into_iter()).map_or_else(String::new, |near| format!("did you mean `{near}`? "));
        let hint = format!(
            "{near}shipped: {}; a file of your own is named by its path",
            all.join(", ")
        );
        Problem::unplaced("--scenario", found, hint)
    }
}

impl Scenario {
    /// A shipped scenario by name, or a file by path. What has neither an extension nor a folder is a name, unless a file is
    /// called so.
    pub fn find(word: &Path) -> Result<Self, Vec<Problem>> {
        let name = word.to_str().unwrap_or_default();
        match Shipped::named(name) {
            Some(shipped) => shipped.scenario(),
            None if !name.contains(['.', '/']) && !word.exists() => Err(vec![Shipped::unknown(name)]),
            None => Self::load(word),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Attempt;
    use super::*;

    #[test]
    fn every_shipped_scenario_is_in_order_and_says_why_of_each_denial() {
        for shipped in &SHIPPED {
            let scenario = shipped.scenario().unwrap_or_else(|problems| panic!("{}", problems[0]));
            assert_eq!(scenario.name, shipped.name);
            for denied in scenario.attempts.iter().filter(|a| a.expect.refused()) {
                assert!(!denied.why.is_empty(), "{}: {}", shipped.name, denied.name);
                assert!(Attempt::needs_control(denied), "{}: {}", shipped.name, denied.name);
            }
        }
    }

    #[test]
    fn a_word_is_a_name_or_a_path() {
        let found = |word: &str| {
            Scenario::find(Path::new(word))
                .map(|s| s.name)
                .map_err(|p| p[0].to_string())
        };
        assert_eq!(found("core"), Ok("core".to_owned()));
        for (word, said, why) in [
            ("opneai-rag", "did you mean `openai-rag`?", "the nearest name is told"),
            ("nothing-like-it", "shipped: core, openai-rag", "all names are told"),
            ("core.tom", "--> core.tom", "what has a dot is a path"),
            ("./core", "--> ./core", "so is what has a folder"),
        ] {
            let told = found(word).expect_err(word);
            assert!(told.contains(said), "{why}: {told}");
        }
    }
}
