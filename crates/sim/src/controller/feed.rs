//! The event feed over a real websocket, as the site's service has it.
//!
//! ```text
//!   actor Controller ── Subscribers: who listens, what waits to be told
//!        │ events, a few each millisecond          ↑ Join, Receive, Leave
//!        ▼                                         │
//!   queue of one client (64) ── write ──→ socket ── read
//!        └─ full: the client is cut off
//! ```
//! It is faithful in what hurts: the token is in the query, and with a wrong one the connection stands and nothing
//! ever comes; only some filters do anything; an empty queue is told by `{}`; who does not read is cut off.

use std::collections::{BTreeMap, VecDeque};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use actix::{Addr, AsyncContext, Context, Handler, Message, MessageResult};
use actix_web::{HttpRequest, HttpResponse, web};
use actix_ws::{Message as Frame, MessageStream, Session};
use dispatch_core::time::{Timestamp, since};
use futures_util::FutureExt;
use futures_util::future::select_all;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, interval_at, timeout};

use super::FakeArvados;
use super::events::Event;
use super::facts::Origin;
use super::http::{Controller, socket_of};
use super::subscription::{ACCEPTED, REFUSED, Subscription};

/// The longest frame that is accepted from a client.
const LONGEST_FRAME: usize = 2 << 20;
/// So many events are told at once, then other things have their turn: fewer than a client's queue has room for, so
/// that only who does not read is cut off.
const AT_ONCE: usize = 32;
const TURN: Duration = Duration::from_millis(1);

/// One client.
struct Subscriber {
    token: String,
    subscriptions: Vec<Subscription>,
    queue: mpsc::Sender<String>,
    told: u64,
    /// Dropped with the subscriber: the connection ends.
    _end: oneshot::Sender<()>,
}

/// All clients, and what they are still to be told.
#[derive(Default)]
pub(super) struct Subscribers {
    clients: BTreeMap<u64, Subscriber>,
    last: u64,
    due: VecDeque<Event>,
    /// Whether the next turn has been arranged already.
    is_turning: bool,
    /// Until when events of other objects have been made.
    stirred: Option<Timestamp>,
}

impl Subscribers {
    /// Tells some of what is due to whom it concerns.
    fn turn(&mut self, arvados: &FakeArvados) {
        for event in self.due.drain(..self.due.len().min(AT_ONCE)) {
            self.clients.retain(|_, client| client.tell(&event, arvados));
        }
    }

    /// Makes the events of other objects that are due since the last time; what a late clock has missed is left out.
    fn stir(&mut self, arvados: &mut FakeArvados, now: Timestamp) {
        let rate = f64::from(arvados.events.knobs.others_per_second);
        let elapsed = self.stirred.map_or(TURN, |last| since(now, last));
        let count = (rate * elapsed.as_secs_f64()) as usize;
        if count > 0 || rate == 0.0 {
            self.stirred = Some(now);
        }
        let cluster = arvados.settings.cluster.clone();
        arvados.events.stir(&cluster, count.min(AT_ONCE), now);
    }
}

impl Subscriber {
    /// Whether it is still a client afterwards. Who may see the object is asked for each event anew.
    fn tell(&mut self, event: &Event, arvados: &FakeArvados) -> bool {
        let caller = arvados.authenticate(&self.token, Origin::Http);
        let is_wanted = self.subscriptions.iter().any(|it| it.wants(event));
        if !is_wanted || !caller.is_ok_and(|caller| caller.admin) {
            return true;
        }
        self.told += 1;
        self.queue.try_send(event.message(self.told)).is_ok()
    }
}

impl Controller {
    /// Looks whether there is something to tell. It is called after everything that may change a record.
    pub(super) fn tell_events(&mut self, ctx: &mut Context<Self>) {
        if self.arvados.events.take_cut() {
            self.feed.clients.clear();
        }
        self.arvados.events.listen(self.feed.clients.len());
        if self.feed.clients.is_empty() {
            self.feed.due.clear();
            return;
        }
        self.feed.stir(&mut self.arvados, (self.clock)());
        for event in self.arvados.events.take() {
            if event.delay.is_zero() {
                self.feed.due.push_back(event);
                continue;
            }
            ctx.run_later(event.delay, |controller, ctx| {
                controller.feed.due.push_back(event);
                controller.tell_events(ctx);
            });
        }
        if !self.feed.is_turning {
            self.feed.turn(&self.arvados);
            self.arrange_turn(ctx);
        }
    }

    fn arrange_turn(&mut self, ctx: &mut Context<Self>) {
        let is_busy = !self.feed.due.is_empty() || self.arvados.events.knobs.others_per_second > 0;
        if is_busy && !self.feed.clients.is_empty() {
            self.feed.is_turning = true;
            ctx.run_later(TURN, |controller, ctx| {
                controller.feed.is_turning = false;
                controller.tell_events(ctx);
            });
        }
    }
}

/// A client that has connected.
struct Join {
    token: String,
    queue: mpsc::Sender<String>,
    end: oneshot::Sender<()>,
}

impl Message for Join {
    type Result = u64;
}

impl Handler<Join> for Controller {
    type Result = MessageResult<Join>;

    fn handle(&mut self, Join { token, queue, end }: Join, ctx: &mut Self::Context) -> Self::Result {
        self.feed.last += 1;
        let client = Subscriber { token, subscriptions: Vec::new(), queue, told: 0, _end: end };
        self.feed.clients.insert(self.feed.last, client);
        self.tell_events(ctx);
        MessageResult(self.feed.last)
    }
}

/// A client's message; the answer is sent to it.
struct Receive(u64, String);

impl Message for Receive {
    type Result = &'static str;
}

impl Handler<Receive> for Controller {
    type Result = MessageResult<Receive>;

    fn handle(&mut self, Receive(id, text): Receive, _: &mut Self::Context) -> Self::Result {
        let Some(subscription) = Subscription::parse(&text) else { return MessageResult(REFUSED) };
        if let Some(client) = self.feed.clients.get_mut(&id) {
            client.subscriptions.push(subscription);
        }
        MessageResult(ACCEPTED)
    }
}

/// A client whose connection has ended.
struct Leave(u64);

impl Message for Leave {
    type Result = ();
}

impl Handler<Leave> for Controller {
    type Result = ();

    fn handle(&mut self, Leave(id): Leave, ctx: &mut Self::Context) {
        self.feed.clients.remove(&id);
        self.tell_events(ctx);
    }
}

/// How many messages may wait, how often `{}` is sent, and whether anybody is served.
struct GetTerms;

impl Message for GetTerms {
    type Result = Terms;
}

#[derive(Debug, Clone, Copy)]
struct Terms {
    queue: usize,
    ping: Duration,
    is_down: bool,
}

impl Handler<GetTerms> for Controller {
    type Result = MessageResult<GetTerms>;

    fn handle(&mut self, _: GetTerms, _: &mut Self::Context) -> Self::Result {
        let settings = &self.arvados.settings;
        let is_down = self.arvados.events.knobs.is_down;
        MessageResult(Terms { queue: settings.event_queue, ping: settings.ping_interval, is_down })
    }
}

/// `GET /websocket?api_token=…`. Any token is accepted.
pub(super) async fn websocket(
    http: HttpRequest,
    payload: web::Payload,
    controller: web::Data<Addr<Controller>>,
) -> actix_web::Result<HttpResponse> {
    let terms = controller.send(GetTerms).await.map_err(actix_web::error::ErrorInternalServerError)?;
    if terms.is_down {
        return Ok(HttpResponse::BadGateway().body("<html>502 Bad Gateway</html>"));
    }
    let token = form_urlencoded::parse(http.query_string().as_bytes())
        .find_map(|(name, value)| (name == "api_token").then(|| value.into_owned()))
        .unwrap_or_default();
    let (response, session, frames) = actix_ws::handle(&http, payload)?;
    let socket = socket_of(&http);
    let frames = frames.max_frame_size(LONGEST_FRAME);
    actix_web::rt::spawn(serve(session, frames, socket, Addr::clone(&controller), token, terms));
    Ok(response)
}

/// One connection, until either side ends it.
async fn serve(
    session: Session,
    frames: MessageStream,
    socket: Option<TcpStream>,
    controller: Addr<Controller>,
    token: String,
    terms: Terms,
) {
    let (queue, queued) = mpsc::channel(terms.queue.max(1));
    let (end, ended) = oneshot::channel();
    let Ok(id) = controller.send(Join { token, queue: queue.clone(), end }).await else { return };
    let parts = [
        read(frames, session.clone(), queue.clone(), controller.clone(), id).boxed_local(),
        write(session, queued, terms.ping).boxed_local(),
        ping(queue, terms.ping).boxed_local(),
        ended.map(|_| ()).boxed_local(),
    ];
    select_all(parts).await;
    controller.do_send(Leave(id));
    if let Some(socket) = socket {
        // This fails only if the client has closed the connection already.
        let _ = socket.shutdown(Shutdown::Both);
    }
}

/// The client's messages and their answers.
async fn read(
    mut frames: MessageStream,
    mut session: Session,
    queue: mpsc::Sender<String>,
    controller: Addr<Controller>,
    id: u64,
) {
    while let Some(Ok(frame)) = frames.recv().await {
        let answer = match frame {
            Frame::Text(text) => match controller.send(Receive(id, text.to_string())).await {
                Ok(answer) => queue.send(answer.to_owned()).await.is_ok(),
                Err(_) => false,
            },
            Frame::Ping(text) => session.pong(&text).await.is_ok(),
            Frame::Close(_) => false,
            Frame::Binary(_) | Frame::Continuation(_) | Frame::Pong(_) | Frame::Nop => true,
        };
        if !answer {
            return;
        }
    }
}

/// What waits in the queue, one after the other. Who takes nothing for as long as a ping's interval is cut off.
async fn write(mut session: Session, mut queued: mpsc::Receiver<String>, patience: Duration) {
    while let Some(message) = queued.recv().await {
        if !timeout(patience, session.text(message)).await.is_ok_and(|sent| sent.is_ok()) {
            return;
        }
    }
}

/// `{}`, whenever the queue is empty at the end of an interval.
async fn ping(queue: mpsc::Sender<String>, interval: Duration) {
    let mut ticks = interval_at(Instant::now() + interval, interval);
    loop {
        ticks.tick().await;
        if queue.capacity() == queue.max_capacity() {
            // A queue that has filled meanwhile is no reason to end anything.
            let _ = queue.try_send("{}".to_owned());
        }
    }
}

#[cfg(test)]
#[path = "feed_tests.rs"]
mod tests;
