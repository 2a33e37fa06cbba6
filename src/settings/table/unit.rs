//! How values are written: each unit's reader, with its bounds, and its dump.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use dispatch_adapters::ssh::{KeyExchange, SshClient};
use dispatch_core::instance::{Price, Tags};
use dispatch_core::reserve::IdleReserve;
use dispatch_core::secret::Secret;
use serde_json::Value;
use url::Url;

use crate::settings::dump::{hidden, without_secrets};
use crate::settings::model::{LogFormat, RunnerBinary};
use crate::settings::reserve;
use crate::settings::section::Section;
use crate::settings::units::format_duration;
use crate::settings::websocket;

/// What stands for this very program.
const SELF: &str = "/proc/self/exe";

/// A way to write values of that type.
pub struct Unit<T: 'static> {
    /// Reads a key; what cannot be used becomes a finding.
    pub read: fn(&Section<'_>, &str) -> T,
    /// As it is dumped; `Null` = there is nothing to show.
    pub dump: fn(&T) -> Value,
}

/// Where a value is kept.
pub struct Place<S: 'static, T: 'static> {
    /// To dump it.
    pub get: fn(&S) -> &T,
    /// To read it.
    pub get_mut: fn(&mut S) -> &mut T,
}

/// The place of a field: of `Settings`, or of a type that is named.
macro_rules! place {
    ($($field:ident).+) => {
        place!(crate::settings::model::Settings: $($field).+)
    };
    ($of:ty: $($field:ident).+) => {
        crate::settings::table::unit::Place {
            get: |it: &$of| &it.$($field).+,
            get_mut: |it: &mut $of| &mut it.$($field).+,
        }
    };
}
pub(super) use place;

/// A duration; what is not positive counts as the default.
pub static INTERVAL: Unit<Duration> =
    Unit { read: |section, key| section.interval(key), dump: |it| format_duration(*it).into() };

/// A whole number from 0 on.
pub static COUNT: Unit<u32> = Unit { read: |section, key| section.count(key), dump: |it| (*it).into() };

/// A whole number; 0 and what is negative: no limit.
pub static LIMIT: Unit<u32> = Unit { read: |section, key| section.limit(key), dump: |it| (*it).into() };

/// The same as a count, kept in 64 bits.
pub static LONG_COUNT: Unit<u64> =
    Unit { read: |section, key| section.count(key).into(), dump: |it| (*it).into() };

/// How often something is tried again, from 1 on; `None` = for ever.
pub static RETRIES: Unit<Option<NonZeroU32>> = Unit {
    read: |section, key| {
        let text = section.text(key);
        if text == "never" {
            return None;
        }
        let retries = text.parse().ok();
        if retries.is_none() {
            section.refuse(key, "never, or after how many losses, from 1 on");
        }
        retries
    },
    dump: |it| it.map_or_else(|| "never".into(), |it| it.get().into()),
};

/// A number from 0 on.
pub static NUMBER: Unit<f64> = Unit { read: |section, key| section.number(key), dump: |it| (*it).into() };

/// A part of a whole; 0 and what is negative: no limit.
pub static SHARE: Unit<f64> = Unit {
    read: |section, key| {
        let share = section.fraction(key).max(0.0);
        if share > 1.0 {
            section.refuse(key, "a share from 0 to 1, such as 0.5; 0: no limit");
        }
        share
    },
    dump: |it| (*it).into(),
};

/// A size in bytes.
pub static SIZE: Unit<u64> = Unit { read: |section, key| section.size(key), dump: |it| (*it).into() };

/// A price from 0 on.
pub static PRICE: Unit<Price> = Unit {
    read: |section, key| Price::new(section.number(key)).unwrap_or(Price::ZERO),
    dump: |it| it.per_hour().into(),
};

/// A truth value.
pub static FLAG: Unit<bool> = Unit { read: |section, key| section.flag(key), dump: |it| (*it).into() };

/// A text.
pub static TEXT: Unit<String> =
    Unit { read: |section, key| section.text(key), dump: |it| it.as_str().into() };

/// A text that is not to be shown.
pub static SECRET: Unit<Secret> =
    Unit { read: |section, key| section.secret(key), dump: |it| hidden(it.expose()) };

/// A text that may have anything in it, secrets too, and is shown only if it is empty.
pub static SCRIPT: Unit<String> = Unit { read: |section, key| section.text(key), dump: |it| hidden(it) };

/// A list of texts.
pub static TEXTS: Unit<Vec<String>> =
    Unit { read: |section, key| section.texts(key), dump: |it| it.as_slice().into() };

/// A map of texts.
pub static TAGS: Unit<Tags> =
    Unit { read: |section, key| Tags(section.section(key).text_map()), dump: |it| text_map(&it.0) };

/// How many VMs are kept without work: maps of rules.
pub static RESERVE: Unit<IdleReserve> = Unit { read: reserve::read, dump: reserve::dump };

fn text_map(map: &BTreeMap<String, String>) -> Value {
    map.iter().map(|(key, text)| (key.clone(), Value::from(text.as_str()))).collect()
}

/// A TCP port.
pub static PORT: Unit<u16> = Unit {
    read: |section, key| {
        let text = section.text(key);
        // The name of the service is what an ssh client takes if it is told nothing.
        if matches!(text.as_str(), "" | "ssh") {
            return 22;
        }
        text.parse().ok().filter(|port| *port > 0).unwrap_or_else(|| {
            section.refuse(key, "a port number from 1 to 65535, or ssh for 22");
            22
        })
    },
    dump: |it| it.to_string().into(),
};

/// Probes a second as the file has them, below 1 as 10; `None` = the file says nothing, and we follow the workers' number.
pub static PROBE_RATE: Unit<Option<u32>> = Unit {
    read: |section, key| match section.is_set(key).then(|| section.integer(key))? {
        ..1 => Some(10),
        rate => Some(u32::try_from(rate).unwrap_or(u32::MAX)),
    },
    dump: |it| it.map_or(Value::Null, Value::from),
};

/// What is deployed as the runner: an absolute path, or nothing.
pub static RUNNER: Unit<RunnerBinary> = Unit {
    read: |section, key| match section.text(key).as_str() {
        "" => RunnerBinary::None,
        SELF => RunnerBinary::ThisProgram,
        path if path.starts_with('/') => RunnerBinary::File(path.into()),
        _ => {
            section.refuse(key, "an absolute path, or nothing");
            RunnerBinary::None
        }
    },
    dump: |it| match it {
        RunnerBinary::None => "".into(),
        RunnerBinary::File(path) => path.display().to_string().into(),
        RunnerBinary::ThisProgram => SELF.into(),
    },
};

/// The least important level that is logged.
pub static LOG_LEVEL: Unit<slog::Level> = Unit {
    read: |section, key| match section.text(key).to_ascii_lowercase().as_str() {
        "panic" | "fatal" | "error" => slog::Level::Error,
        "warn" | "warning" => slog::Level::Warning,
        "" | "info" => slog::Level::Info,
        "debug" => slog::Level::Debug,
        "trace" => slog::Level::Trace,
        _ => {
            section.refuse(key, "panic, fatal, error, warning, info, debug or trace");
            slog::Level::Info
        }
    },
    dump: |it| match it {
        slog::Level::Critical | slog::Level::Error => "error".into(),
        slog::Level::Warning => "warning".into(),
        slog::Level::Info => "info".into(),
        slog::Level::Debug => "debug".into(),
        slog::Level::Trace => "trace".into(),
    },
};

/// How a log line looks.
pub static LOG_FORMAT: Unit<LogFormat> = Unit {
    read: |section, key| match section.text(key).as_str() {
        "" | "json" => LogFormat::Json,
        "text" => LogFormat::Text,
        "plain" => LogFormat::Plain,
        _ => {
            section.refuse(key, "json, text or plain");
            LogFormat::Json
        }
    },
    dump: |it| it.as_str().into(),
};

/// How the keys of a connection to a VM are agreed.
pub static KEY_EXCHANGE: Unit<KeyExchange> = Unit {
    read: |section, key| match section.text(key).as_str() {
        "" => KeyExchange::PostQuantum,
        "fast" => KeyExchange::Fast,
        _ => {
            section.refuse(key, "fast, or nothing");
            KeyExchange::PostQuantum
        }
    },
    dump: |it| match it {
        KeyExchange::PostQuantum => "".into(),
        KeyExchange::Fast => "fast".into(),
    },
};

/// Which ssh client makes the connections to VMs.
pub static SSH_CLIENT: Unit<SshClient> = Unit {
    read: |section, key| match section.text(key).as_str() {
        "" | "openssh" => SshClient::OpenSsh,
        "russh" => SshClient::Russh,
        _ => {
            section.refuse(key, "openssh or russh");
            SshClient::OpenSsh
        }
    },
    dump: |it| match it {
        SshClient::OpenSsh => "openssh".into(),
        SshClient::Russh => "russh".into(),
    },
};

/// The URL of the websocket service, or nothing.
pub static WEBSOCKET_URL: Unit<Option<Url>> = Unit {
    read: websocket::external,
    dump: |it| it.as_ref().map(without_secrets).unwrap_or_default().into(),
};
