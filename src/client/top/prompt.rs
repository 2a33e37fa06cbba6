//! An order that is being given: to what, why, and whether it is meant.
//!
//! ```text
//!   key ─► Reason ─ Enter ─► no doubt: given
//!                      └───► doubt: Doubt ─ y ─► given;  any other key: left
//!   Esc leaves it anywhere
//! ```

use crossterm::event::{KeyCode, KeyEvent};

use super::text::tidy;
use crate::client::orders::Verb;

/// The service takes 500 characters.
const LONGEST: usize = 400;

/// What is ordered, of what, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) verb: Verb,
    pub(super) id: String,
    pub(super) reason: String,
}

/// A question at the foot of the screen.
#[derive(Debug)]
pub(super) struct Prompt {
    order: Order,
    /// What makes it worth a second thought.
    doubt: Option<String>,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Reason,
    Doubt,
}

/// What a key has come to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It goes on.
    Asked,
    /// The order is not given.
    Left,
    /// It is.
    Given(Order),
}

impl Prompt {
    /// Asks for the reason first.
    pub fn of(verb: Verb, id: String, doubt: Option<String>) -> Self {
        let order = Order { verb, id, reason: String::new() };
        Self { order, doubt, stage: Stage::Reason }
    }

    /// A key was pressed.
    pub fn press(&mut self, key: KeyEvent) -> Outcome {
        match (self.stage, key.code) {
            (_, KeyCode::Esc) => Outcome::Left,
            (Stage::Doubt, KeyCode::Char('y' | 'Y')) => Outcome::Given(self.order.clone()),
            (Stage::Doubt, _) => Outcome::Left,
            (Stage::Reason, KeyCode::Enter) => self.enter(),
            (Stage::Reason, code) => {
                edit(&mut self.order.reason, code);
                Outcome::Asked
            }
        }
    }

    /// A text was pasted.
    pub fn paste(&mut self, text: &str) {
        if self.stage == Stage::Reason {
            text.chars().for_each(|it| edit(&mut self.order.reason, KeyCode::Char(it)));
        }
    }

    /// Others read the reason: only what undoes an order needs none.
    fn enter(&mut self) -> Outcome {
        self.order.reason = self.order.reason.trim().to_owned();
        if self.order.reason.is_empty() && self.order.verb != Verb::Run {
            return Outcome::Asked;
        }
        if self.doubt.is_some() {
            self.stage = Stage::Doubt;
            return Outcome::Asked;
        }
        Outcome::Given(self.order.clone())
    }

    /// What is asked.
    pub fn question(&self) -> String {
        let id = &self.order.id;
        if let (Stage::Doubt, Some(doubt)) = (self.stage, &self.doubt) {
            return doubt.clone();
        }
        match self.order.verb {
            Verb::Hold => format!("hold {id}: it gets nothing new, and is kept"),
            Verb::Drain | Verb::DrainHeld => format!("drain {id}: nothing new, shut down when empty"),
            Verb::Run => format!("run {id}: it is used like any other again"),
            Verb::Kill => format!("kill {id}: it is shut down now"),
            Verb::KillContainer => format!("kill {id}: its processes are ended"),
            Verb::DrainType | Verb::RunType => format!("type {id}"),
        }
    }

    /// What is being typed, and which keys there are.
    pub fn input(&self) -> (String, &'static str) {
        match self.stage {
            Stage::Reason => (format!("Reason: {}", self.order.reason), "Enter goes on, Esc leaves it"),
            Stage::Doubt => (format!("Reason: {}", self.order.reason), "y does it, any other key leaves it"),
        }
    }

    /// Whether something is being typed.
    pub fn is_typed(&self) -> bool {
        self.stage == Stage::Reason
    }
}

/// A key in a line of text.
pub(super) fn edit(text: &mut String, key: KeyCode) {
    match key {
        KeyCode::Backspace => {
            text.pop();
        }
        KeyCode::Char(it) if text.chars().count() < LONGEST => {
            text.push_str(&tidy(it.encode_utf8(&mut [0; 4])))
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(prompt: &mut Prompt, keys: &str) -> Outcome {
        let code = |it| match it {
            '\n' => KeyCode::Enter,
            '\u{8}' => KeyCode::Backspace,
            '\u{1b}' => KeyCode::Esc,
            it => KeyCode::Char(it),
        };
        let pressed = keys.chars().map(|it| prompt.press(KeyEvent::from(code(it))));
        pressed.last().expect("keys")
    }

    fn order(verb: Verb, reason: &str) -> Outcome {
        Outcome::Given(Order { verb, id: "i-1".to_owned(), reason: reason.to_owned() })
    }

    #[test]
    fn an_order_wants_a_reason_and_its_undoing_does_not() {
        let mut prompt = Prompt::of(Verb::Hold, "i-1".to_owned(), None);
        assert_eq!(typed(&mut prompt, "\n  \n"), Outcome::Asked);
        assert_eq!(typed(&mut prompt, "look att\u{8} it\n"), order(Verb::Hold, "look at it"));
        assert_eq!(typed(&mut Prompt::of(Verb::Run, "i-1".to_owned(), None), "\n"), order(Verb::Run, ""));
        assert_eq!(typed(&mut Prompt::of(Verb::Run, "i-1".to_owned(), None), "x\u{1b}"), Outcome::Left);
    }

    #[test]
    fn what_is_doubtful_is_done_after_y_and_after_nothing_else() {
        let doubtful = || Prompt::of(Verb::Kill, "i-1".to_owned(), Some("2 containers are lost".to_owned()));
        let mut prompt = doubtful();
        assert_eq!(typed(&mut prompt, "yy\n"), Outcome::Asked, "y is a letter of the reason");
        assert_eq!(prompt.question(), "2 containers are lost");
        assert_eq!(typed(&mut prompt, "y"), order(Verb::Kill, "yy"));
        for other in ["n", "\n", " ", "\u{1b}"] {
            assert_eq!(typed(&mut doubtful(), &format!("why\n{other}")), Outcome::Left, "{other:?}");
        }
    }

    #[test]
    fn what_is_pasted_is_one_line_and_answers_no_doubt() {
        let mut prompt = Prompt::of(Verb::Kill, "i-1".to_owned(), Some("it is".to_owned()));
        prompt.paste("a\ny\u{1b}[2J");
        assert_eq!(prompt.input().0, "Reason: a y [2J");
        assert_eq!(typed(&mut prompt, "\n"), Outcome::Asked);
        prompt.paste("y");
        assert_eq!(prompt.question(), "it is");
        prompt.paste(&"z".repeat(1_000));
        let mut long = Prompt::of(Verb::Hold, "i-1".to_owned(), None);
        long.paste(&"z".repeat(1_000));
        assert_eq!(long.input().0.len(), "Reason: ".len() + LONGEST);
    }
}
