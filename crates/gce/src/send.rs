//! One call: with a token, sent once, its answer read. No retries, no redirects; a token goes to the endpoint and nowhere
//! else.

use std::time::SystemTime;

use dispatch_cloud_kit::{Answer, ErrorCounter, Failure, Http, Outgoing, Refusal, clock};
use dispatch_core::secret::Secret;
use dispatch_core::time::Timestamp;

use crate::answer;
use crate::answer::operation::{self, Operation};
use crate::api::{Api, Call};
use crate::credentials::Credentials;
use crate::errors::{ERRORS, refine, speaks_of_credentials};

/// Sends calls to one endpoint.
pub(crate) struct Sender {
    http: Http,
    /// The calls that there are.
    pub api: Api,
    credentials: Credentials,
    errors: ErrorCounter,
    now: fn() -> Timestamp,
}

impl Sender {
    /// Sends nothing yet.
    pub fn new(
        http: Http,
        api: Api,
        credentials: Credentials,
        errors: ErrorCounter,
        now: fn() -> Timestamp,
    ) -> Self {
        Self { http, api, credentials, errors, now }
    }

    /// The whole answer, of a good status; what is in it is the caller's to check.
    async fn send(&self, call: &Call) -> Result<String, Failure> {
        let now = clock::system_time();
        let token = self.credentials.token(now).await?;
        let secrets = [&call.secrets[..], std::slice::from_ref(&token)].concat();
        let called = self.http.send(outgoing(call, &token)).await;
        let judged = called.and_then(|answer| answer.judged(&ERRORS, answer::error::read, &secrets, now));
        judged.map_err(|failure| {
            if speaks_of_credentials(&failure) {
                self.credentials.forget();
            }
            refine(failure, (self.now)())
        })
    }

    /// Reads an answer with `reader`; one that cannot be read may have come after the deed. Failures are counted.
    pub async fn call<T, E: Into<Unread>>(
        &self,
        call: &Call,
        reader: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T, Failure> {
        let answer = self.send(call).await;
        let answer = answer.and_then(|body| reader(&body).map_err(|error| error.into().0));
        answer.map_err(|failure| self.failed(call.name, failure))
    }

    /// A call that changes something: not waited for longer than the answer; but what has failed already is told.
    pub async fn change(&self, call: &Call) -> Result<(), Failure> {
        match self.call(call, operation::read).await? {
            Operation::Failed(error) => Err(self.refused(call.name, error.refusal(), &call.secrets)),
            Operation::Running(_) | Operation::Done => Ok(()),
        }
    }

    /// What an operation of that call has come to: its own words, which mean the same as those of an answer.
    pub fn refused(&self, call: &'static str, refusal: Option<Refusal>, secrets: &[Secret]) -> Failure {
        // Whatever its word: the operation has ended, so a word that nobody knows is a refusal.
        let ended = Answer { status: 400, headers: Default::default(), body: Vec::new() };
        let judged = ended.judged(&ERRORS, |_| refusal, secrets, SystemTime::UNIX_EPOCH);
        let failure = judged.expect_err("400 is no good status");
        self.failed(call, refine(failure, (self.now)()))
    }

    fn failed(&self, call: &'static str, failure: Failure) -> Failure {
        self.errors.failed(call, &failure);
        failure.of_call(call)
    }
}

/// Why an answer was not read.
pub(crate) struct Unread(Failure);

impl From<Failure> for Unread {
    fn from(failure: Failure) -> Self {
        Self(failure)
    }
}

impl From<dispatch_cloud_kit::Malformed> for Unread {
    fn from(error: dispatch_cloud_kit::Malformed) -> Self {
        Self(Failure::malformed(error))
    }
}

fn outgoing<'a>(call: &'a Call, token: &Secret) -> Outgoing<'a> {
    let mut headers = vec![("Authorization".to_owned(), format!("Bearer {}", token.expose()))];
    if !call.body.is_empty() {
        headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
    }
    Outgoing { method: call.method.clone(), url: &call.url, headers, body: call.body.expose().to_owned() }
}
