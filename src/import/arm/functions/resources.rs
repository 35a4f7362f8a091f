//! Resource ids, and what stands in for what Azure alone knows: subscription, resource group, unique texts.

use super::{Call, Fail, Made, bad};
use crate::import::{
    arm::template::Target,
    budget::{Budget, Exhausted},
    json::shown,
    text::{Ingredient, Joined, Symbol, Text},
    value::{Kind, Place, Unknown, Value},
};
use std::sync::Arc;

/// Stands in for ids of subscriptions and tenants.
const NO_ID: &str = "00000000-0000-0000-0000-000000000000";

/// Stands in for the name of the resource group.
const NO_GROUP: &str = "resource-group";

/// Values of `environment()` in Azure's public cloud, as far as names are made of them.
const SUFFIXES: [(&str, &str); 9] = [
    ("acrLoginServer", ".azurecr.io"),
    ("azureDatalakeAnalyticsCatalogAndJob", "azuredatalakeanalytics.net"),
    ("azureDatalakeStoreFileSystem", "azuredatalakestore.net"),
    ("azureFrontDoorEndpointSuffix", "azurefd.net"),
    ("keyvaultDns", ".vault.azure.net"),
    ("mhsmDns", ".managedhsm.azure.net"),
    ("sqlServerHostname", ".database.windows.net"),
    ("storage", "core.windows.net"),
    ("synapseAnalytics", ".dev.azuresynapse.net"),
];

pub(super) fn call(call: &Call<'_>, name: &str) -> Made {
    match name {
        "resourceid"
        | "subscriptionresourceid"
        | "tenantresourceid"
        | "managementgroupresourceid"
        | "extensionresourceid" => resource_id(call, name),
        "uniquestring" => known_to_azure(call, name, unique(call)?),
        "guid" | "newguid" => {
            let text = format!("{}{}", unique(call)?, unique(call)?);
            let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
            if name == "newguid" {
                call.budget.new_guid();
            }
            let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..32]];
            known_to_azure(call, name, parts.join("-"))
        }
        "utcnow" => known_to_azure(call, name, "19700101T000000Z".into()),
        // What else they hold nobody here can know: a member that has a stand-in is taken from `part`.
        "resourcegroup" | "subscription" | "tenant" | "managementgroup" | "deployment" => Ok(Value::unknown(
            format!("what `{name}()` holds is known to Azure alone"),
            call.at,
        )),
        "environment" => environment(call),
        _ if name.starts_with("list") => Ok(Value::unknown(
            format!("`{name}` asks Azure for keys as it runs"),
            call.at,
        )),
        "deployer" | "pickzones" | "providers" | "resourceinfo" | "datetimeadd" | "datetimefromepoch"
        | "datetimetoepoch" => Ok(Value::unknown(format!("`{name}` asks Azure as it runs"), call.at)),
        _ => bad("no such function"),
    }
}

/// `resourceId([subscription], [group], type, name, ..)`: the type is the first argument with a slash, but of the scope of
/// `extensionResourceId`, and has a name for each of its parts. Azure takes no other with a slash ("function requires exactly one
/// multi-segmented argument").
fn resource_id(call: &Call<'_>, name: &str) -> Made {
    let mut texts = Vec::with_capacity(call.arguments.len());
    for argument in call.arguments {
        match &argument.kind {
            Kind::Text(text) => {
                call.budget.text(text.cost(), call.at)?;
                texts.push(text);
            }
            _ => return bad(format!("{} where a text belongs", argument.type_name())),
        }
    }
    let first = usize::from(name == "extensionresourceid");
    let place = texts.iter().skip(first).position(|text| text.text.contains('/'));
    let Some(place) = place.map(|place| place + first) else {
        return bad("names no type");
    };
    let (kind, names) = (texts[place], &texts[place + 1..]);
    let count = kind.text.split('/').count() - 1;
    if count != names.len() {
        return bad(format!("{} names for the type `{}`", names.len(), shown(&kind.text)));
    }
    let mut id = scope_of(call, name, &texts[..place])?;
    id.push_str("/providers/");
    match &kind.stands_for {
        None => {
            let mut parts = kind.text.split('/');
            id.push_str(parts.next().unwrap_or_default());
            for (part, name) in parts.zip(names) {
                id.push_str(&format!("/{part}/"));
                id.push_slashless(name);
            }
        }
        // Where the names belong in it is not known either.
        Some(doubt) => id.push_unknown(&kind.text, doubt.of_another()),
    }
    call.joined(id)
}

/// What stands before the type: what is written there, and for the rest where the template is deployed.
fn scope_of(call: &Call<'_>, name: &str, written: &[&Text]) -> Result<Joined, Fail> {
    let mut scope = Joined::default();
    let (subscription, group) = here(call.budget, call.here, call.at)?;
    let said = |text: &Text| {
        let mut said = Joined::default();
        said.push_slashless(text);
        said.finish()
    };
    let (subscription, group) = match (name, written) {
        ("tenantresourceid", []) => return Ok(scope),
        ("managementgroupresourceid", _) => {
            scope.push_str("/providers/Microsoft.Management/managementGroups/");
            scope.push_unknown("management-group", unknown("a management group", call.at));
            return Ok(scope);
        }
        ("extensionresourceid", [written]) => {
            scope.push(written);
            return Ok(scope);
        }
        ("subscriptionresourceid", []) => (subscription, None),
        ("subscriptionresourceid", [one]) => (said(one), None),
        ("resourceid", []) => (subscription, Some(group)),
        ("resourceid", [one]) if one.stands_for.is_none() && is_guid(&one.text) => (said(one), Some(group)),
        // One that is not known is the same as a resource group at most, of which the name is made of the same.
        ("resourceid", [one]) => (subscription, Some(said(one))),
        ("resourceid", [one, other]) => (said(one), Some(said(other))),
        _ => return bad("takes no such scope"),
    };
    scope.push_str("/subscriptions/");
    scope.push(&subscription);
    if let Some(group) = &group {
        scope.push_str("/resourceGroups/");
        scope.push(group);
    }
    Ok(scope)
}

/// Subscription and resource group of a deployment.
fn here(budget: &Budget, target: &Target, at: Place) -> Result<(Text, Text), Exhausted> {
    let part = |said: &Option<Value>, stand_in: &str| -> Result<Text, Exhausted> {
        let mut text = Joined::default();
        match said.as_ref().map(|value| &value.kind) {
            Some(Kind::Text(said)) => text.push(said),
            said => {
                let here = matches!(said, None | Some(Kind::Null)).then_some(target.template);
                // Where a template is deployed to no group, an id has other parts.
                let slashless = here.is_some() && (target.in_group || stand_in != NO_GROUP);
                let of = Unknown {
                    here,
                    slashless,
                    ..unknown("a resource id", at)
                };
                let new = Symbol::new(of);
                let of = match here {
                    Some(template) => {
                        let made_of = vec![
                            Ingredient::Is(stand_in.to_owned()),
                            Ingredient::Number(template.into()),
                            Ingredient::Bool(slashless),
                        ];
                        budget.alike(made_of, new, at)?
                    }
                    None => new,
                };
                text.push_symbol(stand_in, &of);
            }
        }
        Ok(text.finish())
    };
    Ok((
        part(&target.subscription, NO_ID)?,
        part(&target.resource_group, NO_GROUP)?,
    ))
}

/// The stand-in for what Azure alone knows; it holds no slash if that does not.
fn known_to_azure_alone(text: &str, what: &str, slashless: bool, at: Place) -> Text {
    let mut joined = Joined::default();
    let of = Unknown {
        slashless,
        ..unknown(what, at)
    };
    joined.push_unknown(text, of);
    joined.finish()
}

fn is_guid(text: &str) -> bool {
    let lengths = text.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 12])
}

fn unknown(what: &str, at: Place) -> Unknown {
    Unknown {
        why: format!("{what} is known to Azure alone").into(),
        at,
        perhaps: false,
        here: None,
        slashless: false,
    }
}

/// A hash or a GUID is of letters, digits and hyphens; a date is written as the template says.
fn known_to_azure(call: &Call<'_>, what: &str, text: String) -> Made {
    call.budget.text(text.len(), call.at)?;
    let text = known_to_azure_alone(&text, &format!("`{what}()`"), what != "utcnow", call.at);
    Ok(Value::new(Kind::Text(text), call.at))
}

/// The stand-in for a member of what a function without arguments gives: `resourceGroup().location`, in any case. Only for members that are always there and texts.
pub(in crate::import::arm) fn part(
    budget: &Budget,
    target: &Target,
    function: &str,
    member: &str,
    at: Place,
) -> Result<Option<Text>, Exhausted> {
    let (subscription, group) = here(budget, target, at)?;
    let what = format!("`{function}().{member}`");
    let (function, member) = (function.to_ascii_lowercase(), member.to_ascii_lowercase());
    let mut made_of = vec![Ingredient::Is(format!("{function}.{member}")), Ingredient::Next];
    made_of.extend(subscription.ingredients());
    if function == "resourcegroup" {
        made_of.push(Ingredient::Next);
        made_of.extend(group.ingredients());
    }
    let mut id = Joined::default();
    id.push_str("/subscriptions/");
    id.push(&subscription);
    let text = match (&*function, &*member) {
        ("resourcegroup", "id") => {
            id.push_str("/resourceGroups/");
            id.push(&group);
            return Ok(Some(id.finish()));
        }
        ("resourcegroup", "name") => return Ok(Some(group)),
        ("subscription", "id") => return Ok(Some(id.finish())),
        ("subscription", "subscriptionid") => return Ok(Some(subscription)),
        ("resourcegroup" | "deployment", "location") => "location",
        ("subscription" | "tenant", "tenantid") => NO_ID,
        ("subscription", "displayname") => "subscription",
        ("tenant", "displayname") => "tenant",
        ("managementgroup", "name" | "id") => "management-group",
        ("deployment", "name") => "deployment",
        _ => return Ok(None),
    };
    let known = known_to_azure_alone(text, &what, matches!(text, NO_ID | "location"), at);
    // What a deployment is called, and where it is, differs from one to the next.
    Ok(Some(match (known.symbol(), function.as_str()) {
        (Some(new), "resourcegroup" | "subscription" | "tenant") => {
            let of = budget.alike(made_of, new.clone(), at)?;
            known.of(of)
        }
        _ => known,
    }))
}

fn environment(call: &Call<'_>) -> Made {
    let text = |text: &str| Value::text(text, call.at);
    let suffixes = SUFFIXES.map(|(key, value)| (key.into(), text(value)));
    let suffixes = call.object(suffixes)?;
    let authentication = call.object(vec![
        ("loginEndpoint".into(), text("https://login.microsoftonline.com/")),
        ("tenant".into(), text("common")),
    ])?;
    let endpoints = [
        ("activeDirectoryDataLake", "https://datalake.azure.net/"),
        ("batch", "https://batch.core.windows.net/"),
        ("gallery", "https://gallery.azure.com/"),
        ("graph", "https://graph.windows.net/"),
        ("graphAudience", "https://graph.windows.net/"),
        ("management", "https://management.core.windows.net/"),
        ("mediaService", "https://rest.media.azure.net/"),
        ("portal", "https://portal.azure.com/"),
        ("resourceManager", "https://management.azure.com/"),
        ("sqlManagement", "https://management.core.windows.net:8443/"),
    ];
    let mut entries: Vec<(Arc<str>, Value)> = vec![
        ("name".into(), text("AzureCloud")),
        ("authentication".into(), authentication),
        ("suffixes".into(), suffixes),
    ];
    entries.extend(endpoints.iter().map(|(key, value)| ((*key).into(), text(value))));
    call.object(entries)
}

/// 13 characters that depend on the arguments alone: FNV-1a over them. Azure's own hash is not published.
fn unique(call: &Call<'_>) -> Result<String, Fail> {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for argument in call.arguments {
        let text = match &argument.kind {
            Kind::Text(text) => text.text.to_string(),
            _ => super::convert::written(call, argument)?,
        };
        call.budget.steps(text.len() / 64, call.at)?;
        for byte in text.bytes().chain([0]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    const DIGITS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let digit = |index: u32| char::from(DIGITS[(hash >> (index * 5) & 31) as usize]);
    Ok((0..13).map(digit).collect())
}
