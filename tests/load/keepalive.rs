//! The two HTTP/1.1 modes: one connection kept as long as the server lets us, or one for each request.

use std::rc::Rc;

use crate::cli::Mode;
use crate::http1::Connection;
use crate::net::{LIMIT, Plan};
use crate::schedule::{Stop, Timetable};
use crate::stats::{Answer, Class, Failure, Recorder};

/// Sends this connection's arrivals, one after the other.
pub(crate) async fn run(plan: Rc<Plan>, stats: Rc<Recorder>, stop: Rc<Stop>, mut timetable: Timetable, keep: bool) {
    let mode = if keep { Mode::Keepalive } else { Mode::Close };
    let mut connection: Option<Connection> = None;
    while let Some(due) = timetable.arrival(&stop).await {
        if let Some(open) = &mut connection
            && open.closed().await
        {
            // Nothing was written yet, so this is not a failure: any client would notice.
            stats.reconnect(mode);
            connection = None;
        }
        let outcome = match tokio::time::timeout(LIMIT, one(&plan, &mut connection, keep)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Failure::new(Class::Timeout, "no answer within the time limit")),
        };
        let (outcome, reuse) = match outcome {
            Ok((answer, reuse)) => (Ok(answer), reuse),
            Err(failure) => (Err(failure), false),
        };
        stats.request(mode, due, &outcome);
        if !reuse {
            if keep && outcome.is_ok() {
                stats.told_to_close(mode);
            }
            connection = None;
        }
    }
}

/// One request on the connection there is, or on a new one that is then left in its place.
async fn one(plan: &Plan, connection: &mut Option<Connection>, keep: bool) -> Result<(Answer, bool), Failure> {
    let open = match connection {
        Some(open) => open,
        None => connection.insert(Connection::open(plan).await?),
    };
    let (answer, reuse) = open.exchange(plan, keep).await?;
    Ok((answer, reuse && keep))
}
