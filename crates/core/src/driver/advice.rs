//! What to check when a driver's call fails or its instance cannot be used, in the words of its cloud.

use crate::ports::CloudError;

/// Which call of the driver has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloudCall {
    /// A listing.
    List,
    /// The create of an instance.
    Create,
    /// A change of tags.
    SetTags,
    /// The destruction of an instance.
    Destroy,
}

/// How the service logs in to an instance.
#[derive(Debug, Clone)]
pub struct Login {
    /// The user.
    pub user: String,
    /// The port of the SSH server.
    pub port: u16,
    /// Where the instance keeps its secret.
    pub secret_path: String,
}

/// Says what a person is to check. Every answer completes the sentence "check: …".
pub trait DriverAdvice: Sync {
    /// Whether the call was not even sent, because there was no connection to the cloud.
    fn never_arrived(&self, error: &CloudError) -> bool;

    /// A call has failed.
    fn call_failed(&self, call: CloudCall, error: &CloudError) -> String;

    /// The driver could not be opened.
    fn not_opened(&self) -> String;

    /// A listing does not show an instance that was created.
    fn not_listed(&self) -> String;

    /// A listing shows other tags than were ordered.
    fn tags_differ(&self) -> String;

    /// The instance has no address.
    fn no_address(&self) -> String;

    /// Nobody answers at the instance's address.
    fn unreachable(&self, login: &Login) -> String;

    /// The instance does not accept our key.
    fn not_let_in(&self, login: &Login) -> String;

    /// The instance's secret cannot be read.
    fn secret_unreadable(&self, login: &Login) -> String;
}
