//! Which Azure: where its resource manager is, and who gives out tokens for it.
//!
//! ```text
//!   CloudEnvironment ─┬─ a known name ────► its endpoints
//!                     └─ AzureStackCloud ─► those of the file that AZURE_ENVIRONMENT_FILEPATH names
//! ```
//! A token of one cloud is never sent to another's host: both come from here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use dispatch_cloud_kit::endpoint::{is_bare, is_safe};
use url::Url;

/// Why there is nowhere to call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnknownCloud {
    /// Nobody knows that name.
    #[error("`{0}` is no cloud of Azure's; {NAMES}")]
    Name(String),
    /// The name says that a file has the endpoints, and there is none.
    #[error(
        "CloudEnvironment is AzureStackCloud: AZURE_ENVIRONMENT_FILEPATH must name the file of its endpoints"
    )]
    NoFile,
    /// The file of endpoints.
    #[error("AZURE_ENVIRONMENT_FILEPATH: {}: {why}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

/// What is accepted as a name.
pub(crate) const NAMES: &str =
    "wanted is AzurePublicCloud, AzureUSGovernment, AzureChinaCloud or AzureStackCloud";
/// The name that stands for a file.
const OF_FILE: &str = "azurestackcloud";
/// Names in lower case, the resource manager's host, the login's.
const KNOWN: [(&str, &str, &str); 6] = [
    ("", PUBLIC.0, PUBLIC.1),
    ("azurepubliccloud", PUBLIC.0, PUBLIC.1),
    ("azurecloud", PUBLIC.0, PUBLIC.1),
    ("azureusgovernment", GOVERNMENT.0, GOVERNMENT.1),
    ("azureusgovernmentcloud", GOVERNMENT.0, GOVERNMENT.1),
    ("azurechinacloud", "management.chinacloudapi.cn", "login.chinacloudapi.cn"),
];
const PUBLIC: (&str, &str) = ("management.azure.com", "login.microsoftonline.com");
const GOVERNMENT: (&str, &str) = ("management.usgovcloudapi.net", "login.microsoftonline.us");

/// An Azure's endpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cloud {
    /// The resource manager, with a `/` at the end of its path.
    pub manager: Url,
    /// Who gives tokens, with a `/` at the end of its path.
    pub login: Url,
    /// Whom tokens are for.
    pub audience: String,
}

impl Cloud {
    /// The endpoints of that name; of `AzureStackCloud` the file's.
    pub fn new(name: &str, file: Option<&Path>) -> Result<Self, UnknownCloud> {
        if name.eq_ignore_ascii_case(OF_FILE) {
            return Self::of_file(file.ok_or(UnknownCloud::NoFile)?);
        }
        let lower = name.to_ascii_lowercase();
        let found = KNOWN.iter().find(|(known, ..)| *known == lower);
        let (_, manager, login) = found.ok_or_else(|| UnknownCloud::Name(name.to_owned()))?;
        let url = |host: &str| Url::parse(&format!("https://{host}/")).expect("a constant");
        Ok(Self { manager: url(manager), login: url(login), audience: format!("https://{manager}/") })
    }

    fn of_file(path: &Path) -> Result<Self, UnknownCloud> {
        let wrong = |why: String| UnknownCloud::File { path: path.to_owned(), why };
        let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        // Some tools write a mark of the byte order before it.
        let text = text.trim_start_matches('\u{feff}');
        let all: BTreeMap<String, serde_json::Value> =
            serde_json::from_str(text).map_err(|error| wrong(format!("no JSON: {error}")))?;
        let find = |wanted: &str| {
            let found = all.iter().find(|(key, _)| key.eq_ignore_ascii_case(wanted));
            found.and_then(|(_, value)| value.as_str()).filter(|it| !it.is_empty())
        };
        let url = |key: &str| {
            let text = find(key).ok_or_else(|| wrong(format!("it has no {key}")))?;
            usable(text).ok_or_else(|| wrong(format!("{key} is no https URL of a host")))
        };
        let manager = url("resourceManagerEndpoint")?;
        let audience = find("tokenAudience").unwrap_or(manager.as_str()).to_owned();
        Ok(Self { login: url("activeDirectoryEndpoint")?, manager, audience })
    }
}

/// Whether the driver knows a cloud of that name.
pub(crate) fn is_known(name: &str) -> bool {
    name.eq_ignore_ascii_case(OF_FILE) || Cloud::new(name, None).is_ok()
}

/// A URL to which tokens and secrets may go: over TLS, or to this very machine.
fn usable(text: &str) -> Option<Url> {
    let mut url = Url::parse(text).ok()?;
    if !(is_bare(&url) && is_safe(&url)) {
        return None;
    }
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    Some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(name: &str) -> Option<(String, String)> {
        let cloud = Cloud::new(name, None).ok()?;
        assert_eq!(cloud.audience, cloud.manager.as_str());
        let host = |url: &Url| url.host_str().unwrap().to_owned();
        Some((host(&cloud.manager), host(&cloud.login)))
    }

    #[test]
    fn each_cloud_has_its_own_endpoints_however_its_name_is_spelled() {
        for (name, manager, login) in [
            ("AzurePublicCloud", "management.azure.com", "login.microsoftonline.com"),
            ("AZURECLOUD", "management.azure.com", "login.microsoftonline.com"),
            ("", "management.azure.com", "login.microsoftonline.com"),
            ("azureUSgovernment", "management.usgovcloudapi.net", "login.microsoftonline.us"),
            ("AzureUSGovernmentCloud", "management.usgovcloudapi.net", "login.microsoftonline.us"),
            ("AzureChinaCloud", "management.chinacloudapi.cn", "login.chinacloudapi.cn"),
        ] {
            assert_eq!(hosts(name), Some((manager.to_owned(), login.to_owned())), "{name}");
            assert!(is_known(name));
        }
        for name in ["AzureGermanCloud", "azure", " AzurePublicCloud"] {
            assert!(!is_known(name), "{name}");
            let told = Cloud::new(name, None).unwrap_err().to_string();
            assert!(told.contains(name) && told.contains("AzureChinaCloud"), "{told}");
        }
        assert!(is_known("azurestackcloud"));
        assert_eq!(Cloud::new("AzureStackCloud", None), Err(UnknownCloud::NoFile));
    }

    fn of(text: &str) -> Result<Cloud, String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("environment.json");
        std::fs::write(&path, text).unwrap();
        Cloud::new("AzureStackCloud", Some(&path)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_cloud_of_ones_own_is_read_from_its_file() {
        let text = "\u{feff}{\"name\": \"AzureStackCloud\", \"ResourceManagerEndpoint\": \"https://management.local.example\",
            \"activeDirectoryEndpoint\": \"https://login.example/adfs/\", \"tokenAudience\": \"https://management.x/1\", \"n\": 1}";
        let cloud = of(text).unwrap();
        assert_eq!(cloud.manager.as_str(), "https://management.local.example/");
        assert_eq!(
            (cloud.login.as_str(), cloud.audience.as_str()),
            ("https://login.example/adfs/", "https://management.x/1")
        );
    }

    #[test]
    fn a_file_that_is_wrong_is_told_by_name_and_no_secret_is_sent_in_the_clear() {
        let two = |manager: &str, login: &str| {
            format!(
                "{{\"resourceManagerEndpoint\": \"{manager}\", \"activeDirectoryEndpoint\": \"{login}\"}}"
            )
        };
        for (text, words) in [
            ("<html>".to_owned(), "no JSON"),
            ("[]".to_owned(), "no JSON"),
            ("{}".to_owned(), "it has no resourceManagerEndpoint"),
            ("{\"resourceManagerEndpoint\": \"https://a/\"}".to_owned(), "no activeDirectoryEndpoint"),
            (two("http://management.example/", "https://b/"), "resourceManagerEndpoint is no https"),
            (two("https://a/", "http://b/"), "activeDirectoryEndpoint is no https"),
            (two("https://user:word@a/", "https://b/"), "resourceManagerEndpoint is no https"),
            (two("https://a/?x", "https://b/"), "resourceManagerEndpoint is no https"),
        ] {
            let told = of(&text).unwrap_err();
            assert!(told.contains(words) && told.contains("environment.json"), "{told}");
            assert!(!told.contains("word@"), "{told}");
        }
        assert!(of(&two("http://127.0.0.1:1/", "http://[::1]:1/")).is_ok());
        let absent = Cloud::new("AzureStackCloud", Some(Path::new("/nowhere"))).unwrap_err().to_string();
        assert!(absent.contains("/nowhere"), "{absent}");
    }
}
