//! The deployments that a template itself holds, each round of a loop one: which of them `reference` asks for.

use super::{
    Exhausted,
    eval::Evaluator,
    kinds::DEPLOYMENT,
    nested::place,
    scope::{Bind, Env},
};
use crate::import::{
    ids::{Id, Part, Same, Word, same_names, words},
    json::shown,
    value::{Kind, Place, Text, Unknown, Value},
};
use std::{collections::HashMap, sync::Arc};

/// One of the deployments, as often as its loop says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deployment<'v> {
    /// Its place among the template's resources.
    pub index: usize,
    /// Its round, if it is one of a loop.
    pub round: Option<i64>,
    pub raw: &'v Value,
}

impl Deployment<'_> {
    /// With the names that its loop binds.
    pub fn bound<T>(self, run: impl FnOnce(Option<&Env<'_>>) -> T) -> T {
        let Some(index) = self.round else {
            return run(None);
        };
        let name = self.raw.get("copy").and_then(|copy| copy.get("name"));
        let name = name.and_then(Value::as_str).unwrap_or_default();
        let index = &Value::new(Kind::Int(index), self.raw.at);
        let resource = true;
        let bind = Bind::Copy { name, index, resource };
        run(Some(&Env { bind, outer: None }))
    }
}

/// A loop of deployments.
pub(super) struct Loop<'v> {
    pub index: usize,
    pub raw: &'v Value,
    /// How many rounds it has, or why that is not known.
    pub count: Result<i64, Arc<Unknown>>,
}

/// All that a template holds. What they are called is worked out once, however often one is asked for.
#[derive(Default)]
pub(super) struct Deployments {
    /// By their names: those that are certainly the same have the same words.
    named: HashMap<Vec<Word>, Vec<Named>>,
    /// Why it is not known of a loop which it has, of the first.
    unknown: Option<Arc<Unknown>>,
}

struct Named {
    index: usize,
    round: Option<i64>,
    /// Without the names.
    id: Id,
}

/// What `reference` asks for, or why that is not known; `None` if it is no deployment of the template.
type Found<'v> = Option<Result<Deployment<'v>, Arc<Unknown>>>;

fn is_deployment(raw: &Value) -> bool {
    let kind = raw.get("type").and_then(Value::as_str);
    kind.is_some_and(|kind| kind.eq_ignore_ascii_case(DEPLOYMENT))
}

impl<'a> Evaluator<'a> {
    /// The only deployment that is certainly meant.
    pub(super) fn find_deployment(self, target: &Value, at: Place) -> Result<Found<'a>, Exhausted> {
        let Kind::Text(target) = &target.kind else {
            return Ok(None);
        };
        if let Some(found) = self.by_symbol(target, at)? {
            return Ok(Some(found));
        }
        let wanted = Id::of(target);
        let by_name = wanted.kind.is_none() && wanted.names.len() == 1 && !target.text.contains('/');
        if !by_name && wanted.kind.as_deref() != Some(DEPLOYMENT) {
            return Ok(None);
        }
        let is_meant = |one: &&Named| {
            let id = &one.id;
            let same_place = wanted.subscription == id.subscription && wanted.group == id.group;
            by_name || (same_place && wanted.same_place(id) == Same::Yes)
        };
        let all = self.deployments(at)?;
        let alike = all.named.get(&wanted.names).map_or(&[][..], Vec::as_slice);
        self.scope.budget.steps(1 + alike.len(), at)?;
        let mut found = alike.iter().filter(is_meant);
        Ok(match (found.next(), found.next()) {
            (Some(&Named { index, round, .. }), None) => {
                let raw = self.scope.resource(index);
                raw.map(|raw| Ok(Deployment { index, round, raw }))
            }
            // Two of one name, of two resource groups: which is meant is not known.
            (Some(_), Some(_)) => None,
            (None, _) => all.unknown.clone().filter(|_| !by_name).map(Err),
        })
    }

    /// The deployment of a symbolic name, or a round of the loop that has it: `name[0]`.
    fn by_symbol(self, target: &Text, at: Place) -> Result<Found<'a>, Exhausted> {
        if target.stands_for.is_some() {
            return Ok(None);
        }
        if let Some((index, raw)) = self.scope.symbol(&target.text, at)? {
            let one = Deployment {
                index,
                round: None,
                raw,
            };
            return Ok(match raw.get("copy") {
                _ if !is_deployment(raw) => None,
                None => Some(Ok(one)),
                Some(copy) => Some(Err(Unknown::new(
                    format!(
                        "`{}` is a loop: which of its deployments is meant is not said",
                        shown(&target.text)
                    ),
                    copy.at,
                ))),
            });
        }
        let parts = target.text.strip_suffix(']').and_then(|text| text.split_once('['));
        let Some((name, round)) = parts.filter(|(_, round)| is_number(round)) else {
            return Ok(None);
        };
        let Some(Loop { index, raw, count }) = self.looped(name, at)? else {
            return Ok(None);
        };
        let round = round.parse::<i64>().ok();
        Ok(Some(match (count, round) {
            (Err(unknown), _) => Err(unknown),
            (Ok(count), Some(one)) if one < count => Ok(Deployment { index, round, raw }),
            (Ok(count), _) => {
                let why = format!("the loop `{}` has only {count} rounds", shown(name));
                Err(Unknown::new(why, at))
            }
        }))
    }

    /// The loop of deployments with this symbolic name.
    pub(super) fn looped(self, name: &str, at: Place) -> Result<Option<Loop<'a>>, Exhausted> {
        let Some((index, raw)) = self.scope.symbol(name, at)?.filter(|(_, raw)| is_deployment(raw)) else {
            return Ok(None);
        };
        let Some(copy) = raw.get("copy") else { return Ok(None) };
        let count = self.rounds(copy, || shown(name))?;
        Ok(Some(Loop { index, raw, count }))
    }

    /// How many rounds a loop of deployments has.
    fn rounds(self, copy: &Value, name: impl FnOnce() -> String) -> Result<Result<i64, Arc<Unknown>>, Exhausted> {
        if copy.as_object().is_none() {
            return Ok(Err(Unknown::new("the loop of a deployment is no object", copy.at)));
        }
        Ok(self.count(copy, None)?.map_err(|unknown| {
            let why = unknown.doubt().map_or("", |doubt| &doubt.why);
            let why = format!("how many deployments the loop `{}` has is not known: {why}", name());
            Unknown::new(why, unknown.at)
        }))
    }

    fn deployments(self, at: Place) -> Result<&'a Deployments, Exhausted> {
        if let Some(known) = self.scope.deployments.get() {
            return Ok(known);
        }
        self.scope.begin_deployments(at)?;
        let mut all = Deployments::default();
        for index in 0.. {
            let Some(raw) = self.scope.resource(index) else {
                break;
            };
            self.scope.budget.steps(1, at)?;
            if is_deployment(raw) {
                self.add(&mut all, index, raw)?;
            }
        }
        Ok(self.scope.deployments.get_or_init(|| all))
    }

    fn add(self, all: &mut Deployments, index: usize, raw: &'a Value) -> Result<(), Exhausted> {
        let Some(copy) = raw.get("copy") else {
            return self.add_one(
                all,
                Deployment {
                    index,
                    round: None,
                    raw,
                },
            );
        };
        let name = || copy.get("name").and_then(Value::as_str).map(shown).unwrap_or_default();
        match self.rounds(copy, name)? {
            Ok(count) => (0..count).try_for_each(|round| {
                let round = Some(round);
                self.add_one(all, Deployment { index, round, raw })
            }),
            Err(unknown) => {
                all.unknown.get_or_insert(unknown);
                Ok(())
            }
        }
    }

    fn add_one(self, all: &mut Deployments, one: Deployment<'_>) -> Result<(), Exhausted> {
        let Some(mut id) = one.bound(|env| self.id_of(one.raw, env))? else {
            return Ok(());
        };
        // What is kept of it.
        self.scope.budget.text(400, one.raw.at)?;
        let Deployment { index, round, .. } = one;
        let names = std::mem::take(&mut id.names);
        if same_names(&names, &names) == Same::Yes {
            all.named.entry(names).or_default().push(Named { index, round, id });
        }
        Ok(())
    }

    /// What is known of the id of a deployment. One of a subscription, which says a `location`, is in no resource group.
    fn id_of(self, raw: &Value, env: Option<&Env<'_>>) -> Result<Option<Id>, Exhausted> {
        let (Some(name), None) = (raw.get("name"), raw.get("scope")) else {
            return Ok(None);
        };
        let Kind::Text(name) = self.value(name, env)?.kind else {
            return Ok(None);
        };
        let here = &self.scope.here;
        let (subscription, group) = place(self, raw, env)?;
        let (subscription, group) = (
            subscription.as_ref().or(here.subscription.as_ref()),
            group.as_ref().or(here.resource_group.as_ref()),
        );
        let in_no_group = raw.get("location").is_some() && raw.get("resourceGroup").is_none();
        Ok(Some(Id {
            subscription: Part::of_value(subscription, here.template),
            group: match in_no_group {
                true => Part::Anywhere,
                false => Part::of_value(group, here.template),
            },
            kind: Some(DEPLOYMENT.into()),
            names: words(&name),
        }))
    }
}

/// The number of a round as Azure writes it.
fn is_number(text: &str) -> bool {
    text.parse::<u32>().is_ok_and(|number| number.to_string() == text)
}
