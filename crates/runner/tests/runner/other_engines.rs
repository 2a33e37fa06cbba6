//! Tests of the engines that belong to the real crunch-run.

use std::os::unix::fs::symlink;

use crate::site::{RUNNER, Site, UUID, script, stderr, with_stdin};

#[test]
fn another_engine_goes_to_the_crunch_run_of_the_path_with_arguments_and_stdin() {
    let site = Site::running(&["true"]);
    let (ours, real) = (site.path("a"), site.path("b"));
    std::fs::create_dir(&ours).unwrap();
    std::fs::create_dir(&real).unwrap();
    // This program is first in the path, under the name of the real one.
    symlink(RUNNER, ours.join("crunch-run")).unwrap();
    script(&real.join("crunch-run"), "echo \"$@\"; cat; exit 7");
    let path = format!("{}:{}:/usr/bin:/bin", ours.display(), real.display());
    for engine in ["--runtime-engine=docker", "--runtime-engine=singularity", "--cgroup-parent=x"] {
        let args = ["--detach", "--stdin-config", engine, "--memory", "a b", UUID];
        let mut command = site.runner(&args);
        command.env("PATH", &path);
        let output = with_stdin(command, b"{\"all\": \"of it\"}");
        assert_eq!(output.status.code(), Some(7), "{output:?}");
        let expected = format!("{}\n{{\"all\": \"of it\"}}", args.join(" "));
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
    }
    assert!(!site.lock_file(UUID).exists() && !site.path("crunch-run-all.lock").exists());
}

#[test]
fn a_missing_real_crunch_run_is_reported() {
    let site = Site::running(&["true"]);
    symlink(RUNNER, site.path("crunch-run")).unwrap();
    let mut command = site.runner(&["--detach", UUID]);
    let output = command.env("PATH", site.path(".")).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("real crunch-run"), "{output:?}");
}
