//! The terminal: taken for the screen, and given back as it was, however this process ends.
//!
//! ```text
//!   enter ─► raw mode, another screen, pasted text marked ─► drop, panic ─► as before
//!   SIGTERM, SIGINT, SIGHUP ─► Message::Ended ─► drop
//! ```

use std::io::{self, Stdout};
use std::time::Duration;

use crossterm::cursor::Show;
use crossterm::event::{self, DisableBracketedPaste, EnableBracketedPaste, Event};
use crossterm::execute;
use crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode, is_raw_mode_enabled,
};
use futures_util::future;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::layout::Size;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::UnboundedSender;

use super::draw::{self, Theme};
use super::model::{Message, Model};

/// How often the thread that reads keys looks whether anybody wants them.
const LOOK: Duration = Duration::from_millis(200);

/// A terminal that shows our screen until it is dropped.
pub(super) struct Stage {
    terminal: Terminal<CrosstermBackend<Stdout>>,
}

impl Stage {
    /// Takes the terminal. A panic gives it back before it is told: told on our screen, it would be gone with it.
    pub fn enter() -> io::Result<Self> {
        let earlier = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            leave();
            earlier(panic);
        }));
        enable_raw_mode()?;
        let entered = execute!(io::stdout(), EnterAlternateScreen, EnableBracketedPaste)
            .and_then(|()| Terminal::new(CrosstermBackend::new(io::stdout())));
        match entered {
            Ok(terminal) => Ok(Self { terminal }),
            Err(error) => {
                leave();
                Err(error)
            }
        }
    }

    /// How large it is.
    pub fn size(&self) -> io::Result<Size> {
        self.terminal.size()
    }

    /// Shows the model. Only what has changed is written.
    pub fn draw(&mut self, model: &Model, theme: Theme) -> io::Result<()> {
        self.terminal.draw(|frame| draw::all(frame, model, theme)).map(drop)
    }

    /// Writes all of it at the next draw: something else has written on the screen.
    pub fn forget(&mut self) -> io::Result<()> {
        self.terminal.clear()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        leave();
    }
}

/// Gives the terminal back, once: a second time would put the cursor where the first has left it, over what a panic has
/// told meanwhile. If the terminal has gone, there is nothing to give.
fn leave() {
    if is_raw_mode_enabled().unwrap_or(false) {
        let _ = execute!(io::stdout(), DisableBracketedPaste, LeaveAlternateScreen, Show);
        let _ = disable_raw_mode();
    }
}

/// Reads keys on a thread of its own, for as long as somebody takes them.
pub(super) fn read_keys(to: UnboundedSender<Message>) {
    std::thread::spawn(move || {
        while !to.is_closed() {
            let message = match event::poll(LOOK) {
                Ok(false) => continue,
                Ok(true) => event::read().map_or(Some(Message::Ended), message),
                Err(_) => Some(Message::Ended),
            };
            let is_end = matches!(message, Some(Message::Ended));
            let is_taken = message.is_none_or(|message| to.send(message).is_ok());
            if is_end || !is_taken {
                return;
            }
        }
    });
}

fn message(event: Event) -> Option<Message> {
    match event {
        Event::Key(key) => Some(Message::Key(key)),
        Event::Paste(text) => Some(Message::Pasted(text)),
        Event::Resize(width, height) => Some(Message::Resized(Size { width, height })),
        Event::FocusGained | Event::FocusLost | Event::Mouse(_) => None,
    }
}

/// Waits for a signal that ends us; SIGHUP says that the terminal has gone.
pub(super) async fn ended() -> io::Result<()> {
    let mut signals = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()]
        .into_iter()
        .map(signal)
        .collect::<io::Result<Vec<_>>>()?;
    future::select_all(signals.iter_mut().map(|it| Box::pin(it.recv()))).await;
    Ok(())
}
