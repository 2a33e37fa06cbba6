//! Tests of the engine in this process, with a patience that a test can wait for.

use std::time::Duration;

use tokio::time::Instant;

use super::*;

#[expect(dead_code, reason = "the tests of the program need more of it")]
#[path = "../../tests/runner/controller.rs"]
mod controller;

use controller::{FakeController, TOKEN, TOKEN_UUID, well_behaved};

const SHORT: Patience =
    Patience { pause: Duration::from_millis(20), refused_for: Duration::from_millis(400) };

/// Runs `sleep SECONDS` against a controller that gives `answer` to every question about the token while the command
/// runs, if that is something. Returns the exit code, how long it took, and the last state that was reported.
fn run_with(
    seconds: &str,
    mut answer: impl FnMut(usize) -> Option<u16> + Send + 'static,
) -> (ExitCode, Duration, Value) {
    let record = json!({
        "command": ["sleep", seconds], "environment": {}, "cwd": "", "state": "Locked", "locked_by_uuid": TOKEN_UUID,
    });
    let (mut running, mut asked) = (false, 0);
    let fake = FakeController::start(move |request| {
        running |= request.method == "PUT";
        if running && request.path.contains("api_client_authorizations") {
            asked += 1;
            if let Some(status) = answer(asked) {
                return (status, json!({"errors": ["no"]}));
            }
        }
        well_behaved(request, &record)
    });
    let stdin = json!({
        "Env": {"ARVADOS_API_TOKEN": TOKEN},
        "Cluster": {"Services": {"Controller": {"ExternalURL": fake.url()}}},
    });
    let config = Config::decode(stdin.to_string().as_bytes()).unwrap();
    let uuid = "zzzzz-dz642-000000000000001".parse().unwrap();
    let began = Instant::now();
    let code = actix_rt::Runtime::new().unwrap().block_on(async {
        let mut terminate = signal(SignalKind::terminate()).unwrap();
        run_container(&uuid, &config, &mut terminate, SHORT).await.unwrap()
    });
    let state = fake.updates().pop().unwrap_or_default()["state"].clone();
    (code, began.elapsed(), state)
}

#[test]
fn a_command_whose_token_is_refused_for_long_is_ended_and_nothing_is_reported() {
    let (code, took, state) = run_with("600", |_| Some(401));
    assert_eq!(code, ExitCode::FAILURE);
    assert!(took >= SHORT.refused_for && took < Duration::from_secs(300), "{took:?}");
    assert_eq!(state, "Running", "the controller does not know us");
}

#[test]
fn one_other_answer_among_the_refusals_and_the_command_goes_on() {
    for other in [None, Some(503), Some(404), Some(0)] {
        let answer = move |asked: usize| if asked.is_multiple_of(2) { other } else { Some(401) };
        let (code, _, state) = run_with("2", answer);
        assert_eq!((code, state), (ExitCode::SUCCESS, json!("Complete")), "{other:?}");
    }
}
