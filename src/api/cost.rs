//! What the instances cost: `GET cost`.

use actix_web::{HttpResponse, web};
use dispatch_actors::messages::pool::GetStatement;

use super::error::Refusal;
use super::instances::answered;
use super::state::ApiState;
use super::view::CostView;

/// Since this process began to work, by type and category, by hours, and by containers.
pub(super) async fn show(state: web::Data<ApiState>) -> Result<HttpResponse, Refusal> {
    let pool = state.active()?.handles.pool;
    let answer = pool.send(GetStatement).timeout(state.health().actor_answer).await;
    let statement = answered(answer, "pool")?;
    Ok(HttpResponse::Ok().json(CostView::from(&statement)))
}
