//! Where Compute Engine is: Google's endpoint, or where the environment says, by the variable that gcloud obeys too.

use dispatch_cloud_kit::endpoint::{is_bare, is_safe, without_user};
use url::Url;

/// The variable of the environment that says where Compute Engine is.
pub const ENDPOINT_VARIABLE: &str = "CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE";

const GOOGLES: &str = "https://compute.googleapis.com/compute/v1/";

/// Why there is nowhere to call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// From the environment; without what it has before an `@`, which may be a password.
    #[error(
        "`{0}` is not the https URL of a Compute Engine endpoint, nor an http URL of an address of this machine ({ENDPOINT_VARIABLE})"
    )]
    BadUrl(String),
}

/// Google's endpoint, unless the environment names another.
pub(crate) fn endpoint(elsewhere: Option<&str>) -> Result<Url, EndpointError> {
    parse(elsewhere.unwrap_or(GOOGLES))
}

/// Whether that can be called in place of Google's endpoint.
///
/// # Errors
/// If not; a password that may be in it is not shown.
pub fn check_endpoint(text: &str) -> Result<(), EndpointError> {
    parse(text).map(drop)
}

fn parse(text: &str) -> Result<Url, EndpointError> {
    let url = Url::parse(text).ok().filter(|url| is_bare(url) && is_safe(url));
    url.ok_or_else(|| EndpointError::BadUrl(without_user(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn googles_endpoint_is_called_unless_the_environment_names_another() {
        assert_eq!(endpoint(None).unwrap().as_str(), GOOGLES);
        let other = endpoint(Some("http://127.0.0.1:1/compute/v1")).unwrap();
        assert_eq!(other.as_str(), "http://127.0.0.1:1/compute/v1");
        assert!(
            ["https://compute.example.com/", "http://[::1]:80/"].iter().all(|it| check_endpoint(it).is_ok())
        );
    }

    #[test]
    fn what_cannot_be_called_is_refused_without_its_password() {
        for (url, shown) in [
            ("", "``"),
            ("ftp://h/", "`ftp://h/`"),
            ("127.0.0.1:1", "`127.0.0.1:1`"),
            ("http://h/?a=b", "`http://h/?a=b`"),
            ("https://h/?a=b", "`https://h/?a=b`"),
            // A token would go there for everybody to read.
            ("http://compute.example.com/compute/v1/", "`http://compute.example.com/compute/v1/`"),
            ("http://127.0.0.1.example.com/", "`http://127.0.0.1.example.com/`"),
            ("http://u:hunter2@host/", "`http://(secret)@host/`"),
        ] {
            let told = check_endpoint(url).unwrap_err().to_string();
            assert!(
                told.contains(shown) && !told.contains("hunter2") && told.contains("CLOUDSDK_"),
                "{told}"
            );
        }
    }
}
