//! Values that a command line puts in place of the file's: `plan --set MaxInstances=40`.
//!
//! ```text
//!   MaxInstances=40 ─► Containers.CloudVMs.MaxInstances = 40 ─► into the site's tree, before the defaults ─► read and
//!                                                                                     checked like the file's own
//! ```
//! A key may be named by itself, if only one section has it, or with its path from the cluster on. A type's is
//! `InstanceTypes.NAME.KEY`; the name may have dots.

use std::str::FromStr;

use super::table::{GPU, INSTANCE_TYPE, TABLES};
use super::yaml::{self, Entry, Kind, Node, Scalar};

const INSTANCE_TYPES: &str = "InstanceTypes";

/// A value in place of the file's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// The key, from the cluster on.
    path: Vec<String>,
    /// The value as YAML; empty = the key's default.
    text: String,
}

impl FromStr for Override {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (key, value) = text.split_once('=').ok_or("KEY=VALUE is wanted, such as MaxInstances=40")?;
        let (path, value) = (path_of(key.trim())?, value.trim());
        if is_collection(value) {
            yaml::read(value).map_err(|error| format!("{key}: {}", error.message))?;
        }
        Ok(Self { path, text: value.to_owned() })
    }
}

impl Override {
    /// The key, from the cluster on.
    pub fn key(&self) -> String {
        self.path.join(".")
    }

    fn value(&self) -> Node {
        let kind = match self.text.as_str() {
            "" => Kind::Null,
            text if is_collection(text) => match yaml::read(text) {
                Ok(document) => document.tree.kind,
                Err(_) => Kind::Null,
            },
            text => Kind::Scalar(scalar(text)),
        };
        Node { at: None, kind }
    }
}

/// The tree with these values in it.
pub(super) fn apply(site: &Node, overrides: &[Override]) -> Node {
    let mut site = site.clone();
    for it in overrides {
        put(&mut site, &it.path, it.value());
    }
    site
}

fn put(node: &mut Node, path: &[String], value: Node) {
    let Some((name, rest)) = path.split_first() else {
        *node = value;
        return;
    };
    if !matches!(node.kind, Kind::Map(_)) {
        node.kind = Kind::Map(Vec::new());
    }
    let Kind::Map(entries) = &mut node.kind else { return };
    let position = entries.iter().position(|entry| entry.key.text == *name).unwrap_or_else(|| {
        let nothing = Node { at: None, kind: Kind::Null };
        entries.push(Entry { key: scalar(name), at: None, value: nothing });
        entries.len() - 1
    });
    put(&mut entries[position].value, rest, value);
}

fn scalar(text: &str) -> Scalar {
    Scalar { text: text.to_owned(), quoted: false }
}

fn is_collection(text: &str) -> bool {
    text.starts_with(['{', '['])
}

/// The path of a key that is named in full, or by itself.
fn path_of(key: &str) -> Result<Vec<String>, String> {
    let key = match key.strip_prefix("Clusters.").and_then(|rest| rest.split_once('.')) {
        Some((_, rest)) => rest,
        None => key,
    };
    if let Some(of_type) = key.strip_prefix(INSTANCE_TYPES).and_then(|rest| rest.strip_prefix('.')) {
        return path_of_type(of_type);
    }
    let all = || TABLES.into_iter().flat_map(|table| table.keys.iter().map(|it| (table.path, it.name)));
    let full = |(path, name): &(&'static [&'static str], &'static str)| {
        path.iter().copied().chain([*name]).map(str::to_owned).collect::<Vec<_>>()
    };
    let found: Vec<_> = all().filter(|it| it.1 == key || full(it).join(".") == key).collect();
    match found.as_slice() {
        [only] => Ok(full(only)),
        [] => Err(unknown(key, all().map(|it| full(&it).join(".")))),
        several => {
            let paths: Vec<_> = several.iter().map(|it| full(it).join(".")).collect();
            Err(format!("{key} is there several times: {}", paths.join(", ")))
        }
    }
}

/// `NAME.KEY` or `NAME.GPU.KEY`.
fn path_of_type(text: &str) -> Result<Vec<String>, String> {
    let wanted = || {
        let keys = INSTANCE_TYPE.keys.iter().map(|it| it.name.to_owned());
        let of_gpu = GPU.keys.iter().map(|it| format!("GPU.{}", it.name));
        format!(
            "InstanceTypes.NAME.KEY is wanted, with one of {}",
            keys.chain(of_gpu).collect::<Vec<_>>().join(", ")
        )
    };
    let (name, key) = text.rsplit_once('.').ok_or_else(wanted)?;
    let is_of_gpu = name.ends_with(".GPU") && GPU.keys.iter().any(|it| it.name == key);
    let is_known = is_of_gpu || INSTANCE_TYPE.keys.iter().any(|it| it.name == key);
    let name = name.strip_suffix(".GPU").filter(|_| is_of_gpu).unwrap_or(name);
    let mut path = vec![INSTANCE_TYPES.to_owned(), name.to_owned()];
    if name.is_empty() || !is_known {
        return Err(wanted());
    }
    if is_of_gpu {
        path.push("GPU".to_owned());
    }
    path.push(key.to_owned());
    Ok(path)
}

fn unknown(key: &str, known: impl Iterator<Item = String> + Clone) -> String {
    let is_below = |it: &String| {
        let name = it.rsplit('.').next().unwrap_or(it);
        [it, name].iter().any(|it| key.strip_prefix(*it).is_some_and(|rest| rest.starts_with('.')))
    };
    if let Some(whole) = known.clone().find(is_below) {
        return format!("what is below {whole} cannot be set by itself: give all of it, {whole}={{…}}");
    }
    let last = key.rsplit('.').next().unwrap_or(key);
    let alike = |it: &String| strsim::jaro_winkler(it.rsplit('.').next().unwrap_or(it), last);
    let nearest = known.max_by(|a, b| alike(a).total_cmp(&alike(b))).filter(|it| alike(it) > 0.8);
    let hint = nearest.map_or_else(String::new, |it| format!("; is {it} meant?"));
    format!("there is no key {key} that this service reads{hint}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<String, String> {
        Override::from_str(text).map(|it| format!("{} = {}", it.path.join("/"), it.text))
    }

    #[test]
    fn a_key_is_named_by_itself_or_in_full() {
        for (text, expected) in [
            ("MaxInstances=40", "Containers/CloudVMs/MaxInstances = 40"),
            (" Containers.CloudVMs.MaxInstances = 40", "Containers/CloudVMs/MaxInstances = 40"),
            ("Clusters.zzzzz.Containers.ReserveExtraRAM=1GiB", "Containers/ReserveExtraRAM = 1GiB"),
            ("InstanceTypes.m4.large.Price=0.2", "InstanceTypes/m4.large/Price = 0.2"),
            ("InstanceTypes.g4dn.GPU.VRAM=16GiB", "InstanceTypes/g4dn/GPU/VRAM = 16GiB"),
            ("InstanceTypes.a.GPU.Price=5", "InstanceTypes/a.GPU/Price = 5"),
            ("TimeoutIdle=", "Containers/CloudVMs/TimeoutIdle = "),
        ] {
            assert_eq!(parsed(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_key_is_refused_with_what_is_wanted_instead() {
        for (text, expected) in [
            ("MaxInstances", "KEY=VALUE is wanted"),
            ("MaxInstance=4", "is Containers.CloudVMs.MaxInstances meant?"),
            ("InstanceTypes.small=4", "InstanceTypes.NAME.KEY is wanted, with one of ProviderType"),
            ("InstanceTypes.small.Prize=4", "InstanceTypes.NAME.KEY is wanted"),
            ("InstanceTypes..GPU.VRAM=4", "InstanceTypes.NAME.KEY is wanted"),
            ("IdleReserve.small.Instances=2", "give all of it, Containers.CloudVMs.IdleReserve={…}"),
            (
                "Containers.CloudVMs.ResourceTags.Owner=me",
                "give all of it, Containers.CloudVMs.ResourceTags={…}",
            ),
        ] {
            let error = parsed(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn values_stand_in_place_of_the_files() {
        let tree = yaml::read("{a: {b: 1, c: 2}, d: x}").unwrap().tree;
        let with = |path: &[&str], text: &str| {
            let path = path.iter().map(|it| (*it).to_owned()).collect();
            apply(&tree, &[Override { path, text: text.to_owned() }])
        };
        let text = |node: &Node| match &node.kind {
            Kind::Scalar(scalar) => scalar.text.clone(),
            _ => node.kind_name().to_owned(),
        };
        let changed = with(&["a", "b"], "7");
        assert_eq!(
            (text(changed.get("a").unwrap().get("b").unwrap()), changed.size()),
            ("7".into(), tree.size())
        );
        assert_eq!(text(with(&["d", "e"], "[1, 2]").get("d").unwrap().get("e").unwrap()), "a list");
        assert_eq!(with(&["a", "b"], "").get("a").unwrap().get("b"), None, "its default holds");
    }
}
