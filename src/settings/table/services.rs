//! The small sections: tokens, services, TLS, logs, calls, database, types.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::unit::{FLAG, INTERVAL, LOG_FORMAT, LOG_LEVEL, SECRET, WEBSOCKET_URL, place};
use super::{Table, key, read_elsewhere};
use crate::settings::Settings;
use crate::settings::dump::{connection, pem, without_secrets};

/// What stands in the cluster's section itself.
pub static TOKENS: LazyLock<Table> = LazyLock::new(|| Table {
    path: &[],
    keys: vec![
        key(
            "ManagementToken",
            "",
            &SECRET,
            place!(management_token),
            "Bearer token of the management API; empty: the API answers 403 to everything.",
        ),
        key(
            "SystemRootToken",
            "",
            &SECRET,
            place!(system_root_token),
            "Token for the controller and for the processes on workers. Required.",
        ),
    ],
});

/// `Services.Controller`.
pub static CONTROLLER: LazyLock<Table> = LazyLock::new(|| Table {
    path: &["Services", "Controller"],
    keys: vec![read_elsewhere(
        "ExternalURL",
        "",
        |it| without_secrets(&it.controller.url).into(),
        "Base URL of the controller. Required.",
    )],
});

/// `Services.DispatchCloud`.
pub static DISPATCH_CLOUD: LazyLock<Table> = LazyLock::new(|| Table {
    path: &["Services", "DispatchCloud"],
    keys: vec![read_elsewhere(
        "InternalURLs",
        json!({}),
        |it| {
            let listeners = it.listeners.iter().map(|it| {
                let listen = if it.bind == it.url { String::new() } else { without_secrets(&it.bind) };
                (without_secrets(&it.url), json!({"ListenURL": listen}))
            });
            Map::from_iter(listeners).into()
        },
        "Where the management API listens: the first whose address is this host's, and http://localhost:9006 if \
         there is none. ListenURL, if set, is what is bound.",
    )],
});

/// `Services.Websocket`.
pub static WEBSOCKET: LazyLock<Table> = LazyLock::new(|| Table {
    path: &["Services", "Websocket"],
    keys: vec![
        key(
            "ExternalURL",
            "",
            &WEBSOCKET_URL,
            place!(websocket.external),
            "The site's event feed, which says what has changed; empty: the queue is polled only. http(s) means \
             ws(s), and without a path it is /websocket.",
        ),
        read_elsewhere(
            "InternalURLs",
            json!({}),
            |it| {
                let urls = it.websocket.internal.iter().map(|url| (without_secrets(url), json!({})));
                Map::from_iter(urls).into()
            },
            "Those that name this machine (localhost, 127.0.0.1, [::1]) are tried before ExternalURL.",
        ),
    ],
});

/// `TLS`.
pub static TLS: LazyLock<Table> = LazyLock::new(|| Table {
    path: &["TLS"],
    keys: vec![
        read_elsewhere(
            "Certificate",
            "",
            |it| pem(it.tls.certificate.as_ref()),
            "For InternalURLs with https: a path, file:///path, or PEM.",
        ),
        read_elsewhere(
            "Key",
            "",
            |it| pem(it.tls.key.as_ref()),
            "The key that goes with it: a path, file:///path, or PEM.",
        ),
        key(
            "Insecure",
            false,
            &FLAG,
            place!(controller.insecure),
            "Accept any certificate of the controller and of the event feed.",
        ),
    ],
});

/// `SystemLogs`.
pub static SYSTEM_LOGS: LazyLock<Table> = LazyLock::new(|| Table {
    path: &["SystemLogs"],
    keys: vec![
        key(
            "LogLevel",
            "info",
            &LOG_LEVEL,
            place!(logs.level),
            "panic, fatal, error, warning, info, debug or trace.",
        )
        .at_once(),
        key(
            "Format",
            "json",
            &LOG_FORMAT,
            place!(logs.format),
            "json, text (in colour on a terminal) or plain (without time, for a journal).",
        ),
    ],
});

/// `API`.
pub static API: LazyLock<Table> = LazyLock::new(|| Table {
    path: &["API"],
    keys: vec![
        key(
            "RequestTimeout",
            "5m",
            &INTERVAL,
            place!(controller.request_timeout),
            "Deadline of one call to the controller.",
        ),
        key(
            "SendTimeout",
            "1m",
            &INTERVAL,
            place!(websocket.ping_interval),
            "How often the event feed gives a sign of life. After twice that without one it is connected anew.",
        ),
    ],
});

/// `PostgreSQL`.
pub static POSTGRESQL: LazyLock<Table> = LazyLock::new(|| Table {
    path: &["PostgreSQL"],
    keys: vec![read_elsewhere(
        "Connection",
        json!({}),
        |it| connection(&it.postgresql),
        "libpq's keywords, sslmode and sslrootcert among them. With a host or dbname one dispatcher at a time is \
         active, and the others stand by. Without a host: this machine.",
    )],
});

/// `InstanceTypes` as a whole; its entries have tables of their own.
pub static INSTANCE_TYPES: LazyLock<Table> = LazyLock::new(|| Table {
    path: &[],
    keys: vec![
        read_elsewhere(
            "InstanceTypes",
            json!({}),
            |it: &Settings| Value::clone(&it.cluster_json()["InstanceTypes"]),
            "What the cloud offers. Without any, containers are cancelled (with loopback: this machine).",
        )
        .at_once(),
    ],
});
