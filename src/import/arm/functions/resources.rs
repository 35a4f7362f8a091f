//! Resource ids, and what stands in for what Azure alone knows: subscription, resource group, unique texts.

use super::{Call, Fail, Made, bad};
use crate::import::{
    json::shown,
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
        "resourceid" => resource_id(call, &format!("/subscriptions/{NO_ID}/resourceGroups/{NO_GROUP}")),
        "subscriptionresourceid" => resource_id(call, &format!("/subscriptions/{NO_ID}")),
        "tenantresourceid" => resource_id(call, ""),
        "managementgroupresourceid" => resource_id(
            call,
            "/providers/Microsoft.Management/managementGroups/management-group",
        ),
        "extensionresourceid" => {
            let scope = call.str(0)?;
            let rest = Call {
                arguments: &call.arguments[1..],
                ..*call
            };
            resource_id(&rest, scope)
        }
        "uniquestring" => known_to_azure(call, name, unique(call)?),
        "guid" | "newguid" => {
            let text = format!("{}{}", unique(call)?, unique(call)?);
            let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
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
        "deployer" | "pickzones" | "providers" | "resourceinfo" | "references" | "datetimeadd"
        | "datetimefromepoch" | "datetimetoepoch" => {
            Ok(Value::unknown(format!("`{name}` asks Azure as it runs"), call.at))
        }
        _ => bad("no such function"),
    }
}

/// `resourceId([subscription], [group], type, name, ..)`: the type is the first argument with a slash, and has a name for each
/// of its parts.
fn resource_id(call: &Call<'_>, scope: &str) -> Made {
    let mut texts = Vec::with_capacity(call.arguments.len());
    for index in 0..call.arguments.len() {
        texts.push(call.str(index)?);
    }
    let Some(place) = texts.iter().position(|text| text.contains('/')) else {
        return bad("names no type");
    };
    let mut parts = texts[place].split('/');
    let provider = parts.next().unwrap_or_default();
    let names = &texts[place + 1..];
    let kinds: Vec<&str> = parts.collect();
    if kinds.len() != names.len() {
        return bad(format!("{} names for the type `{}`", names.len(), shown(texts[place])));
    }
    let (mut path, mut known_end) = (String::new(), 0);
    for (kind, name) in kinds.iter().zip(&call.arguments[place + 1..]) {
        let part = format!("/{kind}/{}", name.as_str().unwrap_or_default());
        known_end = match name.doubt() {
            Some(_) => name.known_end().len(),
            None => known_end + part.len(),
        };
        path += &part;
    }
    if call.arguments[place].doubt().is_some() {
        known_end = 0;
    }
    let scope = scope_of(call, scope, &texts[..place]);
    let id = call.text(format!("{scope}/providers/{provider}{path}"))?;
    Ok(id.stand_in_before(known_end, &doubt("a resource id", call.at)))
}

/// The scope with the subscription and the resource group that are written before the type, as far as they are known: they tell
/// apart what is called alike.
fn scope_of(call: &Call<'_>, scope: &str, written: &[&str]) -> String {
    let known = |place: usize| written.get(place).filter(|_| call.arguments[place].doubt().is_none());
    let has_group = scope.ends_with(NO_GROUP);
    let (subscription, group) = match written {
        [one] if has_group && !is_guid(one) => (None, known(0)),
        [_] => (known(0), None),
        [_, _] if has_group => (known(0), known(1)),
        _ => (None, None),
    };
    let scope = subscription.map_or_else(|| scope.to_owned(), |text| scope.replace(NO_ID, text));
    match (scope.strip_suffix(NO_GROUP), group) {
        (Some(before), Some(group)) => format!("{before}{group}"),
        _ => scope,
    }
}

fn is_guid(text: &str) -> bool {
    let lengths = text.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 12])
}

fn doubt(what: &str, at: Place) -> Arc<Unknown> {
    Unknown::new(format!("{what} is known to Azure alone"), at)
}

fn known_to_azure(call: &Call<'_>, what: &str, text: String) -> Made {
    let text = call.text(text)?;
    Ok(text.stand_in(&doubt(&format!("`{what}()`"), call.at)))
}

/// The stand-in for a member of what a function without arguments gives: `resourceGroup().location`, in any case. Only for members that are always there and texts.
pub(in crate::import::arm) fn part(function: &str, member: &str, at: Place) -> Option<Value> {
    const GROUP: &str = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/resource-group";
    let text = match (&*function.to_ascii_lowercase(), &*member.to_ascii_lowercase()) {
        ("resourcegroup", "id") => GROUP,
        ("resourcegroup", "name") => "resource-group",
        ("resourcegroup" | "deployment", "location") => "location",
        ("subscription", "id") => "/subscriptions/00000000-0000-0000-0000-000000000000",
        ("subscription", "subscriptionid") | ("subscription" | "tenant", "tenantid") => NO_ID,
        ("subscription", "displayname") => "subscription",
        ("tenant", "displayname") => "tenant",
        ("managementgroup", "name" | "id") => "management-group",
        ("deployment", "name") => "deployment",
        _ => return None,
    };
    Some(Value::text(text, at).stand_in(&doubt(&format!("`{function}().{member}`"), at)))
}

fn environment(call: &Call<'_>) -> Made {
    let text = |text: &str| Value::text(text, call.at);
    let suffixes = SUFFIXES.iter().map(|(key, value)| ((*key).into(), text(value)));
    let suffixes = call.object(suffixes.collect())?;
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
