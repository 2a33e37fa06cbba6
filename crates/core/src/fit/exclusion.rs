//! Why a container does not run on a type: for whoever asks, never for a decision. A test holds it against what decides.

use std::fmt::Write as _;

use super::{Free, Resources, gpu_fits, type_fits};
use crate::container::Record;
use crate::instance::{Catalog, InstanceType, Market};
use crate::policy::Sizing;

/// The rule that keeps a container that is placed on that market from that type, in words; `None` = it is eligible. O(types).
pub fn exclusion(
    market: Market,
    catalog: &Catalog,
    it: &InstanceType,
    need: &Resources,
    record: &Record,
    sizing: &Sizing,
) -> Option<String> {
    let gpu = &record.runtime_constraints.gpu;
    if !type_fits(it, need, gpu, market) {
        return Some(misfits(market, it, need, record).join("; "));
    }
    let fitting = catalog.types().iter().filter(|other| type_fits(other, need, gpu, market));
    let cheapest = fitting.map(|other| other.price.per_hour()).min_by(f64::total_cmp)?;
    let (price, factor) = (it.price.per_hour(), sizing.maximum_price_factor.max(1.0));
    let highest = cheapest * factor;
    (price > highest).then(|| {
        format!("costs {price} an hour: more than {highest}, which is MaximumPriceFactor ({factor}) times the cheapest")
    })
}

/// All that does not fit.
fn misfits(market: Market, it: &InstanceType, need: &Resources, record: &Record) -> Vec<String> {
    let gpu = &record.runtime_constraints.gpu;
    let has = Free::all_of(it).left;
    let mut misfits = Vec::new();
    if it.market() != market {
        let why =
            if market == record.scheduling.market() { "is wanted" } else { "is used instead (SpotRetries)" };
        misfits.push(format!("is {}, and {market} {why}", it.market()));
    }
    let wanted = [
        ("VCPUs", need.vcpus.max(1), has.vcpus),
        ("bytes of RAM", need.ram, has.ram),
        ("bytes of scratch", need.scratch, has.scratch),
        ("GPUs", need.gpus, has.gpus),
        ("bytes of VRAM", need.gpu_vram, has.gpu_vram),
    ];
    for (what, wanted, has) in wanted {
        if wanted > has {
            misfits.push(format!("has {has} {what}, and {wanted} are needed"));
        }
    }
    if !gpu_fits(&it.gpu, gpu) {
        let mut text = format!("has GPU stack `{}`", it.gpu.stack);
        if !it.gpu.stack.is_empty() {
            let (driver, hardware) = (&it.gpu.driver_version, &it.gpu.hardware_target);
            let _ = write!(text, " (driver {driver}, hardware {hardware})");
        }
        let _ = write!(text, ", and `{}` is wanted", gpu.stack);
        if !gpu.stack.is_empty() {
            let _ = write!(text, " (driver {}, hardware {:?})", gpu.driver_version, gpu.hardware_target);
        }
        misfits.push(text);
    }
    misfits
}
