//! `completions` and `man`: what they make is what shells and groff can read.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::DISPATCHER;

/// Whether this machine has that program.
fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

#[track_caller]
fn output(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stderr.is_empty(), "{command:?}: {} {stderr}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn completions_are_scripts_of_their_shells() {
    let directory = tempfile::tempdir().unwrap();
    for (shell, no_run, words) in [
        ("bash", "-n", ["complete -F", "instance"]),
        ("zsh", "-n", ["#compdef arvados-dispatch-cloud", "explain"]),
        ("fish", "--no-execute", ["complete -c arvados-dispatch-cloud", "drain"]),
    ] {
        let script = output(Command::new(DISPATCHER).args(["completions", shell]));
        for word in words {
            assert!(script.contains(word), "{word} is not in the script of {shell}");
        }
        let file = directory.path().join(shell);
        std::fs::write(&file, script).unwrap();
        // bash is everywhere; the others are tried where they are.
        if shell == "bash" || is_there(shell) {
            output(Command::new(shell).arg(no_run).arg(&file));
        }
    }
    // What bash offers for a word that has been begun.
    let script = directory.path().join("bash");
    let complete = "source \"$1\"; shift; COMP_WORDS=(arvados-dispatch-cloud \"$@\"); COMP_CWORD=$#; \
                    _arvados__dispatch__cloud arvados-dispatch-cloud \"${!#}\" \"${COMP_WORDS[$#-1]}\"; \
                    echo \"${COMPREPLY[@]}\"";
    for (words, expected) in [
        (&["insta"][..], "instance\n"),
        (&["instance", "l"], "list\n"),
        (&["container", "explain", "--js"], "--json\n"),
        (&["completions", "f"], "fish\n"),
    ] {
        let bash = ["--norc", "-c", complete, "bash"];
        let offered = output(Command::new("bash").args(bash).arg(&script).args(words));
        assert_eq!(offered, expected, "{words:?}");
    }
}

#[test]
fn every_command_has_a_man_page_that_groff_reads_without_a_complaint() {
    let directory = tempfile::tempdir().unwrap();
    let pages = directory.path().join("made/for/them");
    output(Command::new(DISPATCHER).arg("man").arg(&pages));
    let made: Vec<_> = std::fs::read_dir(&pages).unwrap().map(|entry| entry.unwrap().path()).collect();
    for name in ["", "-run", "-health", "-instance", "-instance-hold", "-container-explain", "-config-check"]
    {
        let page = pages.join(format!("arvados-dispatch-cloud{name}.1"));
        assert!(made.contains(&page), "{} is not among {made:?}", page.display());
    }
    for page in &made {
        assert!(std::fs::read_to_string(page).unwrap().contains(".SH SYNOPSIS"), "{}", page.display());
        if is_there("groff") {
            output(Command::new("groff").args(["-z", "-ww", "-man", "-Tutf8"]).arg(page));
        }
    }
}

#[test]
fn a_directory_that_cannot_be_made_is_told() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let below: &Path = &file.path().join("pages");
    let ended = Command::new(DISPATCHER).arg("man").arg(below).output().unwrap();
    let told = String::from_utf8(ended.stderr).unwrap();
    assert_eq!((ended.status.code(), told.lines().count()), (Some(1), 1), "{told}");
    assert!(told.contains("cannot write the man pages into") && told.contains("Not a directory"), "{told}");
    let ended = Command::new(DISPATCHER).args(["completions", "csh"]).output().unwrap();
    assert_eq!(ended.status.code(), Some(2), "{ended:?}");
}
