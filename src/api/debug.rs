//! `/arvados/v1/dispatch/debug/state`: what each actor holds, for developers and for a bug report.
//!
//! It has no secrets. Its form is no interface: it follows the code.

use actix_web::{HttpResponse, web};

use super::error::Refusal;
use super::state::ApiState;

/// What each actor holds, and what is in flight since when. An actor that does not answer in time is shown as that.
pub(super) async fn state(state: web::Data<ApiState>) -> Result<HttpResponse, Refusal> {
    let handles = state.active()?.handles;
    Ok(HttpResponse::Ok().json(handles.debug_state(state.health().actor_answer).await))
}
