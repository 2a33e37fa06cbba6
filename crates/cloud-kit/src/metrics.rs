//! Failed calls of a cloud's API, by call and code. The Cloud actor counts the port's methods and their errors, for all
//! drivers; what a method gets over, a zone that is full or prices that cannot be had, shows only here.

use std::rc::Rc;

use dispatch_core::label::BoundedLabel;
use prometheus::{IntCounterVec, Opts, Registry};

use crate::failure::Failure;

/// The counter of failed calls.
#[derive(Debug, Clone)]
pub struct ErrorCounter {
    counter: IntCounterVec,
    codes: Rc<BoundedLabel>,
}

impl ErrorCounter {
    /// Registers it as `arvados_dispatchcloud_DRIVER_errors_total`.
    ///
    /// # Errors
    /// If it is registered already.
    pub fn new(registry: &Registry, driver: &str, meaning: &str) -> Result<Self, prometheus::Error> {
        let options = Opts::new(format!("arvados_dispatchcloud_{driver}_errors_total"), meaning);
        let counter = IntCounterVec::new(options, &["operation", "code"])?;
        registry.register(Box::new(counter.clone()))?;
        Ok(Self { counter, codes: Rc::default() })
    }

    /// A call has failed. The code is the cloud's own word.
    pub fn failed(&self, call: impl Into<&'static str>, failure: &Failure) {
        let code = self.codes.bounded(&failure.code);
        self.counter.with_label_values(&[call.into(), code]).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Meaning;

    #[test]
    fn of_a_thousand_codes_64_are_told_apart_and_all_are_counted() {
        let registry = Registry::new();
        let errors = ErrorCounter::new(&registry, "nimbus", "Failed calls.").unwrap();
        for number in 0..1000 {
            errors.failed("Make", &Failure::ours(Meaning::Other, &format!("Code{number}"), "no"));
        }
        let families = registry.gather();
        assert_eq!(families[0].name(), "arvados_dispatchcloud_nimbus_errors_total");
        let counts: Vec<_> = families[0].get_metric().iter().map(|it| it.get_counter().get_value()).collect();
        assert_eq!((counts.len(), counts.iter().sum::<f64>()), (65, 1000.0));
        assert!(ErrorCounter::new(&registry, "nimbus", "Failed calls.").is_err(), "there is one");
    }
}
