//! Pauses of creates, and the types of which instances are created.
//!
//! ```text
//!   POST creates/pause   for, [instance_type | market], reason, by ─► nothing of it is created until then
//!   POST creates/resume       [instance_type | market], reason, by
//!   GET  creates                                                   ─► the pauses, and each type's gate
//!   POST types/drain|run  instance_type, reason, by                ─► none created, existing ones drained
//! ```

use std::time::Duration;

use actix::{Handler, Message};
use actix_web::{HttpResponse, web};
use dispatch_actors::clock;
use dispatch_actors::messages::cordon::{DrainType, Kept, PauseCreates, ResumeCreates, RunType};
use dispatch_actors::messages::pool::GetPool;
use dispatch_actors::messages::scheduler::GetPlan;
use dispatch_actors::pool::Pool;
use dispatch_core::id::TypeName;
use dispatch_core::instance::Market;
use dispatch_core::pool::{CordonScope, LONGEST_PAUSE, Pause, PoolRefusal};
use dispatch_core::time::after;

use super::description::operations;
use super::error::Refusal;
use super::instances::answered;
use super::operator::Operator;
use super::params::Params;
use super::state::ApiState;
use super::view::{PausedView, ResumedView, TypeOrderView, creates};

/// The pauses, and what may be created of each type.
pub(super) async fn status(state: web::Data<ApiState>) -> Result<HttpResponse, Refusal> {
    let (handles, within) = (state.active()?.handles, state.health().actor_answer);
    let (plan, pool) = tokio::join!(
        handles.scheduler.send(GetPlan).timeout(within),
        handles.pool.send(GetPool).timeout(within),
    );
    let (plan, pool) = (answered(plan, "scheduler")?, answered(pool, "pool")?);
    let policy = state.policy();
    let status = creates::status(policy.catalog.types(), &plan.plan, &pool.snapshot, clock::now());
    Ok(HttpResponse::Ok().json(status))
}

/// Nothing is created for a while.
pub(super) async fn pause(
    state: web::Data<ApiState>,
    params: Params,
    operator: Operator,
) -> Result<HttpResponse, Refusal> {
    params.only(&operations::PAUSE)?;
    let scope = scope(&params)?;
    let wanted = pause_length(params.need("for")?).map_err(|wanted| Refusal::BadParameter("for", wanted))?;
    let until = after(clock::now(), wanted);
    let note = operator.note(&params, &state.management_token);
    let pause = Pause { scope: scope.clone(), until, note: note.clone() };
    let kept = have_done(&state, PauseCreates(pause)).await?;
    operator.paused(&scope, until, &note, &kept);
    Ok(HttpResponse::Ok().json(PausedView::new(&scope, until, kept)))
}

/// The pause of that scope is over.
pub(super) async fn resume(
    state: web::Data<ApiState>,
    params: Params,
    operator: Operator,
) -> Result<HttpResponse, Refusal> {
    params.only(&operations::RESUME)?;
    let scope = scope(&params)?;
    let kept = have_done(&state, ResumeCreates(scope.clone())).await?;
    operator.resumed(&scope, &operator.note(&params, &state.management_token));
    Ok(HttpResponse::Ok().json(ResumedView::new(&scope, kept)))
}

/// No instance of a type is created any more, and those that there are are drained.
pub(super) async fn drain_type(
    state: web::Data<ApiState>,
    params: Params,
    operator: Operator,
) -> Result<HttpResponse, Refusal> {
    params.only(&operations::TYPE_ORDER)?;
    let (name, note) =
        (type_name(params.need("instance_type")?)?, operator.note(&params, &state.management_token));
    let kept = have_done(&state, DrainType { name: name.clone(), note: note.clone() }).await?;
    operator.drained_type(&name, &note, &kept);
    Ok(HttpResponse::Ok().json(TypeOrderView::new(name, kept)))
}

/// A type is used again.
pub(super) async fn run_type(
    state: web::Data<ApiState>,
    params: Params,
    operator: Operator,
) -> Result<HttpResponse, Refusal> {
    params.only(&operations::TYPE_ORDER)?;
    let (name, note) =
        (type_name(params.need("instance_type")?)?, operator.note(&params, &state.management_token));
    let kept = have_done(&state, RunType { name: name.clone(), note: note.clone() }).await?;
    operator.ran_type(&name, &note);
    Ok(HttpResponse::Ok().json(TypeOrderView::new(name, kept)))
}

/// Tells Pool, and answers whether a restart forgets it.
async fn have_done<M>(state: &ApiState, order: M) -> Result<Kept, Refusal>
where
    M: Message<Result = Result<Kept, PoolRefusal>> + Send + 'static,
    Pool: Handler<M>,
{
    let pool = state.active()?.handles.pool;
    let answer = pool.send(order).timeout(state.health().actor_answer).await;
    Ok(answered(answer, "pool")??)
}

/// Of one type, of a market, or of everything. An empty name is no name of everything: it may be a variable of a script
/// that nobody has set.
fn scope(params: &Params) -> Result<CordonScope, Refusal> {
    match (params.given("instance_type"), params.given("market")) {
        (None, None) => Ok(CordonScope::All),
        (Some(""), None) => Err(Refusal::BadParameter("instance_type", "the name of a type")),
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

/// How long a pause is to last: as durations in the configuration.
///
/// # Errors
/// What is wanted instead, after "wanted is".
pub fn pause_length(text: &str) -> Result<Duration, &'static str> {
    let nanoseconds = crate::settings::parse_duration(text).and_then(|it| u64::try_from(it).ok());
    let wanted = nanoseconds.map(Duration::from_nanos).filter(|it| !it.is_zero() && *it <= LONGEST_PAUSE);
    wanted.ok_or("a duration such as 30m or 2h, 168h (7 days) at most")
}
