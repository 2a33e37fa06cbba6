//! Containers that wait for the test, and what the controller and they themselves say of them.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use dispatch_core::container::{ContainerState, RuntimeConstraints};
use dispatch_core::id::ContainerUuid;
use dispatch_sim::controller::FakeArvados;
use dispatch_sim::controller::facts::Fact;
use dispatch_sim::controller::state::ContainerSpec;
use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};

use super::processes::MARKER;

/// Writes its shell's number to a file of its name, then waits until the gate is open.
const SCRIPT: &str = r#"echo $$ >> "$RUNS/$NAME"; read -r line < "$RUNS/gate"; exit 0"#;

/// Where containers write, and the gate at which they wait.
#[derive(Debug)]
pub struct Runs {
    directory: PathBuf,
}

impl Runs {
    /// A directory with a closed gate.
    pub fn new(directory: PathBuf) -> Self {
        std::fs::create_dir(&directory).unwrap();
        let (fifo, mode) = (FileType::Fifo, Mode::RUSR | Mode::WUSR);
        mknodat(CWD, directory.join("gate"), fifo, mode, 0).unwrap();
        Self { directory }
    }

    /// Lets everybody through, those who come later too. Opening twice does nothing.
    pub fn open_gate(&self) {
        let (gate, old) = (self.directory.join("gate"), self.directory.join("old-gate"));
        if old.exists() {
            return;
        }
        // Those who come from now on read a file; those who wait at the pipe are woken by its writer.
        std::fs::hard_link(&gate, &old).unwrap();
        let open = self.directory.join("open-gate");
        File::create(&open).unwrap();
        std::fs::rename(open, &gate).unwrap();
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        // Fails if nobody waits.
        drop(File::options().write(true).custom_flags(flags).open(old));
    }

    /// The shells that containers were run by: more than one for a name means that it ran twice.
    pub fn begun(&self) -> BTreeMap<String, Vec<i32>> {
        let files = std::fs::read_dir(&self.directory).unwrap().flatten();
        let names = files.filter_map(|file| file.file_name().into_string().ok());
        let shells = |name: &str| {
            let text = std::fs::read_to_string(self.directory.join(name)).unwrap();
            text.lines().filter_map(|line| line.parse().ok()).collect()
        };
        names.filter(|name| name.starts_with('c')).map(|name| (name.clone(), shells(&name))).collect()
    }

    /// What such a container is: one CPU, little memory.
    pub fn spec(&self, name: &str, site: &Path) -> ContainerSpec {
        self.spec_of(SCRIPT, name, site)
    }

    /// One that does not wait at the gate, but runs for that many seconds.
    pub fn spec_lasting(&self, seconds: u64, name: &str, site: &Path) -> ContainerSpec {
        self.spec_of(&format!(r#"echo $$ >> "$RUNS/$NAME"; sleep {seconds}"#), name, site)
    }

    fn spec_of(&self, script: &str, name: &str, site: &Path) -> ContainerSpec {
        let text = |path: &Path| path.display().to_string();
        let environment = [("RUNS", text(&self.directory)), ("NAME", name.to_owned()), (MARKER, text(site))];
        ContainerSpec {
            command: ["sh", "-c", script].map(str::to_owned).to_vec(),
            environment: environment.map(|(name, value)| (name.to_owned(), value)).into(),
            runtime_constraints: RuntimeConstraints { vcpus: 1, ram: 64 << 20, ..Default::default() },
            ..ContainerSpec::default()
        }
    }
}

/// A container as the controller has it, and what its history says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub uuid: ContainerUuid,
    pub state: ContainerState,
    pub lock_count: u32,
    /// How often it became Running.
    pub started: usize,
    pub cancels: u32,
}

/// All of them.
pub fn records(arvados: &FakeArvados) -> Vec<Record> {
    let started = |wanted: ContainerUuid| {
        let entries = arvados.history().entries().iter();
        entries
            .filter(|entry| {
                matches!(entry.fact, Fact::Changed { uuid, to: ContainerState::Running, .. } if uuid == wanted)
            })
            .count()
    };
    let record = |it: &dispatch_sim::controller::state::Container| Record {
        uuid: it.uuid,
        state: it.state,
        lock_count: it.lock_count,
        started: started(it.uuid),
        cancels: arvados.history().tally(it.uuid).cancels,
    };
    arvados.containers().map(record).collect()
}
