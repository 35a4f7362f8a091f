//! FQDN tags through a whole gateway: bound, they let the named resources through and nobody else's.

use crate::world::{ALLOWED, FORBIDDEN, World};

/// Contoso's resources, the data endpoint of its registry among them.
pub const OURS: [&str; 5] = [
    "contoso-ai.openai.azure.com",
    "contoso-kv.vault.azure.net",
    "contoso.azurecr.io",
    "contoso.westeurope.data.azurecr.io",
    "contosodata.blob.core.windows.net",
];

/// Another tenant's, and what of ours was not named.
pub const THEIRS: [&str; 7] = [
    "fabrikam-ai.openai.azure.com",
    "fabrikam-kv.vault.azure.net",
    "fabrikam.azurecr.io",
    "fabrikam.westeurope.data.azurecr.io",
    "contoso.northeurope.data.azurecr.io",
    // Where a registry without dedicated data endpoints keeps its layers: some account or other.
    "layers.blob.core.windows.net",
    "contosodata-secondary.blob.core.windows.net",
];

const TAGS: &str = r#"
[[application_rule_collection]]
name = "tags"
priority = 100
action = "Allow"
  [[application_rule_collection.rule]]
  name = "azure"
  source_addresses = ["*"]
  destination_fqdn_tags = ["AzureOpenAI", "AzureKeyVault", "AzureContainerRegistry", "AzureStorage"]
"#;

const BOUND: &str = r#"
[fqdn_tag.AzureOpenAI]
resource = ["contoso-ai"]
[fqdn_tag.AzureKeyVault]
vault = ["contoso-kv"]
[fqdn_tag.AzureContainerRegistry]
registry = ["contoso"]
region = ["westeurope"]
features = ["data-endpoint", "blob-layers"]
[fqdn_tag.AzureStorage]
account = ["contosodata"]
"#;

async fn world(tags: &str) -> World {
    let mut builder = World::builder().policy(&format!("{tags}{TAGS}"));
    for name in OURS {
        builder = builder.record(&format!("{name} A {ALLOWED}"));
    }
    for name in THEIRS {
        builder = builder.record(&format!("{name} A {FORBIDDEN}"));
    }
    builder.start().await
}

#[tokio::test]
async fn bound_tags_let_the_named_resources_through_and_no_other_tenants() {
    let world = world(BOUND).await;
    for name in OURS {
        let reply = world.client().get_https(name, "/").await.unwrap();
        assert_eq!(reply.status, 200, "{name}");
        assert!(
            world.last_row()["properties"]["egret"]["wide"].is_null(),
            "{:#}",
            world.last_row()
        );
    }
    for name in THEIRS {
        let head = format!("CONNECT {name}:443 HTTP/1.1\r\nHost: {name}\r\n\r\n");
        world.refuses([head], &[403], &["NoRuleMatched"]).await;
        assert_eq!(world.dns().queries(name), 0, "{name} was looked up");
    }
    assert_eq!(world.site("forbidden").bytes(), 0);
    for name in THEIRS {
        let control = world.direct().get_https(name, "/").await.unwrap();
        assert_eq!(control.status, 200, "without egret {name} is reached");
    }
}

#[tokio::test]
async fn unbound_tags_reach_every_tenant_and_each_row_says_so() {
    let world = world("").await;
    for name in ["contoso-ai.openai.azure.com", "fabrikam-ai.openai.azure.com"] {
        let reply = world.client().get_https(name, "/").await.unwrap();
        assert_eq!(reply.status, 200, "{name}");
        assert_eq!(
            world.last_row()["properties"]["egret"]["wide"],
            true,
            "{:#}",
            world.last_row()
        );
    }
}
