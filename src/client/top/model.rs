//! The state of the screen: what was told, what is looked at, what is being typed. It draws nothing and asks nobody.
//!
//! ```text
//!   Message ─► Model::update ─► Effect: what is to be asked or ordered
//!                  └─► draw reads the model
//! ```

use std::collections::VecDeque;
use std::time::Duration;

use crossterm::event::KeyEvent;
use dispatch_core::time::{Timestamp, after, since};
use serde_json::{Map, Value};

use super::cursor::Cursor;
use super::data::Data;
use super::events::Happening;
use super::layout::{self, Size};
use super::pane::{Pane, Subject};
use super::prompt::{Order, Prompt};
use super::rows::{self, Row};

/// How many events are kept.
const EVENTS: usize = 2_000;
/// Lists are asked for every five seconds at least: what is older than this is old.
const OLD: Duration = Duration::from_secs(12);
/// How long the outcome of an order is shown.
const NOTICED: Duration = Duration::from_secs(20);

/// What can be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    /// The containers that wait.
    Line,
    /// The instances.
    Fleet,
    /// What happens.
    Events,
}

impl View {
    pub(super) const ALL: [Self; 3] = [Self::Line, Self::Fleet, Self::Events];

    /// The one after it; the first after the last.
    pub fn next(self) -> Self {
        match self {
            Self::Line => Self::Fleet,
            Self::Fleet => Self::Events,
            Self::Events => Self::Line,
        }
    }
}

/// What the model is told.
#[derive(Debug)]
pub(super) enum Message {
    Key(KeyEvent),
    /// A text that was pasted: it is never taken for commands.
    Pasted(String),
    Resized(Size),
    /// All lists, as they are now.
    Seen(Box<Data>),
    /// The lists could not be had.
    Failed(String),
    /// What is known of a container, or why that cannot be told.
    Explained {
        uuid: String,
        text: String,
    },
    Happened(Map<String, Value>),
    /// Events are followed again.
    Following,
    /// Events are not followed.
    NotFollowing(String),
    /// What has come of an order.
    Ordered {
        is_done: bool,
        text: String,
    },
    /// Some time has passed.
    Ticked,
    /// The process is to end.
    Ended,
}

/// What the model wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Effect {
    Quit,
    /// Draw all of the screen anew: something else has written on it.
    Redraw,
    /// Ask about this container, and again with each look; `None` = about none.
    Explain(Option<String>),
    Order(Order),
}

/// The outcome of the last order.
#[derive(Debug)]
pub(super) struct Notice {
    pub(super) text: String,
    pub(super) is_good: bool,
    at: Timestamp,
}

/// The state of the screen.
#[derive(Debug)]
pub(super) struct Model {
    /// Where the service is.
    pub(super) url: String,
    pub(super) size: Size,
    pub(super) now: Timestamp,
    pub(super) data: Data,
    /// When the data came.
    seen_at: Timestamp,
    /// Why newer data cannot be had.
    trouble: Option<String>,
    pub(super) events: VecDeque<Happening>,
    /// Why events are not followed.
    pub(super) deaf: Option<String>,
    pub(super) view: View,
    pub(super) rows: [Vec<Row>; 3],
    pub(super) cursors: [Cursor; 3],
    /// Whether containers are shown that do not wait.
    pub(super) shows_all: bool,
    pub(super) filter: String,
    pub(super) is_searching: bool,
    pub(super) pane: Option<Pane>,
    pub(super) prompt: Option<Prompt>,
    pub(super) notice: Option<Notice>,
}

impl Model {
    /// With what was seen first.
    pub fn new(url: String, size: Size, data: Data, now: Timestamp) -> Self {
        let mut model = Self {
            url,
            size,
            now,
            data,
            seen_at: now,
            trouble: None,
            events: VecDeque::new(),
            deaf: None,
            view: View::Line,
            rows: [Vec::new(), Vec::new(), Vec::new()],
            cursors: [Cursor::at_the_top(), Cursor::at_the_top(), Cursor::at_the_end()],
            shows_all: false,
            filter: String::new(),
            is_searching: false,
            pane: None,
            prompt: None,
            notice: None,
        };
        model.arrange();
        model
    }

    /// Takes in what it is told; returns what is to be done.
    pub fn update(&mut self, message: Message, now: Timestamp) -> Vec<Effect> {
        self.now = now;
        let effects = self.take(message);
        if self.notice.as_ref().is_some_and(|notice| since(now, notice.at) > NOTICED) {
            self.notice = None;
        }
        self.arrange();
        effects
    }

    fn take(&mut self, message: Message) -> Vec<Effect> {
        match message {
            Message::Key(key) => return self.press(key),
            Message::Pasted(text) => self.paste(&text),
            Message::Resized(size) => self.size = size,
            Message::Seen(data) => {
                self.data = *data;
                self.seen_at = self.now;
                self.trouble = None;
            }
            Message::Failed(text) => self.trouble = Some(text),
            Message::Explained { uuid, text } => self.explain(&uuid, text),
            Message::Happened(event) => self.remember(event),
            Message::Following => self.deaf = None,
            Message::NotFollowing(text) => self.deaf = Some(text),
            Message::Ordered { is_done, text } => self.say(text, is_done),
            Message::Ticked => {}
            Message::Ended => return vec![Effect::Quit],
        }
        Vec::new()
    }

    fn remember(&mut self, event: Map<String, Value>) {
        self.deaf = None;
        if self.events.len() == EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(Happening::of(event));
    }

    fn explain(&mut self, of: &str, text: String) {
        if let Some(Pane { subject: Subject::Container(uuid), told, .. }) = &mut self.pane
            && uuid == of
        {
            *told = text;
        }
    }

    /// Shows a line above the keys, for a while.
    pub(super) fn say(&mut self, text: impl Into<String>, is_good: bool) {
        self.notice = Some(Notice { text: text.into(), is_good, at: self.now });
    }

    /// Brings rows, cursors and panes into line with what is there now.
    fn arrange(&mut self) {
        for (place, view) in View::ALL.into_iter().enumerate() {
            let rows = rows::of(self, view);
            let height = layout::of(self).body_rows();
            let keys = |at: usize| rows::key(self, rows[at]).to_owned();
            let cursor = self.cursors[place].clone().kept(rows.len(), keys, height);
            self.cursors[place] = cursor;
            self.rows[place] = rows;
        }
        let height = layout::of(self).body.height;
        let lines = self.pane.as_ref().map(|pane| pane.lines(self).len());
        if let (Some(pane), Some(lines)) = (&mut self.pane, lines) {
            pane.scroll = pane.scroll.min(lines.saturating_sub(height.into()));
        }
    }

    /// The row under the cursor.
    pub(super) fn selected(&self) -> Option<Row> {
        self.rows[self.view as usize].get(self.cursors[self.view as usize].at).copied()
    }

    /// The service's time.
    pub(super) fn service_now(&self) -> Option<Timestamp> {
        Some(after(self.data.at?, since(self.now, self.seen_at)))
    }

    /// What is said if the data may be old.
    pub(super) fn warning(&self) -> Option<String> {
        let age = since(self.now, self.seen_at);
        match &self.trouble {
            Some(trouble) => {
                Some(format!("shows data from {} s ago: {trouble}; trying again", age.as_secs()))
            }
            None if age > OLD => {
                Some(format!("shows data from {} s ago: no answer has come yet", age.as_secs()))
            }
            None => self
                .deaf
                .as_ref()
                .filter(|_| self.view == View::Events)
                .map(|why| format!("events are not followed: {why}; trying again")),
        }
    }
}
