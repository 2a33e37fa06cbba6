//! Texts point at what exists: each document, heading and path that a comment or a document cites is there.
//!
//! ```text
//!   (docs/behaviour.md, "Placement")    a heading of that document, or the part before its colon
//!   [text](docs/operate.md#metrics)     a file beside the document, and a heading of it
//!   `crates/core/src/plan/input.rs`     a file or folder of the repository
//! ```
//! "Page 2.3", "the specification", "STYLE" and a bare "lesson 7" name texts that the repository does not have.
#![allow(clippy::unwrap_used, reason = "a test whose helper fails has failed")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// Recordings are evidence, not texts of ours.
const NOT_OURS: [&str; 4] = ["target", ".git", "tests/data", "Cargo.lock"];
/// Where paths in backticks begin that must exist.
const FOLDERS: [&str; 8] = ["actors/", "config/", "crates/", "docs/", "scripts/", "src/", "tests/", ".ci/"];

/// A line of prose: of a document, or of a comment.
struct Line {
    place: String,
    text: String,
}

fn is_left_out(path: &Path) -> bool {
    let relative = path.strip_prefix(ROOT).unwrap();
    NOT_OURS.iter().any(|not_ours| relative.starts_with(not_ours))
}

/// All files below a folder.
fn files(below: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(below).unwrap() {
        let path = entry.unwrap().path();
        if is_left_out(&path) {
            continue;
        }
        match path.is_dir() {
            true => files(&path, found),
            false => found.push(path),
        }
    }
}

/// How a comment begins in files of that kind; `""` = everything is prose, `None` = not read.
fn comment_mark(path: &Path) -> Option<&'static str> {
    match path.extension()?.to_str()? {
        "rs" => Some("//"),
        "md" => Some(""),
        "toml" | "yml" | "service" | "py" => Some("#"),
        _ => None,
    }
}

fn prose() -> Vec<Line> {
    let mut found = Vec::new();
    files(Path::new(ROOT), &mut found);
    found.sort();
    let mut lines = Vec::new();
    for path in &found {
        let Some(mark) = comment_mark(path) else { continue };
        let name = path.strip_prefix(ROOT).unwrap().display();
        for (number, line) in fs::read_to_string(path).unwrap().lines().enumerate() {
            let Some(at) = line.find(mark) else { continue };
            lines.push(Line { place: format!("{name}:{}", number + 1), text: line[at..].to_owned() });
        }
    }
    assert!(lines.len() > 5_000, "only {} lines were found", lines.len());
    lines
}

/// The headings of each document, outside of its code.
fn headings() -> BTreeMap<String, Vec<String>> {
    let mut documents: Vec<_> =
        fs::read_dir(format!("{ROOT}/docs")).unwrap().map(|it| it.unwrap().path()).collect();
    documents.retain(|path| path.extension().is_some_and(|it| it == "md"));
    documents.extend(["README.md", "CONTRIBUTING.md"].map(|name| Path::new(ROOT).join(name)));
    let headings_of = |path: &PathBuf| {
        let mut in_code = false;
        let text = fs::read_to_string(path).unwrap();
        let headings = text.lines().filter_map(|line| {
            in_code ^= line.trim_start().starts_with("```");
            let heading = line.trim_start_matches('#');
            (!in_code && heading.len() < line.len()).then(|| heading.trim().replace('`', ""))
        });
        headings.collect()
    };
    let name = |path: &PathBuf| path.strip_prefix(ROOT).unwrap().display().to_string();
    documents.iter().map(|path| (name(path), headings_of(path))).collect()
}

/// The texts between two marks.
fn between<'a>(text: &'a str, open: &str, close: char) -> Vec<&'a str> {
    let parts = text.split(open).skip(1);
    parts.filter_map(|part| part.split_once(close).map(|(inside, _)| inside)).collect()
}

/// Fails with all faults at once.
fn none(faults: &[String]) {
    assert!(faults.is_empty(), "{} dead references:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn each_cited_heading_exists() {
    let headings = headings();
    let mut faults = Vec::new();
    for Line { place, text } in prose() {
        for citation in between(&text, "(docs/", ')') {
            // A link of a document has no heading in quotes, and a long comment may break the line behind the name.
            let Some((name, heading)) = citation.split_once(", \"") else { continue };
            let wanted = heading.trim_end_matches('"');
            let known = headings.get(&format!("docs/{name}"));
            let is_it = |it: &String| {
                it == wanted || it.starts_with(&format!("{wanted}:")) || it.starts_with(&format!("{wanted} "))
            };
            if !known.is_some_and(|known| known.iter().any(is_it)) {
                faults.push(format!("{place}: docs/{name} has no heading \"{wanted}\""));
            }
        }
    }
    none(&faults);
}

#[test]
fn each_link_of_a_document_leads_somewhere() {
    let headings = headings();
    let slug = |heading: &str| {
        let kept = heading
            .to_lowercase()
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
            .collect::<String>();
        kept.replace(' ', "-")
    };
    let mut faults = Vec::new();
    for document in headings.keys() {
        let folder = Path::new(document).parent().unwrap();
        let text = fs::read_to_string(Path::new(ROOT).join(document)).unwrap();
        for target in between(&text, "](", ')').into_iter().filter(|it| !it.contains("://")) {
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let file = if file.is_empty() { PathBuf::from(document) } else { folder.join(file) };
            let file = file.to_str().unwrap().replace("docs/../", "");
            let exists = Path::new(ROOT).join(&file).exists();
            let leads = anchor.is_empty()
                || headings.get(&file).is_some_and(|known| known.iter().any(|it| slug(it) == anchor));
            if !exists || !leads {
                faults.push(format!("{document}: [..]({target})"));
            }
        }
    }
    none(&faults);
}

/// A path with a placeholder is a pattern.
fn is_pattern(path: &str) -> bool {
    path.contains(['*', '{', '<', '$', '…', ' ', '|']) || path.contains("NAME")
}

#[test]
fn each_path_in_backticks_exists() {
    let mut faults = Vec::new();
    for Line { place, text } in prose() {
        for quoted in text.split('`').skip(1).step_by(2) {
            let path = quoted.split(':').next().unwrap();
            if !FOLDERS.iter().any(|folder| path.starts_with(folder)) || is_pattern(path) {
                continue;
            }
            // In a crate, `src/…` and `tests/…` are its own.
            let file = place.split(':').next().unwrap();
            let from = |base: &Path| base.join(path).exists();
            if !Path::new(file).ancestors().any(|base| from(&Path::new(ROOT).join(base))) {
                faults.push(format!("{place}: `{path}`"));
            }
        }
    }
    none(&faults);
}

#[test]
fn no_text_cites_what_is_not_in_the_repository() {
    let mut faults = Vec::new();
    for Line { place, text } in
        prose().into_iter().filter(|line| !line.place.starts_with("tests/documents.rs"))
    {
        let words: Vec<_> = text.split(|c: char| !c.is_alphanumeric() && c != '.').collect();
        let numbered = |word: &str| {
            words.windows(2).any(|it| it[0] == word && it[1].starts_with(|c: char| c.is_ascii_digit()))
        };
        let cites = numbered("page")
            || numbered("pages")
            || (numbered("lesson") && !text.contains("lessons.md"))
            || words.contains(&"STYLE")
            || words.contains(&"DESIGN.md")
            || text.contains("the specification");
        if cites {
            faults.push(format!("{place}: {}", text.trim()));
        }
    }
    none(&faults);
}

/// What stands in `docs/logs.md` before the tables.
const LOGS_HEAD: &str = "# What is logged

Every message of the dispatcher, in the order of a container's life, made from `actors/src/catalogue/events.rs`. How to \
search the log is in [operate.md](operate.md#logs). This page is written by \
`cargo test --test documents write_the_page_of_logs -- --ignored`, and a test compares it.

`info`: a state changed; `warning`: something had to be given up; `error`: an operator must act. Any line may also have \
`ContainerUUID`, `Instance`, `Address`, `InstanceType`, `RequestID`, and `Repeated`: how many lines like it were left \
out before, because the same fault came again within a minute, or struck more than five within a minute.
";

fn page_of_logs() -> String {
    dispatch_actors::catalogue::page(LOGS_HEAD)
}

#[test]
fn the_page_of_logs_is_what_the_catalogue_says() {
    let written = fs::read_to_string(format!("{ROOT}/docs/logs.md")).unwrap();
    let differs =
        written.lines().zip(page_of_logs().lines().map(str::to_owned)).find(|(is, made)| is != made);
    assert!(
        written == page_of_logs(),
        "write it anew: cargo test --test documents write_the_page_of_logs -- --ignored; {differs:?}"
    );
}

#[test]
#[ignore = "writes docs/logs.md anew"]
fn write_the_page_of_logs() {
    fs::write(format!("{ROOT}/docs/logs.md"), page_of_logs()).unwrap();
}

/// The lessons' tests are named in the document as the table of the tests has them.
#[test]
fn the_lessons_name_the_tests_that_hold_them() {
    let lessons = fs::read_to_string(format!("{ROOT}/docs/lessons.md")).unwrap();
    let table = fs::read_to_string(format!("{ROOT}/tests/sim/lessons/learned.rs")).unwrap();
    let is_test =
        |text: &&str| text.contains('_') && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let named: Vec<_> = table.split('"').skip(1).step_by(2).filter(is_test).collect();
    assert!(named.len() > 36, "{}", named.len());
    let missing: Vec<_> =
        named.iter().filter(|name| !lessons.contains(**name)).map(|it| (*it).to_owned()).collect();
    none(&missing);
}

#[test]
fn the_reasons_why_a_container_waits_are_those_that_there_are() {
    let document = fs::read_to_string(Path::new(ROOT).join("docs/operate.md")).unwrap();
    let table = dispatch_core::plan::WaitReason::markdown();
    assert!(
        document.contains(&table),
        "docs/operate.md, \"Why a container waits\", is to have this table:\n\n{table}"
    );
}

/// As the configuration's tables say it.
#[test]
fn the_settings_that_a_reload_takes_up_are_those_that_there_are() {
    let document = fs::read_to_string(Path::new(ROOT).join("docs/operate.md")).unwrap();
    let keys = arvados_dispatch_cloud::settings::TABLES.into_iter().flat_map(|table| &table.keys);
    let taken_up: Vec<_> = keys.filter(|key| key.at_once).map(|key| format!("`{}`", key.name)).collect();
    let sentence = format!("These hold at once: {}.", taken_up.join(", "));
    assert!(document.contains(&sentence), "docs/operate.md is to say:\n\n{sentence}");
}
