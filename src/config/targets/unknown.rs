//! Names that are no FQDN tag: what to do instead.

use crate::catalogue::Catalogue;

/// What to do when there is no tag of this name, nor one nearly so.
pub fn no_tag_hint(name: &str) -> String {
    if let Some((service, tags)) = service_tag(name) {
        let known = tags.iter().map(|tag| format!("`{tag}`")).collect::<Vec<_>>().join(", ");
        let instead = if known.is_empty() {
            String::new()
        } else {
            format!("; its names are in {known}")
        };
        return format!(
            "`{service}` is a service tag: it stands for addresses, and belongs in `destination_addresses` of a network \
             rule{instead}"
        );
    }
    if Catalogue::unpublished(name) {
        "Azure has this tag and does not publish what it holds: name the hosts that are needed".into()
    } else {
        "`egret catalogue` lists the tags".into()
    }
}

/// Azure's service tags that people write where an FQDN tag belongs (Microsoft: Virtual network service tags), each with the
/// FQDN tags that hold the names of the same service.
const SERVICE_TAGS: [(&str, &[&str]); 20] = [
    ("ApiManagement", &["AzureApiManagement"]),
    ("AppConfiguration", &["AzureAppConfiguration"]),
    ("AppService", &["AzureAppService"]),
    ("AzureActiveDirectory", &["EntraID"]),
    ("AzureBotService", &["AzureBotService"]),
    ("AzureCloud", &[]),
    ("AzureContainerRegistry", &["AzureContainerRegistry"]),
    ("AzureCosmosDB", &["AzureCosmosDB"]),
    ("AzureEventGrid", &["AzureEventGrid"]),
    ("AzureFrontDoor", &["AzureFrontDoor"]),
    ("AzureKeyVault", &["AzureKeyVault"]),
    ("AzureMachineLearning", &["AzureMachineLearning"]),
    ("AzureMonitor", &["AzureMonitor"]),
    ("AzureResourceManager", &["AzureResourceManager"]),
    ("CognitiveServicesManagement", &["AzureAIServices", "AzureOpenAI"]),
    ("EventHub", &["AzureEventHubs"]),
    ("MicrosoftContainerRegistry", &["MicrosoftContainerRegistry"]),
    ("ServiceBus", &["AzureServiceBus"]),
    ("Sql", &[]),
    ("Storage", &["AzureStorage"]),
];

/// The service tag that a name is, with a region behind it or not, and the FQDN tags for its names.
pub(super) fn service_tag(name: &str) -> Option<(&str, &'static [&'static str])> {
    let (service, _) = name.split_once('.').unwrap_or((name, ""));
    let known = SERVICE_TAGS.iter().find(|(tag, _)| tag.eq_ignore_ascii_case(service));
    known.map(|(_, tags)| (name, *tags))
}
