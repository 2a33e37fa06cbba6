//! What the environment of this process says of credentials: by the variables that all of Google's clients obey.

use std::path::PathBuf;

/// `GOOGLE_APPLICATION_CREDENTIALS`: a file of credentials.
const FILE: &str = "GOOGLE_APPLICATION_CREDENTIALS";
/// `GCE_METADATA_HOST`: where the metadata server is.
pub(crate) const METADATA_HOST: &str = "GCE_METADATA_HOST";

/// The variables that are set; an empty one is not.
#[derive(Debug, Clone, Default)]
pub(crate) struct Environment {
    /// The file of credentials.
    pub file: Option<PathBuf>,
    /// `HOST` or `HOST:PORT` of the metadata server.
    pub metadata_host: Option<String>,
}

impl Environment {
    /// That of this process.
    pub fn this() -> Self {
        let read = |name: &str| std::env::var_os(name).filter(|it| !it.is_empty());
        Self {
            file: read(FILE).map(PathBuf::from),
            metadata_host: read(METADATA_HOST).map(|it| it.to_string_lossy().into_owned()),
        }
    }
}
