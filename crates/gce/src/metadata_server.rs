//! The metadata server of a host in this cloud: it knows the host's project, and gives tokens of its service account.

use std::time::Duration;

use dispatch_cloud_kit::{Answer, Failure, Http, Meaning, Method, Outgoing, json};
use dispatch_core::secret::Secret;
use serde::Deserialize;
use url::Url;

use crate::environment::METADATA_HOST;
use crate::names::is_project;

const HOST: &str = "metadata.google.internal";
/// Sent with each question, and it must come back: a stranger's server would not know it.
const FLAVOR: (&str, &str) = ("Metadata-Flavor", "Google");
/// It is on the host itself.
const DEADLINE: Duration = Duration::from_secs(10);

/// Where it is.
pub(crate) struct MetadataServer {
    http: Http,
    base: Url,
}

/// What it or a token's issuer gives.
#[derive(Deserialize)]
pub(crate) struct Given {
    pub access_token: String,
    /// Seconds.
    pub expires_in: u64,
}

impl Given {
    /// Reads an answer, of which nothing is ever repeated; `None` = it has no token.
    pub fn read(text: &str) -> Option<(Secret, Duration)> {
        let Self { access_token, expires_in } = json::maybe(text)?;
        // It becomes a header.
        let is_token = !access_token.is_empty() && access_token.bytes().all(|byte| byte.is_ascii_graphic());
        is_token.then(|| (Secret::new(access_token), Duration::from_secs(expires_in)))
    }
}

impl MetadataServer {
    /// The one at that host, `HOST` or `HOST:PORT`; by default this host's.
    pub fn at(host: Option<&str>) -> Result<Self, String> {
        let host = host.unwrap_or(HOST);
        let is_host = !host.is_empty() && !host.contains(['/', '@', '?', '#']);
        let base = Url::parse(&format!("http://{host}/computeMetadata/v1/")).ok().filter(|_| is_host);
        let base = base.ok_or_else(|| format!("`{host}` is not HOST or HOST:PORT ({METADATA_HOST})"))?;
        Ok(Self { http: Http::new(DEADLINE, None), base })
    }

    /// A token of the host's service account, and for how long it is valid.
    pub async fn token(&self) -> Result<(Secret, Duration), String> {
        let text = self.ask("instance/service-accounts/default/token").await?;
        Given::read(&text).ok_or_else(|| "the metadata server's answer has no token".to_owned())
    }

    /// The host's project.
    pub async fn project(&self) -> Result<String, String> {
        let project = self.ask("project/project-id").await?.trim().to_owned();
        match is_project(&project) {
            true => Ok(project),
            false => Err("the metadata server's answer is no project's id".to_owned()),
        }
    }

    async fn ask(&self, path: &str) -> Result<String, String> {
        let url = self.base.join(path).map_err(|error| error.to_string())?;
        let headers = vec![(FLAVOR.0.to_owned(), FLAVOR.1.to_owned())];
        let call = Outgoing { method: Method::GET, url: &url, headers, body: String::new() };
        let answer = self.http.send(call).await.map_err(|failure| failure.message)?;
        text_of(answer, path)
    }
}

fn text_of(answer: Answer, path: &str) -> Result<String, String> {
    if answer.header(FLAVOR.0) != Some(FLAVOR.1) {
        return Err(format!("who answers is no metadata server (no {} in its answer)", FLAVOR.0));
    }
    match answer.status {
        200 => String::from_utf8(answer.body).map_err(|_| "an answer that is not UTF-8".to_owned()),
        404 => Err(format!("the metadata server has no {path}: has this host a service account?")),
        status => Err(format!("the metadata server answers {status} for {path}")),
    }
}

/// A failure of whoever gives tokens: no call of ours is served without one.
pub(crate) fn no_token(why: impl std::fmt::Display) -> Failure {
    Failure::ours(Meaning::Unauthorized, "no_token", format!("no Google credentials: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_one_and_no_url() {
        for host in ["metadata.google.internal", "169.254.169.254", "127.0.0.1:8080", "[::1]:80"] {
            assert!(MetadataServer::at(Some(host)).is_ok(), "{host}");
        }
        for host in ["", "http://a/", "a/b", "user@a", "a?b", "a b", "a:port"] {
            let told = MetadataServer::at(Some(host)).err().unwrap();
            assert!(told.contains(METADATA_HOST), "{host}: {told}");
        }
    }

    #[test]
    fn an_answer_without_a_usable_token_has_none() {
        let (token, valid) =
            Given::read(r#"{"access_token":"ya29.a","expires_in":3599,"token_type":"Bearer"}"#).unwrap();
        assert_eq!((token.expose(), valid), ("ya29.a", Duration::from_secs(3599)));
        for text in [
            "",
            "<html>",
            "{}",
            r#"{"access_token":"","expires_in":1}"#,
            r#"{"access_token":"a"}"#,
            r#"{"access_token":"a\r\nHost: x","expires_in":1}"#,
            r#"{"access_token":"a","expires_in":-1}"#,
            r#"{"access_token":["a"],"expires_in":1}"#,
        ] {
            assert!(Given::read(text).is_none(), "{text}");
        }
    }
}
