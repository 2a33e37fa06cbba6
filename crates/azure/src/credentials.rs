//! Tokens for the resource manager, and who we are to those who give them out.
//!
//! ```text
//!   ClientSecret ────────────────────── POST TENANT/oauth2/token        ┐
//!   AZURE_FEDERATED_TOKEN_FILE ──────── POST TENANT/oauth2/v2.0/token   ├─► token, kept until five minutes before its end
//!   else: this host's managed identity, GET of its metadata service     ┘
//! ```
//! The first that applies is taken, once: none is tried after another has refused.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use dispatch_cloud_kit::endpoint::is_this_machine;
use dispatch_cloud_kit::{
    Answer, ErrorTable, Failure, Http, Meaning, Method, NO_CONNECTION, Outgoing, Refusal, Tokens, json,
};
use dispatch_core::secret::Secret;
use serde::Deserialize;
use url::{Host, Url};

use crate::cloud::Cloud;
use crate::driver::OpenError;
use crate::environment::Environment;
use crate::params::Params;

/// Fetched anew when the kept one is valid for less than that.
const SPARE: Duration = Duration::from_secs(300);
/// What is longer is no token.
const LONGEST_TOKEN: usize = 32 << 10;
/// The metadata service of each VM of Azure's.
const METADATA_SERVICE: &str = "http://169.254.169.254/";
/// Only the status of a refusal decides.
const ERRORS: ErrorTable = ErrorTable { cloud: "Microsoft's login", rows: &[] };

/// Who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Identity {
    /// An application with a password.
    ServicePrincipal { tenant: String, client: String, secret: Secret },
    /// An application that is believed because somebody else vouches for it, in a file that is renewed.
    Workload { tenant: String, client: String, file: PathBuf },
    /// What this host is; `client` chooses among several, empty = its own.
    Managed { client: String, service: Url },
}

impl Identity {
    /// The first that the configuration and the environment have.
    pub fn new(params: &Params, environment: &Environment) -> Result<Self, OpenError> {
        let Params { client_id, client_secret, tenant_id, .. } = params;
        if !client_secret.is_empty() {
            if !is_tenant(tenant_id) {
                return Err(OpenError::BadTenant);
            }
            let (tenant, client) = (tenant_id.clone(), client_id.clone());
            return Ok(Self::ServicePrincipal { tenant, client, secret: client_secret.clone() });
        }
        if let Some(file) = environment.federated_token_file.clone() {
            let client =
                Some(client_id.clone()).filter(|it| !it.is_empty()).or(environment.client_id.clone());
            let (Some(client), Some(tenant)) = (client, environment.tenant_id.clone()) else {
                return Err(OpenError::HalfWorkloadIdentity);
            };
            if !is_tenant(&tenant) {
                return Err(OpenError::BadTenant);
            }
            return Ok(Self::Workload { tenant, client, file });
        }
        let service = environment.identity_host.as_deref().unwrap_or(METADATA_SERVICE);
        let url = Url::parse(service).ok().filter(|it| matches!(it.scheme(), "http" | "https"));
        let url = url.filter(|it| it.has_host() && (service == METADATA_SERVICE || is_near(it)));
        let service = url.ok_or(OpenError::BadIdentityHost)?;
        Ok(Self::Managed { client: client_id.clone(), service })
    }
}

/// Whether it is on this host or beside it, by number: whoever answers there says who we are.
fn is_near(url: &Url) -> bool {
    let is_beside = matches!(url.host(), Some(Host::Ipv4(it)) if it.is_link_local());
    is_this_machine(url) || url.scheme() == "https" || is_beside
}

/// Whether that can be a directory: it becomes a part of a URL.
pub(crate) fn is_tenant(text: &str) -> bool {
    let is_fine = |c: char| c.is_ascii_alphanumeric() || "-.".contains(c);
    !text.trim_matches('.').is_empty() && text.chars().all(is_fine)
}

/// A token.
#[derive(Debug, Clone)]
struct Token {
    text: Secret,
    expires: SystemTime,
}

/// Gives tokens.
pub(crate) struct Credentials {
    identity: Identity,
    cloud: Cloud,
    http: Http,
    kept: Tokens<Token>,
}

impl Credentials {
    /// Asks nobody yet.
    pub fn new(identity: Identity, cloud: Cloud, http: Http) -> Self {
        Self { identity, cloud, http, kept: Tokens::new(SPARE, |it: &Token| Some(it.expires)) }
    }

    /// A token that is valid now, as far as is known.
    pub async fn get(&self, now: SystemTime) -> Result<Secret, Failure> {
        self.kept.get(now, || self.fetch(now)).await.map(|it| it.text)
    }

    /// Azure does not take what we have: the next call has another.
    pub fn forget(&self) {
        self.kept.forget();
    }

    async fn fetch(&self, now: SystemTime) -> Result<Token, Failure> {
        let fetched = async {
            let question = self.question()?;
            let call = question.outgoing();
            let answer = self.http.send(call).await?;
            let status = answer.status;
            let text = answer.judged(&ERRORS, refusal, &question.secrets, now);
            read(&text.map_err(|failure| of_status(failure, status))?, now)
        };
        fetched.await.map_err(|failure| without_doubt(failure).of_call("token"))
    }

    fn question(&self) -> Result<Question, Failure> {
        let audience = self.cloud.audience.as_str();
        match &self.identity {
            Identity::ServicePrincipal { tenant, client, secret } => {
                let form = [
                    ("grant_type", "client_credentials"),
                    ("client_id", client),
                    ("client_secret", secret.expose()),
                    ("resource", audience),
                ];
                Ok(self.post(&format!("{tenant}/oauth2/token?api-version=1.0"), &form, secret.clone()))
            }
            Identity::Workload { tenant, client, file } => {
                let assertion = std::fs::read_to_string(file).map_err(|error| {
                    let text = format!("cannot read AZURE_FEDERATED_TOKEN_FILE {}: {error}", file.display());
                    Failure::ours(Meaning::Unauthorized, "no_token", text)
                })?;
                let assertion = Secret::new(assertion.trim());
                let scope = format!("{}/.default", audience.trim_end_matches('/'));
                let form = [
                    ("grant_type", "client_credentials"),
                    ("client_id", client),
                    ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
                    ("client_assertion", assertion.expose()),
                    ("scope", &scope),
                ];
                Ok(self.post(&format!("{tenant}/oauth2/v2.0/token"), &form, assertion.clone()))
            }
            Identity::Managed { client, service } => {
                let mut url = service.join("metadata/identity/oauth2/token").expect("a constant path");
                url.query_pairs_mut()
                    .append_pair("api-version", "2018-02-01")
                    .append_pair("resource", audience);
                if !client.is_empty() {
                    url.query_pairs_mut().append_pair("client_id", client);
                }
                let headers = vec![("Metadata".to_owned(), "true".to_owned())];
                Ok(Question { method: Method::GET, url, headers, form: String::new(), secrets: Vec::new() })
            }
        }
    }

    fn post(&self, path: &str, form: &[(&str, &str)], secret: Secret) -> Question {
        let url = self.cloud.login.join(path).expect("tenants are checked");
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let kind = "application/x-www-form-urlencoded".to_owned();
        let headers = vec![("Content-Type".to_owned(), kind)];
        Question { method: Method::POST, url, headers, form, secrets: vec![secret] }
    }
}

/// A call for a token. It has no `Debug`: its form has the secret.
struct Question {
    method: Method,
    url: Url,
    headers: Vec<(String, String)>,
    form: String,
    secrets: Vec<Secret>,
}

impl Question {
    fn outgoing(&self) -> Outgoing<'_> {
        let Self { method, url, headers, form, .. } = self;
        let accept = ("Accept".to_owned(), "application/json".to_owned());
        let headers = headers.iter().cloned().chain([accept]).collect();
        Outgoing { method: method.clone(), url, headers, body: form.clone() }
    }
}

/// The words of who gives out tokens. The description's other lines are ids and times.
fn refusal(text: &str) -> Option<Refusal> {
    #[derive(Deserialize)]
    struct Words {
        error: String,
        error_description: Option<String>,
    }
    let words: Words = json::maybe(text)?;
    let description = words.error_description.unwrap_or_default();
    Refusal::new(&words.error, description.lines().next().unwrap_or_default(), "")
}

/// Whoever is not given a token is not let in; who gives them out may also be in trouble.
fn of_status(failure: Failure, status: u16) -> Failure {
    match (&failure.meaning, status) {
        (Meaning::Throttled | Meaning::ThrottledFor(_), _) => failure,
        (_, 400 | 401 | 403) => Failure { meaning: Meaning::Unauthorized, ..failure },
        _ => failure,
    }
}

/// The call that the token was for has not been sent, whatever became of this one.
fn without_doubt(failure: Failure) -> Failure {
    match (&failure.meaning, failure.code.as_str()) {
        (Meaning::Unknown, NO_CONNECTION) => {
            Failure { meaning: Meaning::Other, code: "no_token".to_owned(), ..failure }
        }
        (Meaning::Unknown, _) => Failure { meaning: Meaning::Other, ..failure },
        _ => failure,
    }
}

/// Reads a token. Its text goes into a header.
fn read(text: &str, now: SystemTime) -> Result<Token, Failure> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Number {
        Whole(u64),
        Text(String),
    }
    #[derive(Deserialize)]
    struct Given {
        access_token: String,
        expires_in: Option<Number>,
        expires_on: Option<Number>,
    }
    let seconds = |it: Number| match it {
        Number::Whole(seconds) => Some(seconds),
        Number::Text(text) => text.trim().parse().ok(),
    };
    // The parser's own words may repeat what it has read.
    let given: Given = json::maybe(text).ok_or_else(|| Failure::malformed("no JSON with an access_token"))?;
    let is_fine = |b: u8| b.is_ascii_graphic();
    let token = Secret::new(given.access_token);
    let length = token.expose().len();
    if length == 0 || length > LONGEST_TOKEN || !token.expose().bytes().all(is_fine) {
        return Err(Failure::malformed("an access_token that is none"));
    }
    let until = |seconds: u64| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
    let expires = match (given.expires_in.and_then(seconds), given.expires_on.and_then(seconds)) {
        (Some(seconds), _) => now.checked_add(Duration::from_secs(seconds)),
        (None, Some(time)) => until(time),
        (None, None) => None,
    };
    let expires =
        expires.ok_or_else(|| Failure::malformed("a token that does not say until when it is valid"))?;
    if expires <= now {
        return Err(Failure::malformed("a token that has expired already"));
    }
    Ok(Token { text: token, expires })
}

/// What a refused token is forgotten for.
pub(crate) fn speaks_of_tokens(answer: &Answer) -> bool {
    answer.status == 401
}
