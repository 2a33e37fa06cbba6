//! A driver's parameters: which there are, and the values that a site gives them.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::secret::Secret;

/// A parameter that a driver knows.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// Its name in the configuration.
    pub name: &'static str,
    /// Its value if the site says nothing. The variant says how it is read, bounded and shown.
    pub default: ParameterValue,
    /// A line about it, as in the configuration's documentation.
    pub meaning: &'static str,
}

impl Parameter {
    /// Whether its value is shown nowhere.
    pub fn is_secret(&self) -> bool {
        matches!(self.default, ParameterValue::Secret(_))
    }
}

/// A parameter's value, by how it is written in the configuration.
#[derive(Debug, Clone, PartialEq)]
pub enum ParameterValue {
    /// A text.
    Text(String),
    /// A text that is not to be shown.
    Secret(Secret),
    /// A list of texts, a map whose keys are they, or a single text; empty ones left out.
    Texts(Vec<String>),
    /// A map of texts.
    TextMap(BTreeMap<String, String>),
    /// A number from 0 on.
    Number(f64),
    /// A whole number from 0 on.
    Count(u32),
    /// A duration; what is negative counts as none.
    Duration(Duration),
    /// A truth value.
    Flag(bool),
}

impl ParameterValue {
    /// A text.
    pub fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    /// No secret.
    pub fn no_secret() -> Self {
        Self::Secret(Secret::default())
    }
}

/// The values of one driver's parameters, in its own order. Their `Debug` shows no secret.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Parameters {
    values: Vec<(&'static str, ParameterValue)>,
    /// Where the environment says that the cloud is called, instead of its own endpoint. Not in the file.
    pub endpoint: Option<String>,
}

impl Parameters {
    /// Those of a driver that a site says nothing about.
    pub fn defaults(parameters: impl IntoIterator<Item = Parameter>) -> Self {
        let values = parameters.into_iter().map(|it| (it.name, it.default)).collect();
        Self { values, endpoint: None }
    }

    /// Each name with its value, in the driver's order.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &ParameterValue)> {
        self.values.iter().map(|(name, value)| (*name, value))
    }

    /// Gives a parameter that there is another value.
    pub fn set(&mut self, name: &str, value: ParameterValue) {
        if let Some((_, old)) = self.values.iter_mut().find(|(it, _)| *it == name) {
            *old = value;
        }
    }

    /// All secrets, for those who take them out of texts.
    pub fn secrets(&self) -> impl Iterator<Item = &Secret> {
        self.values.iter().filter_map(|(_, value)| match value {
            ParameterValue::Secret(secret) => Some(secret),
            ParameterValue::Text(_)
            | ParameterValue::Texts(_)
            | ParameterValue::TextMap(_)
            | ParameterValue::Number(_)
            | ParameterValue::Count(_)
            | ParameterValue::Duration(_)
            | ParameterValue::Flag(_) => None,
        })
    }

    /// A text; empty if there is no such parameter, as for the others below.
    pub fn text(&self, name: &str) -> String {
        let Some(ParameterValue::Text(text)) = self.get(name) else { return String::new() };
        text.clone()
    }

    /// A secret.
    pub fn secret(&self, name: &str) -> Secret {
        let Some(ParameterValue::Secret(secret)) = self.get(name) else { return Secret::default() };
        secret.clone()
    }

    /// A list of texts.
    pub fn texts(&self, name: &str) -> Vec<String> {
        let Some(ParameterValue::Texts(texts)) = self.get(name) else { return Vec::new() };
        texts.clone()
    }

    /// A map of texts.
    pub fn text_map(&self, name: &str) -> BTreeMap<String, String> {
        let Some(ParameterValue::TextMap(map)) = self.get(name) else { return BTreeMap::new() };
        map.clone()
    }

    /// A number.
    pub fn number(&self, name: &str) -> f64 {
        let Some(ParameterValue::Number(number)) = self.get(name) else { return 0.0 };
        *number
    }

    /// A whole number.
    pub fn count(&self, name: &str) -> u32 {
        let Some(ParameterValue::Count(count)) = self.get(name) else { return 0 };
        *count
    }

    /// A duration.
    pub fn duration(&self, name: &str) -> Duration {
        let Some(ParameterValue::Duration(duration)) = self.get(name) else { return Duration::ZERO };
        *duration
    }

    /// A truth value.
    pub fn flag(&self, name: &str) -> bool {
        let Some(ParameterValue::Flag(flag)) = self.get(name) else { return false };
        *flag
    }

    fn get(&self, name: &str) -> Option<&ParameterValue> {
        self.values.iter().find(|(it, _)| *it == name).map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters() -> Parameters {
        let parameter = |name, default| Parameter { name, default, meaning: "" };
        Parameters::defaults([
            parameter("Place", ParameterValue::text("here")),
            parameter("Passphrase", ParameterValue::Secret(Secret::new("open sesame"))),
            parameter("Most", ParameterValue::Count(3)),
        ])
    }

    #[test]
    fn values_are_found_by_name_and_can_be_replaced() {
        let mut all = parameters();
        all.set("Most", ParameterValue::Count(4));
        all.set("Unknown", ParameterValue::Count(9));
        assert_eq!((all.text("Place").as_str(), all.count("Most"), all.count("Unknown")), ("here", 4, 0));
        assert_eq!(all.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["Place", "Passphrase", "Most"]);
    }

    #[test]
    fn a_secret_is_given_to_those_who_hide_it_and_is_not_printed() {
        let all = parameters();
        assert_eq!(all.secrets().map(Secret::expose).collect::<Vec<_>>(), ["open sesame"]);
        assert!(!format!("{all:?}").contains("sesame"), "{all:?}");
    }
}
