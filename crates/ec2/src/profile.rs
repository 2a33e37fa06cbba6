//! The profile of AWS's shared configuration that the default chain would use: whether a service can log in by it. The
//! chain itself would say so only at the first call, in words about how it was built.

use aws_config::profile::{ProfileSet, load};
use aws_types::os_shim_internal::{Env, Fs};

use crate::driver::OpenError;

/// Words of profiles by which a person logs in, in a browser.
const OF_PERSONS: [&str; 3] = ["sso_session", "sso_start_url", "login_session"];
/// Words of profiles by which a service does; whichever it has, it is not asked to log in.
const OF_SERVICES: [&str; 4] =
    ["aws_access_key_id", "credential_process", "web_identity_token_file", "credential_source"];
/// A profile may take another's credentials, and that one another's.
const MOST_SOURCES: usize = 10;

/// Refuses a profile that nobody but a person can use, by its name. A file that cannot be read is the chain's to judge.
pub(crate) async fn check() -> Result<(), OpenError> {
    // These come before any profile.
    let has_keys = std::env::var_os("AWS_ACCESS_KEY_ID").is_some_and(|it| !it.is_empty());
    if has_keys {
        return Ok(());
    }
    match load(&Fs::real(), &Env::real(), &Default::default(), None).await {
        Ok(profiles) => check_selected(&profiles),
        Err(_) => Ok(()),
    }
}

fn check_selected(profiles: &ProfileSet) -> Result<(), OpenError> {
    let mut name = profiles.selected_profile().to_owned();
    for _ in 0..MOST_SOURCES {
        let Some(profile) = profiles.get_profile(&name) else { return Ok(()) };
        let has = |word: &&&str| profile.get(word).is_some();
        if OF_SERVICES.iter().any(|word| has(&word)) {
            return Ok(());
        }
        if let Some(word) = OF_PERSONS.iter().find(has) {
            return Err(OpenError::SingleSignOn { profile: name, word });
        }
        // A role is taken on with the credentials of that one.
        match profile.get("source_profile") {
            Some(source) if source != name => name = source.to_owned(),
            _ => return Ok(()),
        }
    }
    Ok(())
}
