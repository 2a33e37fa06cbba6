//! Pauses of creates, and the types of which instances are created.
//!
//! ```text
//!   POST creates/pause   for, [instance_type | market], reason, by ─► nothing of it is created until then
//!   POST creates/resume       [instance_type | market], reason, by
//!   GET  creates                                                   ─► the pauses, and each type's gate
//!   POST types/drain|run  instance_type, reason, by                ─► none created, existing ones drained
//! ```

use std::time::Duration;

use actix_web::{HttpResponse, web};
use dispatch_actors::clock;
use dispatch_actors::messages::cordon::{DrainType, Kept, PauseCreates, ResumeCreates, RunType};
use dispatch_actors::messages::pool::GetPool;
use dispatch_actors::messages::scheduler::GetPlan;
use dispatch_core::id::TypeName;
use dispatch_core::instance::Market;
use dispatch_core::pool::{CordonScope, LONGEST_PAUSE, Pause, PoolRefusal};
use dispatch_core::time::after;
use serde_json::json;

use super::error::Refusal;
use super::instances::answered;
use super::operator::Operator;
use super::params::Params;
use super::state::ApiState;
use super::view::{creates, wall_dates};

/// The pauses, and what may be created of each type.
pub(super) async fn status(state: web::Data<ApiState>) -> Result<HttpResponse, Refusal> {
    let (handles, within) = (state.active()?.handles, state.health.actor_answer);
    let (plan, pool) = tokio::join!(
        handles.scheduler.send(GetPlan).timeout(within),
        handles.pool.send(GetPool).timeout(within),
    );
    let (plan, pool) = (answered(plan, "scheduler")?, answered(pool, "pool")?);
    let types = state.policy.catalog.types();
    let status = creates::status(types, &plan.plan, &pool.snapshot, clock::now());
    Ok(HttpResponse::Ok().json(wall_dates(status)))
}

/// Nothing is created for a while.
pub(super) async fn pause(
    state: web::Data<ApiState>,
    params: Params,
    operator: Operator,
) -> Result<HttpResponse, Refusal> {
    let scope = scope(&params)?;
    let wanted = duration(params.need("for")?)?;
    let until = after(clock::now(), wanted);
    let note = params.note(&state.management_token);
    let pause = Pause { scope: scope.clone(), until, note: note.clone() };
    let pool = state.active()?.handles.pool;
    let kept = pool.send(PauseCreates(pause)).timeout(state.health.actor_answer).await;
    let kept = of_type(answered(kept, "pool")?)?;
    operator.paused(&scope, until, &note, &kept);
    Ok(HttpResponse::Ok()
        .json(json!({ "scope": scope.to_string(), "until": clock::shown(until), "kept": why_not(&kept) })))
}

/// The pause of that scope is over.
pub(super) async fn resume(
    state: web::Data<ApiState>,
    params: Params,
    operator: Operator,
) -> Result<HttpResponse, Refusal> {
    let scope = scope(&params)?;
    let pool = state.active()?.handles.pool;
    let kept = pool.send(ResumeCreates(scope.clone())).timeout(state.health.actor_answer).await;
    let kept = answered(kept, "pool")?.ok_or(Refusal::NotFound("pause of this scope"))?;
    operator.resumed(&scope, &params.note(&state.management_token));
    Ok(HttpResponse::Ok().json(json!({ "scope": scope.to_string(), "kept": why_not(&kept) })))
}

/// No instance of a type is created any more, and those that there are are drained.
pub(super) async fn drain_type(
    state: web::Data<ApiState>,
    params: Params,
    operator: Operator,
) -> Result<HttpResponse, Refusal> {
    let (name, note) = (type_name(params.need("instance_type")?)?, params.note(&state.management_token));
    let pool = state.active()?.handles.pool;
    let message = DrainType { name: name.clone(), note: note.clone() };
    let kept = of_type(answered(pool.send(message).timeout(state.health.actor_answer).await, "pool")?)?;
    operator.drained_type(&name, &note, &kept);
    Ok(HttpResponse::Ok().json(json!({ "instance_type": name, "kept": why_not(&kept) })))
}

/// A type is used again.
pub(super) async fn run_type(
    state: web::Data<ApiState>,
    params: Params,
    operator: Operator,
) -> Result<HttpResponse, Refusal> {
    let (name, note) = (type_name(params.need("instance_type")?)?, params.note(&state.management_token));
    let pool = state.active()?.handles.pool;
    let message = RunType { name: name.clone(), note: note.clone() };
    let kept = of_type(answered(pool.send(message).timeout(state.health.actor_answer).await, "pool")?)?;
    operator.ran_type(&name, &note);
    Ok(HttpResponse::Ok().json(json!({ "instance_type": name, "kept": why_not(&kept) })))
}

fn of_type(answer: Result<Kept, PoolRefusal>) -> Result<Kept, Refusal> {
    answer.map_err(|refusal| match refusal {
        PoolRefusal::NoSuchType => Refusal::NotFound("instance type"),
        other => Refusal::Refused(other.as_str()),
    })
}

/// `true`, or why it is not kept over a restart.
fn why_not(kept: &Kept) -> serde_json::Value {
    match kept {
        Kept::Yes => true.into(),
        Kept::No(why) => why.as_str().into(),
    }
}

/// Of one type, of a market, or of everything.
fn scope(params: &Params) -> Result<CordonScope, Refusal> {
    match (params.get("instance_type"), params.get("market")) {
        (None, None) => Ok(CordonScope::All),
        (Some(name), None) => Ok(CordonScope::Type(type_name(name)?)),
        (None, Some("on-demand")) => Ok(CordonScope::Market(Market::OnDemand)),
        (None, Some("spot")) => Ok(CordonScope::Market(Market::Spot)),
        (None, Some(_)) => Err(Refusal::BadParameter("market", "one of on-demand, spot")),
        (Some(_), Some(_)) => Err(Refusal::BadParameter("market", "left out where instance_type is given")),
    }
}

fn type_name(name: &str) -> Result<TypeName, Refusal> {
    TypeName::new(name).map_err(|_| Refusal::NotFound("instance type"))
}

/// As in the configuration; a pause has an end.
fn duration(text: &str) -> Result<Duration, Refusal> {
    let nanoseconds = crate::settings::parse_duration(text).and_then(|it| u64::try_from(it).ok());
    let wanted = nanoseconds.map(Duration::from_nanos).filter(|it| !it.is_zero() && *it <= LONGEST_PAUSE);
    wanted.ok_or(Refusal::BadParameter("for", "a duration such as 30m or 2h, 168h (7 days) at most"))
}
