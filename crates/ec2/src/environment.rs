//! What the AWS environment of this process says beside keys and region: which of EC2's endpoints are wanted, and whom
//! to believe. Whoever knows AWS expects these variables to be obeyed by each of its clients.

use std::path::PathBuf;

use crate::endpoint::{EndpointError, Variants};

/// `AWS_USE_FIPS_ENDPOINT`: whether calls go to endpoints with validated cryptography.
pub(crate) const FIPS: &str = "AWS_USE_FIPS_ENDPOINT";
/// `AWS_USE_DUALSTACK_ENDPOINT`: whether calls go to endpoints that have IPv6 addresses too.
pub(crate) const DUAL_STACK: &str = "AWS_USE_DUALSTACK_ENDPOINT";
const CA_BUNDLE: &str = "AWS_CA_BUNDLE";

/// The file of the only authorities that are to be believed, if there is one.
pub(crate) fn ca_bundle() -> Option<PathBuf> {
    std::env::var_os(CA_BUNDLE).filter(|it| !it.is_empty()).map(PathBuf::from)
}

/// The endpoints that the environment asks for; where it says nothing, those of the profile.
pub(crate) fn variants(of_profile: Variants) -> Result<Variants, EndpointError> {
    let read = |name| std::env::var(name).ok().filter(|it| !it.is_empty());
    let fips = switch(FIPS, read(FIPS))?.unwrap_or(of_profile.fips);
    let dual_stack = switch(DUAL_STACK, read(DUAL_STACK))?.unwrap_or(of_profile.dual_stack);
    Ok(Variants { fips, dual_stack })
}

/// A word that is neither would leave a site without what it asked for.
fn switch(name: &'static str, text: Option<String>) -> Result<Option<bool>, EndpointError> {
    let Some(text) = text else { return Ok(None) };
    match text.to_ascii_lowercase().as_str() {
        "true" => Ok(Some(true)),
        "false" => Ok(Some(false)),
        _ => Err(EndpointError::BadSwitch(name, text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_is_on_or_off_or_an_error() {
        let read = |text: &str| switch(FIPS, Some(text.to_owned()));
        assert_eq!((read("true"), read("FALSE")), (Ok(Some(true)), Ok(Some(false))));
        assert_eq!(switch(FIPS, None), Ok(None));
        for text in ["1", "yes", "ture", " "] {
            let told = read(text).unwrap_err().to_string();
            assert!(told.contains(FIPS) && told.contains(&format!("`{text}`")), "{told}");
        }
    }
}
