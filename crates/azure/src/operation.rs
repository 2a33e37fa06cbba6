//! Whether a VM that Azure has accepted comes into being: it says so as an operation, which is asked for a while. That
//! Azure has no room it says within seconds; what fails later is seen in listings.
//!
//! ```text
//!   accepted ─► InProgress ─┬─► Succeeded ─────────────────► the VM is there
//!                           ├─► Failed, Canceled ──────────► it is not, and why
//!                           └─ 20 s, ten questions, or an answer that says nothing ─► it is under way
//! ```

use std::time::Duration;

use dispatch_cloud_kit::{Failure, Meaning, Method, Refusal};
use dispatch_core::secret::Secret;
use tokio::time::{Instant, sleep, timeout_at};

use crate::answer::OperationStatus;
use crate::arm::{Arm, Call, Reply, Request};
use crate::errors::{ERRORS, of_an_order_without_vm};

/// How long an operation is asked for.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often it is asked for where Azure does not say.
const PACE: Duration = Duration::from_secs(5);
/// Azure says minutes for what may take minutes: then we would never see it fail.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Azure says a second for what takes longer: all questions would be asked in half of the time.
const SHORTEST_PAUSE: Duration = Duration::from_secs(2);
/// The last question is asked so long before the end.
const TO_ANSWER: Duration = Duration::from_secs(2);
const MOST_QUESTIONS: usize = 10;

/// What became of a VM that was accepted, as far as was seen.
#[derive(Debug)]
pub(crate) enum Fate {
    /// It is there, or under way.
    Expected,
    /// Azure has given up: it exists all the same, and counts.
    Failed(Failure),
}

/// Asks for the operation that this answer names.
pub(crate) async fn watch(arm: &Arm, accepted: &Reply, secrets: &[Secret]) -> Fate {
    let deadline = Instant::now() + PATIENCE;
    let Some(url) = &accepted.operation else { return Fate::Expected };
    let url = match arm.checked(url) {
        Ok(url) => url,
        Err(failure) => {
            arm.failed(Call::GetOperation, &failure);
            return Fate::Expected;
        }
    };
    let mut pause = accepted.retry_after;
    for _ in 0..MOST_QUESTIONS {
        let left = deadline.saturating_duration_since(Instant::now());
        let Some(pause_now) = before_the_next(left, pause) else { return Fate::Expected };
        sleep(pause_now).await;
        let request = Request {
            secrets: secrets.to_vec(),
            ..Request::new(Call::GetOperation, Method::GET, url.clone())
        };
        // An answer that does not come is counted, and says nothing about the VM.
        let Ok(Ok(reply)) = timeout_at(deadline, arm.call(request)).await else { return Fate::Expected };
        match reply.read::<OperationStatus>() {
            Ok(status) => {
                if let Some(fate) = fate(status, secrets) {
                    return fate;
                }
            }
            Err(failure) => {
                arm.failed(Call::GetOperation, &failure);
                return Fate::Expected;
            }
        }
        pause = reply.retry_after;
    }
    Fate::Expected
}

/// How long to wait before the next question, if so much time is left and Azure says that of it; `None` = it is too late
/// for one.
fn before_the_next(left: Duration, said: Option<Duration>) -> Option<Duration> {
    let most = left.checked_sub(TO_ANSWER).filter(|it| !it.is_zero())?;
    let said = said.unwrap_or(PACE);
    // "At once" is meant so.
    let pause = if said.is_zero() { said } else { said.clamp(SHORTEST_PAUSE, LONGEST_PAUSE) };
    Some(pause.min(most))
}

/// `None` = it goes on.
fn fate(status: OperationStatus, secrets: &[Secret]) -> Option<Fate> {
    match status.status.as_str() {
        "Succeeded" => Some(Fate::Expected),
        "Failed" | "Canceled" => Some(Fate::Failed(failure(status, secrets))),
        _ => None,
    }
}

/// The VM was not made, for certain: there is no doubt left to tell of.
fn failure(status: OperationStatus, secrets: &[Secret]) -> Failure {
    let words = status.error.and_then(|it| Refusal::new(&it.code?, &it.message.unwrap_or_default(), ""));
    let Some(Refusal { code, message, .. }) = words else {
        let text = format!("the operation has ended: {:.20}, without a reason", status.status);
        return Failure::ours(Meaning::Other, "operation_failed", text);
    };
    let meaning = ERRORS.meaning(&code, &message, 400);
    let failure = Failure { meaning, message: format!("{code}: {message}"), code };
    // Of a secret that is cut in two the head would stay.
    let Failure { meaning, message, code } = secrets.iter().fold(failure, Failure::without);
    of_an_order_without_vm(Failure { meaning, message: format!("{message:.400}"), code })
        .of_call(Call::PutMachine.as_str())
}

#[cfg(test)]
mod tests {
    use dispatch_core::ports::CapacityScope;

    use super::*;
    use crate::answer::ErrorBody;

    /// The moments of all questions, if each is answered at once.
    fn questions(said: Option<u64>) -> Vec<u64> {
        let (mut at, mut all) = (Duration::ZERO, Vec::new());
        while let Some(pause) = before_the_next(PATIENCE - at, said.map(Duration::from_secs)) {
            at += pause;
            all.push(at.as_secs());
            if pause.is_zero() {
                break;
            }
        }
        all
    }

    #[test]
    fn it_is_asked_for_as_often_as_azure_says_and_at_the_end_whatever_azure_says() {
        assert_eq!(questions(None), [5, 10, 15, 18]);
        assert_eq!(questions(Some(10)), [10, 18]);
        assert_eq!(questions(Some(3600)), [10, 18]);
        assert_eq!(questions(Some(1)), [2, 4, 6, 8, 10, 12, 14, 16, 18]);
        for seconds in 1..20 {
            let asked = questions(Some(seconds));
            assert!(asked.len() <= MOST_QUESTIONS && asked.last() == Some(&18), "{seconds}: {asked:?}");
        }
        assert_eq!(questions(Some(0)), [0]);
    }

    #[test]
    fn only_an_end_is_an_end_and_why_it_failed_is_told_without_secrets() {
        let status = |status: &str, code: Option<&str>| OperationStatus {
            status: status.to_owned(),
            error: code.map(|code| ErrorBody {
                code: Some(code.to_owned()),
                message: Some("no room for a-long-secret".to_owned()),
            }),
        };
        let told = |it| fate(it, &[Secret::new("a-long-secret")]);
        for word in ["InProgress", "Creating", "Updating", ""] {
            assert!(told(status(word, None)).is_none(), "{word}");
        }
        assert!(matches!(told(status("Succeeded", None)), Some(Fate::Expected)));
        let Some(Fate::Failed(failure)) = told(status("Failed", Some("AllocationFailed"))) else { panic!() };
        assert_eq!(failure.meaning, Meaning::Capacity(CapacityScope::Offering));
        assert_eq!(failure.message, "PutVirtualMachine: AllocationFailed: no room for (secret)");
        for (word, code, known) in [
            ("Canceled", None, "operation_failed"),
            ("Failed", Some("InternalServerError"), "InternalServerError"),
            ("Failed", Some("two words"), "operation_failed"),
        ] {
            let Some(Fate::Failed(failure)) = told(status(word, code)) else { panic!("{word}") };
            assert_eq!((failure.meaning, failure.code.as_str()), (Meaning::Other, known));
        }
    }
}
