//! Which path is answered by whom.

use actix_web::{FromRequest, Handler, Resource, Responder, web};

use super::error::Refusal;
use super::{containers, creates, debug, events, health, instances, metrics, page};

/// The health checker's path.
pub(super) const PING: &str = "/_health/ping";

/// The page's path.
pub(super) const PAGE: &str = "/";

/// All of them.
pub(super) fn all(config: &mut web::ServiceConfig) {
    config
        .service(get(PAGE, page::page))
        .service(get("/arvados/v1/dispatch/containers", containers::list))
        .service(get("/arvados/v1/dispatch/container", containers::show))
        .service(post("/arvados/v1/dispatch/containers/kill", containers::kill))
        .service(get("/arvados/v1/dispatch/instances", instances::list))
        .service(post("/arvados/v1/dispatch/instances/hold", instances::hold))
        .service(post("/arvados/v1/dispatch/instances/drain", instances::drain))
        .service(post("/arvados/v1/dispatch/instances/run", instances::run))
        .service(post("/arvados/v1/dispatch/instances/kill", instances::kill))
        .service(get("/arvados/v1/dispatch/creates", creates::status))
        .service(post("/arvados/v1/dispatch/creates/pause", creates::pause))
        .service(post("/arvados/v1/dispatch/creates/resume", creates::resume))
        .service(post("/arvados/v1/dispatch/types/drain", creates::drain_type))
        .service(post("/arvados/v1/dispatch/types/run", creates::run_type))
        .service(get("/arvados/v1/dispatch/events", events::events))
        .service(get("/arvados/v1/dispatch/debug/state", debug::state))
        .service(get("/metrics", metrics::text))
        .service(get("/metrics.json", metrics::json))
        .service(get(PING, health::ping))
        .service(get("/_health/ready", health::ready))
        .default_service(web::to(no_such_path));
}

fn get<F, Args>(path: &str, handler: F) -> Resource
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    let head = web::head().to(handler.clone());
    web::resource(path).route(web::get().to(handler)).route(head).default_service(web::to(get_is_allowed))
}

fn post<F, Args>(path: &str, handler: F) -> Resource
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    web::resource(path).route(web::post().to(handler)).default_service(web::to(post_is_allowed))
}

async fn get_is_allowed() -> Result<String, Refusal> {
    Err(Refusal::WrongMethod(&["GET", "HEAD"]))
}

async fn post_is_allowed() -> Result<String, Refusal> {
    Err(Refusal::WrongMethod(&["POST"]))
}

async fn no_such_path() -> Result<String, Refusal> {
    Err(Refusal::NoSuchPath)
}
