//! What was logged: the real lines of the real format.

use std::cell::RefCell;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, channel};

use arvados_dispatch_cloud::settings::{LogFormat, Logs as LogSettings};
use arvados_dispatch_cloud::telemetry::{self, LogGuard};
use serde_json::Value;
use slog::Logger;

pub struct Logs {
    pub logger: Logger,
    lines: Receiver<Vec<u8>>,
    seen: RefCell<String>,
    _guard: LogGuard,
}

struct ToTest(Sender<Vec<u8>>);

impl Write for ToTest {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // The test may have ended.
        let _ = self.0.send(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Logs {
    pub fn new() -> Self {
        let (sender, lines) = channel();
        let settings = LogSettings { level: slog::Level::Debug, format: LogFormat::Json };
        let (logger, _, guard) = telemetry::logger_to(settings, "zzzzz", false, ToTest(sender));
        Self { logger, lines, seen: RefCell::default(), _guard: guard }
    }

    /// Everything until now.
    pub fn text(&self) -> String {
        let mut seen = self.seen.borrow_mut();
        for bytes in self.lines.try_iter() {
            seen.push_str(&String::from_utf8(bytes).unwrap());
        }
        seen.clone()
    }

    /// Lines with that message.
    pub fn with_message(&self, message: &str) -> Vec<Value> {
        let text = self.text();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let lines = whole.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter(|line| line["msg"] == message).collect()
    }

    /// The first line with that message about the request with that id.
    pub async fn about(&self, message: &str, request_id: &str) -> Value {
        super::eventually(&format!("{message} {request_id}"), async || {
            self.with_message(message).into_iter().find(|line| line["RequestID"] == request_id)
        })
        .await
    }
}
