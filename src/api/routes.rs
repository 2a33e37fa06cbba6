//! Which path is answered by whom, and what is said of it: one row each.

use actix_web::{FromRequest, Handler, Resource, Responder, web};

use super::description::{self, Sketch, operations};
use super::error::Refusal;
use super::{containers, cost, creates, debug, events, health, instances, metrics, page};

/// The health checker's path.
pub(super) const PING: &str = "/_health/ping";

/// The page's path.
pub(super) const PAGE: &str = "/";

/// A path: by which methods it is answered, by whom, and how it is described.
pub(super) struct Route {
    /// The path.
    pub path: &'static str,
    /// Answered to GET and HEAD; otherwise to POST.
    pub is_read: bool,
    /// What is said of it; nothing of the page, which is for people.
    pub describe: Option<fn() -> Sketch>,
    resource: Resource,
}

/// All of them.
#[rustfmt::skip]
pub(super) fn table() -> Vec<Route> {
    vec![
        for_people(PAGE, page::page),
        get("/arvados/v1/dispatch/containers", containers::list, operations::containers),
        get("/arvados/v1/dispatch/container", containers::show, operations::container),
        post("/arvados/v1/dispatch/containers/kill", containers::kill, operations::kill_container),
        get("/arvados/v1/dispatch/instances", instances::list, operations::instances),
        post("/arvados/v1/dispatch/instances/hold", instances::hold, operations::hold),
        post("/arvados/v1/dispatch/instances/drain", instances::drain, operations::drain),
        post("/arvados/v1/dispatch/instances/run", instances::run, operations::run),
        post("/arvados/v1/dispatch/instances/kill", instances::kill, operations::kill_instance),
        get("/arvados/v1/dispatch/creates", creates::status, operations::creates),
        post("/arvados/v1/dispatch/creates/pause", creates::pause, operations::pause),
        post("/arvados/v1/dispatch/creates/resume", creates::resume, operations::resume),
        post("/arvados/v1/dispatch/types/drain", creates::drain_type, operations::drain_type),
        post("/arvados/v1/dispatch/types/run", creates::run_type, operations::run_type),
        get("/arvados/v1/dispatch/cost", cost::show, operations::cost),
        get("/arvados/v1/dispatch/events", events::events, operations::events),
        get("/arvados/v1/dispatch/debug/state", debug::state, operations::debug_state),
        get("/arvados/v1/dispatch/debug/round", debug::round, operations::debug_round),
        get("/arvados/v1/dispatch/openapi.json", description::openapi, operations::openapi),
        get("/metrics", metrics::text, operations::metrics),
        get("/metrics.json", metrics::json, operations::metrics_as_json),
        get(PING, health::ping, operations::ping),
        get("/_health/ready", health::ready, operations::ready),
    ]
}

/// Answers all of them.
pub(super) fn all(config: &mut web::ServiceConfig) {
    for route in table() {
        config.service(route.resource);
    }
    config.default_service(web::to(no_such_path));
}

fn get<F, Args>(path: &'static str, handler: F, describe: fn() -> Sketch) -> Route
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    Route { describe: Some(describe), ..for_people(path, handler) }
}

fn for_people<F, Args>(path: &'static str, handler: F) -> Route
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    let head = web::head().to(handler.clone());
    let resource = web::resource(path).route(web::get().to(handler)).route(head);
    let resource = resource.default_service(web::to(get_is_allowed));
    Route { path, is_read: true, describe: None, resource }
}

fn post<F, Args>(path: &'static str, handler: F, describe: fn() -> Sketch) -> Route
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    let resource = web::resource(path).route(web::post().to(handler));
    let resource = resource.default_service(web::to(post_is_allowed));
    Route { path, is_read: false, describe: Some(describe), resource }
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
