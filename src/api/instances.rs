//! The instances' routes.

use actix::MailboxError;
use actix_web::{HttpResponse, web};
use dispatch_actors::messages::pool::{GetPool, PoolView, SetIdleBehavior, ShutdownInstance};
use dispatch_core::id::InstanceId;
use dispatch_core::instance::IdleBehavior;
use dispatch_core::pool::{OperatorWish, PoolRefusal};
use dispatch_core::worker::ShutdownReason;

use super::error::Refusal;
use super::list;
use super::operator::Operator;
use super::params::Params;
use super::state::ApiState;
use super::view::Instances;

/// All of them, and creates in progress.
pub(super) async fn list(state: web::Data<ApiState>) -> Result<HttpResponse, Refusal> {
    let pool = state.active()?.handles.pool;
    let view = pool.send(GetPool).timeout(state.health().actor_answer).await;
    let pool: PoolView = answered(view, "pool")?;
    Ok(list::answer(Instances(pool.snapshot)))
}

/// Holds an instance: nothing new is placed on it, and it is never shut down by us.
pub(super) async fn hold(
    state: web::Data<ApiState>,
    params: Params,
    operator: Operator,
) -> Result<HttpResponse, Refusal> {
    set(&state, &params, &operator, IdleBehavior::Hold).await
}

/// Drains an instance: nothing new is placed on it, and it is shut down when empty.
pub(super) async fn drain(
    state: web::Data<ApiState>,
    params: Params,
    operator: Operator,
) -> Result<HttpResponse, Refusal> {
    set(&state, &params, &operator, IdleBehavior::Drain).await
}

/// Lets an instance be used like any other.
pub(super) async fn run(
    state: web::Data<ApiState>,
    params: Params,
    operator: Operator,
) -> Result<HttpResponse, Refusal> {
    set(&state, &params, &operator, IdleBehavior::Run).await
}

/// Ends it now, whatever runs on it.
pub(super) async fn kill(
    state: web::Data<ApiState>,
    params: Params,
    operator: Operator,
) -> Result<HttpResponse, Refusal> {
    let (id, note) = (id(&params)?, operator.note(&params, &state.management_token));
    let message = ShutdownInstance { id: id.clone(), reason: ShutdownReason::Operator((&note).into()) };
    let answer = done(state.active()?.handles.pool.send(message).timeout(state.health().actor_answer).await)?;
    operator.ordered("kill", &id, &note);
    Ok(answer)
}

async fn set(
    state: &ApiState,
    params: &Params,
    operator: &Operator,
    behavior: IdleBehavior,
) -> Result<HttpResponse, Refusal> {
    let id = id(params)?;
    let note = operator.note(params, &state.management_token);
    // The command line asks so; other clients rely on what they have always got.
    let spares_held = refuses_if_held(params)? && !params.flag("force")?;
    let wish = OperatorWish {
        behavior,
        note: Some(note.clone()),
        spares_held: spares_held && behavior == IdleBehavior::Drain,
    };
    let message = SetIdleBehavior { id: id.clone(), wish };
    let answer = done(state.active()?.handles.pool.send(message).timeout(state.health().actor_answer).await)?;
    operator.ordered(behavior.as_str(), &id, &note);
    Ok(answer)
}

fn refuses_if_held(params: &Params) -> Result<bool, Refusal> {
    match params.given("if_held") {
        None => Ok(false),
        Some("refuse") => Ok(true),
        Some(_) => Err(Refusal::BadParameter("if_held", "refuse")),
    }
}

fn id(params: &Params) -> Result<InstanceId, Refusal> {
    InstanceId::new(params.need("instance_id")?).map_err(|_| Refusal::NotFound("instance"))
}

/// What an actor answered.
pub(super) fn answered<T>(answer: Result<T, MailboxError>, actor: &'static str) -> Result<T, Refusal> {
    answer.map_err(|_| Refusal::Silent(actor))
}

/// 200 with an empty body, or Pool's reason not to.
pub(super) fn done(answer: Result<Result<(), PoolRefusal>, MailboxError>) -> Result<HttpResponse, Refusal> {
    answered(answer, "pool")??;
    Ok(HttpResponse::Ok().finish())
}
