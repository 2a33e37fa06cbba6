//! The containers' routes.

use actix_web::{HttpResponse, web};
use dispatch_actors::clock;
use dispatch_actors::history::{About, GetLastEvents};
use dispatch_actors::messages::pool::{GetPool, KillContainer, PoolView};
use dispatch_actors::messages::queue::{GetQueue, LookUpContainer, QueueView};
use dispatch_actors::messages::scheduler::{GetPlan, PlanView};
use dispatch_core::id::ContainerUuid;
use dispatch_core::worker::KillReason;

use super::error::Refusal;
use super::instances::{answered, done};
use super::list;
use super::operator::Operator;
use super::params::Params;
use super::state::{Active, ApiState};
use super::view::{Containers, EventView, Left};

/// How many events of a container are shown with it.
const LAST_EVENTS: usize = 50;

/// All of them, in scheduling order.
pub(super) async fn list(state: web::Data<ApiState>) -> Result<HttpResponse, Refusal> {
    let containers = ask(&state, &state.active()?).await?;
    Ok(list::answer(containers.in_order()))
}

/// Shows one container. On standby it is not found: the controller asks every dispatcher of the site, and takes any
/// other error for the answer.
pub(super) async fn show(state: web::Data<ApiState>, params: Params) -> Result<HttpResponse, Refusal> {
    let uuid = params.get("container_uuid").and_then(|text| text.parse().ok());
    let (Some(uuid), Ok(active)) = (uuid, state.active()) else {
        return Err(Refusal::NotFound("container"));
    };
    let (containers, events) = tokio::join!(ask(&state, &active), events_of(&state, uuid));
    let (containers, events) = (containers?, events?);
    let policy = state.policy();
    if let Some(shown) = containers.detailed(uuid, &policy, &events) {
        return Ok(HttpResponse::Ok().json(shown));
    }
    let left = match Left::told_by(&events, clock::wall_time()) {
        Some(left) => Some(left),
        None => never_wanted(&state, &active, uuid).await,
    };
    let left = left.ok_or(Refusal::NotFound("container"))?;
    Ok(HttpResponse::Ok().json(containers.left(uuid, &left, &events)))
}

/// Polls do not show what nobody wants to run, so the controller is asked. Whatever else it says, the container is not
/// ours: it is another dispatcher's, or of the past.
async fn never_wanted(state: &ApiState, active: &Active, uuid: ContainerUuid) -> Option<Left> {
    let question = active.handles.queue.send(LookUpContainer(uuid));
    let record = question.timeout(state.health().actor_answer).await.ok()?.ok()?;
    Left::never_wanted(&record)
}

/// What has happened to a container, as far as it is remembered.
async fn events_of(state: &ApiState, uuid: ContainerUuid) -> Result<Vec<EventView>, Refusal> {
    let about = About { container: Some(uuid), instance: None };
    let question = GetLastEvents { most: LAST_EVENTS, about };
    let page = state.history.history.send(question).timeout(state.health().actor_answer).await;
    Ok(answered(page, "history")?.events.iter().filter_map(EventView::of).collect())
}

/// Ends the processes of one of them.
pub(super) async fn kill(
    state: web::Data<ApiState>,
    params: Params,
    operator: Operator,
) -> Result<HttpResponse, Refusal> {
    let uuid = params.need("container_uuid")?;
    let uuid: ContainerUuid = uuid.parse().map_err(|_| Refusal::NotFound("container"))?;
    let note = operator.note(&params, &state.management_token);
    let message = KillContainer { uuid, reason: KillReason::Operator((&note).into()) };
    let answer = done(state.active()?.handles.pool.send(message).timeout(state.health().actor_answer).await)?;
    operator.killed(uuid, &note);
    Ok(answer)
}

async fn ask(state: &ApiState, active: &Active) -> Result<Containers, Refusal> {
    let (handles, within) = (&active.handles, state.health().actor_answer);
    let (plan, queue, pool) = tokio::join!(
        handles.scheduler.send(GetPlan).timeout(within),
        handles.queue.send(GetQueue).timeout(within),
        handles.pool.send(GetPool).timeout(within),
    );
    let plan: PlanView = answered(plan, "scheduler")?;
    let queue: QueueView = answered(queue, "queue")?;
    let pool: PoolView = answered(pool, "pool")?;
    Ok(Containers::new(plan.plan, queue.snapshot, pool.snapshot))
}
