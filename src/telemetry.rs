//! Logs: JSON lines for machines, text for people, never in the way of the work.
//!
//! ```text
//!   Logger ─ level ─ Stamp (time of the event) ─ bounded channel ─ a thread ─ Json | Text | Plain ─ stderr
//!                      └ queue: info and debug are left out while the channel is nearly full, and counted
//!                                                               clean ┘ control characters, endless values
//! ```
//! The channel drops and reports rather than blocks: a stderr that nobody reads must not stop the arbiter,
//! on which everything runs, and lost lines are counted in a line of their own. A part of it is kept for warnings and
//! errors, so that whoever makes us write many other lines does not hide them.

use std::io::{self, IsTerminal as _, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use slog::{Drain, FnValue, Level, Logger, OwnedKVList, PushFnValue, Record, RecordStatic, o};
use slog_async::{Async, AsyncGuard, OverflowStrategy};

use clean::{Cleaning, Format};
use queue::{CAPACITY, Leaving, Queue};

use crate::settings::{LogFormat, Logs};

mod clean;
mod queue;

pub use clean::{LONGEST_VALUE, escaped};

/// Keeps the log's thread; when dropped, waits until what was logged is written.
#[must_use = "dropped at once, it would end the log"]
pub struct LogGuard(AsyncGuard);

/// A stderr that nobody reads must not keep a process alive that has to end.
const FLUSH_WITHIN: Duration = Duration::from_secs(2);

impl LogGuard {
    /// Waits until what was logged is written, but not for long.
    pub fn flush_soon(self) {
        let (written, told) = mpsc::channel();
        let flush = move || {
            drop(self.0);
            written.send(())
        };
        if std::thread::Builder::new().name("flush".to_owned()).spawn(flush).is_ok() {
            // What is not written in time is lost.
            let _ = told.recv_timeout(FLUSH_WITHIN);
        }
    }
}

impl std::fmt::Debug for LogGuard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LogGuard")
    }
}

/// The least important level that is shown. It may be changed at any time: all loggers read it, and nobody waits for it.
#[derive(Debug, Clone)]
pub struct LogLevel(Arc<AtomicUsize>);

impl LogLevel {
    /// That level.
    pub fn new(level: Level) -> Self {
        Self(Arc::new(AtomicUsize::new(level.as_usize())))
    }

    /// From now on.
    pub fn set(&self, level: Level) {
        self.0.store(level.as_usize(), Ordering::Relaxed);
    }

    fn shows(&self, level: Level) -> bool {
        level.as_usize() <= self.0.load(Ordering::Relaxed)
    }
}

/// The root logger, to stderr; colour if that is a terminal and `NO_COLOR` is not set.
pub fn logger(logs: Logs, cluster_id: &str) -> (Logger, LogLevel, LogGuard) {
    let wants_colour =
        io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|it| it.is_empty());
    logger_to(logs, cluster_id, wants_colour, io::stderr())
}

/// The root logger, to any writer.
pub fn logger_to(
    logs: Logs,
    cluster_id: &str,
    colour: bool,
    to: impl Write + Send + 'static,
) -> (Logger, LogLevel, LogGuard) {
    // One write a line, flushed by the formats at its end.
    let to = io::BufWriter::new(to);
    let queue = Arc::new(Queue::default());
    let as_text = |drain| in_background(&queue, Format::Text, drain);
    let (drain, guard) = match logs.format {
        LogFormat::Json => in_background(&queue, Format::Json, json(cluster_id.to_owned(), to)),
        LogFormat::Plain => as_text(text(slog_term::PlainDecorator::new(to), plain_header)),
        // The terminal's decorator writes to stderr itself.
        LogFormat::Text if colour => {
            let decorator = slog_term::TermDecorator::new().stderr().force_color().build();
            in_background(&queue, Format::Text, text(decorator, text_header))
        }
        LogFormat::Text => as_text(text(slog_term::PlainDecorator::new(to), text_header)),
    };
    let level = LogLevel::new(logs.level);
    let drain = Stamp { drain, level: level.clone(), queue };
    // A line that comes after the guard is gone is lost: no reason to end the process.
    (Logger::root(drain.ignore_res(), o!()), level, LogGuard(guard))
}

fn in_background<D>(queue: &Arc<Queue>, format: Format, drain: D) -> (Async, AsyncGuard)
where
    D: Drain<Ok = (), Err = io::Error> + Send + 'static,
{
    let drain = Leaving { drain: Cleaning { drain, format }, queue: Arc::clone(queue) };
    // A stderr that is gone cannot be told about.
    Async::new(drain.ignore_res())
        .chan_size(CAPACITY)
        .overflow_strategy(OverflowStrategy::DropAndReport)
        .thread_name("log".to_owned())
        .build_with_guard()
}

/// Filters by level, and notes the time at which something was logged, not written. The tag of a record,
/// which nothing else uses, carries it through the channel.
struct Stamp<D> {
    drain: D,
    level: LogLevel,
    queue: Arc<Queue>,
}

impl<D: Drain<Ok = ()>> Drain for Stamp<D> {
    type Ok = ();
    type Err = D::Err;

    fn log(&self, record: &Record<'_>, values: &OwnedKVList) -> Result<(), D::Err> {
        if !self.is_enabled(record.level()) || !self.queue.has_room(record.level()) {
            return Ok(());
        }
        let time = now();
        let stamped = RecordStatic { location: record.location(), tag: &time, level: record.level() };
        self.drain.log(&Record::new(&stamped, record.msg(), record.kv()), values)
    }

    fn is_enabled(&self, level: Level) -> bool {
        self.level.shows(level)
    }
}

#[expect(clippy::disallowed_methods, reason = "people compare log lines with other machines' clocks")]
fn now() -> String {
    format!("{:.6}", jiff::Timestamp::now())
}

/// When it was logged. The channel's own report of lost lines has not been stamped: it is of this moment.
fn time_of(record: &Record<'_>) -> String {
    let stamp = record.tag();
    if stamp.starts_with(|c: char| c.is_ascii_digit()) { stamp.to_owned() } else { now() }
}

/// The words that the site's tools know.
fn level_name(level: Level) -> &'static str {
    match level {
        Level::Critical | Level::Error => "error",
        Level::Warning => "warning",
        Level::Info => "info",
        Level::Debug | Level::Trace => "debug",
    }
}

fn json<W: Write + Send>(cluster_id: String, to: W) -> slog_json::Json<W> {
    slog_json::Json::new(to)
        .set_flush(true)
        .add_key_value(o!("time" => PushFnValue(|record: &Record<'_>, value| value.emit(time_of(record)))))
        .add_key_value(o!("level" => FnValue(|record: &Record<'_>| level_name(record.level()))))
        .add_key_value(o!("msg" => PushFnValue(|record: &Record<'_>, value| value.emit(record.msg()))))
        .add_key_value(o!("PID" => std::process::id()))
        .add_key_value(o!("ClusterID" => cluster_id))
        .build()
}

type Header = fn(&mut dyn slog_term::RecordDecorator, &Record<'_>) -> io::Result<bool>;

fn text<D: slog_term::Decorator>(decorator: D, header: Header) -> slog_term::FullFormat<D> {
    slog_term::FullFormat::new(decorator)
        .use_original_order()
        .use_custom_header_print(move |_, decorator, record, _| header(decorator, record))
        .build()
}

fn text_header(decorator: &mut dyn slog_term::RecordDecorator, record: &Record<'_>) -> io::Result<bool> {
    decorator.start_timestamp()?;
    write!(decorator, "{}", time_of(record))?;
    decorator.start_whitespace()?;
    write!(decorator, " ")?;
    plain_header(decorator, record)
}

fn plain_header(decorator: &mut dyn slog_term::RecordDecorator, record: &Record<'_>) -> io::Result<bool> {
    decorator.start_level()?;
    write!(decorator, "{:<7}", level_name(record.level()))?;
    decorator.start_whitespace()?;
    write!(decorator, " ")?;
    decorator.start_msg()?;
    let message = record.msg().to_string();
    write!(decorator, "{message}")?;
    Ok(!message.is_empty())
}

#[cfg(test)]
mod tests;
