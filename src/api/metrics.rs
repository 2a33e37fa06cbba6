//! `/metrics`, `/metrics.json`: the series, from the registry's atomics.

use actix_web::http::header::ContentType;
use actix_web::{HttpResponse, web};
use dispatch_actors::metrics::to_json;
use prometheus::{TEXT_FORMAT, TextEncoder};

use super::error::Errors;
use super::state::ApiState;

/// The metrics as Prometheus reads them.
pub(super) async fn text(state: web::Data<ApiState>) -> HttpResponse {
    let encoded = TextEncoder::new().encode_to_string(&state.registry.gather());
    match encoded {
        Ok(text) => HttpResponse::Ok().content_type(TEXT_FORMAT).body(text),
        // A collector of ours has broken its own rules: better seen by the scraper than guessed.
        Err(error) => {
            HttpResponse::InternalServerError().json(Errors::one(format!("cannot encode metrics: {error}")))
        }
    }
}

/// The same as JSON.
pub(super) async fn json(state: web::Data<ApiState>) -> HttpResponse {
    let families = to_json(&state.registry.gather());
    HttpResponse::Ok().content_type(ContentType::json()).body(families.to_string())
}
