//! EC2's calls as data: an action and its parameters, as the query protocol has them. Nothing is sent here.
//!
//! ```text
//!   order, parameters, subnet, key ─► run_instances ┐
//!   filter, ids, tags ──────────────► instances     ├─► Request { action, [(name, value)] } ─► form body
//!   fingerprints, public key ───────► key_pairs     │
//!   types, since ───────────────────► spot_prices   ┘
//! ```
//! Lists are numbered from 1: `Filter.1.Value.2`. Values are sent as text: `true`, `466`.

use dispatch_core::secret::Secret;

mod instances;
mod key_pairs;
mod run_instances;
mod spot_prices;

pub(crate) use instances::{
    MOST_VALUES, create_tags, describe_ended, describe_instances, terminate_instances,
};
pub(crate) use key_pairs::{describe_key_pairs, import_key_pair};
pub(crate) use run_instances::{BYTES_BEFORE_INIT_COMMAND, LONGEST_USER_DATA, RunInstances, scratch_gib};
pub(crate) use spot_prices::describe_spot_price_history;

/// The version of the API that all parameters and answers are of.
const VERSION: &str = "2016-11-15";

/// The calls that we know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Action {
    RunInstances,
    DescribeInstances,
    TerminateInstances,
    CreateTags,
    DescribeKeyPairs,
    ImportKeyPair,
    DescribeSpotPriceHistory,
}

impl Action {
    /// The name as EC2 has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RunInstances => "RunInstances",
            Self::DescribeInstances => "DescribeInstances",
            Self::TerminateInstances => "TerminateInstances",
            Self::CreateTags => "CreateTags",
            Self::DescribeKeyPairs => "DescribeKeyPairs",
            Self::ImportKeyPair => "ImportKeyPair",
            Self::DescribeSpotPriceHistory => "DescribeSpotPriceHistory",
        }
    }
}

impl From<Action> for &'static str {
    fn from(action: Action) -> Self {
        action.as_str()
    }
}

/// A call of EC2's API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub action: Action,
    parameters: Vec<(String, String)>,
    secrets: Vec<Secret>,
}

impl Request {
    fn new(action: Action) -> Self {
        Self { action, parameters: Vec::new(), secrets: Vec::new() }
    }

    /// This is somewhere in it, and must not be told if EC2 repeats it.
    fn hiding(mut self, secret: &Secret) -> Self {
        self.secrets.push(secret.clone());
        self
    }

    fn with(mut self, name: impl Into<String>, value: impl ToString) -> Self {
        self.parameters.push((name.into(), value.to_string()));
        self
    }

    /// A list of plain values: `NAME.1`, `NAME.2` …
    fn with_list<'a>(self, name: &str, values: impl IntoIterator<Item = &'a str>) -> Self {
        let numbered = values.into_iter().enumerate();
        numbered.fold(self, |request, (index, value)| request.with(format!("{name}.{}", index + 1), value))
    }

    /// A list of tags: `NAME.1.Key`, `NAME.1.Value` …
    fn with_tags<'a>(self, name: &str, tags: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let numbered = tags.into_iter().enumerate();
        numbered.fold(self, |request, (index, (key, value))| {
            let prefix = format!("{name}.{}", index + 1);
            request.with(format!("{prefix}.Key"), key).with(format!("{prefix}.Value"), value)
        })
    }

    /// The `number`th filter: one of these values, literally.
    fn with_filter<'a>(self, number: usize, name: &str, values: impl IntoIterator<Item = &'a str>) -> Self {
        let prefix = format!("Filter.{number}");
        let values: Vec<_> = values.into_iter().map(literally).collect();
        self.with(format!("{prefix}.Name"), name)
            .with_list(&format!("{prefix}.Value"), values.iter().map(String::as_str))
    }

    /// The page after the one that named this token.
    fn with_page(self, token: Option<&str>) -> Self {
        match token {
            Some(token) => self.with("NextToken", token),
            None => self,
        }
    }

    /// Every parameter, action and version among them.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, &str)> {
        let head = [("Action", self.action.as_str()), ("Version", VERSION)];
        head.into_iter().chain(self.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())))
    }

    /// What of it must not be told.
    pub fn secrets(&self) -> &[Secret] {
        &self.secrets
    }

    /// The text as it goes over the wire.
    pub fn form(&self) -> String {
        form_urlencoded::Serializer::new(String::new()).extend_pairs(self.parameters()).finish()
    }
}

/// A filter's value in which EC2 sees no wildcards.
fn literally(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for c in value.chars() {
        if matches!(c, '*' | '?' | '\\') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_numbered_from_one() {
        let request = Request::new(Action::DescribeKeyPairs)
            .with_filter(1, "fingerprint", ["a", "b"])
            .with_tags("Tag", [("k", "v")]);
        let parameters: Vec<_> = request.parameters().collect();
        assert_eq!(
            parameters,
            [
                ("Action", "DescribeKeyPairs"),
                ("Version", "2016-11-15"),
                ("Filter.1.Name", "fingerprint"),
                ("Filter.1.Value.1", "a"),
                ("Filter.1.Value.2", "b"),
                ("Tag.1.Key", "k"),
                ("Tag.1.Value", "v"),
            ]
        );
    }

    #[test]
    fn wildcards_in_filters_are_meant_literally() {
        assert_eq!(literally(r"user@host*?\"), r"user@host\*\?\\");
    }

    #[test]
    fn the_body_is_a_form() {
        let form = Request::new(Action::CreateTags).with("Tag.1.Value", "a&b=ü c").form();
        assert_eq!(form, "Action=CreateTags&Version=2016-11-15&Tag.1.Value=a%26b%3D%C3%BC+c");
    }
}
