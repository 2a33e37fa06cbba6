//! What each route says of itself. `routes` names one of these for each path.

use serde_json::{Value, json};
use utoipa::openapi::path::{Parameter as Described, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Required, Schema};

use super::metrics::MetricFamily;
use super::parameters::{
    ABOUT_CONTAINER, ABOUT_INSTANCE, BOOT, BY, CONTAINER, FOLLOW, FOR, FORCE, IF_HELD, INSTANCE, LAST,
    MARKET, Parameter, REASON, SINCE, TYPE,
};
use super::sketch::Sketch;
use crate::api::view::{
    CostView, CreatesView, EntryView, EventLine, InstanceView, PausedView, Ping, Readiness, ResumedView,
    TypeOrderView,
};

const CONTAINERS: &str = "containers";
const INSTANCES: &str = "instances";
const CREATES: &str = "creates";
const HEALTH: &str = "health";

pub(in crate::api) fn containers() -> Sketch {
    Sketch::new(CONTAINERS, "list_containers", "All containers, in the order in which they are served.")
        .lists::<EntryView<'static>>("The containers.")
        .refuses(&[503])
}

pub(in crate::api) fn container() -> Sketch {
    Sketch::new(CONTAINERS, "show_container", "One container, with all that explains where it stands.")
        .detail("One that has left the queue is explained for an hour. On standby no container is found.")
        .needs(&CONTAINER)
        .answers::<EntryView<'static>>("The container.")
        .refuses(&[400, 404, 408, 413, 503])
}

pub(in crate::api) fn kill_container() -> Sketch {
    Sketch::new(CONTAINERS, "kill_container", "Ends the processes of a container.")
        .orders(&[CONTAINER], &[REASON, BY])
        .does("Its processes are being ended.")
        .refuses(&[404, 409, 503])
}

pub(in crate::api) fn instances() -> Sketch {
    Sketch::new(
        INSTANCES,
        "list_instances",
        "All instances; creates in progress, which have no id, come first.",
    )
    .lists::<InstanceView<'static>>("The instances.")
    .refuses(&[503])
}

pub(in crate::api) fn hold() -> Sketch {
    of_instance(
        "hold_instance",
        "Nothing new is placed on it, and it is never shut down by the dispatcher.",
        &[],
    )
}

pub(in crate::api) fn drain() -> Sketch {
    let summary = "Nothing new is placed on it, and it is shut down when it is empty.";
    of_instance("drain_instance", summary, &[IF_HELD, FORCE])
}

pub(in crate::api) fn run() -> Sketch {
    of_instance("run_instance", "It is used like any other again.", &[])
}

pub(in crate::api) fn kill_instance() -> Sketch {
    of_instance("kill_instance", "It is shut down now, whatever runs on it.", &[])
}

fn of_instance(id: &'static str, summary: &'static str, more: &[Parameter]) -> Sketch {
    Sketch::new(INSTANCES, id, summary)
        .orders(&[INSTANCE], &[&[REASON, BY], more].concat())
        .does("So it is.")
        .refuses(&[404, 409, 503])
}

pub(in crate::api) fn creates() -> Sketch {
    Sketch::new(
        CREATES,
        "show_creates",
        "What operators have forbidden to be created, and the state of each type.",
    )
    .answers::<CreatesView<'static>>("Pauses, drained types, and what may be created of each type.")
    .refuses(&[503])
}

/// What creates are paused with.
pub(in crate::api) const PAUSE: [Parameter; 5] = [FOR, TYPE, MARKET, REASON, BY];
/// What a pause is ended with.
pub(in crate::api) const RESUME: [Parameter; 4] = [TYPE, MARKET, REASON, BY];
/// What is said of a type.
pub(in crate::api) const TYPE_ORDER: [Parameter; 3] = [TYPE, REASON, BY];

pub(in crate::api) fn pause() -> Sketch {
    Sketch::new(
        CREATES,
        "pause_creates",
        "Creates nothing for a while: of all types, of a market, or of one type.",
    )
    .orders_of_scope(&[FOR], &[REASON, BY])
    .answers::<PausedView>("Creates are paused.")
    .refuses(&[404, 503])
}

pub(in crate::api) fn resume() -> Sketch {
    Sketch::new(CREATES, "resume_creates", "Ends the pause of that scope.")
        .orders_of_scope(&[], &[REASON, BY])
        .answers::<ResumedView>("They are not paused any more.")
        .refuses(&[404, 503])
}

pub(in crate::api) fn drain_type() -> Sketch {
    of_type("drain_type", "Creates nothing of a type any more, and drains its instances but those on hold.")
}

pub(in crate::api) fn run_type() -> Sketch {
    of_type("run_type", "Uses a type again, and its instances that were drained with it.")
}

fn of_type(id: &'static str, summary: &'static str) -> Sketch {
    Sketch::new(CREATES, id, summary)
        .orders_only(&[TYPE], &[REASON, BY])
        .answers::<TypeOrderView>("So it is.")
        .refuses(&[404, 503])
}

pub(in crate::api) fn cost() -> Sketch {
    Sketch::new("cost", "show_cost", "What the instances cost, and what of it was wasted.")
        .detail("Since this process began to work; by type and category, by hours of the clock for 7 days, by containers.")
        .answers::<CostView>("Amounts are in the currency of the configured prices.")
        .refuses(&[503])
}

pub(in crate::api) fn events() -> Sketch {
    let mut sketch = Sketch::new("events", "read_events", "What has happened, and with `follow` what happens from now on.")
        .detail(
            "Each line is an `Event`. Server-sent events, whose `data` it is, if `Accept` names them. Where events are \
             missing, a line says so. Every 15 s without an event an empty line, or a comment, shows that the stream lives.",
        )
        .asks(&[SINCE, BOOT, LAST, FOLLOW, ABOUT_CONTAINER, ABOUT_INSTANCE])
        .reads_header(last_event_id())
        .refuses(&[400, 408, 413, 503]);
    let event = sketch.named::<EventLine<'static>>();
    let lines = |content_type: &str| {
        let text = ObjectBuilder::new().schema_type(Type::String).content_media_type(content_type);
        RefOr::T(Schema::Object(text.content_schema(Some(event.clone())).build()))
    };
    let contents = ["application/x-ndjson", "text/event-stream"].map(|it| (it, lines(it)));
    sketch.answers_with("The events, oldest first.", &contents)
}

fn last_event_id() -> Described {
    ParameterBuilder::new()
        .name("Last-Event-ID")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "The id of the last event that was received: as `boot` and `since`, unless those are given.",
        ))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .build()
}

pub(in crate::api) fn debug_state() -> Sketch {
    let actors = ["queue", "pool", "workers", "scheduler", "cloud"];
    let object = || ObjectBuilder::new().schema_type(Type::Object);
    let date = || ObjectBuilder::new().schema_type(Type::String);
    let state =
        object().property("at", date()).property("wall_time", date()).required("at").required("wall_time");
    let state = actors.iter().fold(state, |state, actor| state.property(*actor, object()).required(*actor));
    Sketch::new("debug", "debug_state", "What each actor holds, for a bug report.")
        .detail("Its form is no interface: it follows the code.")
        .answers_with("The state of each actor.", &[("application/json", Schema::from(state.build()).into())])
        .refuses(&[503])
}

pub(in crate::api) fn debug_round() -> Sketch {
    let object = || ObjectBuilder::new().schema_type(Type::Object);
    let date = ObjectBuilder::new().schema_type(Type::String);
    let round = object().property("now", date).required("now");
    let parts = ["input", "plan", "ceiling"];
    let round = parts.iter().fold(round, |round, part| round.property(*part, object()).required(*part));
    Sketch::new("debug", "debug_round", "The last planning round, so that it can be planned again.")
        .detail("For the commands plan and replay. Its form is no interface: it follows the code.")
        .answers_with("The round.", &[("application/json", Schema::from(round.build()).into())])
        .refuses(&[404, 503])
}

pub(in crate::api) fn openapi() -> Sketch {
    let text = || ObjectBuilder::new().schema_type(Type::String);
    let object = || ObjectBuilder::new().schema_type(Type::Object);
    let document =
        object().property("openapi", text()).property("info", object()).property("paths", object());
    let document = document.required("openapi").required("info").required("paths");
    Sketch::new("debug", "openapi", "This description.")
        .answers_with("The description.", &[("application/json", Schema::from(document.build()).into())])
}

pub(in crate::api) fn metrics() -> Sketch {
    let text = ObjectBuilder::new().schema_type(Type::String).examples([example_of_metrics()]);
    Sketch::new("metrics", "metrics", "The metrics, as Prometheus reads them.")
        .answers_with("The metrics.", &[("text/plain", Schema::from(text.build()).into())])
        .refuses(&[500])
}

fn example_of_metrics() -> Value {
    json!(
        "# TYPE arvados_dispatchcloud_queue_entries gauge\narvados_dispatchcloud_queue_entries{state=\"Queued\"} 1\n"
    )
}

pub(in crate::api) fn metrics_as_json() -> Sketch {
    let mut sketch = Sketch::new("metrics", "metrics_as_json", "The metrics as JSON.");
    let families = ArrayBuilder::new().items(sketch.named::<MetricFamily>()).build();
    sketch.answers_with("The metrics.", &[("application/json", Schema::from(families).into())])
}

pub(in crate::api) fn ping() -> Sketch {
    Sketch::new(
        HEALTH,
        "ping",
        "Whether this dispatcher works, or is on standby: for the site's health checker.",
    )
    .detail("404 if no management token is configured.")
    .answers::<Ping>("The verdict.")
    .refuses(&[404])
}

pub(in crate::api) fn ready() -> Sketch {
    Sketch::new(
        HEALTH,
        "ready",
        "Whether this dispatcher works on the cluster, with each check: for load balancers and people.",
    )
    .answers::<Readiness>("It works.")
    .answers_as::<Readiness>(503, "It does not, or is on standby.")
}
