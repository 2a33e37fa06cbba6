//! What Azure refuses, and in which words.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::Given;
use super::call::Call;
use super::resources::Machine;

/// How many cores the subscription may have; `None` = as many as it likes.
#[derive(Debug, Clone, Default)]
pub struct Limits {
    /// Of on-demand VMs.
    pub regional: Option<u64>,
    /// Of spot VMs.
    pub spot: Option<u64>,
    /// Of a family, under what its sizes begin with without the number of cores: `D` is of `Standard_D4s_v5`.
    pub families: BTreeMap<String, u64>,
}

impl Limits {
    /// Whether one VM more may be made.
    pub(super) fn check<'a>(
        &self,
        body: &Value,
        there: impl Iterator<Item = &'a Machine> + Clone,
    ) -> Result<(), Given> {
        let size = text(body, "/properties/hardwareProfile/vmSize");
        let is_spot = text(body, "/properties/priority") == "Spot";
        let of = |is_meant: &dyn Fn(&Machine) -> bool| {
            there.clone().filter(|it| is_meant(it)).map(|it| cores(&it.size)).sum::<u64>() + cores(size)
        };
        if is_spot {
            return exceeded(of(&|it| it.is_spot), self.spot, "LowPriorityCores");
        }
        exceeded(of(&|it| !it.is_spot), self.regional, "Total Regional Cores")?;
        let limit = self.families.get(family(size)).copied();
        let used = of(&|it| !it.is_spot && family(&it.size) == family(size));
        exceeded(used, limit, &format!("standard{}Family Cores", family(size)))
    }
}

fn exceeded(wanted: u64, limit: Option<u64>, what: &str) -> Result<(), Given> {
    let Some(limit) = limit.filter(|it| wanted > *it) else { return Ok(()) };
    let text = format!(
        "Operation could not be completed as it results in exceeding approved {what} quota. Additional details - \
         Deployment Model: Resource Manager, Location: centralus, Current Limit: {limit}, (Minimum) New Limit Required: \
         {wanted}. Setup Alerts when Quota reaches threshold."
    );
    Err(Given::refusal(409, "OperationNotAllowed", &text))
}

fn after_tier(size: &str) -> &str {
    size.split_once(['_', '.']).map_or(size, |(_, rest)| rest)
}

fn family(size: &str) -> &str {
    let size = after_tier(size);
    size.split(|c: char| c.is_ascii_digit()).next().unwrap_or_default()
}

fn cores(size: &str) -> u64 {
    let digits = after_tier(size).trim_start_matches(|c: char| !c.is_ascii_digit());
    digits.split(|c: char| !c.is_ascii_digit()).next().and_then(|it| it.parse().ok()).unwrap_or(1)
}

/// Ids and names are compared without case.
pub(super) fn lower(text: &str) -> String {
    text.to_ascii_lowercase()
}

/// The text at that place; empty = none.
pub(super) fn text<'a>(body: &'a Value, pointer: &str) -> &'a str {
    body.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Each call names the version of the API that it means.
pub(super) fn api_version(call: &Call) -> Result<(), Given> {
    let Some(version) = call.query.get("api-version") else {
        let text = "The api-version query parameter (?api-version=) is required for all requests.";
        return Err(Given::refusal(400, "MissingApiVersionParameter", text));
    };
    let is_date = version.len() >= 10 && version[..10].chars().all(|c| c.is_ascii_digit() || c == '-');
    match is_date {
        true => Ok(()),
        false => Err(Given::refusal(400, "InvalidApiVersionParameter", "The api-version is invalid.")),
    }
}

/// Something is wrong with the body.
pub(super) fn invalid(target: &str) -> Given {
    let text = format!("The value of parameter {target} is invalid.");
    Given::refusal(400, "InvalidParameter", &text)
}

/// The id is that of a thing of this kind in a group that is there.
pub(super) fn refers_to(id: &str, kind: &str, groups: &BTreeSet<String>) -> bool {
    let id = lower(id);
    let parts: Vec<_> = id.trim_start_matches('/').split('/').collect();
    let ["subscriptions", subscription, "resourcegroups", group, "providers", rest @ ..] = parts.as_slice()
    else {
        return false;
    };
    *subscription == super::SUBSCRIPTION
        && groups.contains(*group)
        && rest.join("/").starts_with(&lower(kind))
}

/// Tags as Azure takes them.
pub(super) fn tags(value: &Value) -> Result<BTreeMap<String, String>, Given> {
    let Some(map) = value.as_object() else { return Ok(BTreeMap::new()) };
    if map.len() > 50 {
        return Err(Given::refusal(400, "TooManyTags", "There are more than 50 tags."));
    }
    let mut tags = BTreeMap::new();
    for (name, value) in map {
        let Some(value) = value.as_str().filter(|it| it.chars().count() <= 256) else {
            return Err(Given::refusal(400, "TagValueTooLarge", "A tag's value has 256 characters at most."));
        };
        if name.is_empty()
            || name.chars().count() > 512
            || name.contains(['<', '>', '%', '&', '\\', '?', '/'])
        {
            return Err(Given::refusal(
                400,
                "InvalidTagNameCharacters",
                "A tag's name has reserved characters.",
            ));
        }
        tags.insert(name.clone(), value.to_owned());
    }
    Ok(tags)
}
