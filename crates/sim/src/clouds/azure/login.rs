//! Who gives out tokens: Microsoft's login for applications, and the metadata service for managed identities.

use std::collections::BTreeMap;

use serde_json::json;

use super::arm::Arm;
use super::call::Call;
use super::{CLIENT, CLIENT_SECRET, Given, TENANT};

/// A token, or none; `None` = the call is not for us.
pub(super) fn answer(arm: &mut Arm, call: &Call) -> Option<Given> {
    let segments: Vec<_> = call.path.split('/').skip(1).collect();
    match (call.method.as_str(), segments.as_slice()) {
        ("POST", [tenant, "oauth2", "token"]) => Some(of_application(arm, tenant, call)),
        ("POST", [tenant, "oauth2", "v2.0", "token"]) => Some(of_application(arm, tenant, call)),
        ("GET", ["metadata", "identity", "oauth2", "token"]) => Some(of_host(arm, call)),
        _ => None,
    }
}

fn refused(status: u16, error: &str, number: u32, text: &str) -> Given {
    let description = format!("AADSTS{number}: {text}\r\nTrace ID: 0f0f\r\nTimestamp: 2026-01-01 00:00:00Z");
    Given::json(status, &json!({"error": error, "error_description": description, "error_codes": [number]}))
}

fn of_application(arm: &mut Arm, tenant: &str, call: &Call) -> Given {
    let form: BTreeMap<String, String> = form_urlencoded::parse(call.text.as_bytes()).into_owned().collect();
    let given = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    if tenant != TENANT {
        return refused(400, "invalid_request", 90_002, &format!("Tenant '{tenant}' not found."));
    }
    if given("grant_type") != "client_credentials" || given("client_id") != CLIENT {
        return refused(400, "unauthorized_client", 700_016, "Application was not found in the directory.");
    }
    let by_secret = given("client_secret") == CLIENT_SECRET && given("resource").ends_with('/');
    let by_assertion = given("client_assertion_type")
        == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        && !given("client_assertion").is_empty()
        && given("scope").ends_with("/.default");
    match by_secret || by_assertion {
        true => token(arm),
        false => refused(401, "invalid_client", 7_000_215, "Invalid client secret provided."),
    }
}

fn of_host(arm: &mut Arm, call: &Call) -> Given {
    if call.header("metadata") != Some("true") {
        return refused(400, "bad_request_102", 0, "Required metadata header not specified");
    }
    let is_known = call.query.get("client_id").is_none_or(|it| it == CLIENT);
    match is_known && call.query.contains_key("resource") {
        true => token(arm),
        false => refused(400, "invalid_request", 0, "Identity not found"),
    }
}

fn token(arm: &mut Arm) -> Given {
    let token = arm.issue();
    // The older call gives numbers as texts.
    let seconds = arm.knobs.token_seconds.to_string();
    Given::json(200, &json!({"token_type": "Bearer", "expires_in": seconds, "access_token": token}))
}
