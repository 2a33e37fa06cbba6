//! Servers that ask for what they may not have.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::lock::{Database, LockError};
use crate::settings::Connection;

const ALL: [AuthMethod; 6] = [
    AuthMethod::Password,
    AuthMethod::Md5,
    AuthMethod::Gss,
    AuthMethod::Sspi,
    AuthMethod::ScramSha256,
    AuthMethod::None,
];

fn question(code: u32, more: &[u8]) -> Vec<u8> {
    let length = u32::try_from(8 + more.len()).unwrap();
    [b"R".as_slice(), &length.to_be_bytes(), &code.to_be_bytes(), more].concat()
}

/// What becomes of these words, in pieces of that size.
fn judged(methods: &[AuthMethod], cleartext: bool, words: &[u8], piece: usize) -> Result<(), String> {
    let rules = Rules { methods: methods.to_vec(), cleartext };
    let mut watch = Watch { stage: Stage::Head(Vec::new()), rules, asked: false };
    words.chunks(piece).try_for_each(|piece| watch.read(piece))
}

#[test]
fn each_way_to_ask_is_allowed_or_not_however_its_words_arrive() {
    let notice = [b"N".as_slice(), &12_u32.to_be_bytes(), b"SNOTICE\0"].concat();
    for (code, method) in [(3, 0), (5, 1), (7, 2), (9, 3), (10, 4), (0, 5)] {
        let words = [notice.clone(), question(code, b"salt"), question(0, b"")].concat();
        for piece in [1, 3, 4, 1000] {
            assert_eq!(judged(&[ALL[method]], true, &words, piece), Ok(()), "{code}");
            let others: Vec<_> = ALL.into_iter().filter(|it| *it != ALL[method]).collect();
            let error = judged(&others, true, &words, piece).unwrap_err();
            assert!(error.contains("require_auth does not allow"), "{code}: {error}");
        }
    }
    assert!(judged(&ALL, true, &question(2, b""), 1).is_err(), "nobody knows that one");
    assert!(judged(&ALL, true, &question(12, b""), 1).is_err(), "an end without a beginning");
    let scram =
        [question(10, b"SCRAM-SHA-256\0\0"), question(11, b"r"), question(12, b"v"), question(0, b"")]
            .concat();
    assert_eq!(judged(&[AuthMethod::ScramSha256], false, &scram, 5), Ok(()));
    let turned = [question(10, b"x"), question(3, b"")].concat();
    assert!(judged(&ALL, false, &turned, 2).is_err(), "a second question is judged too");
}

/// A server without TLS that asks so, and what it was told after that.
async fn asked(code: u32, keywords: &[(&str, &str)]) -> (LockError, Vec<u8>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let own = [("host", "127.0.0.1"), ("port", port.as_str()), ("user", "u"), ("password", "hunter2")];
    let keywords = own.iter().chain(keywords).map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let database = Database::new(&Connection(keywords.collect()), "zzzzz").unwrap().unwrap();
    let server = actix_rt::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut first = vec![0; 8];
        stream.read_exact(&mut first).await.unwrap();
        // The request for TLS has a number of its own.
        if first[4..] == 80_877_103_u32.to_be_bytes() {
            stream.write_all(b"N").await.unwrap();
        }
        // Who wants to log in, and where.
        assert_ne!(stream.read_buf(&mut Vec::with_capacity(4096)).await.unwrap(), 0);
        let salt: &[u8] = if code == 5 { b"salt" } else { b"" };
        stream.write_all(&question(code, salt)).await.unwrap();
        let mut told = Vec::new();
        // Whether it says something or ends; then this server does.
        let _ = stream.read_buf(&mut told).await;
        told
    });
    let error = database.connect().await.expect_err("it lets nobody in");
    (error, server.await.unwrap())
}

#[actix_rt::test]
async fn no_password_is_sent_in_clear_unless_the_site_has_chosen_that() {
    for keywords in [&[][..], &[("sslmode", "prefer")], &[("sslmode", "allow")]] {
        let (error, told) = asked(3, keywords).await;
        assert!(error.to_string().contains("not sent in clear"), "{error}");
        assert_eq!(told, b"", "{keywords:?}");
    }
    let (_, told) = asked(3, &[("sslmode", "disable")]).await;
    assert!(told.windows(7).any(|it| it == b"hunter2"), "{told:?}");
}

#[actix_rt::test]
async fn require_auth_is_kept() {
    for code in [3, 5] {
        let (error, told) = asked(code, &[("sslmode", "disable"), ("require_auth", "scram-sha-256")]).await;
        assert!(error.to_string().contains("require_auth does not allow"), "{error}");
        assert_eq!(told, b"");
    }
}
