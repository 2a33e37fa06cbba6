//! What one message of the service tells: most of them are about objects that are not ours, and that is seen first.

use dispatch_core::container::ContainerState;
use dispatch_core::id::ContainerUuid;
use serde::Deserialize;
use serde_json::value::RawValue;

/// What a message tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Told {
    /// A container was created, changed or deleted.
    Container { uuid: ContainerUuid, state: Option<ContainerState> },
    /// A container request was.
    Requests,
    /// A container request that wants a container as before: its priority may have changed, and with it that of its
    /// containers, of which no event tells.
    ChangedRequest,
    /// A container request that wants no container now: nothing becomes available by it.
    ClosedRequest,
    /// Something else has happened, or something in another cluster.
    Other,
    /// Nothing has happened, the service is there.
    Ping,
    /// The answer to our subscription.
    Answer(u16),
    /// This is not what the service sends.
    Malformed,
}

const UUID_LEN: usize = 27;
const CONTAINER: &[u8] = b"dz642";
const REQUEST: &[u8] = b"xvhdp";
/// The kinds of event that change an object. Others (a line of its log, say) would only be noise.
const CHANGES: [&str; 3] = [r#""create""#, r#""update""#, r#""delete""#];

/// The state of a request that wants a container. It is Uncommitted before, and Final afterwards.
const OPEN_REQUEST: &str = "Committed";

/// The top of a message; what is below it is only looked over.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    object_uuid: Option<&'a RawValue>,
    #[serde(borrow)]
    event_type: Option<&'a RawValue>,
    #[serde(borrow)]
    status: Option<&'a RawValue>,
    #[serde(borrow)]
    properties: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Properties<'a> {
    #[serde(borrow)]
    old_attributes: Option<Attributes<'a>>,
    #[serde(borrow)]
    new_attributes: Option<Attributes<'a>>,
}

#[derive(Deserialize)]
struct Attributes<'a> {
    #[serde(borrow)]
    state: Option<&'a RawValue>,
}

/// What a message tells; `cluster` is ours, five characters. Nothing is copied or allocated for what is not ours.
pub(super) fn read(message: &[u8], cluster: &str) -> Told {
    if message == b"{}" {
        return Told::Ping;
    }
    match glance(message) {
        Some(object) if is_foreign(object, cluster) => Told::Other,
        _ => decode(message, cluster),
    }
}

/// The first `object_uuid`, if it stands there as services write it. Within a JSON text these bytes can only be a key
/// and its value: in a string the quotes would have backslashes before them.
fn glance(message: &[u8]) -> Option<&[u8]> {
    const KEY: &[u8] = br#""object_uuid":""#;
    let start = message.windows(KEY.len()).position(|it| it == KEY)? + KEY.len();
    let (object, rest) = message[start..].split_at_checked(UUID_LEN)?;
    rest.starts_with(b"\"").then_some(object)
}

/// Whether that uuid is of another kind of object than we want, or of another cluster.
fn is_foreign(object: &[u8], cluster: &str) -> bool {
    let kind = &object[6..11];
    (kind != CONTAINER && kind != REQUEST) || &object[..5] != cluster.as_bytes()
}

fn decode(message: &[u8], cluster: &str) -> Told {
    let Ok(envelope) = serde_json::from_slice::<Envelope<'_>>(message) else { return Told::Malformed };
    let Some(object) = envelope.object_uuid else { return without_object(&envelope) };
    // An event without an object has null here.
    let Ok(Some(object)) = parsed::<Option<String>>(object) else {
        return if object.get() == "null" { Told::Other } else { Told::Malformed };
    };
    if object.len() != UUID_LEN || !object.is_ascii() {
        return Told::Malformed;
    }
    if is_foreign(object.as_bytes(), cluster) {
        return Told::Other;
    }
    if !envelope.event_type.is_some_and(|it| CHANGES.contains(&it.get())) {
        return Told::Other;
    }
    if object.as_bytes()[6..11] == *REQUEST {
        return envelope.properties.map_or(Told::Requests, request);
    }
    match object.parse() {
        Ok(uuid) => Told::Container { uuid, state: envelope.properties.and_then(state_afterwards) },
        Err(_) => Told::Malformed,
    }
}

fn request(properties: &RawValue) -> Told {
    let is_open = |state: &String| state == OPEN_REQUEST;
    let (before, now) = states(properties);
    match (before.is_some_and(|it| is_open(&it)), now.is_none_or(|it| is_open(&it))) {
        (true, true) => Told::ChangedRequest,
        (false, true) => Told::Requests,
        (_, false) => Told::ClosedRequest,
    }
}

fn without_object(envelope: &Envelope<'_>) -> Told {
    match envelope.status.and_then(|it| parsed(it).ok()) {
        Some(status) => Told::Answer(status),
        None if envelope.event_type.is_some() => Told::Other,
        None => Told::Malformed,
    }
}

/// The state that a change has led to. What is not understood is not known: the controller will be asked anyhow.
fn state_afterwards(properties: &RawValue) -> Option<ContainerState> {
    ContainerState::from_name(&states(properties).1?)
}

/// The names of the states before and after a change, as far as they can be read.
fn states(properties: &RawValue) -> (Option<String>, Option<String>) {
    let state = |of: Option<Attributes<'_>>| parsed(of?.state?).ok();
    match parsed::<Properties<'_>>(properties) {
        Ok(it) => (state(it.old_attributes), state(it.new_attributes)),
        Err(_) => (None, None),
    }
}

fn parsed<'a, T: Deserialize<'a>>(value: &'a RawValue) -> serde_json::Result<T> {
    serde_json::from_str(value.get())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLUSTER: &str = "zzzzz";

    fn event(object: &str, kind: &str, properties: &str) -> String {
        format!(
            r#"{{"event_at":"2026-01-01T00:00:00Z","event_type":"{kind}","id":7,"msgID":1,"object_kind":"?",
            "object_uuid":"{object}","properties":{properties},"uuid":"zzzzz-57u5n-000000000000001"}}"#
        )
    }

    fn container(state: Option<ContainerState>) -> Told {
        Told::Container { uuid: "zzzzz-dz642-000000000000001".parse().unwrap(), state }
    }

    fn told(message: impl AsRef<[u8]>) -> Told {
        read(message.as_ref(), CLUSTER)
    }

    #[test]
    fn a_change_of_a_container_tells_its_state_if_it_can() {
        let change = |properties: &str| told(event("zzzzz-dz642-000000000000001", "update", properties));
        let both = r#"{"old_attributes":{"state":"Queued"},"new_attributes":{"state":"Locked","name":null}}"#;
        assert_eq!(change(both), container(Some(ContainerState::Locked)));
        let without = [
            "{}",
            "null",
            "7",
            r#"{"new_attributes":null}"#,
            r#"{"new_attributes":{}}"#,
            r#"{"new_attributes":{"state":null}}"#,
            r#"{"new_attributes":{"state":7}}"#,
            r#"{"new_attributes":{"state":"Odd"}}"#,
        ];
        for properties in without {
            assert_eq!(change(properties), container(None), "{properties}");
        }
        for kind in ["create", "delete"] {
            assert_eq!(told(event("zzzzz-dz642-000000000000001", kind, "{}")), container(None));
        }
    }

    #[test]
    fn what_is_not_about_our_containers_and_requests_is_something_else() {
        assert_eq!(told(event("zzzzz-xvhdp-000000000000001", "update", "{}")), Told::Requests);
        for (before, state, expected) in [
            ("null", "Committed", Told::Requests),
            (r#"{"state":"Uncommitted"}"#, "Committed", Told::Requests),
            (r#"{"state":"Committed"}"#, "Committed", Told::ChangedRequest),
            ("null", "Uncommitted", Told::ClosedRequest),
            (r#"{"state":"Committed"}"#, "Final", Told::ClosedRequest),
        ] {
            let properties =
                format!(r#"{{"old_attributes":{before},"new_attributes":{{"state":"{state}"}}}}"#);
            assert_eq!(told(event("zzzzz-xvhdp-000000000000001", "update", &properties)), expected);
        }
        for (object, kind) in [
            ("zzzzz-4zz18-000000000000001", "create"),
            ("zzzzz-tpzed-000000000000001", "update"),
            ("yyyyy-dz642-000000000000001", "update"),
            ("yyyyy-xvhdp-000000000000001", "update"),
            ("zzzzz-dz642-000000000000001", "stderr"),
            ("zzzzz-xvhdp-000000000000001", "blip"),
        ] {
            assert_eq!(told(event(object, kind, r#"{"new_attributes":{"state":"Queued"}}"#)), Told::Other);
        }
        assert_eq!(told(r#"{"event_type":"update","object_uuid":null}"#), Told::Other);
        assert_eq!(told(r#"{"event_type":"update"}"#), Told::Other);
    }

    #[test]
    fn signs_of_life_and_answers_are_known() {
        assert_eq!(told("{}"), Told::Ping);
        assert_eq!(told(r#"{"status":200}"#), Told::Answer(200));
        assert_eq!(told(r#"{"status":400}"#), Told::Answer(400));
    }

    #[test]
    fn anything_else_is_malformed() {
        let object = |text: &str| event(text, "update", "{}");
        for message in [
            String::new(),
            "<html>502 Bad Gateway</html>".into(),
            "null".into(),
            "[]".into(),
            "[{}]".into(),
            r#"{"status":"fine"}"#.into(),
            r#"{"status":-1}"#.into(),
            r#"{"unheard_of":1}"#.into(),
            object("zzzzz-dz642-00000000000000é"),
            object("zzzzz-dz642-0000000000000-1"),
            object("zzzzz-dz642-00000000000001"),
            object("zzzzz-dz642-0000000000000001"),
            object("zzzzz-dz642-000000000000001").replace("\"uuid\"", "\"object_uuid\""),
            object("zzzzz-dz642-000000000000001").replace("}", ""),
            r#"{"event_type":"update","object_uuid":7}"#.into(),
            r#"{"event_type":"update","object_uuid":""}"#.into(),
        ] {
            assert_eq!(told(&message), Told::Malformed, "{message}");
        }
        assert_eq!(told(b"{\"status\":200\xff}"), Told::Malformed);
        assert_eq!(told("[".repeat(100_000)), Told::Malformed);
    }

    /// The service writes neither of these, but another version may.
    #[test]
    fn spaces_and_escapes_are_read_as_well() {
        let message =
            r#" { "object_uuid" : "zzzzz-dz642-\u0030\u00300000000000001", "event_type" : "update" } "#;
        assert_eq!(told(message), container(None));
    }
}
