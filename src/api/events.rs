//! What has happened, a line for each event, and what happens from now on.
//!
//! ```text
//!   GET events?since=SEQ&boot=ID [&follow=1] [&last=N] [&container_uuid=…] [&instance_id=…]
//!      │ NDJSON; server-sent events if that is what is accepted
//!      ▼
//!   History ── a page ──► lines ──► sent? ── next page … ── all told ──► end, or wait for the next event (follow)
//! ```
//! Events have numbers. Where some are missing, because they are too old, or of another process, or found no room, a line
//! says so; of those about one thing only what is too old is known to be missing. A page is asked for when the one before
//! has been sent: a client that does not read costs a page, and the system closes its connection when it has not taken in
//! anything for half a minute (`places`).

mod framing;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use dispatch_actors::catalogue::level_name;
use dispatch_actors::history::{About, FindLastEvents, GetEvents, Happened, HistoryHandle};
use futures_util::stream;
use serde_json::json;
use slog::Level;

use framing::{Framing, last_received};

use super::error::Refusal;
use super::instances::answered;
use super::params::Params;
use super::state::ApiState;
use super::view::EventLine;

/// How many events are asked for at a time.
const PAGE: usize = 500;
/// How many clients may read events at a time, on each HTTP thread: half of its connections.
const FOLLOWERS: usize = 64;
/// A connection on which nothing happens is kept open by a sign of life: proxies close idle ones.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);
/// Events that come together are sent together.
const TOGETHER: Duration = Duration::from_millis(50);

/// How many clients read events, of one HTTP thread.
#[derive(Debug, Default)]
pub(super) struct Followers(Rc<Cell<usize>>);

/// One of them.
struct Place(Rc<Cell<usize>>);

impl Place {
    /// A stream need never end: some of the connections are left for all other questions.
    fn take(followers: &Followers) -> Result<Self, Refusal> {
        if followers.0.get() >= FOLLOWERS {
            return Err(Refusal::TooMany("clients read events"));
        }
        followers.0.set(followers.0.get() + 1);
        Ok(Self(Rc::clone(&followers.0)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

/// What one client has been told, and what it wants.
struct Reader {
    history: HistoryHandle,
    about: About,
    since: u64,
    follows: bool,
    framing: Framing,
    /// Told before anything else: that its numbers are another process's.
    first: Option<String>,
    /// Whether it has been told something before, so that it wants to know what it has missed since.
    is_going_on: bool,
    _place: Place,
}

/// What has come of waiting for an event.
enum News {
    Some,
    /// None for a while.
    None,
    /// The service ends.
    NeverAgain,
}

/// The events.
pub(super) async fn events(
    state: web::Data<ApiState>,
    request: HttpRequest,
    params: Params,
    followers: web::Data<Followers>,
) -> Result<HttpResponse, Refusal> {
    let framing = Framing::of(&request);
    let about = about(&params)?;
    let since = params.get("since").map(number).transpose();
    let since = since.map_err(|()| Refusal::BadParameter("since", "the number of an event"))?;
    let mut reader = Reader {
        since: 0,
        follows: params.flag("follow")?,
        framing,
        about,
        history: state.history.clone(),
        first: None,
        is_going_on: false,
        _place: Place::take(&followers)?,
    };
    match params.get("last").map(number).transpose() {
        Err(()) => return Err(Refusal::BadParameter("last", "how many events are wanted")),
        Ok(Some(most)) => reader.begin_with_last(most, state.health().actor_answer).await?,
        Ok(None) => reader.begin_after(since, last_received(&request), &params),
    }
    let lines = stream::unfold(reader, |mut reader| async { Some((reader.next().await?, reader)) });
    let mut response = HttpResponse::Ok();
    // Proxies must not collect what is to be seen at once.
    response.insert_header((CACHE_CONTROL, "no-store")).insert_header(("X-Accel-Buffering", "no"));
    Ok(response.content_type(framing.content_type()).streaming(lines))
}

/// A number, or what is wrong with it.
fn number(text: &str) -> Result<u64, ()> {
    text.parse().map_err(|_| ())
}

fn about(params: &Params) -> Result<About, Refusal> {
    let container = params.get("container_uuid").map(str::parse).transpose();
    Ok(About {
        container: container.map_err(|_| Refusal::BadParameter("container_uuid", "a container's UUID"))?,
        instance: params.get("instance_id").map(str::to_owned),
    })
}

impl Reader {
    /// With the last of all, or of those about one thing.
    async fn begin_with_last(&mut self, most: u64, within: Duration) -> Result<(), Refusal> {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let question = FindLastEvents { most, about: self.about.clone() };
        self.since = answered(self.history.history.send(question).timeout(within).await, "history")?;
        // Whoever asks for the last ones has missed none.
        self.is_going_on = false;
        Ok(())
    }

    /// After those that the client has. Its numbers mean nothing if they are another process's.
    fn begin_after(&mut self, since: Option<u64>, received: Option<(String, u64)>, params: &Params) {
        let (boot, since) = match (since, received) {
            (None, Some((boot, seq))) => (Some(boot), seq),
            (since, _) => (params.get("boot").map(str::to_owned), since.unwrap_or(0)),
        };
        let is_anothers = boot.is_some_and(|boot| *boot != *self.history.boot);
        if is_anothers || since > *self.history.latest.borrow() {
            let gap =
                self.gap(since, 0, "the service has been restarted: these are the events of another process");
            self.first = Some(gap);
        } else {
            self.since = since;
            self.is_going_on = since > 0;
        }
    }

    /// What is sent next; `None` = that was all.
    async fn next(&mut self) -> Option<Result<Bytes, Refusal>> {
        loop {
            if let Some(first) = self.first.take() {
                return Some(Ok(first.into()));
            }
            let question = GetEvents { since: self.since, most: PAGE, about: self.about.clone() };
            let page = match answered(self.history.history.send(question).await, "history") {
                Ok(page) => page,
                Err(refusal) => return Some(Err(refusal)),
            };
            let text = self.text(&page.events, page.oldest);
            let is_last = page.seen == self.since;
            self.since = page.seen;
            self.is_going_on = true;
            if !text.is_empty() {
                return Some(Ok(text.into()));
            }
            if !is_last {
                continue;
            }
            if !self.follows {
                return None;
            }
            match self.news().await {
                News::Some => {}
                News::None => return Some(Ok(Bytes::from_static(self.framing.sign_of_life().as_bytes()))),
                News::NeverAgain => return None,
            }
        }
    }

    /// Waits for an event.
    async fn news(&mut self) -> News {
        let since = self.since;
        // What is returned locks the number: kept while we sleep, it would stop whoever tells it, and with it this thread.
        let waited = async { self.history.latest.wait_for(|latest| *latest > since).await.map(drop) };
        match tokio::time::timeout(SIGN_OF_LIFE, waited).await {
            Ok(Ok(())) => {
                tokio::time::sleep(TOGETHER).await;
                News::Some
            }
            Ok(Err(_)) => News::NeverAgain,
            Err(_) => News::None,
        }
    }

    /// The lines of these events, and of what is missing before them. `oldest`: the first that is kept.
    fn text(&self, events: &[Happened], oldest: u64) -> String {
        let mut text = String::new();
        // Whoever begins at the beginning wants what there is; whoever goes on wants to know what he has missed.
        if self.is_going_on && oldest > self.since.saturating_add(1) {
            text += &self.gap(self.since, oldest - 1, "they are too old, or were too many at a time");
        }
        let mut before = self.is_going_on.then(|| self.since.max(oldest.saturating_sub(1)));
        for event in events {
            // Of those about one thing others are between them.
            let after = before.replace(event.seq).filter(|_| self.about == About::default());
            if let Some(after) = after.filter(|after| event.seq > after + 1) {
                text += &self.gap(after, event.seq - 1, "they were too many at a time");
            }
            text += &self.line(event);
        }
        text
    }

    fn line(&self, event: &Happened) -> String {
        let boot = &self.history.boot;
        let line = format!("{{\"seq\":{},\"boot\":\"{boot}\",{}", event.seq, &event.json[1..]);
        self.framing.frame(&format!("{boot}:{}", event.seq), &line)
    }

    /// Says that those after one number, up to another, are missing.
    fn gap(&self, after: u64, until: u64, why: &str) -> String {
        let boot = &*self.history.boot;
        let facts = [("From", json!(after.saturating_add(1))), ("Reason", json!(why))];
        let missing = EventLine {
            seq: until,
            boot,
            time: None,
            level: level_name(Level::Warning),
            msg: "events are missing",
            facts: facts.map(|(key, value)| (key.to_owned(), value)).into_iter().collect(),
        };
        let line = serde_json::to_string(&missing).expect("it is numbers and texts");
        self.framing.frame(&format!("{boot}:{until}"), &line)
    }
}

#[cfg(test)]
mod tests {
    use dispatch_actors::history::recorded;
    use serde_json::Value;
    use slog::{Logger, o};

    use super::*;

    /// One who has been told those up to 5.
    fn reader() -> Reader {
        let (_, history) = recorded(Logger::root(slog::Discard, o!()), &mut rand::rng());
        Reader {
            history,
            about: About::default(),
            since: 5,
            follows: false,
            framing: Framing::Ndjson,
            first: None,
            is_going_on: true,
            _place: Place::take(&Followers::default()).expect("nobody else reads"),
        }
    }

    /// What is told of these events: the numbers, and from where on events are missing.
    fn told(reader: &Reader, seqs: &[u64], oldest: u64) -> Vec<(u64, Option<u64>)> {
        let happened = |seq: &u64| Happened {
            seq: *seq,
            container: None,
            instance: "".into(),
            json: r#"{"msg":"x"}"#.into(),
        };
        let text = reader.text(&seqs.iter().map(happened).collect::<Vec<_>>(), oldest);
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.map(|line| (line["seq"].as_u64().unwrap(), line["From"].as_u64())).collect()
    }

    #[actix_rt::test]
    async fn what_is_missing_at_the_beginning_of_a_page_or_within_it_is_told() {
        let mut reader = reader();
        assert_eq!(told(&reader, &[6, 7], 1), [(6, None), (7, None)]);
        assert_eq!(told(&reader, &[9], 1), [(8, Some(6)), (9, None)], "they found no room");
        assert_eq!(told(&reader, &[9], 9), [(8, Some(6)), (9, None)], "they are too old");
        assert_eq!(told(&reader, &[9], 7), [(6, Some(6)), (8, Some(7)), (9, None)], "both");
        assert_eq!(told(&reader, &[6, 9], 1), [(6, None), (8, Some(7)), (9, None)]);
        reader.about.instance = Some("i-1".to_owned());
        assert_eq!(told(&reader, &[9], 1), [(9, None)], "others are between them");
        assert_eq!(told(&reader, &[9], 7), [(6, Some(6)), (9, None)]);
        (reader.is_going_on, reader.about.instance) = (false, None);
        assert_eq!(told(&reader, &[9], 9), [(9, None)], "whoever begins has missed nothing");
    }
}
