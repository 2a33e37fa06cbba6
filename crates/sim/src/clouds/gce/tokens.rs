//! Who gives tokens in the fake cloud: the metadata server, and the issuer that service accounts show their keys to.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::state::{FakeGce, good};
use crate::stub::{Reply, header};

/// The tokens that were given.
#[derive(Debug, Clone)]
pub struct Tokens {
    /// For how long new ones are said to be valid, in seconds.
    pub valid_seconds: u64,
    /// The signed claims that were shown, in order.
    pub assertions: Vec<String>,
    valid: BTreeSet<String>,
    given: u64,
}

impl Default for Tokens {
    fn default() -> Self {
        Self { valid_seconds: 3599, assertions: Vec::new(), valid: BTreeSet::new(), given: 0 }
    }
}

impl Tokens {
    /// No token that was given before is taken any more.
    pub fn revoke(&mut self) {
        self.valid.clear();
    }

    /// How many were given.
    pub fn given(&self) -> u64 {
        self.given
    }

    pub(super) fn is_valid(&self, token: &str) -> bool {
        self.valid.contains(token)
    }

    fn give(&mut self) -> String {
        self.given += 1;
        let token = format!("ya29.token-number-{}", self.given);
        self.valid.insert(token.clone());
        json!({"access_token": token, "expires_in": self.valid_seconds, "token_type": "Bearer"}).to_string()
    }
}

impl FakeGce {
    /// `/computeMetadata/v1/…`
    pub(super) fn metadata(&mut self, head: &str, path: &str) -> Reply {
        if header(head, "metadata-flavor") != Some("Google") {
            return Reply::Other(
                403,
                "text/html",
                "<html>Missing Metadata-Flavor:Google header.</html>".to_owned(),
            );
        }
        if let Some(fault) = self.fault("metadata") {
            return fault;
        }
        let (kind, body) = match path {
            "instance/service-accounts/default/token" => ("application/json", self.tokens.give()),
            "project/project-id" => ("application/text", self.project.clone()),
            _ => return of_metadata(404, "text/html", "<html>Not Found</html>"),
        };
        of_metadata(200, kind, &body)
    }

    /// `POST /token`: it looks at the claims' form, and leaves their signature to others.
    pub(super) fn token(&mut self, body: &[u8]) -> Reply {
        if let Some(fault) = self.fault("token") {
            return fault;
        }
        let form: BTreeMap<String, String> = form_urlencoded::parse(body).into_owned().collect();
        let is_bearer =
            form.get("grant_type").is_some_and(|it| it == "urn:ietf:params:oauth:grant-type:jwt-bearer");
        match form.get("assertion").filter(|it| is_bearer && it.split('.').count() == 3) {
            Some(assertion) => {
                self.tokens.assertions.push(assertion.clone());
                let given = self.tokens.give();
                Reply::Other(200, "application/json; charset=utf-8", given)
            }
            None => {
                let error = json!({"error": "invalid_grant", "error_description": "Invalid JWT"});
                Reply::Other(400, "application/json; charset=utf-8", error.to_string())
            }
        }
    }

    pub(super) fn unauthenticated() -> Reply {
        super::state::refusal(
            401,
            "authError",
            "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid \
             authentication credential.",
        )
    }

    /// What the API itself says of a good call without a deed.
    pub(super) fn shown(value: &serde_json::Value) -> Reply {
        good(value)
    }
}

fn of_metadata(status: u16, kind: &str, body: &str) -> Reply {
    Reply::Raw(format!(
        "HTTP/1.1 {status} Whatever\r\nMetadata-Flavor: Google\r\nContent-Type: {kind}\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    ))
}
