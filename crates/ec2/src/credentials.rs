//! The credentials for EC2: the configuration's keys, or what the SDK's default chain finds (environment, profile
//! with keys, a role or a process, web identity, container, instance role by IMDSv2), kept until shortly before it expires.

use std::time::{Duration, SystemTime};

use aws_config::{BehaviorVersion, ConfigLoader, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use aws_types::region::Region;
use dispatch_cloud_kit::{Failure, Meaning, Tokens};

use crate::chain_http;
use crate::endpoint::Variants;
use crate::{Params, driver::OpenError, profile};

/// Fetched anew when they are valid for less than that.
const SPARE: Duration = Duration::from_secs(300);
/// How long the chain may take, all its attempts together.
const DEADLINE: Duration = Duration::from_secs(30);

/// Where credentials come from.
#[derive(Debug)]
pub(crate) enum Source {
    /// The configuration.
    Fixed(Credentials),
    /// The default chain, and what it said last.
    Chain { provider: SharedCredentialsProvider, kept: Tokens<Credentials> },
}

/// What was found before anything is called.
#[derive(Debug)]
pub(crate) struct Found {
    pub source: Source,
    pub region: String,
    /// Which endpoints the profile asks for, as far as it was read.
    pub variants: Variants,
}

/// Finds the source of credentials, and the region: the configuration's, else the environment's.
pub(crate) async fn find(params: &Params) -> Result<Found, OpenError> {
    let has_keys = !params.access_key_id.is_empty();
    if has_keys && !params.region.is_empty() {
        let variants = Variants::default();
        return Ok(Found { source: fixed(params), region: params.region.clone(), variants });
    }
    if !has_keys {
        profile::check().await?;
    }
    let found = tokio::time::timeout(DEADLINE, loader(params).load()).await;
    let found = found.map_err(|_| OpenError::NoRegion(DEADLINE))?;
    let region = found.region().map(ToString::to_string).ok_or(OpenError::NoRegion(DEADLINE))?;
    let source = if has_keys { fixed(params) } else { chain(&found)? };
    let variants = Variants {
        fips: found.use_fips().unwrap_or_default(),
        dual_stack: found.use_dual_stack().unwrap_or_default(),
    };
    Ok(Found { source, region, variants })
}

fn fixed(params: &Params) -> Source {
    let secret = params.secret_access_key.expose();
    Source::Fixed(Credentials::new(&params.access_key_id, secret, None, None, "configuration"))
}

fn chain(found: &SdkConfig) -> Result<Source, OpenError> {
    let provider = found.credentials_provider().ok_or(OpenError::NoCredentials)?;
    Ok(Source::chain(provider))
}

fn loader(params: &Params) -> ConfigLoader {
    let loader = aws_config::defaults(BehaviorVersion::latest()).http_client(chain_http::client());
    if params.region.is_empty() { loader } else { loader.region(Region::new(params.region.clone())) }
}

impl Source {
    fn chain(provider: SharedCredentialsProvider) -> Self {
        Self::Chain { provider, kept: Tokens::new(SPARE, Credentials::expiry) }
    }

    /// Credentials that are valid now, as far as is known.
    pub async fn get(&self, now: SystemTime) -> Result<Credentials, Failure> {
        match self {
            Self::Fixed(credentials) => Ok(credentials.clone()),
            Self::Chain { provider, kept } => kept.get(now, || fetch(provider)).await,
        }
    }

    /// EC2 does not take what we have: ask anew for the next call.
    pub fn forget(&self) {
        if let Self::Chain { kept, .. } = self {
            kept.forget();
        }
    }
}

async fn fetch(provider: &SharedCredentialsProvider) -> Result<Credentials, Failure> {
    let failed =
        |code, text| Failure::ours(Meaning::Unauthorized, code, format!("no AWS credentials: {text}"));
    match tokio::time::timeout(DEADLINE, provider.provide_credentials()).await {
        Ok(Ok(credentials)) => Ok(credentials),
        Ok(Err(error)) => Err(failed("no_credentials", causes(&error))),
        Err(_) => Err(failed("no_credentials", format!("none within {} s", DEADLINE.as_secs()))),
    }
}

/// An error and what it comes from, in one line.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use aws_credential_types::provider::{ProvideCredentials, error::CredentialsError, future};

    use super::*;

    /// Gives credentials for an hour, the `n`th time under the name `key-n`; or, from a time on, none.
    #[derive(Debug)]
    pub(crate) struct Role {
        asked: Arc<AtomicU32>,
        until: u32,
        now: SystemTime,
    }

    impl ProvideCredentials for Role {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            let asked = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
            future::ProvideCredentials::ready(if asked > self.until {
                Err(CredentialsError::not_loaded("no role"))
            } else {
                let expiry = Some(self.now + Duration::from_secs(3600 * u64::from(asked)));
                Ok(Credentials::new(format!("key-{asked}"), "secret", None, expiry, "test"))
            })
        }
    }

    /// A source that asks it, and how often it has been asked.
    pub(crate) fn role(until: u32, now: SystemTime) -> (Source, Arc<AtomicU32>) {
        let asked = Arc::new(AtomicU32::new(0));
        let role = Role { asked: Arc::clone(&asked), until, now };
        let provider = SharedCredentialsProvider::new(role);
        (Source::chain(provider), asked)
    }

    async fn key(source: &Source, at: SystemTime) -> Result<String, Failure> {
        source.get(at).await.map(|it| it.access_key_id().to_owned())
    }

    #[tokio::test]
    async fn credentials_are_kept_until_shortly_before_they_expire() {
        let now = SystemTime::UNIX_EPOCH;
        let (source, asked) = role(u32::MAX, now);
        for (minute, wanted) in [(0, "key-1"), (54, "key-1"), (56, "key-2"), (60, "key-2")] {
            let at = now + Duration::from_secs(60 * minute);
            assert_eq!(key(&source, at).await.unwrap(), wanted, "minute {minute}");
        }
        assert_eq!(asked.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn while_none_can_be_had_the_old_ones_serve_until_they_expire() {
        let now = SystemTime::UNIX_EPOCH;
        let (source, _) = role(1, now);
        let at = |minute: u64| now + Duration::from_secs(60 * minute);
        assert_eq!(key(&source, at(0)).await.unwrap(), "key-1");
        assert_eq!(key(&source, at(58)).await.unwrap(), "key-1");
        let failure = key(&source, at(61)).await.unwrap_err();
        assert_eq!((failure.meaning, failure.code.as_str()), (Meaning::Unauthorized, "no_credentials"));
        assert!(failure.message.contains("no role"), "{}", failure.message);
    }

    #[tokio::test]
    async fn refused_credentials_are_forgotten() {
        let now = SystemTime::UNIX_EPOCH;
        let (source, _) = role(u32::MAX, now);
        key(&source, now).await.unwrap();
        source.forget();
        assert_eq!(key(&source, now).await.unwrap(), "key-2");
    }

    #[test]
    fn causes_are_told_in_one_line() {
        let error = CredentialsError::provider_error("metadata service unreachable");
        assert!(causes(&error).contains("metadata service unreachable"), "{}", causes(&error));
    }
}
