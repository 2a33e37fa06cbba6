//! The token that each call shows: of a service account's key, or of the host's own service account. Kept until shortly
//! before it expires, and asked for anew when Compute Engine does not take it.
//!
//! ```text
//!   CredentialsFile, else GOOGLE_APPLICATION_CREDENTIALS ─► key file ─ signed claims ─► its token_uri ─► token
//!   neither ──────────────────────────────────────────────► metadata server ─────────────────────────► token
//! ```

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use dispatch_cloud_kit::{Failure, Http, Method, Outgoing, Tokens, clock, json};
use dispatch_core::secret::Secret;
use rustls::ClientConfig;
use serde::Deserialize;

use crate::jwt::Claims;
use crate::key_file::{KeyFile, KeyFileError};
use crate::metadata_server::{Given, MetadataServer, no_token};

/// Fetched anew when it is valid for less than that. The metadata server itself keeps a token until five minutes before
/// its end: who asked earlier would get the same again.
const SPARE: Duration = Duration::from_secs(225);
/// How long who gives tokens may take.
const DEADLINE: Duration = Duration::from_secs(30);
/// The most of its words that is repeated.
const LONGEST_WORDS: usize = 200;

/// A token, and until when it is valid.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    pub text: Secret,
    expires: SystemTime,
}

/// Who gives tokens.
pub(crate) enum Source {
    /// A service account's key.
    Key { path: PathBuf, http: Http },
    /// The host's service account.
    Host(MetadataServer),
}

/// The tokens of a source.
pub(crate) struct Credentials {
    source: Source,
    kept: Tokens<Token>,
}

impl Source {
    /// A key's: where tokens are asked for is spoken to with that TLS.
    pub fn key(path: &Path, tls: Option<Arc<ClientConfig>>) -> Self {
        Self::Key { path: path.to_owned(), http: Http::new(DEADLINE, tls) }
    }
}

impl Credentials {
    /// Has no token yet.
    pub fn new(source: Source) -> Self {
        Self { source, kept: Tokens::new(SPARE, |token| Some(token.expires)) }
    }

    /// A token that is valid now, as far as is known.
    pub async fn token(&self, now: SystemTime) -> Result<Secret, Failure> {
        let token = self.kept.get(now, || self.fetch(now)).await;
        token.map(|token| token.text)
    }

    /// Compute Engine does not take what we have: ask anew for the next call.
    pub fn forget(&self) {
        self.kept.forget();
    }

    async fn fetch(&self, now: SystemTime) -> Result<Token, Failure> {
        let given = match &self.source {
            Source::Key { path, http } => of_key(path, http, now).await,
            Source::Host(server) => server.token().await,
        };
        let (text, valid) = given.map_err(no_token)?;
        // Nobody's tokens are valid for a day.
        let valid = valid.min(Duration::from_secs(24 * 3600));
        Ok(Token { text, expires: now + valid })
    }
}

async fn of_key(path: &Path, http: &Http, now: SystemTime) -> Result<(Secret, Duration), String> {
    let file = KeyFile::read(path).map_err(|error: KeyFileError| error.to_string())?;
    let claims = Claims { issuer: &file.email, key_id: &file.key_id, audience: &file.audience };
    let assertion = claims.signed(&file.key, now).ok_or("the key cannot sign")?;
    let body = form_urlencoded::Serializer::new(String::new())
        .append_pair("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer")
        .append_pair("assertion", assertion.expose())
        .finish();
    let headers = vec![("Content-Type".to_owned(), "application/x-www-form-urlencoded".to_owned())];
    let call = Outgoing { method: Method::POST, url: &file.token_uri, headers, body };
    let answer = http.send(call).await.map_err(|failure| failure.message)?;
    let text = String::from_utf8_lossy(&answer.body);
    if answer.status == 200 {
        return Given::read(&text).ok_or_else(|| format!("the answer of {} has no token", file.token_uri));
    }
    let date = answer.header("date").and_then(clock::read);
    let skew = date.and_then(|date| clock::skew(now, date)).map(|skew| format!("; {skew}"));
    let words = refusal(&text, &assertion).unwrap_or_else(|| format!("status {}", answer.status));
    Err(format!("{} for {}: {words}{}", file.token_uri, file.email, skew.unwrap_or_default()))
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
    #[serde(default)]
    error_description: String,
}

/// `invalid_grant: Invalid JWT: …`, by which a wrong clock is told, too.
fn refusal(text: &str, assertion: &Secret) -> Option<String> {
    let Refusal { error, error_description } = json::maybe(text)?;
    let words = format!("{error}: {error_description}").replace(assertion.expose(), "(secret)");
    Some(words.chars().filter(|c| !c.is_control()).take(LONGEST_WORDS).collect())
}
