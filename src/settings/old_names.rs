//! Names that older releases had: rewritten as the site's other services rewrite them before anybody reads the
//! cluster, or named together with what they are called now.
//!
//! ```text
//!   site's tree ── rewrite ──> the same tree with today's names, a warning for each that was rewritten
//!                              a problem for what nobody rewrites any more and is not there under its new name
//! ```
//! It knows the names that matter for the dispatcher, or for the storage server beside a job. Others are passed on as
//! they are: `RequestLimits` and `Login.Google…`, which the site's other services rewrite for themselves, and what
//! nobody reads any more.

use super::report::Report;
use super::yaml::{Entry, Kind, Node, Scalar};

/// Sections that moved: `(old path, new path)`, both from the cluster on.
const MOVED: [(&[&str], &[&str]); 3] = [
    (&["CloudVMs"], &["Containers", "CloudVMs"]),
    (&["Dispatch", "PrivateKey"], &["Containers", "DispatchPrivateKey"]),
    (&["NodeProfiles"], &["Services"]),
];

/// Keys of the first releases that nobody reads or rewrites any more, and what they are called now. They have defaults,
/// so a file that has them is not refused.
const UNREAD: [(&str, &str); 4] = [
    ("PollInterval", "Containers.CloudVMs.PollInterval"),
    ("ProbeInterval", "Containers.CloudVMs.ProbeInterval"),
    ("MaxProbesPerSecond", "Containers.CloudVMs.MaxProbesPerSecond"),
    ("StaleLockTimeout", "Containers.StaleLockTimeout"),
];

/// The cluster with today's names.
pub fn rewrite(cluster: &Node, path: &str, report: &Report) -> Node {
    tell_moved(cluster, cluster, path, report);
    for (old, new) in UNREAD {
        if let Some(found) = at(cluster, &["Dispatch", old]) {
            let message = format!("an old name that is not read any more: write {new}");
            report.doubt(found.at, &format!("{path}.Dispatch.{old}"), message);
        }
    }
    let mut cluster = cluster.clone();
    if let Some(volumes) = cluster.get_mut("Volumes") {
        for (entry, path) in entries(volumes, &format!("{path}.Volumes")) {
            rewrite_keys_of_s3(&mut entry.value, &path, report);
        }
    }
    if let Some(types) = cluster.get_mut("InstanceTypes") {
        let path = format!("{path}.InstanceTypes");
        name_listed_types(types, &path, report);
        for (entry, path) in entries(types, &path) {
            rewrite_cuda(&mut entry.value, &path, report);
            tell_scratch(&mut entry.value, &path, report);
        }
    }
    cluster
}

/// What stands in `node` under an old name: a problem if the cluster has nothing under the new one.
pub fn tell_moved(node: &Node, cluster: &Node, path: &str, report: &Report) {
    for (old, new) in MOVED {
        let Some(found) = at(node, old) else { continue };
        let (old, name) = ([path, &old.join(".")].join("."), new.join("."));
        let old = old.trim_start_matches('.');
        if at(cluster, new).is_some() {
            report.doubt(found.at, old, format!("an old name, ignored: {name} is there, too"));
        } else {
            report.problem(
                found.at,
                old,
                format!("an old name that is not read any more: move it to {name}"),
            );
        }
    }
}

fn at<'a>(node: &'a Node, path: &[&str]) -> Option<&'a Node> {
    path.iter().try_fold(node, |node, key| node.get(key))
}

fn entries<'a>(map: &'a mut Node, path: &str) -> Vec<(&'a mut Entry, String)> {
    let Kind::Map(entries) = &mut map.kind else { return Vec::new() };
    let with_path = |entry: &'a mut Entry| {
        let path = format!("{path}.{}", entry.key.text);
        (entry, path)
    };
    entries.iter_mut().map(with_path).collect()
}

/// `AccessKey` and `SecretKey` of a volume in S3.
fn rewrite_keys_of_s3(volume: &mut Node, path: &str, report: &Report) {
    const NAMES: [(&str, &str); 2] = [("AccessKey", "AccessKeyID"), ("SecretKey", "SecretAccessKey")];
    if !matches!(volume.get("Driver").map(|it| &it.kind), Some(Kind::Scalar(driver)) if driver.text == "S3") {
        return;
    }
    let Some(parameters) = volume.get_mut("DriverParameters") else { return };
    let is_said = |name: &str| {
        parameters.get(name).is_some_and(|it| !matches!(&it.kind, Kind::Scalar(text) if text.text.is_empty()))
    };
    let has_new = NAMES.iter().any(|(_, new)| is_said(new));
    let path = format!("{path}.DriverParameters");
    let Kind::Map(entries) = &mut parameters.kind else { return };
    let renamed: Vec<_> = NAMES
        .iter()
        .filter_map(|(old, new)| {
            Some((entries.iter().position(|it| it.key.text.eq_ignore_ascii_case(old))?, *new))
        })
        .collect();
    for (place, new) in &renamed {
        let entry = &mut entries[*place];
        let path = format!("{path}.{}", entry.key.text);
        if has_new {
            report.doubt(
                entry.at,
                &path,
                "an old name, ignored, because AccessKeyID or SecretAccessKey is there",
            );
        } else {
            report.doubt(entry.at, &path, format!("an old name, sent to the VMs as {new}: write {new}"));
            entry.key = Scalar { text: (*new).to_owned(), quoted: true };
        }
    }
    // An empty new key beside the old one must not win over it.
    if !has_new && !renamed.is_empty() {
        let is_empty = |it: &Entry| matches!(&it.value.kind, Kind::Scalar(text) if text.text.is_empty());
        entries.retain(|it| !(is_empty(it) && NAMES.iter().any(|(_, new)| it.key.text == *new)));
    }
}

/// `InstanceTypes` as a list, whose entries say their `Name`.
fn name_listed_types(types: &mut Node, path: &str, report: &Report) {
    let Kind::List(items) = &types.kind else { return };
    let mut named: Vec<Entry> = Vec::new();
    for (number, item) in items.iter().enumerate() {
        let path = format!("{path}[{number}]");
        let Some(Node { at, kind: Kind::Scalar(name) }) = item.get("Name") else {
            report.problem(
                item.at,
                &path,
                "an entry without Name: InstanceTypes is a map of names and types",
            );
            continue;
        };
        if named.iter().any(|it| it.key.text == name.text) {
            report.problem(*at, &path, "an instance type of this name is there already");
            continue;
        }
        let mut value = item.clone();
        if let Kind::Map(entries) = &mut value.kind {
            entries.retain(|it| it.key.text != "Name");
        }
        named.push(Entry { key: Scalar { text: name.text.clone(), quoted: true }, at: *at, value });
    }
    report.doubt(types.at, path, "a list, as in old releases: write a map of names and types");
    types.kind = Kind::Map(named);
}

/// `Scratch` of an instance type: nobody reads it, and a type that has nothing else has no room for any container.
fn tell_scratch(instance_type: &mut Node, path: &str, report: &Report) {
    let Kind::Map(entries) = &mut instance_type.kind else { return };
    entries.retain(|it| {
        let is_old = it.key.text == "Scratch";
        if is_old && !it.value.is_null() {
            let message =
                "an old name, ignored: write IncludedScratch (what the type has), or AddedScratch (what is to be added)";
            report.doubt(it.at, &format!("{path}.Scratch"), message);
        }
        !is_old
    });
}

/// `CUDA` of an instance type is `GPU` with the stack cuda.
fn rewrite_cuda(instance_type: &mut Node, path: &str, report: &Report) {
    let has_gpu = instance_type.get("GPU").is_some_and(|gpu| gpu.get("DeviceCount").is_some());
    let Kind::Map(entries) = &mut instance_type.kind else { return };
    let Some(place) = entries.iter().position(|it| it.key.text == "CUDA" && !it.value.is_null()) else {
        return;
    };
    let mut cuda = entries.remove(place);
    let path = format!("{path}.CUDA");
    if has_gpu {
        report.doubt(cuda.at, &path, "an old name, ignored: GPU is there, too");
        return;
    }
    report.doubt(cuda.at, &path, "an old name, read as GPU with the stack cuda: write GPU");
    if let Kind::Map(keys) = &mut cuda.value.kind {
        for key in keys.iter_mut().filter(|it| it.key.text == "HardwareCapability") {
            key.key.text = "HardwareTarget".to_owned();
        }
        let text = |text: &str| Scalar { text: text.to_owned(), quoted: true };
        let value = Node { at: cuda.at, kind: Kind::Scalar(text("cuda")) };
        keys.push(Entry { key: text("Stack"), at: cuda.at, value });
    }
    entries.retain(|it| it.key.text != "GPU");
    entries.push(Entry { key: Scalar { text: "GPU".to_owned(), quoted: true }, ..cuda });
}
