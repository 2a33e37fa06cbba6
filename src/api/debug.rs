//! `/arvados/v1/dispatch/debug/state`: what each actor holds, for developers and for a bug report.
//! `/arvados/v1/dispatch/debug/round`: the last planning round, so that it can be planned again elsewhere.
//!
//! They have no secrets. Their form is no interface: it follows the code.

use actix_web::{HttpResponse, web};
use dispatch_actors::messages::scheduler::GetPlan;

use super::error::Refusal;
use super::instances::answered;
use super::state::ApiState;

/// What each actor holds, and what is in flight since when. An actor that does not answer in time is shown as that.
pub(super) async fn state(state: web::Data<ApiState>) -> Result<HttpResponse, Refusal> {
    let handles = state.active()?.handles;
    Ok(HttpResponse::Ok().json(handles.debug_state(state.health().actor_answer).await))
}

/// The last planning round: what it was planned from, when, and what it came to. It is written by a thread that serves
/// nothing else meanwhile: of 10,000 containers it has some ten megabytes.
pub(super) async fn round(state: web::Data<ApiState>) -> Result<HttpResponse, Refusal> {
    let scheduler = state.active()?.handles.scheduler;
    let view = answered(scheduler.send(GetPlan).timeout(state.health().actor_answer).await, "scheduler")?;
    let written = web::block(move || view.record().map(|record| serde_json::to_vec(&record))).await;
    match written.map_err(|_| Refusal::Silent("scheduler"))? {
        Some(Ok(json)) => Ok(HttpResponse::Ok().content_type("application/json").body(json)),
        Some(Err(_)) => Err(Refusal::Silent("scheduler")),
        None => Err(Refusal::NotFound("planning round")),
    }
}
