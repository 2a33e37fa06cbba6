//! What the cloud shows besides our own instances: told once, at the start.
//!
//! Instances belong to a set, whose id comes from the token. A token that was changed makes another set of it: then the
//! instances of before are nobody's, and the jobs on them are lost. Nothing is decided by what is found here. Cloud is
//! asked, so that the call has its turn among all calls and is counted.

use std::collections::BTreeMap;

use actix::Addr;
use dispatch_actors::cloud::Cloud;
use dispatch_actors::messages::cloud::GetVisibleInstances;
use dispatch_actors::{catalogue, event};
use dispatch_core::id::InstanceSetId;
use dispatch_core::instance::{TagKeys, Tags};
use dispatch_core::policy::Policy;
use slog::Logger;

/// More sets than any account has; the rest is counted as one.
const SETS_SHOWN: usize = 10;

/// What is visible, by its set.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    ours: usize,
    /// Those of other sets; the empty id: of none.
    others: BTreeMap<String, usize>,
}

impl Seen {
    fn count<'a>(tags: impl Iterator<Item = &'a Tags>, keys: &TagKeys, ours: &InstanceSetId) -> Self {
        let mut seen = Self::default();
        for tags in tags {
            match tags.get(&keys.instance_set_id) {
                Some(set) if set == ours.as_str() => seen.ours += 1,
                set => *seen.others.entry(set.unwrap_or_default().to_owned()).or_default() += 1,
            }
        }
        seen
    }

    /// Those that have our kind of tag while none has our set's: perhaps our own, of before.
    fn maybe_ours(&self) -> usize {
        let of_sets = self.others.iter().filter(|(set, _)| !set.is_empty());
        if self.ours == 0 { of_sets.map(|(_, count)| count).sum() } else { 0 }
    }

    /// `id: 3, without: 5`.
    fn by_set(&self) -> String {
        let shown = |(set, count): (&String, &usize)| match set.as_str() {
            "" => format!("without: {count}"),
            set => format!("{set}: {count}"),
        };
        let mut texts: Vec<_> = self.others.iter().take(SETS_SHOWN).map(shown).collect();
        let rest: usize = self.others.values().skip(SETS_SHOWN).sum();
        if rest > 0 {
            texts.push(format!("others: {rest}"));
        }
        texts.join(", ")
    }
}

/// Lists everything once, and tells what is not ours.
pub async fn tell(cloud: &Addr<Cloud>, policy: &Policy, log: &Logger) {
    let instances = match cloud.send(GetVisibleInstances).await {
        Ok(Ok(instances)) => instances,
        Ok(Err(error)) => {
            event!(log, catalogue::NEIGHBOURS_UNKNOWN, "error" => %error);
            return;
        }
        // Cloud is gone: we stop.
        Err(_) => return,
    };
    let tags = instances.iter().map(|it| &it.tags);
    let seen = Seen::count(tags, &policy.tag_keys, &policy.instance_set_id);
    if seen.others.is_empty() {
        return;
    }
    let count: usize = seen.others.values().sum();
    event!(log, catalogue::NEIGHBOURS, "Instances" => count, "InstanceSets" => seen.by_set());
    if seen.maybe_ours() > 0 {
        event!(log, catalogue::MAYBE_OURS, "Instances" => seen.maybe_ours(), "InstanceSets" => seen.by_set(),
            "InstanceSetID" => policy.instance_set_id.as_str());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(sets: &[&str]) -> Seen {
        let keys = TagKeys::new("Arvados");
        let tags: Vec<Tags> = sets
            .iter()
            .map(|set| {
                let mut tags = Tags::default();
                if !set.is_empty() {
                    tags.insert("ArvadosInstanceSetID", *set);
                }
                tags
            })
            .collect();
        Seen::count(tags.iter(), &keys, &InstanceSetId::new("ours").unwrap())
    }

    #[test]
    fn what_is_not_ours_is_counted_by_set() {
        let it = seen(&["ours", "b", "", "a", "b"]);
        assert_eq!((it.ours, it.by_set().as_str(), it.maybe_ours()), (1, "without: 1, a: 1, b: 2", 0));
        let many: Vec<String> = (10..25).map(|n| format!("set{n}")).collect();
        let many = seen(&many.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(many.by_set().ends_with("set19: 1, others: 5"), "{}", many.by_set());
    }

    #[test]
    fn instances_of_before_a_change_of_the_token_are_noticed() {
        assert_eq!(seen(&["old", "old", ""]).maybe_ours(), 2);
        assert_eq!(seen(&["old", "ours"]).maybe_ours(), 0, "ours are there");
        assert_eq!(seen(&["", ""]).maybe_ours(), 0, "no dispatcher's");
    }
}
