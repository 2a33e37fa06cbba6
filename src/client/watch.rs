//! A list that is shown again when it has changed.
//!
//! On a terminal it is drawn anew in place; in a pipe each change is a block: the whole list, then an empty line (with
//! `--json` one line: `{"items":[…]}`). A request is sent when the one before is answered and the interval is over, so
//! there is never more than one. What may pass is complained of once, and asked again; what will not pass ends it.

use std::time::Duration;

use super::failure::Failure;
use super::screen::Screen;
use crate::cli;

/// Moves the cursor home and clears what is below.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// Never ends by itself but by what will not pass.
pub(super) async fn forever(
    interval: Duration,
    screen: Screen,
    is_json: bool,
    mut look: impl AsyncFnMut() -> Result<String, Failure>,
) -> Result<(), Failure> {
    let mut seen = None;
    let mut complaint = None;
    loop {
        match look().await {
            Ok(block) => {
                complaint = None;
                if seen.as_ref() != Some(&block) {
                    screen.print(&shown(&block, screen, is_json))?;
                    seen = Some(block);
                }
            }
            Err(failure) if !failure.may_pass() => return Err(failure),
            Err(failure) => {
                let text = failure.to_string();
                if complaint.as_ref() != Some(&text) {
                    cli::complain(&text);
                    complaint = Some(text);
                }
                // What is on the screen may be old: it is drawn again when there is news.
                seen = seen.filter(|_| !screen.is_terminal);
            }
        }
        tokio::time::sleep(interval).await;
    }
}

fn shown(block: &str, screen: Screen, is_json: bool) -> String {
    match (screen.is_terminal, is_json) {
        (_, true) => block.to_owned(),
        (true, false) => format!("{CLEAR}{block}"),
        (false, false) if block.is_empty() => "\n".to_owned(),
        (false, false) => format!("{block}\n\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIPE: Screen = Screen { is_terminal: false, has_colour: false };
    const TERMINAL: Screen = Screen { is_terminal: true, has_colour: false };

    #[test]
    fn a_block_ends_with_an_empty_line_in_a_pipe_and_is_drawn_in_place_on_a_terminal() {
        assert_eq!(shown("a\nb", PIPE, false), "a\nb\n\n");
        assert_eq!(shown("", PIPE, false), "\n");
        assert_eq!(shown("a", TERMINAL, false), "\x1b[H\x1b[2Ja");
        assert_eq!(shown("{}", PIPE, true), "{}");
        assert_eq!(shown("{}", TERMINAL, true), "{}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_pass_is_asked_again_and_what_will_not_ends_it() {
        let mut looks = 0;
        let url = || "http://127.0.0.1:1".to_owned();
        let look = async || {
            looks += 1;
            match looks {
                1..=3 => Err(Failure::Unreachable { url: url(), why: "test".to_owned() }),
                4 => Ok(String::new()),
                5 => Err(Failure::Standby { url: url() }),
                _ => Err(Failure::Token { url: url(), said: "no".to_owned(), origin: "of the test" }),
            }
        };
        let ended = forever(Duration::from_secs(2), PIPE, true, look).await;
        assert!(matches!(ended, Err(Failure::Token { .. })), "{ended:?}");
        assert_eq!(looks, 6);
    }
}
