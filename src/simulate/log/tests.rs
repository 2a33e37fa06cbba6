use serde_json::json;

use super::*;

const UUID: &str = "zzzzz-dz642-000000000000001";

fn log(text: &str) -> Log {
    let mut log = Log::default();
    log.read(text.as_bytes()).unwrap();
    log
}

fn line(second: u32, message: &str, facts: Value) -> String {
    let mut line =
        json!({ "time": format!("2026-11-30T08:00:{second:02}.5Z"), "level": "info", "msg": message });
    let (Value::Object(line), Value::Object(facts)) = (&mut line, facts) else { panic!("objects") };
    line.extend(facts);
    serde_json::to_string(&line).unwrap() + "\n"
}

fn started(second: u32) -> String {
    let facts = json!({ "ContainerUUID": UUID, "Instance": "i-1", "InstanceType": "small", "PID": 1 });
    line(second, "crunch-run process started", facts)
}

fn only(log: &Log) -> &Sighting {
    let [sighting] = log.sightings.values().collect::<Vec<_>>()[..] else { panic!("one: {log:?}") };
    sighting
}

#[test]
fn our_lines_tell_the_life_of_a_container() {
    // As `logger_to` writes them: names of types are one text.
    let text = [
        line(1, "adding container to queue",
            json!({ "ContainerUUID": UUID, "State": "Queued", "Priority": 562_949_953_421_310_i64, "InstanceTypes": "small,large" })),
        line(2, "creating new instance", json!({ "ContainerUUID": UUID, "InstanceType": "small" })),
        started(3),
        line(9, "crunch-run process ended", json!({ "ContainerUUID": UUID, "Instance": "i-1", "Duration": 6.0 })),
        line(10, "container finished -- dropping from queue", json!({ "ContainerUUID": UUID, "State": "Complete" })),
        line(20, "instance disappeared in cloud", json!({ "Instance": "i-1" })),
    ]
    .concat();
    let log = log(&text);
    let told = only(&log);
    assert_eq!(told.first.to_string(), "2026-11-30T08:00:01.5Z");
    assert_eq!(
        (told.priority, &told.types[..]),
        (Some(562_949_953_421_310), &["small".to_owned(), "large".to_owned()][..])
    );
    assert_eq!((told.starts.len(), told.starts[0].instance.as_str()), (1, "i-1"));
    assert_eq!(told.ends[0].to_string(), "2026-11-30T08:00:09.5Z");
    assert_eq!(told.finished.unwrap().to_string(), "2026-11-30T08:00:10.5Z");
    assert_eq!(log.lines, Lines { all: 6, used: 5, of_no_container: 1, ..Lines::default() });
    assert_eq!(log.ends.to_string(), "2026-11-30T08:00:20.5Z");
}

/// Each message that the Go program was seen to write, with its keys.
#[test]
fn every_recorded_line_of_the_go_program_is_understood() {
    let recorded: Vec<Value> =
        serde_json::from_str(include_str!("../../../tests/data/reference/log-lines.json")).unwrap();
    let mut text = String::new();
    for (number, entry) in recorded.iter().enumerate() {
        let keys = entry["keys"].as_array().unwrap().iter().map(|key| key.as_str().unwrap());
        let value = |key| match key {
            "ContainerUUID" => json!(UUID),
            "InstanceTypes" => json!(["small"]),
            "Priority" => json!(1000),
            _ => json!("x"),
        };
        let facts: Map<String, Value> = keys.map(|key| (key.to_owned(), value(key))).collect();
        text += &line(number as u32, entry["msg"].as_str().unwrap(), facts.into());
    }
    let log = log(&text);
    let told = only(&log);
    assert_eq!((told.types[0].as_str(), told.priority, told.starts.len()), ("small", Some(1000), 1));
    assert!(!told.ends.is_empty() && told.finished.is_some());
    assert_eq!(log.lines.all as usize, recorded.len());
    assert_eq!((log.lines.not_understood, log.lines.repeated), (0, 0));
    assert_eq!(log.lines.used + log.lines.of_no_container, log.lines.all);
}

#[test]
fn odd_lines_are_counted_and_skipped() {
    let whole = started(3);
    let half = &whole[..whole.len() / 2];
    let text = [
        "Nov 30 08:00:00 host systemd[1]: Started it.\n",
        "\n   \n",
        "{}\n[1]\nnull\n\"{\"\n",
        r#"{"time":"today","msg":"x"}"#,
        "\n",
        r#"{"time":"2026-11-30T08:00:00Z","msg":7}"#,
        "\n",
        r#"{"MESSAGE":"Started it."}"#,
        "\n",
        &whole,
        half,
    ]
    .concat();
    let log = log(&text);
    // `[1]` has no brace, `"{"` no object behind it.
    assert_eq!(log.lines, Lines { all: 10, used: 1, not_understood: 9, ..Lines::default() });
    let mut bytes = whole.clone().into_bytes();
    bytes.splice(0..0, b"\xff\xfe ".iter().copied());
    let mut log = Log::default();
    log.read(&bytes[..]).unwrap();
    assert_eq!((log.lines.used, log.lines.not_understood), (1, 0));
}

#[test]
fn what_journald_puts_before_a_line_or_around_it_is_taken_off() {
    let plain = started(3);
    let before = format!("Nov 30 08:00:03 host arvados-dispatch-cloud[7]: {}", started(4));
    let wrapped = json!({ "MESSAGE": started(5), "_PID": "7" }).to_string();
    let log = log(&format!("{plain}{before}{wrapped}\n"));
    assert_eq!((only(&log).starts.len(), log.lines.used), (3, 3));
}

#[test]
fn lines_that_are_there_twice_count_once() {
    let text = started(3) + &line(2, "creating new instance", json!({ "ContainerUUID": UUID }));
    let log = log(&format!("{text}{text}"));
    assert_eq!(log.lines, Lines { all: 4, used: 2, repeated: 2, ..Lines::default() });
    assert_eq!(
        (only(&log).starts.len(), only(&log).first.to_string().as_str()),
        (1, "2026-11-30T08:00:02.5Z")
    );
}

#[test]
fn a_line_without_an_end_takes_no_more_memory_than_the_longest() {
    let mut log = Log::default();
    let endless = io::Read::take(io::repeat(b'{'), 3 * LONGEST_LINE);
    log.read(io::BufReader::new(endless)).unwrap();
    assert_eq!(log.lines, Lines { all: 3, not_understood: 3, ..Lines::default() });
}
