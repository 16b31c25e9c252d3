//! The Retry-After header (RFC 9110, section 10.2.3): seconds, or an HTTP date.

use std::time::Duration;

use trajforge_schema::Timestamp;

/// How long to wait, by a header's value and that of the Date header beside it: a date is meant by the provider's own
/// clock, so nobody else's is asked. A date that is past is no wait. Fractions of seconds, which some providers send,
/// are taken.
pub fn retry_after(value: &str, date: Option<&str>) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let (until, now) = (http_date(value)?, http_date(date?.trim())?);
    Some(Duration::from_millis(until.0.saturating_sub(now.0)))
}

/// A moment as HTTP writes it (RFC 9110, section 5.6.7), in the one form that senders may use:
/// `Sun, 06 Nov 1994 08:49:37 GMT`.
fn http_date(text: &str) -> Option<Timestamp> {
    let (_, date) = text.split_once(", ")?;
    let parts: Vec<&str> = date.split(' ').collect();
    let [day, month, year, time, "GMT"] = parts.as_slice() else { return None };
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = 1 + i64::try_from(months.iter().position(|name| name == month)?).ok()?;
    let (day, year) = (day.parse::<i64>().ok()?, year.parse::<i64>().ok()?);
    let mut clock = time.split(':').map(|part| part.parse::<u64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let in_range = (1..=31).contains(&day)
        && (1970..10_000).contains(&year)
        && hour < 24
        && minute < 60
        && second <= 60
        && clock.next().is_none();
    let days = u64::try_from(days_since_1970(year, month, day)).ok()?;
    in_range.then_some(Timestamp((((days * 24 + hour) * 60 + minute) * 60 + second) * 1000))
}

/// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `days_from_civil`.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The standard's own example.
    const EXAMPLE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

    #[test]
    fn seconds_and_dates_are_read_and_nonsense_is_not() {
        assert_eq!(http_date(EXAMPLE), Some(Timestamp(784_111_777_000)));
        let wait = |value: &str| retry_after(value, Some(EXAMPLE)).map(|wait| wait.as_millis());
        assert_eq!(wait("120"), Some(120_000));
        assert_eq!(wait(" 0.5 "), Some(500));
        assert_eq!(wait("Sun, 06 Nov 1994 08:50:07 GMT"), Some(30_000));
        assert_eq!(wait("Sun, 06 Nov 1994 08:00:00 GMT"), Some(0));
        assert_eq!(wait("Thu, 29 Feb 1996 00:00:00 GMT"), Some(41_440_223_000));
        assert_eq!(retry_after(EXAMPLE, None), None);
        for nonsense in
            ["", "soon", "-1", "NaN", "inf", "1e400", "Sun, 06 Now 1994 08:49:37 GMT", "Sun, 06 Nov 1994"]
        {
            assert_eq!(wait(nonsense), None, "{nonsense:?}");
        }
    }
}
