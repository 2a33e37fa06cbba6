//! What the environment of this process says beside the site's file. The variables are those that all of Azure's clients
//! obey.

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
        let read = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        Self {
            cloud_file: read("AZURE_ENVIRONMENT_FILEPATH").map(Into::into),
            tenant_id: read("AZURE_TENANT_ID"),
            client_id: read("AZURE_CLIENT_ID"),
            federated_token_file: read("AZURE_FEDERATED_TOKEN_FILE").map(Into::into),
            identity_host: read("AZURE_POD_IDENTITY_AUTHORITY_HOST"),
        }
    }
}
