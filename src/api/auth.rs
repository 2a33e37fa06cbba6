//! Access: a client must show the management token in the header `Authorization`.
//!
//! ```text
//!   no token configured ─► /_health/ping 404, all else 403
//!   Bearer TOKEN · OAuth2 TOKEN · Basic base64(anyone:TOKEN) ─► right: on · wrong: 403
//!   nothing of the kind (a token in the URL is nothing) ─► 401
//!   GET / ─► the page, which has no data; it asks its reader for the token
//! ```
//! Checked before anything else is looked at, the body included. Whoever has not shown the token loses the connection with
//! the answer: there is a bounded number of them, and only clients that show the token may keep one.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{AUTHORIZATION, HeaderValue};
use actix_web::http::{ConnectionType, Method};
use actix_web::middleware::Next;
use actix_web::{Error, ResponseError as _, web};
use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use dispatch_core::secret::Secret;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::error::Refusal;
use super::places::Place;
use super::routes::{PAGE, PING};
use super::state::ApiState;
use super::watch;

/// The middleware.
pub(super) async fn gate(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let state = request.app_data::<web::Data<ApiState>>().expect("every app is given its state");
    match check(&state.management_token, request.headers().get(AUTHORIZATION), request.path()) {
        Ok(()) => {
            if let Some(place) = request.conn_data::<Place>() {
                place.prove();
            }
            watch::admit(&request);
            Ok(next.call(request).await?.map_into_boxed_body())
        }
        Err(refusal) => {
            let mut response = match is_for_all(&request, &refusal) {
                true => next.call(request).await?.map_into_boxed_body(),
                false => request.into_response(refusal.error_response()),
            };
            response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
            Ok(response)
        }
    }
}

/// The page needs no token. Where none is configured there is nothing that it could show.
fn is_for_all(request: &ServiceRequest, refusal: &Refusal) -> bool {
    let only_reads = matches!(*request.method(), Method::GET | Method::HEAD);
    only_reads && request.path() == PAGE && !matches!(refusal, Refusal::Disabled)
}

fn check(token: &Secret, header: Option<&HeaderValue>, path: &str) -> Result<(), Refusal> {
    if token.is_empty() {
        return Err(if path == PING { Refusal::HealthDisabled } else { Refusal::Disabled });
    }
    let shown = header.and_then(shown_token).ok_or(Refusal::Unauthorized)?;
    if is_equal(&shown, token) { Ok(()) } else { Err(Refusal::Forbidden) }
}

/// Compares digests, so that neither content nor length shows in the time it takes.
fn is_equal(shown: &[u8], token: &Secret) -> bool {
    Sha256::digest(shown).as_slice().ct_eq(Sha256::digest(token.expose()).as_slice()).into()
}

/// The token in a header; `None` if there is none in it.
fn shown_token(header: &HeaderValue) -> Option<Vec<u8>> {
    let (scheme, rest) = header.to_str().ok()?.split_once(' ')?;
    let rest = rest.trim();
    let token = match scheme.to_ascii_lowercase().as_str() {
        "bearer" | "oauth2" => rest.as_bytes().to_vec(),
        "basic" => password(rest)?,
        _ => return None,
    };
    (!token.is_empty()).then_some(token)
}

/// With or without the `=` at its end: clients differ.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

fn password(encoded: &str) -> Option<Vec<u8>> {
    let pair = BASE64.decode(encoded).ok()?;
    let colon = pair.iter().position(|byte| *byte == b':')?;
    Some(pair[colon + 1..].to_vec())
}
