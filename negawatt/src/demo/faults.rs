//! What goes wrong in the middle of the demo, on purpose.

use std::time::Duration;

use super::progress::Progress;
use super::rig::Polling;
use super::{DemoError, House};

/// How long a killed role stays away, and how long the gateways are cut off.
const AWAY: Duration = Duration::from_millis(400);

#[derive(Debug, Clone, Copy)]
enum Fault {
    KillCollector,
    KillBroker,
    CutOff,
}

/// When, in hundredths of the points that the first gateway will have had acknowledged, and what.
const PLAN: [(u64, Fault); 3] = [(20, Fault::KillCollector), (45, Fault::KillBroker), (70, Fault::CutOff)];

/// Lets the faults happen while readings flow. Returns when all have, however far the polling is.
pub(crate) async fn while_polling(gateways: &[Polling; 2], house: &mut House, progress: &Progress) -> Result<(), DemoError> {
    for (percent, fault) in PLAN {
        loop {
            let acknowledged: u64 = gateways.iter().map(|gateway| gateway.status.snapshot().points_acknowledged).sum();
            progress.at(acknowledged);
            if acknowledged * 100 >= percent * gateways[0].expected {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        happen(fault, house, progress).await?;
    }
    Ok(())
}

async fn happen(fault: Fault, house: &mut House, progress: &Progress) -> Result<(), DemoError> {
    match fault {
        Fault::KillCollector => {
            progress.say("fault       the collector is killed (SIGKILL)");
            house.collector.kill().await?;
            tokio::time::sleep(AWAY).await;
            house.collector.restart().await?;
            progress.say("fault       the collector is back");
        }
        Fault::KillBroker => {
            progress.say("fault       the broker is killed (SIGKILL)");
            house.broker.kill().await?;
            tokio::time::sleep(AWAY).await;
            house.broker.restart().await?;
            progress.say("fault       the broker is back, without a memory");
        }
        Fault::CutOff => {
            progress.say("fault       the gateways are cut off from the broker");
            house.link.cut().await;
            tokio::time::sleep(AWAY).await;
            house.link.restore().await.map_err(DemoError::Simulator)?;
            progress.say("fault       the gateways are connected again");
        }
    }
    Ok(())
}
