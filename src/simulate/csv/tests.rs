use super::*;

const HEADER: &str = "submitted_at,vcpus,ram,duration,scratch,preemptible,priority\n";

fn jobs(text: &str) -> Vec<Job> {
    read("jobs.csv", text.as_bytes()).unwrap().history.jobs().to_vec()
}

#[track_caller]
fn refused(text: &str, expected: &str) {
    assert_eq!(read("jobs.csv", text.as_bytes()).unwrap_err().to_string(), expected);
}

#[test]
fn a_row_is_a_job_and_rows_are_put_in_order() {
    let later = "2026-11-30T09:00:00+01:00, 2 ,4GiB,90,1GB,true,7\r\n\n";
    let sooner = "\"2026-11-30T07:00:00Z\",0,100,1h30m,,,\n";
    let jobs = jobs(&format!("\u{feff}{HEADER}{later}{sooner}"));
    assert_eq!(jobs.iter().map(|job| job.duration.as_secs()).collect::<Vec<_>>(), [5400, 90]);
    let [first, second] = &jobs[..] else { panic!("two: {jobs:?}") };
    assert_eq!((first.constraints.vcpus, first.constraints.ram, first.scratch), (0, 100, 0));
    assert_eq!((first.preemptible, first.priority), (false, USUAL_PRIORITY));
    assert_eq!(second.submitted_at.to_string(), "2026-11-30T08:00:00Z");
    assert_eq!((second.constraints.vcpus, second.constraints.ram), (2, 4 << 30));
    assert_eq!((second.scratch, second.preemptible, second.priority), (1_000_000_000, true, 7));
}

#[test]
fn columns_may_be_in_any_order_and_seconds_may_be_numbers() {
    let jobs = jobs("Duration,RAM,VCPUs,Submitted_at\n1.5,1MB,1,100\n2,1MB,1,99.25\n");
    let times: Vec<_> = jobs.iter().map(|job| (job.submitted_at.as_millisecond(), job.duration)).collect();
    assert_eq!(times, [(99_250, Duration::from_secs(2)), (100_000, Duration::from_millis(1500))]);
}

#[test]
fn what_is_wrong_is_told_with_its_place_and_what_is_accepted() {
    let names = format!("the first line names the columns, in any order: {COLUMNS}");
    refused("", &format!("jobs.csv:1: it is empty: {names}"));
    refused("vcpus,ram\n", &format!("jobs.csv:1: the column submitted_at is missing: {names}"));
    refused("cpus\n", &format!("jobs.csv:1: no column is called `cpus`: {names}"));
    refused("ram,ram\n", &format!("jobs.csv:1: the column ram is there twice: {names}"));
    refused(HEADER, "there is no job to play");
    let row = |row: &str| format!("{HEADER}1,1,1,1,,,\n{row}\n");
    refused(&row("1,2,3"), "jobs.csv:3: 3 values where the first line names 7 columns");
    for (values, number, column, value, accepted) in [
        ("yesterday,1,1,1,,,", 1, "submitted_at", "yesterday", Column::SubmittedAt),
        ("-1,1,1,1,,,", 1, "submitted_at", "-1", Column::SubmittedAt),
        ("NaN,1,1,1,,,", 1, "submitted_at", "NaN", Column::SubmittedAt),
        ("1,1.5,1,1,,,", 2, "vcpus", "1.5", Column::Vcpus),
        ("1,,1,1,,,", 2, "vcpus", "", Column::Vcpus),
        ("1,1,lots,1,,,", 3, "ram", "lots", Column::Ram),
        ("1,1,1,inf,,,", 4, "duration", "inf", Column::Duration),
        ("1,1,1,-2s,,,", 4, "duration", "-2s", Column::Duration),
        ("1,1,1,1,9XB,,", 5, "scratch", "9XB", Column::Scratch),
        ("1,1,1,1,,yes,", 6, "preemptible", "yes", Column::Preemptible),
        ("1,1,1,1,,,0", 7, "priority", "0", Column::Priority),
    ] {
        let accepted = accepted.accepted();
        let expected = format!("jobs.csv:3: column {number} ({column}): `{value}` is not {accepted}");
        refused(&row(values), &expected);
    }
}
