//! [`Path`]: where in its file something stands (RFC 9535).

use super::json::shown;
use std::{fmt, sync::Arc};

/// Steps from the top of a file. Paths share the steps that they have in common, and become a text for the report alone: what
/// stands deep inside has a long path, and a file decides how much of it does.
#[derive(Clone, Debug, Default)]
pub(crate) struct Path(Option<Arc<(Path, Step)>>);

#[derive(Debug)]
enum Step {
    Item(usize),
    /// As the file calls it.
    Member(Arc<str>),
    /// A plain name of Azure's.
    Key(&'static str),
}

impl Path {
    fn step(&self, step: Step) -> Self {
        Self(Some(Arc::new((self.clone(), step))))
    }

    /// An element of a list.
    pub fn item(&self, index: usize) -> Self {
        self.step(Step::Item(index))
    }

    /// A member of an object.
    pub fn member(&self, name: &Arc<str>) -> Self {
        self.step(Step::Member(name.clone()))
    }

    /// A member whose name is known beforehand: letters alone.
    pub fn key(&self, name: &'static str) -> Self {
        self.step(Step::Key(name))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((above, step)) = self.0.as_deref() else {
            return f.write_str("$");
        };
        above.fmt(f)?;
        match step {
            Step::Item(index) => write!(f, "[{index}]"),
            Step::Member(name) => f.write_str(&member(name)),
            Step::Key(name) => write!(f, ".{name}"),
        }
    }
}

/// `.name`, or `['a b']` where it is no plain name. Of a long one, the start: the path of each rule in it has it.
fn member(name: &str) -> String {
    let name = &shown(name);
    let plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if plain {
        format!(".{name}")
    } else {
        format!("['{}']", name.replace('\'', "\\'"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_tells_each_step_from_the_top() {
        let path = Path::default().key("resources").item(3).member(&"a b's".into());
        assert_eq!(path.to_string(), r"$.resources[3]['a b\'s']");
        assert_eq!(Path::default().member(&"x".repeat(1_000).into()).to_string().len(), 88);
    }
}
