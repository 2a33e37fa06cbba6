//! The id under which a request is found in the logs: the client's own, or a new one.

use actix_web::http::header::{HeaderMap, HeaderName};
use rand::RngExt as _;

/// In requests and answers.
pub(super) const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// Longer ones are replaced: they go into logs.
const LONGEST: usize = 64;
/// How many random characters a new one has.
const RANDOM: usize = 20;

/// The client's id if it is fit for logs, else a new one.
pub(super) fn of(headers: &HeaderMap) -> String {
    let shown = headers.get(HEADER).and_then(|value| value.to_str().ok());
    shown.filter(|id| is_fit(id)).map_or_else(new, str::to_owned)
}

fn is_fit(id: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    (1..=LONGEST).contains(&id.len()) && id.bytes().all(allowed)
}

/// `req-` and 20 of `0-9a-z`, as the site's other services make them.
fn new() -> String {
    const CHARACTERS: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut rng = rand::rng();
    let random = (0..RANDOM).map(|_| char::from(CHARACTERS[rng.random_range(0..CHARACTERS.len())]));
    "req-".chars().chain(random).collect()
}
