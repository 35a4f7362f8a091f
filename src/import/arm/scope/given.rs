//! Values that a whole file is given from outside.

use super::Scope;
use crate::import::{
    arm::{
        Budget, Exhausted, allowed,
        parameters::{Given, as_declared},
        parts,
    },
    json::shown,
    value::Value,
};

impl<'a> Scope<'a> {
    /// The scope of a whole file.
    pub fn of_file(budget: &'a Budget, template: Value, given: &Given) -> Self {
        let defined = template.get("parameters").and_then(Value::as_object);
        let entries = defined.map_or(&[][..], |object| &object.entries);
        let definitions = template.get("definitions");
        let values = entries.iter().filter_map(|(name, definition)| {
            let value = given.value(name, definition, definitions)?;
            Some((name.to_ascii_lowercase(), value))
        });
        let values = Ok(values.collect());
        Self {
            is_file: true,
            ..Self::new(budget, template, values)
        }
    }

    /// A value of its type, with its elements and members as theirs have them.
    pub(super) fn fitted(&self, value: Value, definition: &Value) -> Result<Value, Exhausted> {
        let made = parts::converted(self.budget, &value, definition, self.template.get("definitions"))?;
        Ok(made.unwrap_or(value))
    }

    pub(super) fn refused(&self, value: &Value, definition: &Value) -> Result<Option<String>, Exhausted> {
        allowed::refused(self.budget, value, definition, self.template.get("definitions"))
    }

    /// Keeps which of the values from outside the template refuses, whether something asks for them or not.
    pub fn check_given(&self) -> Result<(), Exhausted> {
        let definitions = self.section("parameters").map_or(&[][..], |section| &section.entries);
        for (name, definition) in definitions {
            let given = self
                .given
                .as_ref()
                .ok()
                .and_then(|given| given.get(&name.to_ascii_lowercase()));
            let Some(given) = given else { continue };
            let what = || format!("parameter `{}`", shown(name));
            let declared = self.declared(definition)?;
            let Ok(value) = as_declared(given, &declared, what, given.at) else {
                continue;
            };
            let value = self.fitted(value, definition)?;
            if let Some(why) = self.refused(&value, definition)? {
                self.budget.ask(|asked| {
                    asked.refused.insert(given.at, (shown(name), why));
                });
            }
        }
        Ok(())
    }
}
