//! What a client of the event feed asks for, as the service understands it.
//!
//! Only two filters do anything: `event_type` with `in`, and `created_at`. All others, and these with another
//! operator or operand, are ignored without a word. `last_log_id` is not served: nobody here asks for what was before.

use dispatch_core::time::Timestamp;
use serde_json::Value;

use super::events::Event;

/// The answer to a subscription.
pub const ACCEPTED: &str = r#"{"status":200}"#;
/// The answer to anything else.
pub const REFUSED: &str = r#"{"status":400}"#;

/// What one `subscribe` asks for: events that pass all of its filters.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Subscription(Vec<Filter>);

#[derive(Debug, Clone, PartialEq)]
enum Filter {
    Kind(Vec<String>),
    Created(Order, Timestamp),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Less,
    LessOrEqual,
    Equal,
    GreaterOrEqual,
    Greater,
}

impl Subscription {
    /// Reads a client's message; `None` is answered with [`REFUSED`].
    pub fn parse(message: &str) -> Option<Self> {
        let message: Value = serde_json::from_str(message).ok()?;
        let message = message.as_object()?;
        let is_subscription = message.get("method").and_then(Value::as_str) == Some("subscribe");
        let filters = match message.get("filters") {
            None | Some(Value::Null) => &[],
            Some(filters) => filters.as_array()?.as_slice(),
        };
        let filters: Option<Vec<&Vec<Value>>> = filters.iter().map(Value::as_array).collect();
        is_subscription.then(|| Self(filters.into_iter().flatten().filter_map(|it| filter(it)).collect()))
    }

    /// Whether that event is wanted.
    pub fn wants(&self, event: &Event) -> bool {
        self.0.iter().all(|filter| match filter {
            Filter::Kind(kinds) => kinds.iter().any(|kind| kind == event.deed.as_str()),
            Filter::Created(order, at) => match order {
                Order::Less => event.at < *at,
                Order::LessOrEqual => event.at <= *at,
                Order::Equal => event.at == *at,
                Order::GreaterOrEqual => event.at >= *at,
                Order::Greater => event.at > *at,
            },
        })
    }
}

/// `None`: a filter that does nothing.
fn filter(parts: &[Value]) -> Option<Filter> {
    let [attribute, operator, operand] = parts else { return None };
    match (attribute.as_str()?, operator.as_str()?) {
        ("event_type", "in") => {
            let kinds = operand.as_array()?.iter().filter_map(Value::as_str);
            Some(Filter::Kind(kinds.map(str::to_owned).collect()))
        }
        ("created_at", operator) => {
            let order = match operator {
                "<" => Order::Less,
                "<=" => Order::LessOrEqual,
                "=" => Order::Equal,
                ">=" => Order::GreaterOrEqual,
                ">" => Order::Greater,
                _ => return None,
            };
            Some(Filter::Created(order, operand.as_str()?.parse().ok()?))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::events::Deed;
    use super::*;
    use crate::clock::epoch;

    fn wants(filters: &str, deed: Deed) -> bool {
        let message = format!(r#"{{"method":"subscribe","filters":{filters}}}"#);
        let object = "zzzzz-dz642-000000000000001".to_owned();
        let event = Event { id: 1, at: epoch(), deed, object, old: None, new: None, delay: Duration::ZERO };
        Subscription::parse(&message).unwrap().wants(&event)
    }

    #[test]
    fn the_type_and_the_time_of_an_event_are_filtered() {
        let kinds = r#"[["event_type","in",["create","update"]]]"#;
        assert!(wants(kinds, Deed::Update) && !wants(kinds, Deed::Delete));
        for (order, wanted) in [("<", false), ("<=", true), ("=", true), (">=", true), (">", false)] {
            let filters = format!(r#"[["created_at","{order}","2026-01-01T00:00:00Z"]]"#);
            assert_eq!(wants(&filters, Deed::Create), wanted, "{order}");
        }
    }

    #[test]
    fn all_other_filters_are_ignored_without_a_word() {
        for filters in [
            "null",
            "[]",
            r#"[["object_uuid","is_a","arvados#container"]]"#,
            r#"[["event_type","=","delete"]]"#,
            r#"[["event_type","in","delete"]]"#,
            r#"[["event_type"]]"#,
            r#"[["created_at","~","2026-01-01T00:00:00Z"],["created_at","<","yesterday"]]"#,
        ] {
            assert!(wants(filters, Deed::Update), "{filters}");
        }
    }

    #[test]
    fn what_is_no_subscription_is_refused() {
        for message in [
            "",
            "[]",
            "subscribe",
            r#"{"method":"unsubscribe"}"#,
            r#"{"filters":[]}"#,
            r#"{"method":"subscribe","filters":"all"}"#,
            r#"{"method":"subscribe","filters":["event_type"]}"#,
        ] {
            assert_eq!(Subscription::parse(message), None, "{message}");
        }
        assert_eq!(Subscription::parse(r#"{"method":"subscribe"}"#), Some(Subscription::default()));
    }
}
