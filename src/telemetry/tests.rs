//! The lines as they leave.

use std::sync::mpsc;

use serde_json::Value;
use slog::{debug, error, info, trace, warn};

use super::queue::WAITING_LINES;
use super::*;

/// A writer whose content is collected at the end.
struct Collector(mpsc::Sender<Vec<u8>>);

impl Write for Collector {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.send(bytes.to_vec()).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn logged(format: LogFormat, level: Level, log: impl FnOnce(&Logger)) -> String {
    let (sender, receiver) = mpsc::channel();
    let (logger, _, guard) = logger_to(Logs { level, format }, "zzzzz", false, Collector(sender));
    log(&logger);
    drop(logger);
    drop(guard);
    String::from_utf8(receiver.into_iter().flatten().collect()).unwrap()
}

#[test]
fn a_json_line_has_time_level_message_process_cluster_and_facts_in_this_order() {
    let text = logged(LogFormat::Json, Level::Info, |log| {
        let log = log.new(o!("Instance" => "i-1"));
        info!(log, "instance appeared in cloud"; "Address" => "10.0.0.1", "Price" => 0.5);
    });
    let line: Value = serde_json::from_str(&text).unwrap();
    let keys: Vec<_> = line.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys[..5], ["time", "level", "msg", "PID", "ClusterID"], "{text}");
    assert_eq!(line["msg"], "instance appeared in cloud");
    assert_eq!((&line["level"], &line["ClusterID"]), (&"info".into(), &"zzzzz".into()));
    assert_eq!(line["PID"], std::process::id());
    assert_eq!(
        (&line["Instance"], &line["Address"], &line["Price"]),
        (&"i-1".into(), &"10.0.0.1".into(), &0.5.into())
    );
    let time = line["time"].as_str().unwrap();
    assert!(time.ends_with('Z') && time.parse::<jiff::Timestamp>().is_ok(), "{time}");
}

#[test]
fn levels_have_the_names_that_tools_know() {
    let text = logged(LogFormat::Json, Level::Trace, |log| {
        error!(log, "a");
        warn!(log, "b");
        info!(log, "c");
        debug!(log, "d");
        trace!(log, "e");
    });
    let levels: Vec<String> = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["level"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(levels, ["error", "warning", "info", "debug", "debug"]);
}

#[test]
fn what_is_less_important_than_the_level_is_left_out() {
    let text = logged(LogFormat::Json, Level::Warning, |log| {
        info!(log, "not this");
        warn!(log, "but this");
    });
    assert!(text.contains("but this") && !text.contains("not this"), "{text}");
}

#[test]
fn text_has_a_time_and_plain_has_none() {
    let log = |log: &Logger| warn!(log, "boot failed"; "Instance" => "i-1", "Reason" => "no route");
    let text = logged(LogFormat::Text, Level::Info, log);
    let (time, rest) = text.split_once(' ').unwrap();
    assert!(time.parse::<jiff::Timestamp>().is_ok(), "{text}");
    assert_eq!(rest, "warning boot failed, Instance: i-1, Reason: no route\n");
    assert_eq!(logged(LogFormat::Plain, Level::Info, log), rest);
}

/// Blocks in its first write until it is let go.
struct Stuck {
    let_go: mpsc::Receiver<()>,
    sender: mpsc::Sender<Vec<u8>>,
    waited: bool,
}

impl Write for Stuck {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.waited {
            self.let_go.recv().map_err(io::Error::other)?;
            self.waited = true;
        }
        self.sender.send(bytes.to_vec()).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_stuck_stderr_blocks_nobody_and_lost_lines_are_counted() {
    let (let_go, waiting) = mpsc::channel();
    let (sender, receiver) = mpsc::channel();
    let logs = Logs { level: Level::Info, format: LogFormat::Json };
    let stuck = Stuck { let_go: waiting, sender, waited: false };
    let (logger, _, guard) = logger_to(logs, "zzzzz", false, stuck);
    for _ in 0..2 * WAITING_LINES {
        info!(logger, "one of many");
    }
    // Reached although nothing could be written: the loop above did not block.
    let logged_until = now();
    let_go.send(()).unwrap();
    let mut written = Vec::new();
    // Once some lines are out there is room for two more: the count of the lost ones, and this.
    while written.iter().filter(|byte| **byte == b'\n').count() < 10 {
        written.extend(receiver.recv().unwrap());
    }
    info!(logger, "one more");
    drop(logger);
    drop(guard);
    written.extend(receiver.into_iter().flatten());
    let text = String::from_utf8(written).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let written = lines.iter().filter(|line| line["msg"] == "one of many").collect::<Vec<_>>();
    assert!(written.len() >= WAITING_LINES && written.len() < 2 * WAITING_LINES, "{}", written.len());
    assert!(written.iter().all(|line| line["time"].as_str().unwrap() <= logged_until.as_str()));
    assert!(text.contains("dropped"), "the loss is told");
    assert!(lines.iter().all(|line| line["time"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok()));
}

#[test]
fn errors_and_warnings_are_not_dropped_for_other_lines() {
    let (let_go, waiting) = mpsc::channel();
    let (sender, receiver) = mpsc::channel();
    let logs = Logs { level: Level::Debug, format: LogFormat::Json };
    let stuck = Stuck { let_go: waiting, sender, waited: false };
    let (logger, _, guard) = logger_to(logs, "zzzzz", false, stuck);
    for n in 0..2 * WAITING_LINES {
        info!(logger, "one of many");
        debug!(logger, "one of many");
        if n % 4 == 0 {
            error!(logger, "an alarm");
        }
        if n % 4 == 2 {
            warn!(logger, "an alarm");
        }
    }
    let_go.send(()).unwrap();
    drop(logger);
    drop(guard);
    let text = String::from_utf8(receiver.into_iter().flatten().collect()).unwrap();
    assert_eq!(text.matches("an alarm").count(), WAITING_LINES, "all of them");
    let told = text.lines().find(|it| it.contains("log lines were dropped")).expect("the loss is told");
    let told: Value = serde_json::from_str(told).unwrap();
    let written = text.matches("one of many").count();
    assert_eq!(told["Repeated"].as_u64().unwrap() as usize + written, 4 * WAITING_LINES);
}

/// What a VM, a user or a cloud may say.
const ATTACK: &str = "x\n2026-01-01T00:00:00Z error forged\r\u{1b}[2J\u{9b}31m\u{202e}gnirts\u{2028}\0";

#[test]
fn nobodys_words_begin_a_line_or_move_the_terminal() {
    let log = |log: &Logger| {
        let log = log.new(o!("Stack" => ATTACK));
        warn!(log, "boot failed {}", ATTACK; "stderr" => ATTACK, "error" => format_args!("{ATTACK}"), "c" => '\u{1b}');
    };
    for format in [LogFormat::Text, LogFormat::Plain] {
        let text = logged(format, Level::Info, log);
        assert_eq!(text.lines().count(), 1, "{text:?}");
        let odd: String = text.trim_end().chars().filter(|c| !(' '..='~').contains(c)).collect();
        assert_eq!(odd, "", "{text:?}");
        assert_eq!(text.matches("error forged\\r\\u{1b}[2J").count(), 4, "as people see it: {text}");
    }
    let text = logged(LogFormat::Json, Level::Info, log);
    let line: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&line["stderr"], &line["error"], &line["Stack"]),
        (&ATTACK.into(), &ATTACK.into(), &ATTACK.into())
    );
    assert!(!text.trim_end().contains(['\n', '\u{1b}']), "{text:?}");
}

#[test]
fn a_value_is_cut_at_4_kb_in_all_formats_and_its_length_is_told() {
    let long = "é".repeat(LONGEST_VALUE);
    let whole = "y".repeat(LONGEST_VALUE);
    for format in [LogFormat::Json, LogFormat::Text, LogFormat::Plain] {
        let text = logged(format, Level::Info, |log| {
            let log = log.new(o!("stdout" => long.clone()));
            warn!(log, "boot failed"; "stderr" => &long, "error" => format_args!("{long}"), "whole" => &whole);
        });
        assert_eq!(text.matches("… (8192 bytes)").count(), 3, "{format:?}");
        assert_eq!(text.matches('é').count(), 3 * LONGEST_VALUE / 2, "{format:?}");
        assert!(text.contains(&whole), "{format:?}");
    }
}

#[test]
fn numbers_stay_numbers() {
    let text = logged(LogFormat::Json, Level::Info, |log| {
        info!(log, "a"; "n" => 5, "f" => 0.5, "b" => true, "none" => None::<u32>, "same" => "record");
    });
    let line: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&line["n"], &line["f"], &line["b"]), (&5.into(), &0.5.into(), &true.into()));
    assert!(line["none"].is_null());
}

#[test]
fn a_line_after_the_end_of_the_log_is_lost_without_a_panic() {
    let logs = Logs { level: Level::Info, format: LogFormat::Json };
    let (sender, receiver) = mpsc::channel();
    let (logger, _, guard) = logger_to(logs, "zzzzz", false, Collector(sender));
    info!(logger, "in time");
    drop(guard);
    info!(logger, "too late");
    let text = String::from_utf8(receiver.into_iter().flatten().collect()).unwrap();
    assert!(text.contains("in time") && !text.contains("too late"), "{text}");
}
