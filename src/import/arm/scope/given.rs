//! Values that a whole file is given from outside, and a nested deployment by the template around it.

use super::{Around, Env, Scope};
use crate::import::{
    arm::{
        Budget, Exhausted, allowed,
        eval::Evaluator,
        parameters::{Given, as_declared},
        parse::{Written, written},
        parts::{self, Definition},
    },
    json::shown,
    value::{Kind, Object, Place, Value},
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

    /// Where what a parameter is given as is written, and what it is declared to be, if that and nothing else is its value: of null,
    /// its default may be.
    pub fn written_around(
        &'a self,
        name: &str,
        depth: u32,
        at: Place,
    ) -> Result<Option<(Around<'a>, &'a Value, Definition<'a>)>, Exhausted> {
        let given = self.given.as_ref().ok();
        let given = given.and_then(|given| given.get(&name.to_ascii_lowercase()));
        let (Some(around), Some(given)) = (self.around, given) else {
            return Ok(None);
        };
        let member = |object: Option<&'a Object>| object.map(|object| self.budget.member(object, name, at)).transpose();
        let entry = member(around.parameters.as_object())?.flatten();
        let (Some(raw), Some(definition)) = (
            entry.and_then(|entry| entry.written("value")),
            member(self.section("parameters"))?.flatten(),
        ) else {
            return Ok(None);
        };
        let has_default = definition.written("defaultValue").is_some();
        let is_given = match (&given.kind, self.parameter(name, depth, at)?.kind) {
            (Kind::Unknown(_), Kind::Unknown(_)) | (Kind::Text(_), Kind::Text(_)) => !has_default,
            (Kind::Object(_), Kind::Object(_)) | (Kind::List(_), Kind::List(_)) => true,
            _ => false,
        };
        let definitions = self.template.get("definitions");
        Ok(is_given.then_some((around, raw, (definition, definitions))))
    }

    /// What it is given for a text and is not known at all (`raw`, of the template that `on` works out) stands for itself there: it is
    /// the same in every deployment that is given it.
    pub fn give_alike(&mut self, on: Evaluator<'_>, raw: &Value, env: Option<&Env<'_>>) -> Result<(), Exhausted> {
        let entries = raw.as_object().map_or(&[][..], |object| &object.entries);
        let mut made = Vec::new();
        for (name, entry) in entries {
            self.budget.steps(1 + name.len() / 32, entry.at)?;
            let name = name.to_ascii_lowercase();
            let given = self.given.as_ref().ok().and_then(|given| given.get(&name));
            if !given.is_some_and(|given| matches!(given.kind, Kind::Unknown(_))) {
                continue;
            }
            if let Some(raw) = entry.written("value")
                && self.is_text(&name, raw)?
            {
                made.push((name, on.name(raw, env)?));
            }
        }
        if let Ok(given) = &mut self.given {
            given.extend(made);
        }
        Ok(())
    }

    /// Whether a parameter certainly is a text that is given as `raw`. Of null its default may be taken.
    fn is_text(&self, name: &str, raw: &Value) -> Result<bool, Exhausted> {
        let Some(section) = self.section("parameters") else {
            return Ok(false);
        };
        let Some(definition) = self.budget.member(section, name, raw.at)? else {
            return Ok(false);
        };
        let declared = self.declared(definition)?;
        if declared.kind.as_deref() != Some("string") || declared.nullable {
            return Ok(false);
        }
        let text = raw.as_str().unwrap_or_default();
        self.budget.steps(text.len() / 16, raw.at)?;
        let never_null = || matches!(written(text), Some(Written::Expression(one)) if one.is_never_null());
        Ok(definition.written("defaultValue").is_none() || never_null())
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
