//! Signatures, computed again by botocore's signer from what came over the wire: nobody else here verifies them,
//! and EC2 does.

use std::io::Write as _;
use std::process::{Command, Stdio};

use dispatch_core::id::InstanceId;
use dispatch_core::instance::Tags;
use dispatch_core::ports::CloudDriver as _;
use dispatch_core::secret::Secret;
use dispatch_sim::stub::{RawCall, Stub};
use serde_json::{Value, json};

use super::driver;
use crate::Params;

/// Who is to have signed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Signer {
    pub key: &'static str,
    pub secret: &'static str,
    pub token: Option<&'static str>,
    pub region: &'static str,
}

const OURS: Signer =
    Signer { key: "AKIDEXAMPLE", secret: "wJalrXUtnFEMI/K7MDENG+bPx", token: None, region: "us-east-1" };

fn row(call: &RawCall, signer: &Signer) -> Value {
    let Signer { key, secret, token, region } = signer;
    let body = std::str::from_utf8(&call.body).unwrap();
    json!({ "head": call.head, "body": body, "key": key, "secret": secret, "token": token, "region": region })
}

/// What botocore has against these.
fn objections(rows: &[Value]) -> Vec<String> {
    let python = dispatch_sim::moto::python().unwrap_or_else(|error| panic!("{error}"));
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/signature.py");
    let mut child =
        Command::new(python).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&serde_json::to_vec(rows).unwrap()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", output.status);
    serde_json::from_slice(&output.stdout).unwrap()
}

#[track_caller]
pub(super) fn assert_signed(call: &RawCall, signer: &Signer) {
    assert_eq!(objections(&[row(call, signer)]), Vec::<String>::new(), "{}", call.head);
}

/// What a driver sends that calls that path of a stub: an empty filter, and tags with what must be encoded.
async fn calls(path: &str) -> Vec<RawCall> {
    let stub = Stub::start(None).unwrap();
    let params = Params {
        access_key_id: OURS.key.to_owned(),
        secret_access_key: Secret::new(OURS.secret),
        ..super::params()
    };
    let (cloud, _) = driver(&format!("{}{path}", stub.endpoint), params).await;
    // The stub has no answer: the calls are what counts.
    cloud.list(&Tags::default()).await.unwrap_err();
    let tags = Tags([("a b+c".to_owned(), "ü = *~'/&?".to_owned())].into());
    cloud.set_tags(&InstanceId::new("i-1").unwrap(), &tags).await.unwrap_err();
    let calls = stub.raw_calls();
    assert_eq!(calls.len(), 2);
    calls
}

#[actix_rt::test]
async fn botocore_signs_our_calls_alike() {
    for path in ["", "/", "/a/path/"] {
        let rows: Vec<_> = calls(path).await.iter().map(|call| row(call, &OURS)).collect();
        assert!(rows[0]["head"].as_str().unwrap().contains("\r\nhost: 127.0.0.1:"), "{rows:?}");
        assert_eq!(objections(&rows), Vec::<String>::new(), "{path}");
    }
}

#[actix_rt::test]
async fn botocore_objects_to_what_is_not_signed_so() {
    let call = calls("").await.remove(0);
    let tampered =
        |head: &str, body: &[u8]| RawCall { head: head.to_owned(), body: body.to_vec(), ..call.clone() };
    let rows = [
        row(&call, &Signer { secret: "another", ..OURS }),
        row(&call, &Signer { key: "another", ..OURS }),
        row(&call, &Signer { token: Some("token"), ..OURS }),
        row(&call, &Signer { region: "eu-west-1", ..OURS }),
        row(&tampered(&call.head, b"Action=TerminateInstances"), &OURS),
        row(&tampered(&call.head.replace("host: 127.0.0.1:", "host: 127.0.0.2:"), &call.body), &OURS),
        row(&tampered(&call.head.replacen("POST / ", "POST /x ", 1), &call.body), &OURS),
    ];
    let objections = objections(&rows);
    assert_eq!(objections.len(), rows.len(), "{objections:#?}");
}
