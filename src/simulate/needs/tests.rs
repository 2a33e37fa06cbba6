use dispatch_core::container::{ContainerState, MountNeeds, Record, SchedulingParameters};
use dispatch_core::fit::{eligible_types, needs};
use dispatch_core::instance::{Catalog, Gpu};
use dispatch_sim::samples::{instance_type, spot_type};
use serde_json::{Value, json};

use super::*;

fn policy() -> Policy {
    let mut policy = Policy::with_defaults();
    let with_gpu = InstanceType {
        gpu: Gpu {
            stack: "cuda".to_owned(),
            driver_version: "12.0".to_owned(),
            hardware_target: "9.0".to_owned(),
            device_count: 2,
            vram: 1 << 30,
        },
        ..InstanceType::clone(&instance_type("gpu", 16))
    };
    let usual = [instance_type("small", 2), instance_type("large", 8), spot_type("spot", 4)];
    policy.catalog = Catalog::new(usual.iter().map(|it| InstanceType::clone(it)).chain([with_gpu]));
    policy
}

fn uuid(number: usize) -> String {
    format!("zzzzz-dz642-{number:015}")
}

fn line(second: u64, message: &str, container: usize, facts: Value) -> String {
    let time = dispatch_core::time::after(Timestamp::UNIX_EPOCH, std::time::Duration::from_secs(second));
    let mut line = json!({ "time": time.to_string(), "msg": message, "ContainerUUID": uuid(container) });
    let (Value::Object(line), Value::Object(facts)) = (&mut line, facts) else { panic!("objects") };
    line.extend(facts);
    serde_json::to_string(&line).unwrap() + "\n"
}

fn added(second: u64, container: usize, types: &str) -> String {
    line(second, "adding container to queue", container, json!({ "InstanceTypes": types, "Priority": 5 }))
}

fn ran(from: u64, to: u64, container: usize, instance: &str, of_type: &str) -> String {
    let there = json!({ "Instance": instance, "InstanceType": of_type });
    line(from, "crunch-run process started", container, there.clone())
        + &line(to, "crunch-run process ended", container, there)
}

fn read(text: &str) -> Result<Past, HistoryError> {
    let mut log = Log::default();
    log.read(text.as_bytes()).unwrap();
    jobs(&log, &[&policy()])
}

/// The types that the job would be allowed on; none if nothing fits.
fn allowed(job: &Job) -> Vec<String> {
    let policy = policy();
    let record = Record {
        uuid: uuid(1).parse().unwrap(),
        state: ContainerState::Queued,
        priority: 1,
        locked_by: None,
        runtime_constraints: job.constraints.clone(),
        container_image: String::new(),
        scheduling: SchedulingParameters { preemptible: job.preemptible, ..SchedulingParameters::default() },
        created_at: None,
        preemption_notice: None,
        lock_count: None,
    };
    let need = needs(&record, MountNeeds { tmp_bytes: job.scratch }, &policy.sizing);
    let types = eligible_types(&policy.catalog, &need, &record, &policy.sizing).unwrap_or_default();
    types.iter().map(|it| it.name.as_str().to_owned()).collect()
}

#[test]
fn a_job_is_submitted_when_it_is_named_first_and_lasts_from_start_to_end() {
    let past = read(&(added(10, 1, "small") + &ran(100, 160, 1, "i-1", "small"))).unwrap();
    let [job] = past.history.jobs() else { panic!("one") };
    assert_eq!((job.submitted_at.as_second(), job.duration.as_secs(), job.priority), (10, 60, 5));
    assert_eq!(allowed(job)[0], "small");
    assert_eq!(job.constraints.vcpus, 2);
    assert_eq!(past.guessed.into_values().collect::<Vec<_>>(), [1]);
    assert!(past.left_out.is_empty());
}

/// The most that fits a type is exactly that: it fits there, and one byte more does not.
#[test]
fn what_is_asked_for_fits_where_it_ran_and_hardly_fits() {
    let past = read(&(added(0, 1, "large") + &ran(1, 2, 1, "i-1", "large"))).unwrap();
    let mut job = past.history.jobs()[0].clone();
    assert_eq!(allowed(&job), ["large"]);
    // The reserve of 5 % makes more of it.
    job.constraints.ram += 2;
    assert!(allowed(&job).is_empty(), "{job:?}");
    let spot = read(&ran(1, 2, 1, "i-1", "spot")).unwrap();
    assert_eq!(allowed(&spot.history.jobs()[0]), ["spot"]);
    let gpu = read(&ran(1, 2, 1, "i-1", "gpu")).unwrap();
    assert_eq!(allowed(&gpu.history.jobs()[0]), ["gpu"]);
}

#[test]
fn a_type_that_it_was_allowed_on_bounds_what_it_asks_for() {
    let past = read(&(added(0, 1, "small,large,unheard-of") + &ran(1, 2, 1, "i-1", "large"))).unwrap();
    assert_eq!(past.history.jobs()[0].constraints.vcpus, 2);
}

#[test]
fn those_that_ran_side_by_side_share_their_instance() {
    // 1 and 2 overlap, 3 begins when 2 ends, 4 is alone elsewhere.
    let text = ran(0, 100, 1, "i-1", "large")
        + &ran(50, 90, 2, "i-1", "large")
        + &ran(90, 95, 3, "i-1", "large")
        + &ran(0, 100, 4, "i-2", "large");
    let past = read(&text).unwrap();
    let vcpus: Vec<_> = past.history.jobs().iter().map(|job| job.constraints.vcpus).collect();
    assert_eq!(vcpus, [4, 8, 4, 4], "in the order of their submission: 1, 4, 2, 3");
    let shared = "they ask for an equal share of the instance, because others ran beside them";
    assert_eq!(past.guessed.get(shared), Some(&3));
}

#[test]
fn what_a_log_does_not_tell_is_counted() {
    let text = added(0, 1, "small")
        + &line(5, "crunch-run process detected", 2, json!({}))
        + &ran(6, 7, 3, "i-1", "forgotten")
        + &line(8, "crunch-run process started", 4, json!({ "Instance": "i-2", "InstanceType": "small" }))
        + &ran(10, 20, 5, "i-3", "small")
        + &ran(30, 35, 5, "i-4", "small")
        + &line(90, "scheduling", 1, json!({}));
    let past = read(&text).unwrap();
    let left_out: Vec<_> = past.left_out.iter().map(|(reason, count)| (reason.as_str(), *count)).collect();
    assert_eq!(
        left_out,
        [
            ("no configuration has the instance type \"forgotten\" that they ran on", 1),
            ("they ran already when the log begins", 1),
            ("they were never started", 1),
        ]
    );
    let seconds: Vec<_> = past.history.jobs().iter().map(|job| job.duration.as_secs()).collect();
    assert_eq!(seconds, [82, 5], "until the end of the log, and the last of two runs");
    for guess in [
        "they still ran at the end of the log, and last until then",
        "they were started more than once: the last run counts",
    ] {
        assert_eq!(past.guessed.get(guess), Some(&1), "{:?}", past.guessed);
    }
    let notes = past.notes();
    assert!(notes.iter().any(|it| it == "1 containers left out: they were never started"), "{notes:?}");
}

#[test]
fn a_container_that_was_finished_has_ended_whoever_saw_it() {
    let there = json!({ "Instance": "i-1", "InstanceType": "small" });
    let text = line(10, "crunch-run process started", 1, there)
        + &line(70, "container finished -- dropping from queue", 1, json!({ "State": "Complete" }))
        + &line(500, "listening", 1, json!({}));
    assert_eq!(read(&text).unwrap().history.jobs()[0].duration.as_secs(), 60);
}

#[test]
fn a_log_without_a_job_says_what_was_in_it() {
    let error = read("half a line\n").unwrap_err().to_string();
    assert!(error.starts_with("there is no job to play: 1 lines, 0 of them about containers"), "{error}");
    let error = read(&added(1, 1, "small")).unwrap_err().to_string();
    assert!(error.ends_with("; 1 containers left out: they were never started"), "{error}");
}
