//! Which cloud: the one place where a driver's name becomes a driver. One line a driver. What a driver says of itself
//! without being opened is in its description (`settings::DRIVERS`).

use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use dispatch_actors::clock;
use dispatch_adapters::loopback::{self, LoopbackCloud};
use dispatch_azure::AzureCloud;
use dispatch_core::driver::Parameters;
use dispatch_core::ports::CloudDriver;
use dispatch_ec2::Ec2Cloud;
use dispatch_gce::GceCloud;
use prometheus::Registry;
use slog::Logger;

use crate::settings::{Driver, Settings};

/// Deadline of one call to a real cloud.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);

/// An opened cloud.
pub struct Opened {
    /// The driver.
    pub driver: Rc<dyn CloudDriver>,
    /// Makes a loopback cloud's instances misbehave; other clouds need no help with that.
    pub faults: Option<loopback::Faults>,
}

/// Opens the configured cloud. `public_key`: who may log in where a create does not bring a key. `registry`: gets
/// the driver's own series.
///
/// # Errors
/// If the driver cannot work with its parameters.
pub async fn open(
    settings: &Settings,
    public_key: &str,
    registry: &Registry,
    log: &Logger,
) -> Result<Opened> {
    let Driver { parameters, .. } = &settings.driver;
    match settings.driver.name() {
        "loopback" => open_loopback(settings, parameters, public_key, log),
        "ec2" => open_ec2(parameters, registry, log).await,
        "azure" => open_azure(settings, parameters, registry, log),
        "gce" => open_gce(parameters, registry, log).await,
        name => bail!("driver {name} describes itself, and cannot be opened"),
    }
}

/// Whether the configured cloud could be opened now: a standby asks, long before it opens one. Touches no cloud.
///
/// # Errors
/// If not.
pub async fn check(settings: &Settings) -> Result<()> {
    match settings.driver.name() {
        "ec2" => {
            let params = dispatch_ec2::Params::new(&settings.driver.parameters);
            Ec2Cloud::check(&params).await.context("cannot use driver ec2")
        }
        "azure" => {
            let params = dispatch_azure::Params::new(&settings.driver.parameters);
            AzureCloud::check(&params, &dispatch_azure::Environment::this())
                .context("cannot use driver azure")
        }
        "gce" => {
            let params = dispatch_gce::Params::new(&settings.driver.parameters);
            GceCloud::check(&params).await.context("cannot use driver gce")
        }
        // A loopback cloud's place is its dispatcher's alone.
        _ => Ok(()),
    }
}

async fn open_ec2(parameters: &Parameters, registry: &Registry, log: &Logger) -> Result<Opened> {
    let options = dispatch_ec2::Options {
        params: dispatch_ec2::Params::new(parameters),
        call_timeout: CALL_TIMEOUT,
        now: clock::now,
        registry,
        log: log.clone(),
    };
    let cloud = Ec2Cloud::open(options).await.context("cannot use driver ec2")?;
    Ok(Opened { driver: Rc::new(cloud), faults: None })
}

fn open_azure(
    settings: &Settings,
    parameters: &Parameters,
    registry: &Registry,
    log: &Logger,
) -> Result<Opened> {
    let options = dispatch_azure::Options {
        params: dispatch_azure::Params::new(parameters),
        environment: dispatch_azure::Environment::this(),
        set_tag: settings.policy.tag_keys.instance_set_id.clone(),
        call_timeout: CALL_TIMEOUT,
        now: clock::now,
        registry,
        log: log.clone(),
    };
    let cloud = AzureCloud::open(options).context("cannot use driver azure")?;
    Ok(Opened { driver: Rc::new(cloud), faults: None })
}

async fn open_gce(parameters: &Parameters, registry: &Registry, log: &Logger) -> Result<Opened> {
    let options = dispatch_gce::Options {
        params: dispatch_gce::Params::new(parameters),
        call_timeout: CALL_TIMEOUT,
        now: clock::now,
        registry,
        log: log.clone(),
    };
    let cloud = GceCloud::open(options).await.context("cannot use driver gce")?;
    Ok(Opened { driver: Rc::new(cloud), faults: None })
}

fn open_loopback(
    settings: &Settings,
    parameters: &Parameters,
    public_key: &str,
    log: &Logger,
) -> Result<Opened> {
    let params = loopback::Params::new(parameters, &settings.policy.cluster_id, Some(public_key.to_owned()));
    let cloud = LoopbackCloud::open(params, log.clone()).context("cannot open the loopback cloud")?;
    let faults = Some(cloud.faults());
    Ok(Opened { driver: Rc::new(cloud), faults })
}
