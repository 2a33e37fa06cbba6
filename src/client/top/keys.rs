//! What a key does, where it is pressed.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::layout;
use super::model::{Effect, Model, View};
use super::pane::{self, Pane, Subject};
use super::prompt::{self, Outcome, Prompt};
use super::rows::Row;
use crate::client::orders::Verb;

/// The keys, for people.
pub(super) const HELP: &str = "\
1, 2, 3, Tab    the line of waiting containers, the fleet of instances, events
arrows, j, k    up and down; PgUp, PgDn, Home (g), End (G)
Enter           all that is known of the selected one; a container is explained
/               search by a part of a UUID or of an instance's id
a               in the line: also containers that run
h               hold: an instance gets nothing new, and is kept
d               drain: it gets nothing new, and is shut down when empty
r               run: it is used like any other again
x               kill an instance, or a container's processes; asks first
Esc             back; in a list: end of the search
q, Ctrl-C       quit; Ctrl-L draws the screen anew

orders          ask for a reason, for the log, the events and the VM's tags
STATE           of the VM; then hold or drain, if an operator has said so
FULL            how much of the VCPUs or RAM is taken, whichever is more
TYPE            of the instance that a container waits for";

/// What an order is about.
enum Target {
    Container(String),
    Instance(String),
}

impl Model {
    /// A key was pressed.
    pub(super) fn press(&mut self, key: KeyEvent) -> Vec<Effect> {
        if key.kind == KeyEventKind::Release {
            return Vec::new();
        }
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return match key.code {
                KeyCode::Char('c') => vec![Effect::Quit],
                KeyCode::Char('l') => vec![Effect::Redraw],
                _ => Vec::new(),
            };
        }
        if self.prompt.is_some() {
            self.press_in_prompt(key)
        } else if self.is_searching {
            self.press_in_search(key.code);
            Vec::new()
        } else {
            self.press_in_view(key.code)
        }
    }

    /// What is pasted is a text, wherever it is pasted.
    pub(super) fn paste(&mut self, text: &str) {
        if let Some(prompt) = &mut self.prompt {
            prompt.paste(text);
        } else if self.is_searching {
            text.trim().chars().for_each(|it| prompt::edit(&mut self.filter, KeyCode::Char(it)));
        }
    }

    fn press_in_prompt(&mut self, key: KeyEvent) -> Vec<Effect> {
        let Some(prompt) = &mut self.prompt else { return Vec::new() };
        match prompt.press(key) {
            Outcome::Asked => Vec::new(),
            Outcome::Left => {
                self.prompt = None;
                self.say("nothing was ordered", true);
                Vec::new()
            }
            Outcome::Given(order) => {
                self.prompt = None;
                self.say(format!("{}: ordered ...", order.id), true);
                vec![Effect::Order(order)]
            }
        }
    }

    fn press_in_search(&mut self, key: KeyCode) {
        match key {
            KeyCode::Enter => self.is_searching = false,
            KeyCode::Esc => {
                self.is_searching = false;
                self.filter.clear();
            }
            _ => prompt::edit(&mut self.filter, key),
        }
    }

    fn press_in_view(&mut self, key: KeyCode) -> Vec<Effect> {
        match key {
            KeyCode::Char('q') => return vec![Effect::Quit],
            KeyCode::Char('?') => {
                let effects = self.close();
                self.pane = Some(Pane::of(Subject::Help, HELP.to_owned()));
                return effects;
            }
            KeyCode::Char('1') => return self.look_at(View::Line),
            KeyCode::Char('2') => return self.look_at(View::Fleet),
            KeyCode::Char('3') => return self.look_at(View::Events),
            KeyCode::Tab => return self.look_at(self.view.next()),
            KeyCode::Esc => return self.go_back(),
            KeyCode::Enter if self.pane.is_none() => return self.open(),
            KeyCode::Char('/') => {
                self.is_searching = true;
                return self.close();
            }
            KeyCode::Char('a') if self.view == View::Line => self.shows_all = !self.shows_all,
            KeyCode::Char('h') => self.ask(Verb::Hold),
            KeyCode::Char('d') => self.ask(Verb::Drain),
            KeyCode::Char('r') => self.ask(Verb::Run),
            KeyCode::Char('x') => self.ask(Verb::Kill),
            _ => self.scroll(key),
        }
        Vec::new()
    }

    fn look_at(&mut self, view: View) -> Vec<Effect> {
        self.view = view;
        self.close()
    }

    /// Out of the pane, or else out of the search.
    fn go_back(&mut self) -> Vec<Effect> {
        if self.pane.is_none() {
            self.filter.clear();
        }
        self.close()
    }

    fn close(&mut self) -> Vec<Effect> {
        self.pane.take().map(|_| Effect::Explain(None)).into_iter().collect()
    }

    fn open(&mut self) -> Vec<Effect> {
        let Some(row) = self.selected() else { return Vec::new() };
        let (subject, told) = match row {
            Row::Container(at) => (Subject::Container(self.data.containers[at].uuid.clone()), String::new()),
            Row::Type(at) => (Subject::Type(self.data.fleet[at].name.clone()), String::new()),
            Row::Instance(group, at) => {
                (Subject::Instance(self.data.fleet[group].instances[at].key.clone()), String::new())
            }
            Row::Event(at) => (Subject::Event, pane::event(&self.events[at])),
        };
        let asked = match &subject {
            Subject::Container(uuid) => Some(Effect::Explain(Some(uuid.clone()))),
            _ => None,
        };
        self.pane = Some(Pane::of(subject, told));
        asked.into_iter().collect()
    }

    /// Up and down, in the list or in the pane.
    fn scroll(&mut self, key: KeyCode) {
        let page = layout::of(self).body_rows().saturating_sub(1).max(1).cast_signed();
        let by = match key {
            KeyCode::Up | KeyCode::Char('k') => -1,
            KeyCode::Down | KeyCode::Char('j') => 1,
            KeyCode::PageUp => -page,
            KeyCode::PageDown | KeyCode::Char(' ') => page,
            KeyCode::Home | KeyCode::Char('g') => isize::MIN,
            KeyCode::End | KeyCode::Char('G') => isize::MAX,
            _ => return,
        };
        let view = self.view as usize;
        match &mut self.pane {
            Some(pane) => pane.scroll = pane.scroll.saturating_add_signed(by),
            None => self.cursors[view].move_by(by, self.rows[view].len()),
        }
    }

    fn target(&self) -> Result<Target, &'static str> {
        const NOTHING: &str = "choose a container in the line (1), or an instance in the fleet (2)";
        let instance = |key: &str| match self.data.instance(key) {
            Some(vm) if vm.has_id() => Ok(Target::Instance(vm.is.instance.clone())),
            Some(_) => Err("it is being created, and has no id yet"),
            None => Err("it is not there any more"),
        };
        if let Some(pane) = &self.pane {
            return match &pane.subject {
                Subject::Container(uuid) => Ok(Target::Container(uuid.clone())),
                Subject::Instance(key) => instance(key),
                Subject::Type(_) | Subject::Event | Subject::Help => Err(NOTHING),
            };
        }
        match self.selected() {
            Some(Row::Container(at)) => Ok(Target::Container(self.data.containers[at].uuid.clone())),
            Some(Row::Instance(group, at)) => instance(&self.data.fleet[group].instances[at].key),
            Some(Row::Type(_)) => Err("that is a type: choose an instance below it"),
            Some(Row::Event(_)) | None => Err(NOTHING),
        }
    }

    /// Begins to ask for an order, or says why there can be none.
    fn ask(&mut self, verb: Verb) {
        let prompt = match self.target() {
            Err(why) => Err(why),
            Ok(Target::Container(uuid)) if verb == Verb::Kill => {
                let doubt = format!("Sure? The work of {uuid} is lost.");
                Ok(Prompt::of(Verb::KillContainer, uuid, Some(doubt)))
            }
            Ok(Target::Container(_)) => Err("that is for instances: choose one in the fleet (2)"),
            Ok(Target::Instance(id)) => Ok(self.about_instance(verb, id)),
        };
        match prompt {
            Ok(prompt) => {
                self.notice = None;
                self.prompt = Some(prompt);
            }
            Err(why) => self.say(why, false),
        }
    }

    fn about_instance(&self, verb: Verb, id: String) -> Prompt {
        let vm = self.data.instance(&id);
        let running = vm.map_or(0, |vm| vm.is.running_container_uuids.len());
        let is_held = vm.is_some_and(|vm| vm.is.idle_behavior == "hold");
        match verb {
            Verb::Kill => {
                let doubt = match running {
                    0 => format!("Sure? {id} is shut down now."),
                    1 => format!("Sure? The work of a container on {id} is lost."),
                    count => format!("Sure? The work of {count} containers on {id} is lost."),
                };
                Prompt::of(verb, id, Some(doubt))
            }
            // Somebody may be looking at it: the service refuses a plain drain.
            Verb::Drain if is_held => {
                let who = vm.map(|vm| vm.held_by()).unwrap_or_default();
                Prompt::of(Verb::DrainHeld, id, Some(format!("Drain it all the same? It is on hold{who}.")))
            }
            _ => Prompt::of(verb, id, None),
        }
    }
}
