//! To whom the password is shown: what `sslmode` promises is kept.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use arvados_dispatch_cloud::lock::{Database, Held, acquire};
use arvados_dispatch_cloud::settings::Connection;
use dispatch_test_https::Authority;
use slog::{Drain, Logger, OwnedKVList, Record, o};

use crate::postgres::{self, Postgres};
use crate::support::SOON;

/// Sends the value of `error` of each line on.
struct Errors(Sender<String>);

impl Drain for Errors {
    type Ok = ();
    type Err = slog::Never;

    fn log(&self, record: &Record<'_>, _: &OwnedKVList) -> Result<(), slog::Never> {
        struct Error<'a>(&'a Sender<String>);
        impl slog::Serializer for Error<'_> {
            fn emit_arguments(&mut self, key: slog::Key, value: &std::fmt::Arguments<'_>) -> slog::Result {
                let key = key.to_string();
                if key == "error" {
                    self.0.send(value.to_string()).unwrap();
                }
                Ok(())
            }
        }
        slog::KV::serialize(&record.kv(), record, &mut Error(&self.0)).unwrap();
        Ok(())
    }
}

/// The lock, or what is said instead.
async fn lock(postgres: &Postgres, keywords: &[(&str, &str)]) -> Result<Held, String> {
    let site = postgres.connection();
    let site = site.as_object().unwrap().iter();
    let mut connection: Connection =
        Connection(site.map(|(key, value)| (key.clone(), value.as_str().unwrap().to_owned())).collect());
    connection.0.extend(keywords.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    let database = Database::new(&connection, "zzzzz").unwrap().unwrap();
    let (sender, errors): (_, Receiver<String>) = channel();
    let log = Logger::root(Errors(sender).fuse(), o!());
    let mut acquiring = std::pin::pin!(acquire(&database, &log));
    let deadline = tokio::time::Instant::now() + SOON;
    loop {
        if let Ok(held) = tokio::time::timeout(Duration::from_millis(100), &mut acquiring).await {
            return Ok(held);
        }
        if let Ok(error) = errors.try_recv() {
            return Err(error);
        }
        assert!(tokio::time::Instant::now() < deadline, "neither lock nor error");
    }
}

#[actix_rt::test]
async fn the_server_is_believed_as_far_as_sslmode_says() {
    let authority = Authority::new();
    // Tests reach it as 127.0.0.1: of that name it has no proof.
    let (certificate, key) = authority.files("localhost");
    let postgres = Postgres::start_with_files(
        &[("server.crt", &certificate), ("server.key", &key), ("ca.crt", authority.pem())],
        &["ssl=on", "ssl_cert_file=../server.crt", "ssl_key_file=../server.key", "ssl_ca_file=../ca.crt"],
    )
    .await;
    let text = |name: &str| postgres.path(name).display().to_string();
    std::fs::write(postgres.path("other.crt"), Authority::new().pem()).unwrap();
    let (ca, other, own) = (text("ca.crt"), text("other.crt"), text("server.crt"));
    // Of the one that holds the lock: another may be about to end.
    let encrypted = "SELECT ssl::text FROM pg_stat_ssl JOIN pg_locks USING (pid) \
         WHERE locktype = 'advisory' AND objid = 10005 AND granted";
    let superuser = postgres.superuser().await;

    let trusted: [&[(&str, &str)]; 7] = [
        &[],
        &[("sslmode", "require")],
        &[("sslmode", "require"), ("sslrootcert", &ca)],
        &[("sslmode", "verify-ca"), ("sslrootcert", &ca), ("channel_binding", "require")],
        &[("sslmode", "verify-ca"), ("sslrootcert", &own)],
        &[("sslmode", "verify-full"), ("sslrootcert", &ca), ("host", "localhost"), ("hostaddr", "127.0.0.1")],
        &[
            ("sslmode", "verify-full"),
            ("sslrootcert", &own),
            ("host", "localhost"),
            ("hostaddr", "127.0.0.1"),
        ],
    ];
    for keywords in trusted {
        let held = lock(&postgres, keywords).await.unwrap_or_else(|error| panic!("{keywords:?}: {error}"));
        assert_eq!(postgres::value(&superuser, encrypted).await.as_deref(), Some("true"), "{keywords:?}");
        drop(held);
    }
    let scram: &[(&str, &str)] = &[("sslmode", "require"), ("require_auth", "scram-sha-256")];
    drop(lock(&postgres, scram).await.unwrap());
    let error = lock(&postgres, &[("sslmode", "require"), ("require_auth", "md5,password")])
        .await
        .expect_err("it asks otherwise");
    assert!(error.contains("asks for scram-sha-256, which require_auth does not allow"), "{error}");
    let held = lock(&postgres, &[("sslmode", "disable"), ("require_auth", "!password,!md5")]).await.unwrap();
    assert_eq!(postgres::value(&superuser, encrypted).await.as_deref(), Some("false"));
    drop(held);

    let refused: [(&[(&str, &str)], &str); 5] = [
        (&[("sslmode", "verify-full"), ("sslrootcert", &ca)], "certificate not valid for name"),
        (&[("sslmode", "verify-full"), ("sslrootcert", &own)], "certificate not valid for name"),
        (&[("sslmode", "verify-ca"), ("sslrootcert", &other)], "invalid peer certificate"),
        (&[("sslmode", "require"), ("sslrootcert", &other)], "invalid peer certificate"),
        (&[("sslmode", "verify-ca"), ("sslrootcert", "/nonexistent.pem")], "/nonexistent.pem"),
    ];
    for (keywords, expected) in refused {
        let error = lock(&postgres, keywords).await.expect_err(expected);
        assert!(error.contains(expected), "{keywords:?}: {error}");
    }
}

#[actix_rt::test]
async fn a_server_without_tls_is_refused_if_the_site_requires_it_and_used_if_it_does_not() {
    let postgres = Postgres::start().await;
    let error = lock(&postgres, &[("sslmode", "require")]).await.expect_err("there is no TLS");
    assert!(error.contains("server does not support TLS"), "{error}");
    lock(&postgres, &[("sslmode", "prefer")]).await.unwrap();
}

#[actix_rt::test]
async fn a_socket_needs_no_tls_and_the_next_host_is_tried_if_one_is_not_there() {
    let postgres = Postgres::start().await;
    let socket = postgres.socket_directory().display().to_string();
    let held = lock(&postgres, &[("host", &socket), ("sslmode", "verify-full")]).await.unwrap();
    assert_eq!(held.server(), format!("{socket}:{}", postgres.port));
    drop(held);
    let hosts = format!("/nonexistent,{socket}");
    assert_eq!(
        lock(&postgres, &[("host", &hosts)]).await.unwrap().server(),
        format!("{socket}:{}", postgres.port)
    );
}
