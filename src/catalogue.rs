//! FQDN tags: lists of names with placeholders, one TOML file per tag in `allowlists/`, built in and extendable by a folder.
//!
//! In: the files, and what the configuration binds. Out: the `TargetFqdn`s of a rule. A tag that is bound holds exactly
//! the names of its resources; an unbound one admits every tenant's, and says so.

mod file;
mod holder;
mod narrow;
mod tag;
mod template;
mod tenants;

pub use file::{Cloud, Endpoint, EndpointProtocol, Need, Ports, Source};
pub use holder::Holder;
pub use narrow::{Binding, LeftOut, Narrowed, Unused, WhyLeftOut};
pub use tag::{FqdnTag, TagError};
pub use template::TemplateFault;

use crate::policy::FqdnPattern;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
};
use tenants::Tenants;

/// The files that are built in: a test holds the list against the folder.
const EMBEDDED: [&str; 45] = [
    include_str!("../allowlists/AzureAIFoundry.toml"),
    include_str!("../allowlists/AzureAISearch.toml"),
    include_str!("../allowlists/AzureAIServices.toml"),
    include_str!("../allowlists/AzureApiManagement.toml"),
    include_str!("../allowlists/AzureAppConfiguration.toml"),
    include_str!("../allowlists/AzureAppService.toml"),
    include_str!("../allowlists/AzureBotService.toml"),
    include_str!("../allowlists/AzureCloudApp.toml"),
    include_str!("../allowlists/AzureContainerApps.toml"),
    include_str!("../allowlists/AzureContainerRegistry.toml"),
    include_str!("../allowlists/AzureCosmosDB.toml"),
    include_str!("../allowlists/AzureEventGrid.toml"),
    include_str!("../allowlists/AzureEventHubs.toml"),
    include_str!("../allowlists/AzureFrontDoor.toml"),
    include_str!("../allowlists/AzureKeyVault.toml"),
    include_str!("../allowlists/AzureKubernetesService.toml"),
    include_str!("../allowlists/AzureMachineLearning.toml"),
    include_str!("../allowlists/AzureMonitor.toml"),
    include_str!("../allowlists/AzureOpenAI.toml"),
    include_str!("../allowlists/AzurePostgreSQL.toml"),
    include_str!("../allowlists/AzureRedis.toml"),
    include_str!("../allowlists/AzureResourceManager.toml"),
    include_str!("../allowlists/AzureServiceBus.toml"),
    include_str!("../allowlists/AzureStorage.toml"),
    include_str!("../allowlists/AzureTrafficManager.toml"),
    include_str!("../allowlists/CertificateStatus.toml"),
    include_str!("../allowlists/Chocolatey.toml"),
    include_str!("../allowlists/CondaPackages.toml"),
    include_str!("../allowlists/DebianUpdates.toml"),
    include_str!("../allowlists/DockerHub.toml"),
    include_str!("../allowlists/EntraID.toml"),
    include_str!("../allowlists/GitHub.toml"),
    include_str!("../allowlists/HuggingFace.toml"),
    include_str!("../allowlists/MicrosoftActiveProtectionService.toml"),
    include_str!("../allowlists/MicrosoftContainerRegistry.toml"),
    include_str!("../allowlists/MicrosoftPackages.toml"),
    include_str!("../allowlists/NpmPackages.toml"),
    include_str!("../allowlists/NuGetPackages.toml"),
    include_str!("../allowlists/PyTorch.toml"),
    include_str!("../allowlists/PythonPackages.toml"),
    include_str!("../allowlists/RPackages.toml"),
    include_str!("../allowlists/TensorFlow.toml"),
    include_str!("../allowlists/UbuntuUpdates.toml"),
    include_str!("../allowlists/VSCode.toml"),
    include_str!("../allowlists/WindowsUpdate.toml"),
];

/// The tags that Azure Firewall has as well ("FQDN tags overview"): all others here are egret's own, which Azure refuses.
pub const AZURE_FQDN_TAGS: [&str; 3] = [
    "AzureKubernetesService",
    "MicrosoftActiveProtectionService",
    "WindowsUpdate",
];

/// Azure Firewall's own tags whose content is not published, and nowhere else either (Microsoft Learn, *FQDN tags
/// overview*). The tags of Office 365 start with `Office365`.
const UNPUBLISHED: [&str; 8] = [
    "AppServiceEnvironment",
    "AzureBackup",
    "AzureHDInsight",
    "MicrosoftIntune",
    "Windows365",
    "WindowsDiagnostics",
    "WindowsVirtualDesktop",
    "citrixHdxPlusForWindows365",
];

/// Largest tag file of a folder, in bytes: the whole catalogue built in is a twentieth of it.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Most tag files of a folder.
const MAX_FILES: usize = 1000;

/// All known tags.
#[derive(Clone, Debug)]
pub struct Catalogue {
    tags: BTreeMap<String, FqdnTag>,
    tenants: Arc<Tenants>,
}

/// Why a folder of tags cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// The folder or a file in it.
    #[error("{}: {error}", path.display())]
    Io {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Too much of something.
    #[error("{}: {limit}", path.display())]
    TooLarge {
        /// Which one.
        path: PathBuf,
        /// The limit that is exceeded.
        limit: &'static str,
    },
    /// Not a tag file; the text has line and column.
    #[error("{}: {fault}", path.display())]
    Format {
        /// Which one.
        path: PathBuf,
        /// What is wrong.
        fault: String,
    },
}

impl Catalogue {
    /// What is built in, parsed once per process and only if a tag is used.
    pub fn embedded() -> &'static Self {
        static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| {
            let mut tags = BTreeMap::new();
            for text in EMBEDDED {
                add(&mut tags, text).expect("the built-in tags are read by a test");
            }
            Catalogue::new(tags)
        });
        &CATALOGUE
    }

    /// What is built in, with the `*.toml` files of a folder in the order of their names: one with `extends = true` adds
    /// its entries to the tag, any other one replaces what is built in. Two that replace one tag are an error.
    pub fn load(folder: &Path) -> Result<Self, CatalogueError> {
        let mut tags = Self::embedded().tags.clone();
        let mut replaced = BTreeSet::new();
        for path in tag_files(folder)? {
            let text = read(&path)?;
            let added =
                add(&mut tags, &text).and_then(|(name, extends)| match extends || replaced.insert(name.clone()) {
                    true => Ok(()),
                    false => Err(format!(
                        "another file of the folder holds the tag `{name}`; say `extends = true` to add to it"
                    )),
                });
            added.map_err(|fault| CatalogueError::Format { path, fault })?;
        }
        Ok(Self::new(tags))
    }

    fn new(mut tags: BTreeMap<String, FqdnTag>) -> Self {
        let tenants = Arc::new(Tenants::new(tags.values().flat_map(|tag| &tag.endpoints)));
        for tag in tags.values_mut() {
            tag.tenants = Arc::clone(&tenants);
        }
        Self { tags, tenants }
    }

    /// The tag of this name.
    pub fn tag(&self, name: &str) -> Option<&FqdnTag> {
        self.tags.get(name)
    }

    /// Whether Azure Firewall has a tag of this name whose content nobody outside knows.
    pub fn unpublished(name: &str) -> bool {
        UNPUBLISHED.contains(&name) || name.starts_with("Office365")
    }

    /// All tags, by name.
    pub fn tags(&self) -> impl Iterator<Item = &FqdnTag> {
        self.tags.values()
    }

    /// The multi-tenant suffix that a star pattern admits resources of, if any: a suffix that carries a placeholder in the
    /// catalogue, a public zone with private endpoints, or one where anybody can get a name.
    pub fn multi_tenant(&self, pattern: &FqdnPattern) -> Option<&str> {
        self.tenants.of(pattern)
    }
}

/// The name of the tag, and whether it was added to.
fn add(tags: &mut BTreeMap<String, FqdnTag>, text: &str) -> Result<(String, bool), String> {
    let file = file::parse(text)?;
    let mut tag = match tags.remove(&file.tag).filter(|_| file.extends) {
        Some(known) => known,
        None => FqdnTag {
            name: file.tag.as_str().into(),
            title: String::new(),
            placeholder: None,
            sources: BTreeMap::new(),
            endpoints: Vec::new(),
            tenants: Arc::default(),
        },
    };
    tag.title = file.title.unwrap_or(tag.title);
    tag.placeholder = file.placeholder.or(tag.placeholder);
    tag.sources.extend(file.sources);
    tag.endpoints.extend(file.endpoint);
    tags.insert(file.tag.clone(), tag);
    Ok((file.tag, file.extends))
}

fn tag_files(folder: &Path) -> Result<Vec<PathBuf>, CatalogueError> {
    let failed = |error| CatalogueError::Io {
        path: folder.to_owned(),
        error,
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
        if files.len() > MAX_FILES {
            return Err(CatalogueError::TooLarge {
                path: folder.to_owned(),
                limit: "more than 1000 tag files",
            });
        }
    }
    files.sort();
    Ok(files)
}

fn read(path: &Path) -> Result<String, CatalogueError> {
    let failed = |error| CatalogueError::Io {
        path: path.to_owned(),
        error,
    };
    if fs::metadata(path).map_err(failed)?.len() > MAX_FILE_BYTES {
        return Err(CatalogueError::TooLarge {
            path: path.to_owned(),
            limit: "a tag file of more than 1 MiB",
        });
    }
    fs::read_to_string(path).map_err(failed)
}

#[cfg(test)]
mod tests;
