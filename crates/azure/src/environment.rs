//! What the environment of this process says beside the site's file. The variables are those that all of Azure's clients
//! obey.

use std::ffi::OsString;
use std::path::PathBuf;

/// The variables that matter; empty = not set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    /// `AZURE_ENVIRONMENT_FILEPATH`: the endpoints of `AzureStackCloud`.
    pub cloud_file: Option<PathBuf>,
    /// `AZURE_TENANT_ID`: of a workload identity.
    pub tenant_id: Option<String>,
    /// `AZURE_CLIENT_ID`: of a workload identity.
    pub client_id: Option<String>,
    /// `AZURE_FEDERATED_TOKEN_FILE`: with it we are a workload identity.
    pub federated_token_file: Option<PathBuf>,
    /// `AZURE_POD_IDENTITY_AUTHORITY_HOST`: where the metadata service is, if not at its usual address.
    pub identity_host: Option<String>,
}

impl Environment {
    /// The environment of this process.
    pub fn this() -> Self {
        Self::of(|name| std::env::var_os(name))
    }

    /// What is no UTF-8 is set, too: of a text something remains that nobody takes for one.
    fn of(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let file = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let text = |name| file(name).map(|value| value.to_string_lossy().into_owned());
        Self {
            cloud_file: file("AZURE_ENVIRONMENT_FILEPATH"),
            tenant_id: text("AZURE_TENANT_ID"),
            client_id: text("AZURE_CLIENT_ID"),
            federated_token_file: file("AZURE_FEDERATED_TOKEN_FILE"),
            identity_host: text("AZURE_POD_IDENTITY_AUTHORITY_HOST"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt as _;

    use super::*;

    #[test]
    fn what_is_empty_is_not_set_and_what_is_no_utf_8_is() {
        let none = Environment::of(|name| (name != "AZURE_CLIENT_ID").then(OsString::new));
        assert_eq!(none, Environment::default());
        let odd = || OsString::from_vec(b"a\xff".to_vec());
        let environment = Environment::of(|_| Some(odd()));
        // Else another identity would take its place unasked.
        assert_eq!(environment.federated_token_file, Some(PathBuf::from(odd())));
        assert_eq!(environment.cloud_file, Some(PathBuf::from(odd())));
        for text in [environment.tenant_id, environment.client_id, environment.identity_host] {
            assert_eq!(text.as_deref(), Some("a\u{fffd}"));
        }
    }
}
