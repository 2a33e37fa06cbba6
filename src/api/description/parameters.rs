//! Every parameter: its name, what it means, and what it may be.
//!
//! A parameter of an order may stand in a form, in a JSON object, or in the query. OpenAPI cannot say that it must stand
//! in one of them: so it is described where it should stand, in the body, and the query is told of in words.

use serde_json::{Value, json};
use utoipa::openapi::Required;
use utoipa::openapi::path::{Parameter as Described, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Schema, Type};

use super::words::{CONTAINER_UUID, CONTAINER_UUID_OR_NOTHING, like, one_of, scalar};

/// Something that can be asked for, or said with an order.
#[derive(Debug, Clone, Copy)]
pub(in crate::api) struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// What it means.
    meaning: &'static str,
    kind: Kind,
}

/// What a parameter may be. Where nothing else is said, an empty one is as one that is not there.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// Any text.
    Text,
    /// Any text, but not an empty one.
    Name,
    /// A text of that form.
    Like(&'static str),
    /// One of these, and not an empty one.
    Word(&'static [&'static str]),
    /// The number of something.
    Number,
    /// Yes or no.
    Flag,
}

/// What sets a flag, and what does not.
pub(in crate::api) const YES: [&str; 3] = ["1", "true", "yes"];
/// What does not set it.
pub(in crate::api) const NO: [&str; 3] = ["0", "false", "no"];

/// Durations up to 168 hours, in hours, minutes and seconds. Others of the configuration's forms are taken as well.
const DURATION: &str =
    "^(168h|([1-9]|[1-9][0-9]|1[0-5][0-9]|16[0-7])h([1-5]?[0-9]m)?|[1-9][0-9]{0,3}m|[1-9][0-9]{0,4}s)$";

pub(in crate::api) const CONTAINER: Parameter =
    Parameter { name: "container_uuid", meaning: "The container.", kind: Kind::Like(CONTAINER_UUID) };
pub(in crate::api) const INSTANCE: Parameter =
    Parameter { name: "instance_id", meaning: "The instance, as the cloud names it.", kind: Kind::Name };
pub(in crate::api) const ABOUT_CONTAINER: Parameter = Parameter {
    name: "container_uuid",
    meaning: "Only what is about that container.",
    kind: Kind::Like(CONTAINER_UUID_OR_NOTHING),
};
pub(in crate::api) const ABOUT_INSTANCE: Parameter =
    Parameter { name: "instance_id", meaning: "Only what is about that instance.", kind: Kind::Text };
pub(in crate::api) const REASON: Parameter = Parameter {
    name: "reason",
    meaning: "Why: for the log, and for whoever asks. 500 characters are kept.",
    kind: Kind::Text,
};
pub(in crate::api) const BY: Parameter =
    Parameter { name: "by", meaning: "Who orders it, as the caller claims.", kind: Kind::Text };
pub(in crate::api) const IF_HELD: Parameter = Parameter {
    name: "if_held",
    meaning: "`refuse`: an instance that is on hold is left alone (409).",
    kind: Kind::Word(&["refuse"]),
};
pub(in crate::api) const FORCE: Parameter =
    Parameter { name: "force", meaning: "Overrules `if_held`.", kind: Kind::Flag };
pub(in crate::api) const FOR: Parameter = Parameter {
    name: "for",
    meaning: "How long, as durations in the configuration; 168h (7 days) at most.",
    kind: Kind::Like(DURATION),
};
pub(in crate::api) const TYPE: Parameter = Parameter {
    name: "instance_type",
    meaning: "The name of a type in the configuration.",
    kind: Kind::Name,
};
pub(in crate::api) const MARKET: Parameter = Parameter {
    name: "market",
    meaning: "All types of that market. Not together with `instance_type`.",
    kind: Kind::Word(&["on-demand", "spot"]),
};
pub(in crate::api) const SINCE: Parameter = Parameter {
    name: "since",
    meaning: "Events after that number only. It is a number of the process that `boot` names.",
    kind: Kind::Number,
};
pub(in crate::api) const BOOT: Parameter = Parameter {
    name: "boot",
    meaning: "The process that `since` is a number of, as its events had it. If it is another one, all events are told.",
    kind: Kind::Text,
};
pub(in crate::api) const LAST: Parameter = Parameter {
    name: "last",
    meaning: "The last events, that many; `since` and `boot` count for nothing then.",
    kind: Kind::Number,
};
pub(in crate::api) const FOLLOW: Parameter = Parameter {
    name: "follow",
    meaning: "Whether the answer goes on with what happens from now on. It does not end by itself.",
    kind: Kind::Flag,
};

impl Parameter {
    /// In the query.
    pub fn in_query(&self, is_needed: bool) -> Described {
        let required = if is_needed { Required::True } else { Required::False };
        ParameterBuilder::new()
            .name(self.name)
            .parameter_in(ParameterIn::Query)
            .required(required)
            .description(Some(self.meaning))
            .schema(Some(self.as_text()))
            .build()
    }

    /// In a form, with its meaning.
    pub fn in_form(&self) -> Schema {
        described(self.as_text(), self.meaning)
    }

    /// As a member of a JSON object, with its meaning.
    pub fn in_json(&self) -> Schema {
        described(self.as_json(), self.meaning)
    }

    /// Where everything is text.
    fn as_text(&self) -> Schema {
        let nothing = || ObjectBuilder::new().schema_type(Type::String).max_length(Some(0));
        match self.kind {
            Kind::Text => ObjectBuilder::new().schema_type(Type::String).build().into(),
            Kind::Like(pattern) => like(pattern).into(),
            Kind::Name => ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).build().into(),
            Kind::Word(words) => one_of(words.iter().copied()).into(),
            Kind::Number => Schema::OneOf(OneOfBuilder::new().item(number()).item(nothing()).build()),
            Kind::Flag => one_of(YES.into_iter().chain(NO).chain([""])).into(),
        }
    }

    /// Where any single value is taken as its text.
    fn as_json(&self) -> Schema {
        match self.kind {
            Kind::Text => ObjectBuilder::new().schema_type(scalar()).build().into(),
            Kind::Flag => {
                let others = [json!(1), json!(0), json!(true), json!(false), json!(""), Value::Null];
                let words = YES.into_iter().chain(NO).map(Value::from).chain(others);
                ObjectBuilder::new().schema_type(scalar()).enum_values(Some(words)).build().into()
            }
            Kind::Name | Kind::Word(_) | Kind::Like(_) | Kind::Number => self.as_text(),
        }
    }
}

fn described(mut schema: Schema, meaning: &str) -> Schema {
    match &mut schema {
        Schema::Object(object) => object.description = Some(meaning.to_owned()),
        Schema::OneOf(one_of) => one_of.description = Some(meaning.to_owned()),
        _ => {}
    }
    schema
}

fn number() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)).maximum(Some(u64::MAX))
}
