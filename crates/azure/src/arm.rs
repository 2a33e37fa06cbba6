//! One call of the resource manager: with a token, sent once, its answer read. No retries, no redirects, and no token for
//! another host: the URLs that Azure's answers name are checked first.

use std::time::Duration;

use dispatch_cloud_kit::{
    Answer, ErrorCounter, Failure, Http, Malformed, Meaning, Method, Outgoing, clock, json, pages,
};
use dispatch_core::secret::Secret;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use crate::answer::{self, Page};
use crate::credentials::{Credentials, speaks_of_tokens};
use crate::errors::{ERRORS, EXISTS, THROTTLED, of_no_order};

/// Azure says mostly how long to wait; where it does not, its limits are counted in minutes.
const THROTTLED_FOR: Duration = Duration::from_secs(20);
/// A lock on one resource, not a limit of calls: over in a moment.
const LOCKED: &str = "RetryableErrorDueToAnotherOperation";

/// The calls that we make, for errors and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Call {
    PutInterface,
    PutMachine,
    GetMachine,
    ListMachines,
    ListInterfaces,
    ListDisks,
    MergeTags,
    GetOperation,
    DeleteMachine,
    DeleteInterface,
    DeleteDisk,
}

impl Call {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PutInterface => "PutNetworkInterface",
            Self::PutMachine => "PutVirtualMachine",
            Self::GetMachine => "GetVirtualMachine",
            Self::ListMachines => "ListVirtualMachines",
            Self::ListInterfaces => "ListNetworkInterfaces",
            Self::ListDisks => "ListDisks",
            Self::MergeTags => "MergeTags",
            Self::GetOperation => "GetOperation",
            Self::DeleteMachine => "DeleteVirtualMachine",
            Self::DeleteInterface => "DeleteNetworkInterface",
            Self::DeleteDisk => "DeleteDisk",
        }
    }
}

impl From<Call> for &'static str {
    fn from(call: Call) -> Self {
        call.as_str()
    }
}

/// A call to be sent.
pub(crate) struct Request {
    pub call: Call,
    pub method: Method,
    pub url: Url,
    /// `None` = it has no body.
    pub body: Option<Value>,
    /// Refused if it is there already.
    pub only_new: bool,
    /// What is not to be repeated.
    pub secrets: Vec<Secret>,
}

impl Request {
    /// A call without a body.
    pub fn new(call: Call, method: Method, url: Url) -> Self {
        Self { call, method, url, body: None, only_new: false, secrets: Vec::new() }
    }
}

/// A good answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub body: String,
    /// The URL of the operation that goes on, not checked yet.
    pub operation: Option<String>,
    /// How long to wait before it is asked for.
    pub retry_after: Option<Duration>,
    /// What is not to be repeated.
    secrets: Vec<Secret>,
}

/// The most that is repeated of why an answer cannot be read: the reader's words have in them what it has read, whole.
const LONGEST_REASON: usize = 300;

impl Reply {
    /// What it says.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        json::read(&self.body).map_err(|Malformed(why)| {
            // Of a secret that is cut in two the head would stay.
            let failure = self.secrets.iter().fold(Failure::malformed(why), Failure::without);
            let message = failure.message.chars().filter(|c| !c.is_control()).take(LONGEST_REASON).collect();
            Failure { message, ..failure }
        })
    }
}

/// The resource manager of one cloud.
pub(crate) struct Arm {
    http: Http,
    manager: Url,
    credentials: Credentials,
    errors: ErrorCounter,
}

impl Arm {
    /// Sends nothing yet.
    pub fn new(http: Http, manager: Url, credentials: Credentials, errors: ErrorCounter) -> Self {
        Self { http, manager, credentials, errors }
    }

    /// The URL of that id, in that version of Azure's API.
    pub fn url(&self, id: &str, version: &str) -> Url {
        let mut url = self.manager.clone();
        url.set_path(&format!("{}{}", url.path(), id.trim_start_matches('/')));
        url.query_pairs_mut().append_pair("api-version", version);
        url
    }

    /// A URL that an answer has named: of the same host, or nobody's.
    pub fn checked(&self, text: &str) -> Result<Url, Failure> {
        let url = Url::parse(text).map_err(|_| Failure::malformed("the next URL is none"))?;
        if url.origin() != self.manager.origin() {
            let host = url.host_str().unwrap_or_default();
            return Err(Failure::malformed(format!("the next URL leads elsewhere: `{host:.80}`")));
        }
        Ok(url)
    }

    /// Sends it. Failures are counted.
    pub async fn call(&self, request: Request) -> Result<Reply, Failure> {
        let call = request.call;
        let outcome = self.sent(request).await.map_err(|failure| match call {
            Call::PutMachine => failure.of_call(call.as_str()),
            _ => of_no_order(failure).of_call(call.as_str()),
        });
        // That it is there is what was wanted.
        let is_wanted = |failure: &Failure| call == Call::PutMachine && failure.code == EXISTS;
        outcome.inspect_err(|failure| {
            if !is_wanted(failure) {
                self.errors.failed(call, failure);
            }
        })
    }

    async fn sent(&self, request: Request) -> Result<Reply, Failure> {
        let now = clock::system_time();
        let token = self.credentials.get(now).await?;
        let mut headers = vec![
            ("Authorization".to_owned(), format!("Bearer {}", token.expose())),
            ("Accept".to_owned(), "application/json".to_owned()),
        ];
        let body = request.body.as_ref().map_or(String::new(), Value::to_string);
        if request.body.is_some() {
            headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
        }
        if request.only_new {
            headers.push(("If-None-Match".to_owned(), "*".to_owned()));
        }
        let secrets = [&request.secrets[..], &[token]].concat();
        let answer =
            self.http.send(Outgoing { method: request.method, url: &request.url, headers, body }).await?;
        if speaks_of_tokens(&answer) {
            self.credentials.forget();
        }
        judged(answer, &secrets, now)
    }

    /// All of a list.
    pub async fn all<T: DeserializeOwned>(&self, call: Call, first: Url) -> Result<Vec<T>, Failure> {
        let page = async |next: Option<String>| {
            let url = match next {
                Some(next) => self.checked(&next).inspect_err(|failure| self.errors.failed(call, failure))?,
                None => first.clone(),
            };
            let reply = self.call(Request::new(call, Method::GET, url)).await?;
            let read = reply.read::<Page<T>>().map_err(|failure| failure.of_call(call.as_str()));
            let page = read.inspect_err(|failure| self.errors.failed(call, failure))?;
            Ok((page.value, page.next_link))
        };
        pages::all(call.as_str(), page).await
    }

    /// A call that Azure has answered well, and whose answer is of no use.
    pub fn failed(&self, call: Call, failure: &Failure) {
        self.errors.failed(call, failure);
    }
}

fn judged(answer: Answer, secrets: &[Secret], sent: std::time::SystemTime) -> Result<Reply, Failure> {
    let header = |name: &str| answer.header(name).map(str::to_owned);
    let (operation, request_id) = (header("azure-asyncoperation"), header("x-ms-request-id"));
    let (status, retry_after, remaining) = (answer.status, answer.retry_after(), remaining(&answer));
    let table = if status == 429 { &THROTTLED } else { &ERRORS };
    let read = |text: &str| answer::refusal(text, request_id.as_deref().unwrap_or_default());
    match answer.judged(table, read, secrets, sent) {
        Ok(body) => Ok(Reply { body, operation, retry_after, secrets: secrets.to_vec() }),
        Err(failure) if status == 412 => {
            Err(Failure { meaning: Meaning::Other, code: EXISTS.to_owned(), ..failure })
        }
        Err(failure) if status == 429 => Err(throttled(failure, remaining)),
        Err(failure) => Err(failure),
    }
}

/// How long to wait, and which of Azure's limits is used up.
fn throttled(failure: Failure, remaining: Option<String>) -> Failure {
    let meaning = match failure.meaning {
        Meaning::Throttled if failure.code != LOCKED => Meaning::ThrottledFor(THROTTLED_FOR),
        other => other,
    };
    let message = match remaining {
        Some(remaining) => format!("{}; least left: {remaining}", failure.message),
        None => failure.message,
    };
    Failure { meaning, message, code: failure.code }
}

/// The lowest of what Azure says is left of its limits: `writes 0`, or `PutVM3Min 12`.
fn remaining(answer: &Answer) -> Option<String> {
    const OF_SUBSCRIPTION: &str = "x-ms-ratelimit-remaining-subscription-";
    let of_kinds = ["reads", "writes", "deletes"].into_iter().filter_map(|kind| {
        let left: u64 = answer.header(&format!("{OF_SUBSCRIPTION}{kind}"))?.trim().parse().ok()?;
        Some((left, kind.to_owned()))
    });
    let of_resource = answer.header("x-ms-ratelimit-remaining-resource").unwrap_or_default();
    let of_policies = of_resource.split(',').filter_map(|it| {
        let (name, left) = it.rsplit_once(';')?;
        let name = name.trim().rsplit('/').next()?;
        let is_word = name.len() <= 40 && name.bytes().all(|b| b.is_ascii_alphanumeric());
        Some((left.trim().parse().ok()?, is_word.then(|| name.to_owned())?))
    });
    let lowest = of_kinds.chain(of_policies).min()?;
    Some(format!("{} {}", lowest.1, lowest.0))
}
