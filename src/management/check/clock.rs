//! The database's clock against this machine's.

use chrono::{DateTime, Duration, Utc};
use sea_orm::{ConnectionTrait, DbBackend};

use super::issues::Issue;
use crate::db::Database;
use crate::management::CommandError;

/// Seconds by which clocks may differ.
const MAX_SKEW: i64 = 5;
pub(super) const HINT: &str =
    "Set both by NTP: each side dates its tokens and ends sessions by its own clock.";

/// SQLite has no clock of its own.
pub(super) async fn check_clock(
    database: &Database,
    now: fn() -> DateTime<Utc>,
) -> Result<Option<Issue>, CommandError> {
    if database.get_database_backend() == DbBackend::Sqlite {
        return Ok(None);
    }
    let before = now();
    let row = database.query_one("SELECT clock_timestamp() AS told", []).await?;
    let Some(row) = row else { return Ok(None) };
    let told: DateTime<Utc> = row.try_get("", "told").map_err(CommandError::new)?;
    let ahead = skew(told, (before, now()), Duration::zero());
    Ok(ahead.map(|ahead| Issue::new("DATABASE_URL", "W009", differs("the database", ahead), HINT)))
}

/// Seconds by which a clock is ahead of ours, over what the way between two looks at ours explains, and `coarse`, by
/// which it may have been rounded down.
pub(super) fn skew(
    told: DateTime<Utc>,
    (before, after): (DateTime<Utc>, DateTime<Utc>),
    coarse: Duration,
) -> Option<i64> {
    let ahead = if told > after {
        told - after
    } else if told < before - coarse {
        told - before
    } else {
        Duration::zero()
    };
    Some(ahead.num_seconds()).filter(|seconds| seconds.abs() > MAX_SKEW)
}

pub(super) fn differs(whose: &str, ahead: i64) -> String {
    let side = if ahead > 0 { "ahead of" } else { "behind" };
    format!("{whose}'s clock is {} seconds {side} this machine's.", ahead.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_differs_by_more_than_the_way_to_it() {
        let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
        let looks = (at(100), at(104));
        for (told, ahead) in [(94, Some(-6)), (95, None), (102, None), (109, None), (110, Some(6))]
        {
            assert_eq!(skew(at(told), looks, Duration::zero()), ahead, "{told}");
        }
        assert_eq!(differs("the site", -6), "the site's clock is 6 seconds behind this machine's.");
    }
}
