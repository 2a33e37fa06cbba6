//! One call: signed, sent once, its answer read. No retries, no redirects.

use std::sync::Arc;
use std::time::Duration;

use dispatch_cloud_kit::{ErrorCounter, Failure, Http, Malformed, Method, Outgoing, clock, tls};
use dispatch_core::secret::Secret;
use rustls::ClientConfig;

use crate::answer;
use crate::credentials::Source;
use crate::driver::OpenError;
use crate::endpoint::Endpoint;
use crate::environment;
use crate::errors::{ERRORS, speaks_of_credentials};
use crate::request::Request;
use crate::sign;

/// Sends calls to one endpoint.
pub(crate) struct Sender {
    http: Http,
    endpoint: Endpoint,
    credentials: Source,
    errors: ErrorCounter,
}

impl Sender {
    /// Sends nothing yet. `deadline`: of each call, its connection and its whole answer.
    pub fn new(
        endpoint: Endpoint,
        credentials: Source,
        deadline: Duration,
        errors: ErrorCounter,
    ) -> Result<Self, OpenError> {
        let tls = match endpoint.url.scheme() {
            "https" => Some(tls()?),
            _ => None,
        };
        Ok(Self { http: Http::new(deadline, tls), endpoint, credentials, errors })
    }

    /// The whole answer, of a good status; what is in it is the caller's to check.
    async fn send(&self, request: &Request) -> Result<String, Failure> {
        let now = clock::system_time();
        let called = async {
            let credentials = self.credentials.get(now).await?;
            let token = Secret::new(credentials.session_token().unwrap_or_default());
            let secrets = [request.secrets(), &[token]].concat();
            let body = request.form();
            let headers = sign::headers(&self.endpoint, &body, &credentials, now)?;
            let call = Outgoing { method: Method::POST, url: &self.endpoint.url, headers, body };
            self.http.send(call).await?.judged(&ERRORS, answer::error::read, &secrets, now)
        };
        called.await.map_err(|failure| {
            // Others may serve better; that we may not do something does not make us somebody else.
            if speaks_of_credentials(&failure) {
                self.credentials.forget();
            }
            failure.of_call(request.action.as_str())
        })
    }

    /// Reads an answer with `reader`; one that cannot be read may have come after the deed. Failures are counted.
    pub async fn call<T>(
        &self,
        request: &Request,
        reader: impl FnOnce(&str) -> Result<T, Malformed>,
    ) -> Result<T, Failure> {
        let answer = self.send(request).await.and_then(|body| {
            reader(&body).map_err(|error| Failure::malformed(error).of_call(request.action.as_str()))
        });
        answer.inspect_err(|failure| self.errors.failed(request.action, failure))
    }

    /// A call whose answer says nothing but that it was done.
    pub async fn done(&self, request: &Request) -> Result<(), Failure> {
        self.call(request, |body| answer::check(request.action, body)).await
    }
}

/// The system's authorities, and those that the site added; or those of `AWS_CA_BUNDLE` and no others, as all of AWS's
/// clients understand it.
pub(crate) fn tls() -> Result<Arc<ClientConfig>, OpenError> {
    match environment::ca_bundle() {
        Some(path) => tls::config(Some(&path)).map_err(OpenError::Bundle),
        None => tls::config(None).map_err(OpenError::Authorities),
    }
}
