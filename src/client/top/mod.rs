//! `top`: the whole cluster on a terminal, as it changes.
//!
//! ```text
//!   terminal::read_keys ─┐                       ┌─► draw: the screen, from the model alone
//!   feed: lists, events ─┼─ Message ─► Model ────┤
//!     (a thread of its   │   (rows, cursor,      └─ Effect ─► feed: orders, wishes; quit
//!      own)              │    pane, prompt)
//!   ticks, signals ──────┘
//! ```
//! The model decides everything and does nothing; it is told what time it is. Everything that is shown comes from the
//! management API. Whatever fails after the first look is told on the screen, with the age of what is shown, and tried
//! again.
//!
//! Never does: writing control characters that somebody else has chosen; giving an order without a key for it.

mod cursor;
mod data;
mod draw;
mod events;
mod feed;
mod header;
mod keys;
mod layout;
mod model;
mod pane;
mod prompt;
mod rows;
mod terminal;
mod text;

#[cfg(test)]
mod tests;

use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use dispatch_actors::clock;
use futures_util::future::{self, Either};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;

use super::failure::Failure;
use super::http::Client;
use super::screen::Screen;
use crate::cli::Options;
use crate::cli::service::Top;
use draw::Theme;
use feed::Wishes;
use model::{Effect, Message, Model};
use prompt::Order;
use terminal::Stage;

/// How often ages are drawn anew.
const TICK: Duration = Duration::from_secs(1);

/// Where effects go.
struct Outlets {
    orders: UnboundedSender<Order>,
    wishes: Arc<watch::Sender<Wishes>>,
}

/// Shows it until a key or a signal ends it.
pub(super) async fn show(options: &Options, wanted: &Top, screen: &Screen) -> Result<ExitCode, Failure> {
    if !screen.is_terminal {
        let instead = "for a pipe there are instance list, container list and events";
        return Err(Failure::Unusable(format!(
            "top shows its screen on a terminal, and stdout is none: {instead}"
        )));
    }
    let mut client = Client::of(options, &wanted.at)?;
    let (data, _) = feed::look(&mut client).await?;
    let (to, inbox) = unbounded_channel();
    let (orders, given) = unbounded_channel();
    let wishes = Arc::new(watch::Sender::new(Wishes::default()));

    let mut stage = Stage::enter().map_err(|error| unusable(&error))?;
    let size = stage.size().map_err(|error| unusable(&error))?;
    let model = Model::new(client.url(), size, data, clock::now());
    terminal::read_keys(to.clone());
    feed::start(client, wanted.by(), given, Arc::clone(&wishes), to.clone());
    let theme = Theme { has_colour: screen.has_colour };
    let outlets = Outlets { orders, wishes };
    let shown = run(&mut stage, model, theme, inbox, &outlets);
    match future::select(pin!(shown), pin!(future::join(tick(&to), end(&to)))).await {
        Either::Left((ended, _)) => ended.map(|()| ExitCode::SUCCESS),
        Either::Right(_) => Ok(ExitCode::SUCCESS),
    }
}

fn unusable(error: &std::io::Error) -> Failure {
    Failure::Unusable(format!("the terminal cannot be used: {error}"))
}

/// Draws, waits for news, takes in all that has come, and draws again.
async fn run(
    stage: &mut Stage,
    mut model: Model,
    theme: Theme,
    mut inbox: UnboundedReceiver<Message>,
    outlets: &Outlets,
) -> Result<(), Failure> {
    loop {
        stage.draw(&model, theme)?;
        let mut next = inbox.recv().await;
        while let Some(message) = next {
            for effect in model.update(message, clock::now()) {
                match effect {
                    Effect::Quit => return Ok(()),
                    Effect::Redraw => stage.forget()?,
                    // The other ends are kept for as long as this runs.
                    Effect::Order(order) => drop(outlets.orders.send(order)),
                    Effect::Explain(uuid) => outlets.wishes.send_modify(|wishes| wishes.explained = uuid),
                }
            }
            next = inbox.try_recv().ok();
        }
    }
}

async fn tick(to: &UnboundedSender<Message>) {
    loop {
        tokio::time::sleep(TICK).await;
        let _ = to.send(Message::Ticked);
    }
}

async fn end(to: &UnboundedSender<Message>) {
    if terminal::ended().await.is_ok() {
        let _ = to.send(Message::Ended);
    }
    std::future::pending().await
}
