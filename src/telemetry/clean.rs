//! Values of the log, fit to be read: none is endless, and none moves the reader's terminal or begins a line.
//!
//! What VMs, users and clouds say is logged as they say it. A line end in it would forge lines, an escape sequence
//! would hide them, and a megabyte would bury them.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use slog::{Drain, Key, OwnedKVList, Record, RecordStatic, Serializer, o};

/// The longest value that is logged whole, in bytes.
pub const LONGEST_VALUE: usize = 4096;

/// In which order a format wants the facts of the logger and those of the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// The logger's first; the format escapes by itself.
    Json,
    /// The record's first, because the format turns them round; nothing is escaped.
    Text,
}

/// Hands records on with clean values.
pub(super) struct Cleaning<D> {
    pub drain: D,
    pub format: Format,
}

impl<D: Drain<Ok = ()>> Drain for Cleaning<D> {
    type Ok = ();
    type Err = D::Err;

    fn log(&self, record: &Record<'_>, values: &OwnedKVList) -> Result<(), D::Err> {
        let facts = Facts { record, values, format: self.format };
        let place = RecordStatic { location: record.location(), tag: record.tag(), level: record.level() };
        let message = record.msg().to_string();
        let message = clean(&message, self.format);
        self.drain
            .log(&Record::new(&place, &format_args!("{message}"), slog::BorrowedKV(&facts)), &o!().into())
    }
}

/// All facts of a line.
struct Facts<'a> {
    record: &'a Record<'a>,
    values: &'a OwnedKVList,
    format: Format,
}

impl slog::KV for Facts<'_> {
    fn serialize(&self, _: &Record<'_>, serializer: &mut dyn Serializer) -> slog::Result {
        let mut cleaner = Cleaner { to: serializer, format: self.format };
        match self.format {
            Format::Json => {
                self.values.serialize(self.record, &mut cleaner)?;
                self.record.kv().serialize(self.record, &mut cleaner)
            }
            Format::Text => {
                self.record.kv().serialize(self.record, &mut cleaner)?;
                self.values.serialize(self.record, &mut cleaner)
            }
        }
    }
}

struct Cleaner<'a> {
    to: &'a mut dyn Serializer,
    format: Format,
}

macro_rules! pass_on {
    ($($name:ident: $of:ty),*) => {
        $(fn $name(&mut self, key: Key, value: $of) -> slog::Result {
            self.to.$name(key, value)
        })*
    };
}

impl Serializer for Cleaner<'_> {
    fn emit_arguments(&mut self, key: Key, value: &fmt::Arguments<'_>) -> slog::Result {
        self.emit_str(key, &value.to_string())
    }

    fn emit_str(&mut self, key: Key, value: &str) -> slog::Result {
        self.to.emit_str(key, &clean(value, self.format))
    }

    fn emit_char(&mut self, key: Key, value: char) -> slog::Result {
        self.emit_str(key, value.encode_utf8(&mut [0; 4]))
    }

    fn emit_unit(&mut self, key: Key) -> slog::Result {
        self.to.emit_unit(key)
    }

    fn emit_none(&mut self, key: Key) -> slog::Result {
        self.to.emit_none(key)
    }

    pass_on!(
        emit_usize: usize, emit_isize: isize, emit_bool: bool, emit_u8: u8, emit_i8: i8, emit_u16: u16,
        emit_i16: i16, emit_u32: u32, emit_i32: i32, emit_f32: f32, emit_u64: u64, emit_i64: i64, emit_f64: f64,
        emit_u128: u128, emit_i128: i128
    );
}

/// The same text, cut if it is too long, with its length, and without what moves the reader's terminal.
fn clean(text: &str, format: Format) -> Cow<'_, str> {
    let text = if text.len() <= LONGEST_VALUE {
        Cow::Borrowed(text)
    } else {
        let end = text.floor_char_boundary(LONGEST_VALUE);
        Cow::Owned(format!("{}… ({} bytes)", &text[..end], text.len()))
    };
    match format {
        Format::Json => text,
        Format::Text if text.contains(is_odd) => Cow::Owned(escaped(&text)),
        Format::Text => text,
    }
}

/// The text with line ends, escape sequences and marks of writing direction as people see them in source code.
pub fn escaped(text: &str) -> String {
    let mut clean = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_odd(c) {
            // Writing to memory cannot fail.
            let _ = write!(clean, "{}", c.escape_default());
        } else {
            clean.push(c);
        }
    }
    clean
}

/// Control characters of both ranges, other line ends, and marks that turn the writing direction round.
fn is_odd(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
