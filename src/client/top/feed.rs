//! What the service is asked, again and again, for as long as the screen is there.
//!
//! ```text
//!   follow ─ an event ─► the model, and a nudge ─┐
//!   order  ─ one was given ────────────── nudge ─┤
//!   the model wants a container explained ───────┤
//!                                                ▼
//!   look: all lists, half a second after the last look at the earliest, five seconds after it at the latest
//! ```
//! A site whose lists take long is asked less often: between two looks twice the time of a look passes. All of it is on
//! a thread of its own: to read the lists of a hundred thousand containers takes seconds, and keys are answered meanwhile.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use dispatch_actors::clock;
use dispatch_core::time::since;
use futures_util::future;
use serde::Deserialize as _;
use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::data::{Answers, Data};
use super::model::Message;
use super::prompt::Order;
use crate::client::events::{self, Seen};
use crate::client::failure::Failure;
use crate::client::http::Client;
use crate::client::instances::{self, Instance};
use crate::client::{containers, cost, creates, explain};

/// Between the beginnings of two looks at least.
const SOONEST: Duration = Duration::from_millis(500);
/// Events that come together are answered by one look.
const TOGETHER: Duration = Duration::from_millis(100);
/// Between two looks at most: prices and ages change without an event.
const LATEST: Duration = Duration::from_secs(5);
/// After a failure.
const RETRY: Duration = Duration::from_secs(1);
/// How many of the last events are shown at first.
const LAST: &str = "500";

/// Begins all of it.
pub(super) fn start(
    client: Client,
    by: String,
    orders: UnboundedReceiver<Order>,
    wishes: Arc<watch::Sender<Wishes>>,
    to: UnboundedSender<Message>,
) {
    std::thread::spawn(move || {
        let _last = EndsTheScreen(to.clone());
        let look = keep_looking(client.clone(), wishes.subscribe(), to.clone());
        let follow = follow(client.clone(), &wishes, to.clone());
        let order = give_orders(client, &by, orders, &wishes, to);
        actix_rt::System::new().block_on(future::join3(look, follow, order));
    });
}

/// A screen that is told nothing any more must not stay: its data would grow old without a word.
struct EndsTheScreen(UnboundedSender<Message>);

impl Drop for EndsTheScreen {
    fn drop(&mut self) {
        let _ = self.0.send(Message::Ended);
    }
}

/// What the model wants of the next looks.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    /// This container is to be explained.
    pub(super) explained: Option<String>,
    /// Grows when something has changed.
    pub(super) nudges: u64,
}

/// All lists at the same time: one after another they would take five times as long over a slow network.
pub(super) async fn look(client: &mut Client) -> Result<(Data, Vec<Value>), Failure> {
    let (mut a, mut b, mut c, mut d) = (client.clone(), client.clone(), client.clone(), client.clone());
    let (containers, instances, creates, cost, health) = tokio::join!(
        client.list(containers::PATH),
        a.list(instances::PATH),
        b.show(creates::PATH, &[]),
        c.show(cost::PATH, &[]),
        d.health(),
    );
    let answers = Answers {
        containers: containers?,
        instances: instances?,
        creates: creates?,
        cost: cost?,
        health: health?,
    };
    let data = Data::of(&answers).map_err(|what| client.strange(&what))?;
    Ok((data, answers.instances))
}

/// Looks for ever.
async fn keep_looking(mut client: Client, mut wishes: watch::Receiver<Wishes>, to: UnboundedSender<Message>) {
    let mut instances = Vec::new();
    loop {
        let began = clock::now();
        let (message, most) = match look(&mut client).await {
            Ok((data, all)) => {
                instances = all;
                (Message::Seen(Box::new(data)), LATEST)
            }
            Err(failure) => (Message::Failed(failure.to_string()), RETRY),
        };
        // Who draws has ended if nobody takes it: then we are not asked any more either.
        let _ = to.send(message);
        let mut explained = explain_wanted(&mut client, &mut wishes, &instances, &to).await;
        let least = SOONEST.max(2 * since(clock::now(), began));
        let _ = timeout(most, async {
            while wishes.changed().await.is_ok() {
                let wanted = wishes.borrow_and_update().explained.clone();
                if wanted == explained {
                    break;
                }
                explained = explain_wanted(&mut client, &mut wishes, &instances, &to).await;
            }
        })
        .await;
        sleep(TOGETHER.max(least.saturating_sub(since(clock::now(), began)))).await;
    }
}

/// Asks about the container that is looked at, if one is; which.
async fn explain_wanted(
    client: &mut Client,
    wishes: &mut watch::Receiver<Wishes>,
    instances: &[Value],
    to: &UnboundedSender<Message>,
) -> Option<String> {
    let uuid = wishes.borrow_and_update().explained.clone()?;
    let text = match client.show(containers::ONE, &[("container_uuid", &uuid)]).await {
        Ok(entry) => Some(explain::text(&entry, &places(&entry, instances))),
        Err(failure @ Failure::Refused(_)) => Some(format!("{uuid}: {failure}")),
        // The next look says that nothing can be had, and the last explanation stays.
        Err(_) => None,
    };
    if let Some(text) = text {
        let _ = to.send(Message::Explained { uuid: uuid.clone(), text });
    }
    Some(uuid)
}

/// Those instances that have a process of it.
fn places(entry: &Value, instances: &[Value]) -> Vec<Instance> {
    let named = entry["explain"]["instances"].as_array().map(Vec::as_slice).unwrap_or_default();
    let there = instances.iter().filter(|it| named.contains(&it["instance"]));
    there.filter_map(|it| Instance::deserialize(it).ok()).collect()
}

/// Follows events for ever, through restarts of the service and of what is between.
async fn follow(mut client: Client, wishes: &watch::Sender<Wishes>, to: UnboundedSender<Message>) {
    let seen = RefCell::new(None::<Seen>);
    loop {
        let before = seen.borrow().clone();
        let mut parameters = vec![("follow", "1")];
        match &before {
            Some(seen) => parameters.extend(seen.parameters()),
            None => parameters.push(("last", LAST)),
        }
        let following = || drop(to.send(Message::Following));
        let followed = client.objects(events::PATH, &parameters, following, |_, event| {
            *seen.borrow_mut() = Some(Seen::of(event));
            wishes.send_modify(|wishes| wishes.nudges += 1);
            let _ = to.send(Message::Happened(event.clone()));
            Ok(())
        });
        if let Err(failure) = followed.await {
            let _ = to.send(Message::NotFollowing(failure.to_string()));
        }
        sleep(RETRY).await;
    }
}

/// Gives the orders that come, one after another.
async fn give_orders(
    mut client: Client,
    by: &str,
    mut orders: UnboundedReceiver<Order>,
    wishes: &watch::Sender<Wishes>,
    to: UnboundedSender<Message>,
) {
    while let Some(Order { verb, id, reason }) = orders.recv().await {
        let reason = Some(reason.as_str()).filter(|reason| !reason.is_empty());
        let (is_done, text) = match verb.give(&mut client, &id, by, reason).await {
            Ok(_) => (true, format!("{id}: {}", verb.done())),
            Err(failure) => (false, format!("{id}: {failure}")),
        };
        let _ = to.send(Message::Ordered { is_done, text });
        wishes.send_modify(|wishes| wishes.nudges += 1);
    }
}
