//! What this process uses of its machine, read when somebody asks: descriptors, memory, room on disks.
//!
//! The names of `process_…` are those that every Prometheus client has.

use std::path::PathBuf;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Gauge, GaugeVec, Opts, Registry};
use rustix::process::{Resource, getrlimit};

/// The collector.
struct OwnSide {
    open_descriptors: Gauge,
    most_descriptors: Gauge,
    resident_memory: Gauge,
    disk_size: GaugeVec,
    disk_free: GaugeVec,
    directories: Vec<PathBuf>,
}

/// Shows the process, and the disks of these directories, as far as they are there.
///
/// # Panics
/// If that registry shows them already.
pub fn register(registry: &Registry, directories: impl IntoIterator<Item = PathBuf>) {
    let gauge = |name: &str, help: &str| Gauge::new(name, help).expect("a constant, and valid");
    let of_disk = |name: &str, help: &str| {
        let name = format!("arvados_dispatchcloud_{name}");
        GaugeVec::new(Opts::new(name, help), &["directory"]).expect("a constant, and valid")
    };
    let collector = OwnSide {
        open_descriptors: gauge("process_open_fds", "Number of open file descriptors."),
        most_descriptors: gauge("process_max_fds", "Maximum number of open file descriptors."),
        resident_memory: gauge("process_resident_memory_bytes", "Resident memory size in bytes."),
        disk_size: of_disk(
            "disk_size_bytes",
            "Size of the file system on which a directory of the dispatcher is.",
        ),
        disk_free: of_disk("disk_free_bytes", "Room there for the dispatcher's user."),
        directories: directories.into_iter().collect(),
    };
    registry.register(Box::new(collector)).expect("each name is registered once");
}

impl OwnSide {
    fn look(&self) {
        // What cannot be read keeps its last value: to be asked for metrics must not fail for it.
        if let Ok(entries) = std::fs::read_dir("/proc/self/fd") {
            self.open_descriptors.set(entries.count() as f64);
        }
        self.most_descriptors.set(getrlimit(Resource::Nofile).current.map_or(f64::INFINITY, |it| it as f64));
        if let Some(bytes) = resident_bytes() {
            self.resident_memory.set(bytes);
        }
        for directory in &self.directories {
            let Ok(disk) = rustix::fs::statvfs(directory) else { continue };
            let label = directory.display().to_string();
            let bytes = |blocks: u64| blocks as f64 * disk.f_frsize as f64;
            self.disk_size.with_label_values(&[&label]).set(bytes(disk.f_blocks));
            self.disk_free.with_label_values(&[&label]).set(bytes(disk.f_bavail));
        }
    }
}

fn resident_bytes() -> Option<f64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages as f64 * rustix::param::page_size() as f64)
}

impl Collector for OwnSide {
    fn desc(&self) -> Vec<&Desc> {
        let gauges = [&self.open_descriptors, &self.most_descriptors, &self.resident_memory];
        let vectors = [&self.disk_size, &self.disk_free];
        gauges.iter().flat_map(|it| it.desc()).chain(vectors.iter().flat_map(|it| it.desc())).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.look();
        let gauges = [&self.open_descriptors, &self.most_descriptors, &self.resident_memory];
        let vectors = [&self.disk_size, &self.disk_free];
        gauges.iter().flat_map(|it| it.collect()).chain(vectors.iter().flat_map(|it| it.collect())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_memory_and_disks_are_shown_as_they_are_when_asked_for() {
        let registry = Registry::new();
        let directory = tempfile::tempdir().unwrap();
        register(&registry, [directory.path().to_owned(), PathBuf::from("/nonexistent")]);
        let value = |name: &str| {
            let family = registry.gather().into_iter().find(|it| it.name() == name).unwrap();
            assert_eq!(family.get_metric().len(), 1, "{name}");
            family.get_metric()[0].get_gauge().get_value()
        };
        let before = value("process_open_fds");
        let files: Vec<_> = (0..50).map(|_| std::fs::File::open("/dev/null").unwrap()).collect();
        assert!(value("process_open_fds") >= before + 40.0, "other tests open and close some, too");
        drop(files);
        assert!(value("process_max_fds") >= before);
        assert!(value("process_resident_memory_bytes") > 1e6);
        let (size, free) =
            (value("arvados_dispatchcloud_disk_size_bytes"), value("arvados_dispatchcloud_disk_free_bytes"));
        assert!(free > 0.0 && free <= size, "{free} of {size}");
    }
}
