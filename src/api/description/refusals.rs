//! The errors, as the description tells of them. Each has a name in the document, with and without a body.

use utoipa::ToSchema as _;
use utoipa::openapi::content::Content;
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{Ref, RefOr};

use super::words::like;
use crate::api::error::Errors;

/// What every operation may be refused with.
pub(super) const ALWAYS: &[u16] = &[401, 403, 405];
/// What goes wrong with bodies.
pub(super) const OF_BODIES: &[u16] = &[400, 408, 413];

/// Status, name and meaning of each.
const ALL: [(u16, &str, &str); 10] = [
    (
        400,
        "BadRequest",
        "A parameter is missing or makes no sense, or the body is not what it says that it is.",
    ),
    (401, "Unauthorized", "No token was shown."),
    (403, "Forbidden", "The token is wrong, or no management token is configured."),
    (404, "NotFound", "There is no such thing."),
    (405, "WrongMethod", "This path is answered to other methods."),
    (408, "SlowBody", "The body did not arrive in time."),
    (409, "Refused", "The state of the thing does not allow it."),
    (413, "TooLarge", "The body is larger than any form of ours."),
    (500, "Failed", "The answer could not be written: a fault of ours."),
    (
        503,
        "Unavailable",
        "This dispatcher is on standby, or a part of it does not answer in time, or too many ask the same.",
    ),
];

fn name(status: u16, is_head: bool) -> String {
    let (_, name, _) =
        ALL.iter().find(|(known, ..)| *known == status).expect("each that is used is in the table");
    if is_head { format!("{name}WithoutBody") } else { (*name).to_owned() }
}

/// A reference to one of them.
pub(super) fn reference(status: u16, is_head: bool) -> RefOr<Response> {
    RefOr::Ref(Ref::from_response_name(name(status, is_head)))
}

/// All of them by name.
pub(super) fn all() -> impl Iterator<Item = (String, Response)> {
    let one = |is_head| {
        move |(status, _, meaning): &(u16, &str, &str)| {
            (name(*status, is_head), response(*status, meaning, is_head))
        }
    };
    ALL.iter().map(one(false)).chain(ALL.iter().map(one(true)))
}

fn response(status: u16, meaning: &str, is_head: bool) -> Response {
    let mut response = ResponseBuilder::new().description(meaning);
    if !is_head {
        let errors =
            Content::new(Some(RefOr::<utoipa::openapi::Schema>::Ref(Ref::from_schema_name(Errors::name()))));
        response = response.content("application/json", errors);
    }
    response = match status {
        401 => response.header("WWW-Authenticate", text("How a token is shown.")),
        405 => response.header("Allow", text("The methods to which this path is answered.")),
        _ => response,
    };
    with_request_id(response).build()
}

/// Every answer has it.
pub(super) fn with_request_id(response: ResponseBuilder) -> ResponseBuilder {
    let header = HeaderBuilder::new().schema(Some(like("^[0-9A-Za-z._:-]{1,64}$")));
    let header = header
        .description(Some("The id under which the request is found in the log: its own, or a new one."));
    response.header("X-Request-Id", header.build())
}

fn text(meaning: &str) -> Header {
    let schema = ObjectBuilder::new().schema_type(Type::String);
    HeaderBuilder::new().schema(Some(schema)).description(Some(meaning)).build()
}
