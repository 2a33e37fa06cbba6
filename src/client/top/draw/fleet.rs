//! The fleet: instances by type, each with its state, age, price, how full it is, and what runs there.

use ratatui::text::Span;

use super::theme::{self, Theme};
use crate::client::creates;
use crate::client::instances::tone;
use crate::client::table::Tone;
use crate::client::top::data::{Group, Vm};
use crate::client::top::model::Model;
use crate::client::top::rows::Row;
use crate::client::top::text::{age, end_of, fit, money, plain, tidy};

/// From so many cells on there is room for longer ids.
const WIDE: usize = 110;
/// The cells of a bar.
const BAR: usize = 6;

/// The widths of id, state, age, price and fullness; the containers have the rest.
fn widths(cells: usize) -> [usize; 5] {
    if cells < WIDE { [26, 15, 4, 7, 11] } else { [40, 17, 4, 8, 11] }
}

/// The names of the columns.
pub(super) fn columns(_: &Model, cells: usize) -> String {
    let [id, state, age, price, full] = widths(cells);
    format!(
        "  {:id$} {:state$} {:>age$} {:>price$} {:full$} CONTAINERS",
        "INSTANCE", "STATE", "AGE", "PRICE", "FULL"
    )
}

/// A type, or an instance of it.
pub(super) fn row(model: &Model, row: Row, cells: usize, theme: Theme) -> Vec<Span<'static>> {
    match row {
        Row::Type(at) => group(&model.data.fleet[at], theme),
        Row::Instance(group, at) => instance(model, &model.data.fleet[group].instances[at], cells, theme),
        Row::Container(_) | Row::Event(_) => Vec::new(),
    }
}

fn group(group: &Group, theme: Theme) -> Vec<Span<'static>> {
    let count = group.instances.len();
    let per_hour: f64 = group.instances.iter().filter_map(|vm| vm.is.price.as_f64()).sum();
    let plural = if count == 1 { "" } else { "s" };
    let text = format!("{}: {count} instance{plural}, {}/h; creates: ", group.name, money(per_hour));
    let state = plain(&group.offer["creates"]["state"]).replace('_', " ");
    let because = plain(&group.offer["creates"]["because"]);
    let tone = theme.tone(if state == "open" { Tone::Good } else { Tone::Stopped });
    let creates = match (state.as_str(), because.as_str()) {
        ("", _) => "type is not configured".to_owned(),
        (_, "") => state,
        (_, because) => format!("{state}, {because}"),
    };
    vec![Span::styled(text, theme::heading()), Span::styled(creates, tone)]
}

fn instance(model: &Model, vm: &Vm, cells: usize, theme: Theme) -> Vec<Span<'static>> {
    let [id, state, old, price, full] = widths(cells);
    let name = if vm.has_id() { end_of(&vm.key, id) } else { "(has no id yet)".to_owned() };
    let age = age(model.service_now(), vm.appeared);
    let tone =
        theme.tone(if vm.is.idle_behavior == "run" { tone(&vm.is.worker_state) } else { Tone::Stopped });
    let amount = vm.is.price.as_f64().map(money).unwrap_or_default();
    let price = fit(&format!("{amount:>price$}"), price);
    vec![
        Span::raw(format!("  {} ", fit(&name, id))),
        Span::styled(fit(&vm.state(), state), tone),
        Span::raw(format!(" {} {price} {} ", fit(&format!("{age:>old$}"), old), fit(&bar(vm.full), full))),
        Span::raw(containers(vm)),
    ]
}

/// As a bar and as a number.
fn bar(full: Option<u64>) -> String {
    let Some(percent) = full else { return format!("{}    ?", " ".repeat(BAR)) };
    let cells = usize::try_from(percent.min(100)).unwrap_or_default() * BAR;
    let marks = cells.div_ceil(100);
    format!("{}{}{percent:>4}%", "#".repeat(marks), "-".repeat(BAR - marks))
}

/// How many, and the ends of their UUIDs.
fn containers(vm: &Vm) -> String {
    let uuids = &vm.is.running_container_uuids;
    let ends: Vec<_> = uuids.iter().map(|uuid| tidy(uuid.rsplit('-').next().unwrap_or(uuid))).collect();
    format!("{} {}", uuids.len(), ends.join(" ")).trim_end().to_owned()
}

/// Its type, who has said what is to happen with it, and what runs there; of a type what may be created.
pub(super) fn note(model: &Model, row: Row) -> String {
    match row {
        Row::Type(at) => {
            let group = &model.data.fleet[at];
            let gate =
                if group.offer.is_null() { "no".to_owned() } else { creates::gate(&group.offer["creates"]) };
            tidy(&format!("{}: creates {gate}", group.name))
        }
        Row::Instance(group, at) => {
            let (name, vm) = (&model.data.fleet[group].name, &model.data.fleet[group].instances[at]);
            let held = vm.held_by();
            let held = if held.is_empty() { held } else { format!(", {}{held}", vm.is.idle_behavior) };
            let uuids: String = vm.is.running_container_uuids.iter().map(|uuid| format!(" {uuid}")).collect();
            tidy(&format!("{} {name}{held}{uuids}", vm.key))
        }
        Row::Container(_) | Row::Event(_) => String::new(),
    }
}
