//! Sends what [`super::judge`] judges.

use std::time::{Duration, Instant};

use crate::model::limit::{Enforcer, Limit};

use super::super::context::{Context, awaited};
use super::super::net::client::{Door, Request};
use super::super::net::error::ProbeError;
use super::super::text;
use super::super::{REQUESTS_PER_LIMIT, TIME_PER_LIMIT};
use super::judge::{NOT_MEASURED, seconds};
use super::seen::{Forged, Measured, Pace, RateRun, TOO_MANY, Volley, float, leaked, most};
use super::volley::{Shell, Shot, fire, load};

/// Longest wait for a bucket to drain: one of five a minute with a burst of five takes 78 s when it is full, and is full
/// when somebody has just asked for the same.
const DRAIN: Duration = Duration::from_secs(90);
/// What Nginx says if nobody told it otherwise (`limit_req_status`).
const NGINX_DEFAULT: u16 = 503;
/// Headers that name another client, for servers that believe them: another address, or another user.
pub(super) const FORGED: [&str; 4] = ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Authorization"];

/// What to measure.
pub(super) struct Plan<'a> {
    pub(super) door: &'a Door,
    pub(super) limit: &'a Limit,
    /// The route's own path, which other checks may have asked for.
    pub(super) route: &'a str,
    /// A path below it that nobody else asks for.
    pub(super) path: &'a str,
    /// Requests a second.
    pub(super) rate: f64,
    pub(super) burst: usize,
    /// Requests of the burst wait for their turn.
    pub(super) delayed: bool,
    /// A path the limit does not hold for.
    pub(super) unlimited: Option<String>,
}

/// One measurement. `again`: the bucket may be full of the one before.
pub(super) async fn measure(context: &Context<'_>, plan: &Plan<'_>, again: bool) -> Measured {
    let whole = Duration::from_secs_f64((float(plan.burst) + 1.5) / plan.rate);
    let wait = async |time: Duration| context.waits.sleep(&what(plan), time).await;
    if again {
        wait(whole.min(DRAIN)).await;
    }
    // What was asked for before need not be asked again: one more request in a tight bucket is one more to wait for.
    let known = context.status_of(plan.door, plan.route).filter(|status| *status != TOO_MANY && *status < 500);
    let usual = match known {
        Some(status) => status,
        None => match context.once(plan.door, plan.path).await {
            Ok(response) if response.status == TOO_MANY => {
                return Measured::trouble("rejected from the start".into(), !again);
            }
            Ok(response) if response.status >= 500 => {
                return Measured::trouble(format!("it answers {} before any load", response.status), false);
            }
            Ok(response) => response.status,
            Err(error) => return Measured::trouble(error.to_string(), false),
        },
    };
    // All that was asked before may be in the bucket; an empty one is what a volley needs.
    let drain = Duration::from_secs_f64((float(context.sent(plan.limit)) + 0.2) / plan.rate).min(whole);
    if drain > DRAIN {
        let why = format!("the bucket takes {} s to drain, longer than verify waits", drain.as_secs());
        return Measured::trouble(why, false);
    }
    wait(if again { Duration::from_secs_f64(1.5 / plan.rate) } else { drain }).await;
    let count = 1 + plan.burst + plan.burst.div_ceil(5).max(3);
    if count > REQUESTS_PER_LIMIT {
        let why = format!("a burst of {} needs {count} requests, more than {REQUESTS_PER_LIMIT}", plan.burst);
        return Measured::trouble(why, false);
    }
    let (released, shots) = match volley(context, plan, count).await {
        Ok(volley) => volley,
        Err(error) => return Measured::trouble(error.to_string(), !again),
    };
    let reject = reject_status(&shots, usual);
    let volley = Volley::of(&shots, reject, usual);
    let tripped = volley.rejected() > 0;
    let mut measured = Measured {
        trouble: None,
        rate: Err("not measured".into()),
        forged: Err("not asked".into()),
        sibling: None,
        reject,
        rejected: shots.iter().find(|s| s.status() == Some(reject)).and_then(|s| s.answer.clone().ok()),
        rejections: volley.rejected(),
        volley: Some(volley),
        after: None,
        worth_repeating: !again,
        pace: None,
    };
    if tripped {
        sustain(context, plan, &mut measured, released, usual, REQUESTS_PER_LIMIT - count).await;
        if is_slow(plan) {
            paced(context, plan, &mut measured, released).await;
        } else {
            measured.after = come_back(context, plan, &measured).await;
        }
    }
    measured
}

async fn volley(context: &Context<'_>, plan: &Plan<'_>, count: usize) -> Result<(Instant, Vec<Shot>), ProbeError> {
    let shells = load(plan.door, &vec![Request::path(plan.path); count]).await?;
    context.count(plan.path, count);
    // Answers that are delayed are waited for side by side.
    let turn = if plan.delayed { None } else { Some(context.volley.lock().await) };
    let shots = fire(shells.into_iter().map(|shell| (shell, Duration::ZERO)).collect(), patience(plan));
    let shots = context.waits.during(&what(plan), shots).await;
    drop(turn);
    Ok(shots)
}

/// What is waited for, for people.
fn what(plan: &Plan<'_>) -> String {
    awaited(plan.route)
}

/// A delayed answer waits for the whole burst before it; then it may be slow.
fn patience(plan: &Plan<'_>) -> Duration {
    Duration::from_secs_f64(float(plan.burst) / plan.rate).min(TIME_PER_LIMIT) + Duration::from_secs(10)
}

/// 429, unless there is none and Nginx's default is: then the limit works, and says the wrong thing.
fn reject_status(shots: &[Shot], usual: u16) -> u16 {
    let has = |status: u16| shots.iter().any(|s| s.status() == Some(status));
    if !has(TOO_MANY) && has(NGINX_DEFAULT) && usual != NGINX_DEFAULT { NGINX_DEFAULT } else { TOO_MANY }
}

/// How many times the rate is offered. Without a burst the bucket runs empty between two requests, and what leaks then
/// is lost: a denser offer loses less.
fn density(burst: usize) -> f64 {
    if burst == 0 { 4.0 } else { 2.0 }
}

/// How many requests at that density fit the bounds, and how long they take; or why it is not done.
fn stream(rate: f64, density: f64, budget: usize) -> Result<(usize, f64), String> {
    let wanted = (5.0f64).max(5.0 / rate);
    if wanted > TIME_PER_LIMIT.as_secs_f64() {
        return Err(format!("{NOT_MEASURED}: a rate of {rate:.2}/s takes {wanted:.0} s to see"));
    }
    let count = leaked(density * rate, wanted).min(budget);
    if count < 10 {
        return Err(format!("{NOT_MEASURED}: more than {REQUESTS_PER_LIMIT} requests would be needed"));
    }
    Ok((count, float(count) / (density * rate)))
}

/// Twice the rate for a while, and at its end, with the bucket full, forged headers and the path without a limit.
async fn sustain(
    context: &Context<'_>,
    plan: &Plan<'_>,
    measured: &mut Measured,
    released: Instant,
    usual: u16,
    budget: usize,
) {
    let each = 3 + leaked(plan.rate, 0.05).min(5);
    let extra = 2 + FORGED.len() * each + 2;
    // The bucket may drain wholly until the run begins; in the worst case all of it has to be filled again.
    let spare = budget.saturating_sub(extra + 2);
    let expected_free = if most_delayed(measured) > 0.3 { plan.burst } else { plan.burst.min(leaked(plan.rate, 1.5)) };
    let stream = stream(plan.rate, density(plan.burst), spare.saturating_sub(expected_free + 1));
    let (count, duration) = stream.as_ref().map_or((0, 0.0), |s| *s);
    let forged: Vec<[(&str, String); 1]> =
        FORGED.iter().flat_map(|name| (0..each).map(move |_| [(*name, forge(name))])).collect();
    let forged: Vec<[(&str, &str); 1]> = forged.iter().map(|[(n, v)]| [(*n, v.as_str())]).collect();
    let mut tail = vec![Request::path(plan.path); 2];
    tail.extend(forged.iter().map(|headers| Request::with(plan.path, headers)));
    tail.extend(plan.unlimited.as_deref().map(Request::path));
    tail.push(Request::path(plan.path));
    // All connections first: opening takes time, in which the bucket leaks.
    let most_fill = (expected_free + 3).min(plan.burst + 1);
    let same = vec![Request::path(plan.path); most_fill.max(count)];
    let (fill, body, tail) = match tokio::try_join!(
        load(plan.door, &same[..most_fill]),
        load(plan.door, &same[..count]),
        load(plan.door, &tail),
    ) {
        Ok(shells) => shells,
        Err(error) => {
            measured.rate = Err(error.to_string());
            measured.forged = Err(error.to_string());
            return;
        }
    };
    let free = plan.burst.min(leaked(plan.rate, released.elapsed().as_secs_f64()));
    let filling = (free + 1).min(most_fill);
    let step = Duration::from_secs_f64(1.0 / (density(plan.burst) * plan.rate));
    let end = Duration::from_secs_f64(duration);
    let times = |n: usize| step.mul_f64(float(n));
    let mut schedule: Vec<(Shell, Duration)> = fill.into_iter().take(filling).map(|s| (s, Duration::ZERO)).collect();
    schedule.extend(body.into_iter().enumerate().map(|(n, shell)| (shell, times(n))));
    let tail_at = filling + count;
    // A millisecond apart, which is what timers resolve: the order of these matters.
    let last = |n: usize| end + Duration::from_millis(1).mul_f64(float(n));
    schedule.extend(tail.into_iter().enumerate().map(|(n, shell)| (shell, last(n))));
    context.count(plan.path, schedule.len());
    let (_, shots) = context.waits.during(&what(plan), fire(schedule, patience(plan))).await;
    let (run, tail) = shots.split_at(tail_at.min(shots.len()));
    measured.rejections += shots.iter().filter(|s| s.status() == Some(measured.reject)).count();
    measured.rate = stream.map(|_| rate_run(plan, run, measured.reject, usual, free));
    read_tail(plan, measured, tail, each);
}

fn most_delayed(measured: &Measured) -> f64 {
    measured.volley.as_ref().map_or(0.0, |volley| most(&volley.admitted))
}

fn rate_run(plan: &Plan<'_>, run: &[Shot], reject: u16, usual: u16, free: usize) -> RateRun {
    let sorted = Volley::of(run, reject, usual);
    RateRun {
        admitted: sorted.admitted.len(),
        rejected: sorted.rejected(),
        odd: sorted.odd.len(),
        free,
        lost: if plan.burst == 0 { plan.rate / (density(0) + 1.0) } else { 0.0 },
        duration: run.iter().map(|s| s.sent.as_secs_f64()).fold(0.0, f64::max),
        latest: run.iter().map(|s| s.late.as_secs_f64()).fold(0.0, f64::max),
        leeway: 0.5 * float(plan.burst.max(1)) / plan.rate,
    }
}

/// The last requests: two to fill the bucket to the brim, the forged ones, the path without a limit, and one more to see
/// that the bucket was full all along.
fn read_tail(plan: &Plan<'_>, measured: &mut Measured, tail: &[Shot], each: usize) {
    let reject = measured.reject;
    let (Some(first), Some(control)) = (tail.first(), tail.last()) else {
        return;
    };
    let forged = tail.get(2..2 + FORGED.len() * each).unwrap_or_default();
    let admitted = FORGED.iter().zip(forged.chunks(each)).map(|(name, shots)| {
        (*name, shots.iter().filter(|s| s.status().is_some_and(|status| status != reject)).count())
    });
    measured.forged = Ok(Forged {
        admitted: admitted.collect(),
        each,
        control_rejected: control.status() == Some(reject),
        window: (control.sent + control.took).saturating_sub(first.sent).as_secs_f64(),
    });
    if let Some(path) = &plan.unlimited {
        let sibling = tail.len().checked_sub(2).and_then(|at| tail.get(at));
        measured.sibling = sibling.map(|shot| (path.clone(), shot.answer.clone().map(|response| response.status)));
    }
}

/// A value for a forged header, another one each time: an address of a documentation range (RFC 5737), or a user
/// nobody has heard of.
pub(super) fn forge(header: &str) -> String {
    let [host] = text::random::<1>();
    let address = format!("198.51.100.{host}");
    match header {
        "Forwarded" => format!("for={address}"),
        "Authorization" => format!("Bearer {}", text::nonce()),
        _ => address,
    }
}

/// Whether twice the rate would have to be offered for longer than is done, and the time until the next request is
/// admitted tells as much: of a bucket of Nginx that delays nothing, one a minute or two is too slow for both.
fn is_slow(plan: &Plan<'_>) -> bool {
    let longest = TIME_PER_LIMIT.as_secs_f64();
    5.0 / plan.rate > longest && 1.2 / plan.rate < longest && !plan.delayed && plan.limit.by == Enforcer::Proxy
}

/// Asks again and again until a request is admitted: refused ones cost nothing, so that is when one has leaked out.
async fn paced(context: &Context<'_>, plan: &Plan<'_>, measured: &mut Measured, released: Instant) {
    let wait = measured.rejected.as_ref().and_then(|r| r.header("retry-after")).and_then(seconds);
    // A little later than told: the client's clock started at another moment than the server's.
    let told = wait.map(|wait| Duration::from_secs(wait) + Duration::from_millis(100));
    let mut times: Vec<Duration> =
        (5..=24).map(|twentieth| Duration::from_secs_f64(f64::from(twentieth) / 20.0 / plan.rate)).collect();
    times.extend(told.filter(|told| *told < TIME_PER_LIMIT));
    times.sort_unstable();
    let mut pace = Pace { rejected: 0.0, admitted: None };
    for time in times {
        context.waits.sleep(&what(plan), time.saturating_sub(released.elapsed())).await;
        let asked = released.elapsed();
        match context.once(plan.door, plan.path).await {
            Ok(response) if response.status == measured.reject => pace.rejected = asked.as_secs_f64(),
            Ok(_) => {
                pace.admitted = Some(released.elapsed().as_secs_f64());
                // Admitted by then, whenever that was.
                measured.after = told.map(|told| Ok(asked <= told + Duration::from_millis(100)));
                break;
            }
            Err(error) => {
                measured.rate = Err(error.to_string());
                return;
            }
        }
    }
    if measured.after.is_none() && told.is_some_and(|told| told < TIME_PER_LIMIT) {
        measured.after = Some(Ok(false));
    }
    measured.pace = Some(pace);
}

/// Waits as long as Retry-After says, and asks once more.
async fn come_back(context: &Context<'_>, plan: &Plan<'_>, measured: &Measured) -> Option<Result<bool, String>> {
    let wait = measured.rejected.as_ref().and_then(|r| r.header("retry-after")).and_then(seconds)?;
    if Duration::from_secs(wait) > TIME_PER_LIMIT {
        return None;
    }
    // A little longer: the client's clock started at another moment than the server's.
    context.waits.sleep(&what(plan), Duration::from_secs(wait) + Duration::from_millis(100)).await;
    let answer = context.once(plan.door, plan.path).await;
    Some(answer.map(|response| response.status != measured.reject).map_err(|error| error.to_string()))
}
